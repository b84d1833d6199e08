"""Words that many objects have: the log is walked for them, and finds what the index of words does."""

from __future__ import annotations

import pytest

from indicators import reading
from indicators.feeds import tree
from indicators.feeds.filters import Filter
from indicators.log import walking
from indicators.reading import listing, selecting
from indicators.reading.selecting import Selection
from indicators.stix import making
from tests import build, plans

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored():
    cast = build.the_cast()
    made = [making.account_pattern(name=f"Card of relay {place}") for place in range(3)]
    build.publish(cast.viewer("borealis"), *made, making.payment_fingerprint())
    return cast, {one["id"] for one in made}


@pytest.mark.parametrize("few", ["100", "0"])
@pytest.mark.parametrize("words", ["relay", "rel", "card relay"])
def test_words_are_found_by_their_index_and_by_the_log(stored, monkeypatch, few, words):
    monkeypatch.setattr(selecting, "_FEW", few)
    cast, wanted = stored
    viewer = cast.viewer("aster")
    for asked in (Selection(words=words), Selection(words=words, filter=Filter.of(kinds=("account-pattern",)))):
        for read in (reading.newest(viewer, asked, before=None, limit=2), reading.page(viewer, asked, limit=9)):
            assert {said.stix_id for said in read.statements} <= wanted
        assert {said.stix_id for said in reading.page(viewer, asked, limit=9).statements} == wanted


_WORDED = Filter(tree.term("words", ["relay"]))


@pytest.mark.parametrize(
    "ask",
    [
        lambda viewer: listing.counted(viewer, Selection(words="relay")),
        lambda viewer: listing.counted(viewer, Selection(filter=_WORDED)),
        lambda viewer: listing.ordered(viewer, Selection(filter=_WORDED), by="severity", down=True, offset=0, limit=2),
        lambda viewer: listing.tallied(viewer, [_WORDED]),
    ],
    ids=["counted", "counted by a filter", "sorted", "a view's count"],
)
def test_what_is_counted_is_found_by_its_keys_however_much_there_is(stored, ask):
    cast, _ = stored
    build.publish(cast.viewer("cygnus"), *(making.account_pattern(name=f"Of a relay {n}") for n in range(40)))
    with plans.watched() as seen:
        ask(cast.viewer("aster"))
    assert plans.read_by(seen) > 0  # and no table was read whole


def test_a_word_that_many_have_but_not_the_newest_is_found_along_the_log(stored, monkeypatch):
    """A kind that nearly all have leads nowhere: by the index of traits all of a block would be read and sorted."""
    monkeypatch.setattr(selecting, "_FEW", "0")
    monkeypatch.setattr(walking, "_LEAST_ROWS", 2)
    cast, wanted = stored
    viewer = cast.viewer("aster")
    build.publish(cast.viewer("borealis"), *(making.account_pattern(name=f"Other {n}") for n in range(40)))
    asked = Selection(words="relay", filter=Filter.of(kinds=("account-pattern",)))
    with plans.watched() as seen:
        found = reading.newest(viewer, asked, before=None, limit=2)
    assert {said.stix_id for said in found.statements} <= wanted
    assert len(found.statements) == 2
    used = {node.get("Index Name") for plan in seen for node in plans.nodes(plan)}
    assert "change_by_trait" not in used
    assert "indicators_change_pkey" in used
