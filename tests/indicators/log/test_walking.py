"""One walk over the log: how far it looks, what it passes over, and from which place of a channel it begins."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds import tree
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, walking
from indicators.reading.selecting import Selection
from indicators.stix import making
from tests import build
from tests.indicators.log.test_joining import joins
from tests.plans import nodes, watched

pytestmark = pytest.mark.django_db


def test_who_joins_is_told_of_no_removal_from_before_though_they_follow_from_before_it():
    """The walk begins at an earlier row of another channel: each channel is told from where it was opened."""
    cast, ended = build.the_cast(), build.an_indicator()
    before, after = build.an_indicator(tlp_word="green"), build.an_indicator(tlp_word="green")
    build.publish(cast.viewer("aster"), before, everyone=True)
    build.publish(cast.viewer("aster"), ended, groups=("ring",))
    withdrawing.withdraw(cast.viewer("aster"), [ended["id"]])
    build.publish(cast.viewer("aster"), after, everyone=True)
    joins(cast.cygnus, cast.ring)
    told = changes.since(cast.viewer("cygnus"), EVERYTHING, after=0, limit=9).changes
    assert [one.stix_id for one in told] == [before["id"], after["id"]]


def test_a_poll_that_has_looked_at_enough_ends_and_the_next_goes_on_from_there(monkeypatch):
    monkeypatch.setattr(walking, "_LEAST_ROWS", 2)
    monkeypatch.setattr(walking, "_WIDER", 1)
    monkeypatch.setattr(changes, "_MOST_LOOKED_AT", 4)
    cast, last = build.the_cast(), making.prompt_signature()
    build.publish(cast.viewer("aster"), *(build.an_indicator() for _ in range(12)), last)
    reader, wanted, place, found, polls = cast.viewer("borealis"), Filter.of(kinds=("prompt-signature",)), 0, [], 0
    while True:
        span = changes.since(reader, wanted, after=place, limit=1)
        found, polls = [*found, *(one.stix_id for one in span.changes)], polls + 1
        if not span.more:
            break
        assert span.reached > place
        place = span.reached
    assert found == [last["id"]]
    assert polls >= 3


def test_a_page_that_is_full_where_a_stretch_ends_leaves_what_comes_after_to_the_next(monkeypatch):
    """The last row of a stretch reaches the bytes of a page: the next stretch only says whether there is more."""
    cast = build.the_cast()
    made = [build.an_indicator() for _ in range(7)]
    for one in made:
        build.publish(cast.viewer("aster"), one)
    reader, place, found, more = cast.viewer("borealis"), 0, [], True
    monkeypatch.setattr(walking, "_WIDER", 1)
    monkeypatch.setattr(walking._Met, "width", lambda self, known, rows: 1)
    while more:
        span = changes.since(reader, EVERYTHING, after=place, limit=100, max_bytes=1)
        found, place, more = [*found, *(one.stix_id for one in span.changes)], span.reached, span.more
        assert len(span.changes) == 1, "a page ends with the object that reaches it"
    assert found == [one["id"] for one in made]
    assert changes.since(reader, EVERYTHING, after=place, limit=100, max_bytes=1).changes == []


def test_a_beginner_is_not_told_of_what_had_ceased_to_fit_before_it_began():
    """It holds nothing; who was there before may hold the version that fitted, and is told to let it go."""
    cast, once = build.the_cast(), build.an_indicator(confidence=80)
    build.publish(cast.viewer("aster"), once)
    build.publish(cast.viewer("aster"), once | {"confidence": 10, "modified": build.later()})
    reader, wanted = cast.viewer("borealis"), Filter.of(min_confidence=50)
    there = changes.since(reader, wanted, after=0, limit=9).changes
    assert [(one.op, one.reason) for one in there] == [("remove", "filtered")]
    assert changes.since(reader, wanted, after=0, fresh_until=changes.own_end(reader), limit=9).changes == []


def test_all_versions_of_a_type_are_found_by_the_index_of_words(monkeypatch):
    """Each row says the type, whichever version it brought, also where the object has since lost its other words."""
    for constant, value in {"_LEAST_ROWS": 1, "_WIDER": 1, "_BLOCK": 4, "_LEAP_ROWS": 1, "_DENSE": 1}.items():
        monkeypatch.setattr(walking, constant, value)
    cast, made = build.the_cast(), datetime.now(UTC).isoformat().replace("+00:00", "Z")
    first = {"type": "infrastructure", "spec_version": "2.1", "id": f"infrastructure--{uuid4()}", "name": "A relay"}
    first |= {"created": made, "modified": made, "confidence": 80}
    second = first | {"confidence": 10, "modified": build.later()}
    aster = cast.viewer("aster")
    build.publish(aster, first)
    build.publish(aster, *(build.an_indicator() for _ in range(20)))
    build.publish(aster, second)
    asked = Selection(filter=Filter(tree.term("type", ["infrastructure"])), versions="all")
    with watched() as plans:
        page = reading.page(cast.viewer("borealis"), asked, limit=2)
    assert [json.loads(one.body)["confidence"] for one in page.statements] == [80, 10]
    assert any(each.get("Index Name") == "change_by_trait" for plan in plans for each in nodes(plan))
