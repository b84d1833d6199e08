"""Quarters, overlaps, and how long an ended key answers."""

from datetime import UTC, datetime, timedelta

import pytest

from exchange.tokens import epochs


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "under"),
    [
        ("2026-10-01T00:00:00", ("2026q4",)),
        ("2026-12-17T23:59:59", ("2026q4",)),
        ("2026-12-18T00:00:00", ("2026q4", "2027q1")),
        ("2026-12-31T23:59:59", ("2026q4", "2027q1")),
        ("2027-01-01T00:00:00", ("2027q1",)),
    ],
)
def test_in_the_last_fourteen_days_both_keys_are_published_under(moment, under):
    assert epochs.published_under(at(moment)) == under


def test_an_ended_key_answers_for_look_ups_until_its_last_token_has_ended():
    end = epochs.ends("2026q3")
    assert epochs.answers("2026q3", end + timedelta(days=89))
    assert not epochs.is_published_under("2026q3", end)
    assert not epochs.answers("2026q3", end + timedelta(days=90))
    assert not epochs.answers("2027q1", at("2026-12-17T00:00:00"))


@pytest.mark.parametrize("day", range(0, 730, 3))
def test_a_look_up_asks_under_each_quarter_that_may_hold_a_live_token(day):
    now = at("2026-01-01T12:00:00") + timedelta(days=day)
    asked = epochs.looked_up_under(now)
    for age in range(90):
        for quarter in epochs.published_under(now - timedelta(days=age)):
            assert quarter in asked
    assert set(epochs.published_under(now)) <= set(asked)
    assert all(epochs.answers(quarter, now) for quarter in asked)


def test_the_epoch_of_a_group_is_read_back():
    assert epochs.parse_of_group(epochs.of_group("ring-7f3a", "2026q4", 12)) == ("ring-7f3a", "2026q4", 12)
    with pytest.raises(ValueError, match="epoch"):
        epochs.parse_of_group("2026q4")
