"""The log: nothing lost, nothing doubled, whoever writes and whoever reads meanwhile."""

import itertools
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from exchange.errors import Gone
from indicators import reading
from indicators.ending import retiring
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, walking
from indicators.models import Change, Holding
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners.models import Sight
from tests import build
from tests.drilling import runs


def walk(viewer, *, limit, wanted=EVERYTHING):
    after, found = 0, []
    while True:
        span = changes.since(viewer, wanted, after=after, limit=limit)
        found += span.changes
        after = span.reached
        if not span.more:
            return found


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_page_by_page_is_the_whole_list_whatever_the_page(limit):
    cast = build.the_cast()
    for name in ("aster", "borealis", "cygnus"):
        build.publish(cast.viewer(name), *[build.an_indicator() for _ in range(4)])
        build.publish(cast.viewer(name), build.an_indicator(tlp_word="green"))
    seqs = [change.seq for change in walk(cast.viewer("borealis"), limit=limit)]
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 5 + 5 + 1


@pytest.mark.django_db
def test_a_filter_moves_past_what_it_leaves_out():
    cast = build.the_cast()
    aster = cast.viewer("aster")
    build.publish(aster, *[build.an_indicator() for _ in range(5)])
    nothing = changes.since(aster, Filter.of(kinds=("prompt-signature",)), after=0, limit=2)
    assert (nothing.changes, nothing.reached, nothing.more) == ([], changes.head(), False)


@pytest.mark.django_db
def test_the_log_cannot_be_rewritten():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), build.an_indicator())
    for statement in ("UPDATE indicators_change SET reason = 'expired'", "DELETE FROM indicators_change"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.django_db
def test_the_end_of_validity_becomes_a_remove_once(monkeypatch):
    from datetime import timedelta

    from exchange import clock

    cast = build.the_cast()
    indicator = build.an_indicator()
    build.publish(cast.viewer("aster"), indicator)
    borealis = cast.viewer("borealis")
    ends = Holding.unrestricted.get(stix_id=indicator["id"]).valid_until
    monkeypatch.setattr(clock, "now", lambda: ends - timedelta(microseconds=1))
    assert retiring.expire() == 0
    monkeypatch.setattr(clock, "now", lambda: ends)
    assert [retiring.expire(), retiring.expire()] == [1, 0]
    last = changes.since(borealis, EVERYTHING, after=1, limit=10).changes
    assert [(c.op, c.reason, c.stix_id) for c in last] == [("remove", "expired", indicator["id"])]


@pytest.mark.django_db
def test_a_beginner_is_not_told_of_removals_of_what_it_never_held():
    cast = build.the_cast()
    note = build.an_indicator()
    build.publish(cast.viewer("aster"), note)
    build.publish(cast.viewer("aster"), note | {"modified": build.later(), "revoked": True})
    borealis = cast.viewer("borealis")
    assert changes.since(borealis, EVERYTHING, after=0, limit=10, fresh_until=changes.head()).changes == []
    assert [c.op for c in changes.since(borealis, EVERYTHING, after=0, limit=10).changes] == ["remove"]


@pytest.mark.django_db
def test_the_end_of_ones_own_log_counts_what_was_pruned_but_never_goes_beyond_the_place_that_is_asked_for():
    cast = build.the_cast()
    borealis, dorado = cast.viewer("borealis"), cast.viewer("dorado")
    for _ in range(3):
        build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    first, *_, last = (one.seq for one in walk(borealis, limit=9))
    Sight.objects.update(lost=last - 1)
    assert changes.own_end(borealis, up_to=first) == first
    assert changes.own_end(borealis) == last
    nothing_left = changes.own_end(dorado)
    assert nothing_left == last - 1, "nobody could begin before what is gone"
    assert changes.since(dorado, EVERYTHING, after=0, limit=9, fresh_until=nothing_left).changes == []
    with pytest.raises(Gone):
        changes.since(dorado, EVERYTHING, after=0, limit=9, fresh_until=nothing_left - 1)


@pytest.mark.django_db
def test_nothing_new_costs_one_query_and_a_page_two_however_long_it_is():
    cast = build.the_cast()
    aster = cast.viewer("aster")
    build.publish(aster, *[build.an_indicator() for _ in range(50)])
    with CaptureQueriesContext(connection) as delta:
        changes.since(aster, EVERYTHING, after=0, limit=50)
    with CaptureQueriesContext(connection) as page:
        reading.page(aster, Selection(once=True), limit=50)
    assert (len(delta), len(page)) == (2, 2)
    end = changes.own_end(aster)
    with CaptureQueriesContext(connection) as delta:
        changes.since(aster, EVERYTHING, after=end, limit=50)
    with CaptureQueriesContext(connection) as page:
        reading.page(aster, Selection(once=True), after=end, limit=50)
    assert (len(delta), len(page)) == (1, 1)


@pytest.mark.django_db
def test_who_sees_little_of_the_log_reads_no_more_rows_than_a_page_wants(monkeypatch):
    """A stretch that is not full tells how far rows lie apart, not that many are to be passed over; so does the last."""
    cast = build.the_cast()
    for _ in range(8):
        build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(12)], partners=("dorado",))
        build.publish(cast.viewer("aster"), build.an_indicator(), everyone=True)
    asked = []

    def noted(sql, parameters, *, settings, original=walking.ask):
        if "rows" in parameters:  # of a stretch
            asked.append((parameters["rows"], parameters["width"]))
        return original(sql, parameters, settings=settings)

    monkeypatch.setattr(walking, "ask", noted)
    monkeypatch.setattr(walking, "_LEAST_ROWS", 4)
    span = changes.since(cast.viewer("cygnus"), EVERYTHING, after=0, limit=6)
    assert (len(span.changes), span.more) == (6, True)
    assert len(asked) > 1
    assert all(rows <= 7 for rows, _ in asked)
    assert all(width <= 8 * 13 for _, width in asked)
    asked.clear()
    assert changes.since(cast.viewer("cygnus"), EVERYTHING, after=0, limit=6).changes == span.changes
    assert len(asked) == 1, "who comes again begins with a stretch that holds a page"


