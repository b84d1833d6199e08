"""Counts for people: of how many holdings, and that what was not looked at is said to be there."""

from __future__ import annotations

import random
from collections import Counter
from uuid import uuid4

import pytest

from indicators.feeds import spelling, tree
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.models import Holding
from indicators.reading import listing
from indicators.reading.selecting import Selection
from indicators.stix import making, vocabulary
from tests import build, plans

pytestmark = pytest.mark.django_db


def test_who_else_says_a_value_is_asked_of_fewer(monkeypatch):
    cast = build.the_cast()
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(3)))
    viewer = cast.viewer("aster")
    plain, closely = (Filter(spelling.read_text(text)) for text in ("kind:account-pattern", "publishers:>=1"))
    all_of, at_least = listing.Tally(3, cut=False), listing.Tally(3, cut=True)
    assert listing.tallied(viewer, [closely, plain]) == [all_of, all_of]
    monkeypatch.setattr(listing, "LOOKED_AT_CLOSELY", 2)
    assert listing.tallied(viewer, [plain, closely, plain]) == [all_of, at_least, all_of]
    assert listing.tallied(viewer, []) == []
    assert not listing.counted(viewer, Selection(filter=plain)).cut
    assert listing.counted(viewer, Selection(filter=closely)).cut
    assert listing.ordered(viewer, Selection(filter=closely), by="left", down=False, offset=0, limit=9).cut


_EACH = (
    "kind:account-pattern tlp:red",
    "kind:account-pattern publishers:>=2",
    "-kind:account-pattern severity:critical",
    "(severity:critical or publishers:>=2) from:others",
    "type:campaign",
    "words:relay kind:account-pattern",
    "",
)


def test_each_of_several_is_counted_as_it_is_alone_in_one_look(monkeypatch, django_assert_num_queries):
    cast = build.the_cast()
    card = making.payment_fingerprint()
    made = [making.account_pattern(name=f"A relay {number}") for number in range(4)]
    build.publish(cast.viewer("borealis"), *made, card, making.prompt_signature(extension={"severity": "critical"}))
    build.publish(cast.viewer("cygnus"), card | {"id": f"indicator--{uuid4()}"})
    build.publish(cast.viewer("cygnus"), making.account_pattern(name="Of a relay, unseen"), partners=("dorado",))
    viewer = cast.viewer("aster")
    wanted = [Selection(filter=Filter(spelling.read_text(text)), living=True) for text in _EACH]
    wanted.append(Selection(filter=wanted[0].filter, words="relay", living=True))
    for first in (100, 2):
        monkeypatch.setattr(listing, "LOOKED_AT_FIRST", first)
        alone = [listing.counted(viewer, one, at_first=True) for one in wanted]
        with django_assert_num_queries(4):  # its audiences, then the look between its settings
            each = listing.counted_each(viewer, wanted)
        assert each == [listing.Tally(one.all, one.cut) for one in alone]
        assert len({one.count for one in each}) > 2
        assert {one.cut for one in each} == {first == 2}


def test_versions_are_read_only_where_a_filter_asks_for_them():
    cast = build.the_cast()
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(3)))
    viewer = cast.viewer("aster")
    for text, asked in (("type:indicator", False), ("from:others", False), ("severity:>=low", True), ("", False)):
        with plans.watched() as seen:
            counted = listing.counted(viewer, Selection(filter=Filter(spelling.read_text(text)), living=True))
        assert counted.all == 3
        read = {node.get("Relation Name") for plan in seen for node in plans.nodes(plan)}
        assert ("indicators_stixobject" in read) is asked, text


def test_who_carries_a_searched_value_is_found_once_for_all_rows():
    cast = build.the_cast()
    made = [making.account_pattern() for _ in range(9)]
    build.publish(cast.viewer("borealis"), *made)
    value = vocabulary.extension_of(made[0])["tokens"][0]["value"]
    wanted = Filter(tree.term("words", [value]))
    with plans.watched() as seen:
        assert listing.counted(cast.viewer("aster"), Selection(filter=wanted, living=True)).all == 1
    nodes = [node for plan in seen for node in plans.nodes(plan)]
    asked = [node for node in nodes if node.get("Relation Name") in ("indicators_carries", "indicators_tokenvalue")]
    assert asked
    assert all(node["Actual Loops"] <= 2 for node in asked)


