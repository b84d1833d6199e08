"""What a reader sees is remembered between its looks, and never longer than it is so; what it was handed is counted."""

from __future__ import annotations

import orjson
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from indicators import publishing, reading
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.reading.selecting import Selection
from partners import standing
from partners.keys.auth import viewer_of_partner
from partners.log import reads
from partners.models import Audience, Group, Membership, ReadTally
from partners.sight import changing
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cast(monkeypatch):
    """A cast whose rows are committed; nothing is written behind its back."""
    monkeypatch.setattr(reads._SOON, "ask", lambda: None)
    monkeypatch.setattr(reads, "_GATHERED", reads._Gathered())
    return build.the_cast()


def seen(viewer) -> set[str]:
    return {said.stix_id for said in reading.page(viewer, Selection(), limit=100).statements}


def told(viewer) -> set[str]:
    return {one.stix_id for one in changes.since(viewer, Filter(), after=0, limit=100).changes if one.op == "upsert"}


def reader(cast, name="borealis"):
    return viewer_of_partner(getattr(cast, name).pk)


def test_a_second_look_asks_whether_there_is_anything_and_what_it_is(cast):
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    viewer = reader(cast)
    assert len(seen(viewer)) == len(told(viewer)) == 1
    with CaptureQueriesContext(connection) as captured:
        assert len(seen(viewer)) == len(told(viewer)) == 1
    assert len(captured) == 2 * 2


def test_a_new_audience_is_seen_at_once(cast):
    viewer = reader(cast)
    assert seen(viewer) == told(viewer) == set()
    first, second = build.an_indicator(), build.an_indicator()
    build.publish(cast.viewer("aster"), first, groups=("ring",))
    assert seen(viewer) == told(viewer) == {first["id"]}
    build.publish(cast.viewer("aster"), second, partners=("borealis",), tlp=build.Tlp.RED)
    assert seen(viewer) == told(viewer) == {first["id"], second["id"]}
    assert seen(reader(cast, "cygnus")) == set()


@pytest.mark.parametrize("stale", [True, False])
def test_who_leaves_a_group_sees_nothing_of_it_from_then_on(cast, stale):
    """Also who was authenticated before it left."""
    shared = build.an_indicator()
    build.publish(cast.viewer("aster"), shared, groups=("ring",))
    viewer = reader(cast)
    assert seen(viewer) == {shared["id"]}
    with changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis).update(until="2026-01-01T00:00:00Z")
    viewer = viewer if stale else reader(cast)
    assert seen(viewer) == set()
    assert told(viewer) == set()


def test_who_joins_a_group_sees_what_is_there(cast):
    shared = build.an_indicator()
    build.publish(cast.viewer("aster"), shared, groups=("ring",))
    viewer = reader(cast, "cygnus")
    assert seen(viewer) == set()
    with changing([cast.cygnus.pk]):
        Membership.objects.create(partner=cast.cygnus, group=cast.ring)
    assert seen(viewer) == told(viewer) == {shared["id"]}
    assert seen(reader(cast, "cygnus")) == {shared["id"]}


def test_what_was_rolled_back_is_not_remembered(cast):
    viewer, author = reader(cast), cast.viewer("aster")
    undone, done = build.an_indicator(), build.an_indicator()
    with transaction.atomic():
        build.publish(author, undone, groups=("ring",))
        assert seen(viewer) == {undone["id"]}
        transaction.set_rollback(True)
    build.publish(author, done, groups=("ring",))
    assert seen(viewer) == told(viewer) == {done["id"]}


@pytest.mark.slow
def test_what_enters_again_is_told_once(cast):
    shared = build.an_indicator()
    build.publish(cast.viewer("aster"), shared, groups=("ring",))
    viewer = reader(cast)
    assert told(viewer) == {shared["id"]}
    with changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis).update(until="2026-01-01T00:00:00Z")
    with changing([cast.borealis.pk]):
        Membership.objects.create(partner=cast.borealis, group=cast.ring)
    found = reading.page(reader(cast), Selection(), limit=10).statements
    assert [said.stix_id for said in found] == [shared["id"]]


