"""What makes a match, from the sides of one value alone: no database."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from indicators.matching import finding
from indicators.matching.finding import Standing, Walked

VALUE = UUID(int=1)
AT = datetime(2026, 11, 28, tzinfo=UTC)


def side(source, *, first=1, last=None, aside=False, overlapping=()):
    return Standing(VALUE, "email", "s", "e", "v", source, aside, first, last or first, AT, (source,), overlapping)


def row(source, seq, *, aside=False):
    return Walked(seq, AT, source, VALUE, source, aside)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (side(1), side(2), True),
        (side(1), side(1), False),  # two holdings of one source
        (side(1, aside=True), side(2), True),
        (side(1), side(2, aside=True), True),
        (side(1, aside=True), side(2, aside=True), False),  # neither lists the value
        (side(1, aside=True), side(1), False),
        (side(1, overlapping=("x",)), side(2), True),
        (side(1, overlapping=("x",)), side(2, overlapping=("y",)), False),  # they meet at their own values
    ],
)
def test_two_sides_meet_if_their_sources_differ_and_one_at_least_is_listed_and_carries_it(one, other, meet):
    assert bool(finding.meeting([one, other])) is meet
    assert bool(finding.meeting([other, one])) is meet


def test_alone_a_side_meets_nobody():
    assert finding.meeting([side(1)]) == []
    assert finding.newest([side(1)]) is None
    assert finding.last([]) is None


@pytest.mark.parametrize(
    ("seq", "source", "first", "later"),
    [(5, 1, 4, True), (5, 1, 5, False), (5, 1, 6, False), (5, 2, 4, False)],
)
def test_a_row_is_the_later_one_if_a_side_of_another_source_came_before_it(seq, source, first, later):
    assert finding.is_later(row(source, seq), [side(2, first=first)]) is later


def test_what_is_aside_is_the_later_one_of_what_is_listed_alone():
    assert finding.is_later(row(1, 5, aside=True), [side(2, first=4)])
    assert not finding.is_later(row(1, 5, aside=True), [side(2, first=4, aside=True)])


def test_a_match_is_found_where_the_last_of_its_sides_stands():
    early, late = side(1, first=1, last=3), side(2, first=2, last=9)
    assert finding.newest([early, late]) is late
    assert finding.last([early, late]) is late


def test_what_meets_nobody_moves_no_match():
    listed, aside = [side(1, first=1), side(2, first=2)], side(2, first=9, aside=True)
    assert finding.newest([*listed, side(1, first=7)]).last == 7
    assert finding.last([side(1, first=1, aside=True), aside]) is None


def test_what_overlaps_is_found_at_its_own_value_if_it_came_after():
    carries = side(1, first=2, last=2)
    assert finding.newest([carries, side(2, first=1, overlapping=("x",))]) is carries
    assert finding.newest([carries, side(2, first=2, overlapping=("x",))]) is None
    assert finding.newest([carries, side(2, first=3, overlapping=("x",))]) is None
    assert finding.last([carries, side(2, first=3, overlapping=("x",))]).last == 3
