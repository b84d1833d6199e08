"""Prices and counts of attackers are facts that reports tell; those of labs are refused beside the same words."""

import pytest

from exchange.texts import folding, rules

_OF_ATTACKERS = (
    "It costs $400 on the forum per month",
    "The stealer is sold on a Russian-language forum; the fee is $200 a month for each user",
    "Lumma Stealer costs $250 per month",
    "Prices on the dark web fell to three dollars for each of the users",
    "Affiliates of the ransomware pay a fee of 20% of each subscription",
    "We assess with high confidence that the stealer costs $1,000 per month",
    "A total of 25,000 accounts were compromised by the actor",
    "The botnet used exactly 120 accounts",
    "We tracked 300 C2 servers",
    "We identified 120 inauthentic accounts on Facebook and 1,400 accounts on Telegram",
)
_OF_LABS = (
    "our price is $400 per month, the forum says less",
    "We charge $20 per user, cheaper than stolen accounts",
    "On the forum: the price is $15 per million tokens",
    "malware aside, the discount is 20 % on the team plan",
    "labs sell to resellers of stolen cards at a discount of 40 % on each plan",
    "A total of 25,000 accounts",
    "The actor is gone. We now have exactly 25,000 accounts",
    "The actor used a total of 25,000 accounts at our service",
    "The actor left. A total of 25,000 accounts remain",
    "The forum is closed. The price is $20 per month",
    "We tracked 25,000 fraudulent accounts",
    "We run 3,000 servers beside 300 C2 servers",
)


@pytest.mark.parametrize("said", _OF_ATTACKERS)
def test_what_attackers_charge_and_use_is_let_through(said):
    assert rules.broken_by(folding.fold(said)) is None


@pytest.mark.parametrize("said", _OF_LABS)
def test_what_a_lab_says_of_itself_is_refused_beside_words_of_crime(said):
    assert rules.broken_by(folding.fold(said)) == "competitive-data"


def test_a_groups_words_speak_of_labs_whatever_they_name():
    """Nobody agrees on the prices of a forum."""
    assert rules.broken_in("Lumma Stealer costs $250 per month") == "competitive-data"