@pytest.mark.parametrize("by", listing.ORDERS)
def test_a_sorted_page_counts_what_a_count_of_its_own_does(monkeypatch, by):
    cast = build.the_cast()
    made = [making.account_pattern(confidence=place * 9) for place in range(9)]
    build.publish(cast.viewer("borealis"), *made, *(making.payment_fingerprint() for _ in range(3)))
    viewer = cast.viewer("aster")
    for text in ("", "kind:account-pattern", "confidence:>=40", "confidence:>=100"):
        wanted = Selection(filter=Filter(spelling.read_text(text)) if text else EVERYTHING, living=True)
        pages = [listing.ordered(viewer, wanted, by=by, down=True, offset=place, limit=5) for place in (0, 5, 10, 15)]
        counted = listing.counted(viewer, wanted)
        assert [page.counted for page in pages] == [counted] * len(pages)
        assert len({one.object_id for page in pages for one in page.statements}) == pages[0].counted.all
        monkeypatch.setattr(listing, "LOOKED_AT", 4)
        assert listing.ordered(viewer, wanted, by=by, down=True, offset=0, limit=5).cut  # also where none of them fits
        monkeypatch.undo()


#: To whom Borealis and Cygnus publish, with how many of fifty objects: audiences that Aster sees, and three that it does not.
_AUDIENCES = (
    ("borealis", ("aster",), 20),
    ("borealis", ("aster", "cygnus"), 1),
    ("borealis", ("aster", "dorado"), 1),
    ("borealis", ("aster", "cygnus", "dorado"), 2),
    ("cygnus", ("aster",), 9),
    ("cygnus", ("aster", "borealis"), 1),
    ("cygnus", ("dorado",), 9),
    ("borealis", ("dorado",), 6),
    ("cygnus", ("borealis",), 1),
)


@pytest.fixture
def uneven():
    """Fifty objects in turn to one of the audiences, as often to each as it says."""
    chance, cast = random.Random(5), build.the_cast()
    turns = [place for place, (*_, count) in enumerate(_AUDIENCES) for _ in range(count)]
    chance.shuffle(turns)
    for number, place in enumerate(turns):
        by, whom, _ = _AUDIENCES[place]
        made = making.payment_fingerprint() if number % 3 else making.account_pattern()
        build.publish(cast.viewer(by), made, partners=whom)
    return cast


@pytest.mark.parametrize("who", ["aster", "dorado", "borealis", "cygnus"])
def test_what_is_counted_is_the_newest_whatever_audience_it_has(monkeypatch, uneven, who):
    viewer = uneven.viewer(who)
    kinds = Holding.objects.visible_to(viewer).order_by("-pk").values_list("kind", flat=True)
    for most in range(len(kinds) + 2):
        monkeypatch.setattr(listing, "LOOKED_AT", most)
        counted = listing.counted(viewer, Selection(living=True))
        assert counted == listing.Counted(dict(Counter(kinds[: most + 1])), cut=len(kinds) > most), most
        assert sum(one.count for one in listing.tallied(viewer, [EVERYTHING])) == min(len(kinds), most + 1)


def test_the_newest_are_found_without_reading_as_many_of_each_audience(monkeypatch):
    cast = build.the_cast()
    audiences = [(by, whom) for by, whom, _ in _AUDIENCES if "aster" in whom]
    for _ in range(9):
        for by, whom in audiences:
            build.publish(cast.viewer(by), making.account_pattern(), partners=whom)
    monkeypatch.setattr(listing, "LOOKED_AT", 8)
    with plans.watched() as seen:
        assert listing.counted(cast.viewer("aster"), Selection(living=True)).cut
    keys = [node for plan in seen for node in plans.nodes(plan) if node["Node Type"] == "Index Only Scan"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in keys) <= 3 * 9  # of 54
    assert plans.read_by(seen) <= 4 * 9
