"""Words that many objects have: the log is walked for them, and finds what the index of words does."""

from __future__ import annotations

import random

import pytest
from django.db import connection

from indicators import reading
from indicators.feeds import searching, tree
from indicators.feeds.filters import Filter
from indicators.models import Holding
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


#: How many of a hundred titles have each of these words.
_OFTEN = {"account": 100, "relay": 60, "card": 30, "proxy": 8, "relays": 3}
_LOOKED_FOR = (
    *_OFTEN,
    *("rel", "acc", "x", "card relay", "account proxy", "relay or proxy", "account -relay", "-relay", "-account"),
    *('"relay card"', '"account relay"', "ACCOUNT", "rel card", "account or", "indicator--", "nothing"),
)
_SLOWLY = """
SELECT h.stix_id FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
WHERE h.id = ANY(%s) AND (
    to_tsvector('simple', o.title) @@ websearch_to_tsquery('simple', %s)
    OR to_tsvector('simple', o.title) @@ to_tsquery('simple', %s) OR (%s AND starts_with(h.stix_id, %s)))
ORDER BY o.id DESC
"""


@pytest.fixture
def worded():
    """A hundred objects, of which Aster sees two of three: as many again have each word and are not for it."""
    chance, cast = random.Random(18), build.the_cast()
    for number, (by, who) in enumerate((("borealis", ()), ("cygnus", ("dorado",)), ("aster", ()))):
        titles = [" ".join(w for w, often in _OFTEN.items() if chance.random() * 100 < often) for _ in range(34)]
        made = (making.account_pattern(name=f"{title} {number}-{place}") for place, title in enumerate(titles))
        build.publish(cast.viewer(by), *made, partners=who)
    return cast


def _all_pages(viewer, asked):
    before, more = None, True
    while more:
        read = reading.newest(viewer, asked, before=before, limit=7)
        yield from (said.stix_id for said in read.statements)
        before, more = read.reached, read.more


@pytest.mark.slow
@pytest.mark.parametrize(("common", "few"), [("TRUE", "100"), ("FALSE", "100"), ("FALSE", "9")])
def test_each_way_shows_page_by_page_what_a_slow_look_at_all_that_is_seen_finds(worded, monkeypatch, common, few):
    monkeypatch.setattr(selecting, "_IS_COMMON", common)
    monkeypatch.setattr(selecting, "_FEW", few)
    viewer = worded.viewer("aster")
    seen = list(Holding.objects.visible_to(viewer).values_list("pk", flat=True))
    assert len(seen) == 68
    some = Holding.unrestricted.get(pk=seen[5]).stix_id
    for text in (*_LOOKED_FOR, some, some[:20]):
        begins = searching.begins(text)
        with connection.cursor() as cursor:
            cursor.execute(_SLOWLY, [seen, text, begins.words, begins.last_id.endswith("g"), begins.first_id])
            slowly = [stix_id for (stix_id,) in cursor.fetchall()]
        for asked in (Selection(words=text), Selection(filter=Filter(tree.term("words", [text])))):
            assert list(_all_pages(viewer, asked)) == slowly, text
            assert listing.counted(viewer, asked).all == len(slowly), text


_WORDED = Filter(tree.term("words", ["relay"]))


@pytest.mark.parametrize(
    "ask",
    [
        lambda viewer: listing.counted(viewer, Selection(words="relay")),
        lambda viewer: listing.counted(viewer, Selection(filter=_WORDED)),
        lambda viewer: listing.ordered(viewer, Selection(filter=_WORDED), by="severity", down=True, offset=0, limit=2),
        lambda viewer: listing.tallied(viewer, [_WORDED]),
        lambda viewer: listing.counted_each(viewer, [Selection(words="relay"), Selection(filter=_WORDED)]),
    ],
    ids=["counted", "counted by a filter", "sorted", "a view's count", "each of several"],
)
def test_what_is_counted_is_found_by_its_keys_however_much_there_is(stored, ask):
    cast, _ = stored
    build.publish(cast.viewer("cygnus"), *(making.account_pattern(name=f"Of a relay {n}") for n in range(40)))
    with plans.watched() as seen:
        ask(cast.viewer("aster"))
    assert plans.read_by(seen) > 0  # and no table was read whole
