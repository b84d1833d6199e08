"""The reasons of a campaign, as a person would say them."""

from __future__ import annotations

import pytest

from indicators.campaigns import saying
from indicators.campaigns.joining import Grade
from indicators.stix.naming import NAMES


def _said(subkind: str, grade: Grade) -> str:
    reason = {"subkind": subkind, "grade": grade, "tokens": "10^0", "accounts": "10^2", "labs": 2, "purity": 0.95}
    return saying.sentence(reason)


@pytest.mark.parametrize(
    ("grade", "says"),
    [
        (
            Grade.CORROBORATED,
            (
                "A few payment cards pay for accounts at two labs: the most shared is on about 100 accounts, and nearly all who"
                " hold them are suspects."
            ),
        ),
        (
            Grade.WORD,
            (
                "A few payment cards pay for accounts at two labs, each at one of them alone: the most shared is on about 100"
                " accounts, on one lab's word."
            ),
        ),
    ],
)
def test_a_reason_names_cards_as_a_person_does(grade: Grade, says: str) -> None:
    assert _said("par", grade) == says


def test_a_word_in_a_reason_keeps_its_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying, "NAMES", {"par": ("SIM", "SIMs")})
    assert _said("par", Grade.CORROBORATED).startswith("A few SIMs pay for accounts")


def test_no_subkind_is_called_by_an_abbreviation_and_none_as_another() -> None:
    names = [name for both in NAMES.values() for name in both]
    assert [name for name in names if name != name.lower() or "(" in name] == []
    assert len(set(names)) == len(names)
