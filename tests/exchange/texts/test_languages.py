"""What labs say of themselves in figures is found in six languages, in digits and in words."""

import random

import pytest

from bench import figures
from exchange.texts import folding, languages, rules


@pytest.mark.parametrize("language", sorted(figures.IN_WORDS))
def test_every_turn_is_found_with_every_number_in_words(language):
    for turn in figures.IN_WORDS[language]:
        for seed in range(8):
            said = figures.in_words(language, turn, random.Random(seed))
            assert rules.broken_by(folding.fold(said)) == "competitive-data", said


@pytest.mark.parametrize(
    "said",
    [
        "Wir liegen bei rund einer halben Million Nutzern",
        "Hochschulen bekommen von uns 40 % Rabatt",
        "nous sommes \u00e0 un demi-million d'utilisateurs",
        "cobramos veinticinco d\u00f3lares por asiento",
        "\u6211\u4eec\u6709\uff11\uff12\uff10\uff10\u4e07\u4e2a\u8d26\u6237",
        "\u5f53\u793e\u306e\u30e6\u30fc\u30b6\u30fc\u306f\u7d04\u4e94\u5341\u4e07\u4eba\u3067\u3059",
        "we ban about two thousand sign-ups a day",
        "A million output tokens cost fifteen dollars with us",
        "our utilisation is at ninety percent",
    ],
)
def test_other_turns_are_found(said):
    assert rules.broken_by(folding.fold(said)) == "competitive-data"


@pytest.mark.parametrize(
    "said",
    [
        "Der Angreifer nutzte zw\u00f6lftausend Konten",
        "Wir sahen ein Konto",
        "nous avons vu deux comptes",
        "El actor us\u00f3 doce mil cuentas de correo",
        "\u653b\u51fb\u8005\u4f7f\u7528\u4e86\u4e00\u4e07\u4e2a\u8d26\u6237",
        "The actor used twelve thousand accounts and paid three dollars for each",
        "we found one account of theirs",
        "Stolen accounts are sold for five dollars",
        "Our sensors saw traffic that no one had seen before",
        "We see traffic to one of these domains",
        "We observed exploitation of CVE-2021-26855 on Exchange servers",
        "We observed password spraying against Microsoft 365 accounts",
        "We tracked since March 2024 several compromised accounts",
        "We observed UNC3944 phish help desks for user accounts",
        "We observed connections from 203.0.113.124 to compromised servers",
        "We observed T1059 and SHA256 sums on the servers",
        "We observed indicator--5a1f7e1c-5f2d-4a0b-9c3e-446655440000 on servers",
        "The loot was worth $3,000 in stolen tokens",
        "They moved $540 million out of the largest token bridge",
        "The stealer for $250 steals tokens",
        "Paid were $50 to see compromised tokens",
        "$1,500 in USDT/USDC tokens",
    ],
)
def test_what_reports_say_of_attackers_is_let_through(said):
    assert rules.broken_by(folding.fold(said)) is None


def test_a_long_text_is_read_in_linear_time():
    """RE2 alone: a rule that it cannot take stops the import, not a push."""
    assert not languages.hold_figures("wir unser nous nos token dollar " * 20_000)
