"""Matching: what is equal is linked once for each source, in work that grows with the values alone."""

from __future__ import annotations

import json

import pytest
from django.db import connection, transaction
from structlog.testing import capture_logs

from indicators import following
from indicators.matching import tokens
from indicators.models import Match, Progress
from indicators.stix import making
from tests import build

pytestmark = pytest.mark.django_db

SAME = making.token("cd" * 32)


@pytest.fixture
def cast():
    return build.the_cast()


def say(cast, who: str, count: int = 1, token=SAME) -> list[str]:
    made = [making.account_pattern(carrier={"token": token}) for _ in range(count)]
    build.publish(cast.viewer(who), *made, everyone=True)
    return [each["id"] for each in made]


def linked() -> set[frozenset[str]]:
    pairs = Match.unrestricted.values_list("left__holding__stix_id", "right__holding__stix_id")
    return {frozenset(pair) for pair in pairs}


def test_each_is_linked_to_the_newest_of_each_other_source(cast):
    first, second = say(cast, "aster", 2)
    (theirs,) = say(cast, "borealis")
    (third,) = say(cast, "cygnus")
    tokens.catch_up()
    assert linked() == {
        frozenset((first, theirs)), frozenset((second, theirs)), frozenset((first, third)), frozenset((second, third)),
        frozenset((theirs, third)),
    }  # fmt: skip
    (newer,) = say(cast, "borealis")
    tokens.catch_up()
    assert {pair for pair in linked() if newer in pair} == {frozenset((newer, second)), frozenset((newer, third))}


def rows_in(plan: dict) -> int:
    """The most rows that any step of a plan handled."""
    own = int(plan["Actual Rows"] * plan["Actual Loops"]) + int(plan.get("Rows Removed by Join Filter", 0))
    return max([own, *(rows_in(inner) for inner in plan.get("Plans", ()))])


def test_many_equal_values_cost_no_more_than_their_number(cast):
    count = 150
    for who in ("aster", "borealis"):
        say(cast, who, count)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {tokens._FIND}", {"after": 0, "limit": 1_000})
        plan = cursor.fetchone()[0]
        transaction.set_rollback(True)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    assert rows_in(plan[0]["Plan"]) <= 4 * count
    tokens.catch_up()
    assert len(linked()) == 2 * count - 1


def test_what_a_follower_did_not_finish_is_found_by_the_next_and_a_slow_step_is_said(cast, monkeypatch):
    say(cast, "aster")
    say(cast, "borealis")

    def broken(*, after, limit=1):
        raise ConnectionResetError

    with monkeypatch.context() as patch, transaction.atomic():
        patch.setattr(tokens, "find", broken)
        with pytest.raises(ConnectionResetError):
            tokens.catch_up()
    assert Progress.objects.get(name="matching.tokens").seq == 0
    monkeypatch.setattr(following, "SLOW_S", -1.0)
    with capture_logs() as said:
        tokens.catch_up()
    assert len(linked()) == 1
    assert {(each["event"], each["name"]) for each in said} >= {("follower.slow", "matching.tokens")}