def test_what_was_handed_out_is_counted_together_and_written_once(cast):
    shared = build.an_indicator()
    build.publish(cast.viewer("aster"), shared, groups=("ring",))
    viewer = reader(cast)
    for places in ((5, 9), (2, 3), None):
        reads.tally(viewer, surface="rest:changes", objects=2, places=places)
    reads.tally(viewer, surface="rest:object", objects=1)
    reads.tally(viewer, surface="rest:object", objects=0)
    assert not ReadTally.objects.exists()
    with CaptureQueriesContext(connection) as captured:
        reads.write_gathered()
        reads.write_gathered()
    assert len(captured) == 1
    reads.tally(viewer, surface="rest:changes", objects=1, places=(1, 1))
    reads.write_gathered()
    rows = {row.surface: row for row in ReadTally.objects.all()}
    changed = rows["rest:changes"]
    assert (changed.pages, changed.objects_read, changed.first_seq, changed.last_seq) == (4, 7, 1, 9)
    assert (rows["rest:object"].pages, rows["rest:object"].first_seq) == (1, None)


def test_counts_that_cannot_be_written_are_kept(cast, monkeypatch):
    viewer = reader(cast)
    reads.tally(viewer, surface="rest:changes", objects=1)
    with monkeypatch.context() as patched:
        patched.setattr(reads, "_TALLY", "SELECT pg_terminate_backend(pg_backend_pid()) -- %s%s%s%s%s%s%s%s%s")
        with pytest.raises(OperationalError):
            reads.write_gathered()
    reads.tally(viewer, surface="rest:changes", objects=2)
    reads.write_gathered()
    assert ReadTally.objects.get().objects_read == 3


def test_where_too_many_readers_wait_to_be_counted_one_more_is_written_at_once(cast, monkeypatch):
    monkeypatch.setattr(reads, "MOST_READERS", 1)
    viewer = reader(cast)
    reads.tally(viewer, surface="rest:changes", objects=1)
    reads.tally(viewer, surface="rest:objects", objects=1)
    assert ReadTally.objects.get().surface == "rest:objects"


def test_how_a_publisher_stands_is_read_once_and_anew_whenever_it_changes(cast):
    aster = cast.viewer("aster")

    def queries(**reach) -> int:
        with CaptureQueriesContext(connection) as captured:
            build.publish(aster, build.an_indicator(), **(reach or {"groups": ("ring",)}))
        found = standing.remembered(aster)
        assert found is None or found.groups[cast.ring.pk].name == Group.objects.get(pk=cast.ring.pk).name
        return sum("LEFT JOIN partners_group g" in one["sql"] for one in captured)

    assert [queries(), queries(), queries(), queries()] == [1, 0, 1, 0], "the first made an audience, as the second saw"
    Group.objects.filter(pk=cast.ring.pk).update(name="Another")
    assert [queries(), queries()] == [1, 0]
    assert [queries(everyone=True, tlp=build.Tlp.GREEN), queries(), queries(), queries()] == [0, 0, 1, 0]
    assert len(standing.remembered(aster).audiences) == Audience.objects.filter(publisher=cast.aster.pk).count() == 2


def test_a_push_into_a_group_that_was_suspended_meanwhile_is_refused(cast):
    client, key = Client(), build.bearer(cast.keys["aster"])

    def push() -> str:
        body = orjson.dumps({"objects": [build.an_indicator()]})
        answer = client.post("/api/v1/batches?groups=ring", body, "application/json", headers=key)
        return answer.json().get("code") or answer.json()["results"][0]["status"]

    assert [push(), push()] == ["accepted", "accepted"]
    Group.objects.filter(pk=cast.ring.pk).update(suspended_at="2026-01-01T00:00:00Z")
    assert push() == "group-suspended"
    Group.objects.filter(pk=cast.ring.pk).update(suspended_at=None)
    assert push() == "accepted"


def test_a_group_that_is_suspended_while_a_push_is_on_its_way_takes_nothing_of_it(cast, monkeypatch):
    """Between the key, which is looked at first, and the transaction, which comes last."""
    client, key = Client(), build.bearer(cast.keys["aster"])
    examine = publishing.examine

    def suspend_meanwhile(*arguments, **named):
        Group.objects.filter(pk=cast.ring.pk).update(suspended_at="2026-01-01T00:00:00Z")
        return examine(*arguments, **named)

    monkeypatch.setattr(publishing, "examine", suspend_meanwhile)
    body = orjson.dumps({"objects": [build.an_indicator()]})
    for query in ("", "?groups=ring"):
        Group.objects.filter(pk=cast.ring.pk).update(suspended_at=None)
        answer = client.post(f"/api/v1/batches{query}", body, "application/json", headers=key).json()
        assert "group-suspended" in (answer.get("code"), *[one.get("code") for one in answer.get("results", ())])
    assert seen(reader(cast)) == set()