WRITERS, READERS, BATCHES, SIZE = 8, 4, 4, 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", runs(4, quick=1))
def test_cursor_readers_lose_nothing_under_concurrent_writers(run):
    """Drills run more: here, and in `tests/drills/test_races.py`."""
    race()


def race() -> None:
    """8 writers of two partners and 4 readers on real connections; each reader sees every change exactly once."""
    cast = build.the_cast()
    viewers = [cast.viewer("aster"), cast.viewer("borealis")]
    done = threading.Event()

    def write(number):
        try:
            viewer, sent = viewers[number % 2], []
            for _ in range(BATCHES):
                batch = [making.account_pattern() for _ in range(SIZE)]
                with transaction.atomic():
                    build.publish(viewer, *batch)
                    time.sleep(0.001 * (number % 3))  # commit late, and in another order than begun
                sent += [indicator["id"] for indicator in batch]
            return sent
        finally:
            connections.close_all()

    def read(number):
        try:
            viewer, after, seen, dates = viewers[number % 2], 0, [], []
            while True:
                last_round = done.is_set()
                span = changes.since(viewer, EVERYTHING, after=after, limit=1 + number * 5)
                after = span.reached
                seen += [change.stix_id for change in span.changes]
                dates += [change.date_added for change in span.changes]
                if last_round and not span.more:
                    return seen, dates
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        readers = [pool.submit(read, number) for number in range(READERS)]
        written = [stix_id for writer in [pool.submit(write, n) for n in range(WRITERS)] for stix_id in writer.result()]
        done.set()
        for reader in readers:
            seen, dates = reader.result()
            assert sorted(seen) == sorted(written)
            assert all(earlier < later for earlier, later in itertools.pairwise(dates))
    seqs = list(Change.unrestricted.order_by("seq").values_list("seq", flat=True).distinct())
    assert seqs == list(range(1, WRITERS * BATCHES * SIZE + 1))


@pytest.mark.django_db(transaction=True)
def test_one_publishers_equal_batches_at_once_are_accepted_once():
    cast = build.the_cast()
    viewer = cast.viewer("aster")
    batch = [making.account_pattern() for _ in range(20)]

    def push(_):
        try:
            return build.publish(viewer, *batch).counts
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(push, range(6)))
    assert sorted(count["accepted"] for count in counts) == [0, 0, 0, 0, 0, 20]
    assert sum(count["unchanged"] for count in counts) == 100


@pytest.mark.django_db(transaction=True)
def test_two_publishers_of_one_id_at_once_are_both_kept_and_served_once():
    cast = build.the_cast()
    notes = [
        {
            "type": "note",
            "id": f"note--{uuid.uuid4()}",
            "created": "2026-01-01T00:00:00Z",
            "modified": "2026-01-01T00:00:00Z",
        }
        for _ in range(30)
    ]

    def push(name):
        try:
            for note in notes:
                build.publish(cast.viewer(name), note | {"content": name})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(push, ("aster", "borealis")))
    page = reading.page(cast.viewer("aster"), Selection(once=True), limit=100).statements
    assert sorted(s.stix_id for s in page) == sorted(note["id"] for note in notes)
    assert len(walk(cast.viewer("aster"), limit=100)) == 60
