"""Plans and calls to act together are found in five languages beside English, and what contracts deny is taken."""

import json
import random

import pytest

from bench import acts
from exchange.texts import folding, rules
from indicators.door import scanning


def of(sentences: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(language, one) for language, each in sentences.items() for one in each]


@pytest.mark.parametrize(("language", "turn"), of(acts.IN_LANGUAGES))
def test_every_turn_is_found_in_objects_and_in_the_words_of_groups(language, turn):
    said = acts.planted(language, turn, random.Random(3))
    assert rules.broken_in(said) == "competitive-data"
    for ascii_only in (False, True):
        data = {"x_hash": said}
        found = scanning.found(data, json.dumps(data, ensure_ascii=ascii_only).encode())
        assert found is not None
        assert found.code == "competitive-data"


@pytest.mark.parametrize(("language", "said"), of(acts.DENIED))
def test_a_contract_may_deny_what_it_names(language, said):
    assert rules.broken_in(said) is None
    assert rules.broken_in(f"{said}\n{said}") is None


@pytest.mark.parametrize(("language", "said"), of(acts.EMPTY))
def test_what_denies_nothing_takes_nothing_back(language, said):
    assert rules.broken_in(said) == "competitive-data"


@pytest.mark.parametrize(("language", "call"), [(language, turns[3]) for language, turns in acts.IN_LANGUAGES.items()])
def test_a_denial_of_another_sentence_or_line_takes_nothing_back(language, call):
    denied = acts.DENIED[language][0]
    for between in (" ", "\n"):
        assert rules.broken_in(f"{denied}{between}{call}.") == "competitive-data"
        assert rules.broken_in(f"{call}.{between}{denied}") == "competitive-data"


@pytest.mark.parametrize(
    "said",
    [
        "Die Gruppe veröffentlichte 2024 die Daten ihrer Opfer",
        "Wir veröffentlichten den Bericht im März 2024",
        "Der Angreifer sperrt alle Dateien und erhöht nach drei Tagen den Preis",
        "Der Anbieter hat die Konten gesperrt",
        "Le groupe a lancé une campagne en mars 2025",
        "Nous avons publié ce rapport en 2024",
        "Les attaquants bloquent tous les accès et augmentent la rançon",
        "El grupo lanzó una campaña en marzo de 2025",
        "Publicamos este informe en 2024",
        "Los atacantes bloquean a todos los usuarios",
        "攻击者于2025年3月发布了新的恶意软件",
        "该组织的联合行动持续到2024年",
        "攻撃者は2025年3月に新しいマルウェアを公開した",
        "このグループは身代金を値上げした",
    ],
)
def test_what_attackers_did_and_what_is_past_passes(said):
    assert rules.broken_by(folding.fold(said)) is None
