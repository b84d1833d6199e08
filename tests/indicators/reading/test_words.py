"""Words that many objects have: the log is walked for them, and finds what the index of words does."""

from __future__ import annotations

import pytest

from indicators import reading
from indicators.feeds import tree
from indicators.feeds.filters import Filter
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
