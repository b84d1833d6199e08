"""In and out of sight: withdrawing, re-addressing, joining and leaving, handing over; who is told, and who is not."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from exchange import clock
from exchange.errors import Forbidden, NotFound, Refused
from indicators import matching, reading
from indicators.ending import leaving, withdrawing
from indicators.feeds import blocklists
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Change, StixObject
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import making, tlp
from partners import sight
from partners.models import AuditRecord, Group, Membership, Partner
from partners.scopes import Scope
from partners.tlp import Tlp
from tests import build
from tests.indicators.test_publishing import a_note, said, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def join(partner, group):
    with sight.changing([partner.pk]):
        Membership.objects.create(partner=partner, group=group)


def leave(partner, group):
    with sight.changing([partner.pk]):
        Membership.objects.filter(partner=partner, group=group, until=None).update(until=clock.now())


def clear(partner, clearance):
    with sight.changing([partner.pk]):
        Partner.objects.filter(pk=partner.pk).update(clearance=clearance)


def matched(viewer):
    return matching.newest(viewer, limit=10).matches


def page_of(viewer, **more):
    return [s.stix_id for s in reading.page(viewer, Selection(**more), limit=1_000).statements]


# Withdrawing


def test_what_is_withdrawn_is_removed_for_its_readers_and_seen_by_nobody(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, note)
    place = changes.head()
    withdrawing.withdraw(aster, [note["id"]])
    assert told(borealis, after=place) == [("remove", "withdrawn", note["id"])]
    assert told(aster, after=place) == [("remove", "withdrawn", note["id"])]
    assert told(cast.viewer("cygnus"), after=place) == []
    for viewer in (aster, borealis):
        assert page_of(viewer) == page_of(viewer, words=note["id"]) == []
        assert reading.counts_by_kind(viewer) == {}
        with pytest.raises(NotFound):
            reading.statements(viewer, note["id"], versions="all")
    assert AuditRecord.objects.get(verb="objects.withdrawn").details == {"ids": [note["id"]]}


@pytest.mark.parametrize("later", [{}, {"modified": "2026-07-01T00:00:00Z"}], ids=["as it was", "revised"])
def test_what_was_withdrawn_comes_back_only_when_that_is_asked_for(cast, later):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    withdrawing.withdraw(aster, [note["id"]])
    place = changes.head()
    answer = build.publish(aster, note | later, groups=("ring",))
    assert answer.counts["withdrawn"] == 1
    (said_it,) = build.results(answer)
    assert (said_it["status"], said_it["code"], said_it["field"]) == ("withdrawn", "withdrawn", "/id")
    assert page_of(aster) == told(aster, after=place) == []
    assert build.publish(aster, note | later, groups=("ring",), wake=True).counts["accepted"] == 1
    assert page_of(aster) == page_of(cast.viewer("borealis")) == [note["id"]]


def test_the_same_bytes_bring_it_back_also_for_others(cast):
    aster, borealis, cygnus, note = cast.viewer("aster"), cast.viewer("borealis"), cast.viewer("cygnus"), a_note()
    build.publish(aster, note)
    withdrawing.withdraw(aster, [note["id"]])
    place = changes.head()
    answer = build.publish(aster, note, partners=("cygnus",), wake=True)
    assert build.results(answer)[0]["status"] == "accepted"
    assert told(cygnus, after=place) == [("upsert", "published", note["id"])]
    assert told(borealis, after=place) == []
    assert told(aster) == [("remove", "withdrawn", note["id"]), ("upsert", "published", note["id"])][1:]
    assert page_of(aster) == page_of(cygnus) == [note["id"]]
    assert StixObject.unrestricted.count() == 1


def test_what_was_withdrawn_does_not_come_back_as_something_else(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    withdrawing.withdraw(aster, [note["id"]])
    other = build.publish(aster, note | {"content": "other"})
    assert build.results(other)[0]["code"] == "version-conflict"
    newer = build.publish(aster, note | {"content": "other", "modified": "2026-07-01T00:00:00Z"}, wake=True)
    assert build.results(newer)[0]["status"] == "accepted"
    assert len(said(cast.viewer("borealis"), note["id"], versions="all")) == 1


def test_a_revocation_stays_final_when_it_is_withdrawn(cast):
    aster, note = cast.viewer("aster"), a_note()
    revoked = note | {"modified": "2026-06-01T00:00:00Z", "revoked": True}
    build.publish(aster, note, revoked)
    withdrawing.withdraw(aster, [note["id"]])
    for again in (note, note | {"modified": "2026-07-01T00:00:00Z"}):
        assert build.results(build.publish(aster, again, wake=True))[0]["code"] == "revoked-is-final"
    assert build.results(build.publish(aster, revoked))[0]["status"] == "withdrawn"
    assert build.results(build.publish(aster, revoked, wake=True))[0]["status"] == "accepted"
    assert reading.statements(cast.viewer("borealis"), note["id"])[0].revoked


def test_nobody_withdraws_what_is_anothers(cast):
    aster, borealis, note, own = cast.viewer("aster"), cast.viewer("borealis"), a_note(), a_note()
    build.publish(aster, note)
    build.publish(borealis, own)
    with pytest.raises(NotFound):
        withdrawing.withdraw(borealis, [own["id"], note["id"]])
    with pytest.raises(Forbidden):
        withdrawing.withdraw(build.viewer_of(cast.aster, Scope.READ), [note["id"]])
    assert page_of(borealis) == [note["id"], own["id"]]


def test_withdrawn_values_neither_show_nor_match(cast):
    aster, borealis, value = cast.viewer("aster"), cast.viewer("borealis"), uuid.uuid4().hex * 2
    mine, theirs = (making.account_pattern(carrier={"token": making.token(value)}) for _ in range(2))
    build.publish(aster, mine)
    build.publish(borealis, theirs)
    assert len(matched(borealis)) == 1
    withdrawing.withdraw(aster, [mine["id"]])
    assert matched(borealis) == matched(aster) == []
    assert value in blocklists.spool(borealis, Filter(), form="txt").file.read().decode()
    withdrawing.withdraw(borealis, [theirs["id"]])
    assert blocklists.spool(aster, Filter(), form="txt").file.read() == b""
    assert page_of(aster, words=value) == []
    again = making.account_pattern(carrier={"token": making.token(value)})
    build.publish(cast.viewer("cygnus"), again, everyone=True, tlp=Tlp.GREEN)
    assert matched(aster) == []


def test_of_a_version_that_is_taken_back_alone_the_one_before_takes_the_place(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    newer = note | {"modified": "2026-06-01T00:00:00Z"}
    build.publish(aster, note, newer)
    place = changes.head()
    newest = reading.own_object(aster, note["id"])
    withdrawing.withdraw_versions(aster, note["id"], {newest.object_id})
    assert told(borealis, after=place) == [("upsert", "revised", note["id"])]
    (now,) = reading.statements(borealis, note["id"], versions="all")
    assert (now.version, now.latest) == (note["modified"], True)


# Re-addressing


def test_of_a_new_audience_is_told_who_sees_by_another_way_than_before_and_its_publisher(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note, groups=("ring",))
    place = changes.head()
    readdressing.readdress(aster, note["id"], Reach(named=True, everyone=True))
    for reader in ("borealis", "cygnus", "aster"):
        assert told(cast.viewer(reader), after=place) == [("upsert", "granted", note["id"])]
    place = changes.head()
    readdressing.readdress(aster, note["id"], Reach(named=True, groups=(cast.ring.pk,), partners=(cast.cygnus.pk,)))
    readdressing.readdress(aster, note["id"], Reach(named=True, groups=(cast.ring.pk,)))
    assert told(cast.viewer("borealis"), after=changes.head() - 1) == []
    readdressing.readdress(aster, note["id"], Reach(named=True, everyone=True))
    assert reading.audience_of(aster, reading.own_object(aster, note["id"]).object_id).everyone


def test_only_who_loses_sight_is_told_of_a_narrower_audience(cast):
    aster, note = cast.viewer("aster"), a_note(object_marking_refs=[tlp.ID_OF["green"]])
    build.publish(aster, note)
    place = changes.head()
    answer = build.publish(aster, note, groups=("ring",))
    assert build.results(answer)[0]["status"] == "accepted"
    sees = {name: told(cast.viewer(name), after=place) for name in cast.keys}
    gone = [("remove", "narrowed", note["id"])]
    again = [("upsert", "granted", note["id"])]
    assert sees == {"aster": again, "borealis": again, "cygnus": gone, "dorado": gone, "operator": gone}


def test_the_same_bytes_without_an_audience_change_nothing(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note, partners=("cygnus",))
    place = changes.head()
    assert build.results(build.publish(aster, note))[0]["status"] == "unchanged"
    assert build.results(build.publish(aster, note, partners=("cygnus",)))[0]["status"] == "unchanged"
    assert changes.head() == place


def test_the_same_bytes_with_a_stricter_marking_are_marked_so(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    assert build.results(build.publish(aster, note, tlp=Tlp.RED))[0]["status"] == "accepted"
    with pytest.raises(NotFound):
        reading.statements(cast.viewer("borealis"), note["id"])


def test_an_object_goes_no_further_than_its_own_marking(cast):
    aster = cast.viewer("aster")
    note = a_note(object_marking_refs=[tlp.ID_OF["red"]])
    build.publish(aster, note)
    with pytest.raises(Refused) as refused:
        readdressing.readdress(aster, note["id"], Reach(named=True, everyone=True, tlp=Tlp.CLEAR))
    assert refused.value.code == "red-needs-names"
    assert page_of(cast.viewer("borealis")) == []
    assert reading.own_object(aster, note["id"]).tlp == Tlp.RED


def test_what_may_not_enter_a_group_does_not_enter_by_another_audience(cast):
    closed = build.a_ring(cast.aster, cast.borealis, slug="closed", policy="closed-facts")
    aster = cast.viewer("aster")
    classical = {
        "type": "indicator",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00Z",
        "modified": "2026-01-01T00:00:00Z",
        "pattern": "[domain-name:value = 'x.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    build.publish(aster, classical, groups=("ring",))
    with pytest.raises(Refused) as refused:
        readdressing.readdress(aster, classical["id"], Reach(named=True, groups=(closed.pk,)))
    assert refused.value.code == "not-our-kinds"


def test_an_expired_indicator_can_still_be_narrowed(cast, monkeypatch):
    aster, borealis, indicator = cast.viewer("aster"), cast.viewer("borealis"), build.an_indicator()
    build.publish(aster, indicator)
    later = clock.now() + timedelta(days=8)
    monkeypatch.setattr(clock, "now", lambda: later)
    readdressing.readdress(aster, indicator["id"], Reach(tlp=Tlp.RED))
    assert page_of(borealis) == []


def test_what_is_no_longer_allowed_can_still_be_narrowed(cast):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    note = a_note()
    build.publish(cast.viewer("aster"), note, groups=("ring", "second"))
    Group.objects.filter(pk=cast.ring.pk).update(suspended_at=clock.now())
    aster = cast.viewer("aster")
    readdressing.readdress(aster, note["id"], Reach(named=True, groups=(cast.ring.pk,)))
    assert (len(page_of(cast.viewer("borealis"))), page_of(cast.viewer("cygnus"))) == (1, [])
    with pytest.raises(Refused) as refused:
        readdressing.readdress(aster, note["id"], Reach(named=True, groups=(cast.ring.pk, second.pk)))
    assert refused.value.code == "group-suspended"


def test_a_marking_stays_where_none_is_named(cast):
    second = build.a_ring(cast.aster, cast.borealis, slug="second")
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note, groups=("ring",), tlp=Tlp.AMBER_STRICT)
    readdressing.readdress(aster, note["id"], Reach(named=True, groups=(second.pk,)))
    assert reading.own_object(aster, note["id"]).tlp == Tlp.AMBER_STRICT
    readdressing.readdress(aster, note["id"], Reach(named=True, tlp=Tlp.AMBER, groups=(second.pk,)))
    assert reading.own_object(aster, note["id"]).tlp == Tlp.AMBER


def test_a_readdressing_says_for_whom(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    with pytest.raises(Refused):
        readdressing.readdress(aster, note["id"], Reach())
    with pytest.raises(NotFound):
        readdressing.readdress(cast.viewer("borealis"), note["id"], Reach(tlp=Tlp.RED))


# Joining and leaving


def test_who_joins_is_told_of_what_was_there_and_nobody_else_notices(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    place, before = changes.head(), {name: page_of(cast.viewer(name)) for name in cast.keys}
    join(cast.cygnus, cast.ring)
    assert told(cast.viewer("cygnus"), after=place) == [("upsert", "granted", note["id"])]
    for other in ("aster", "borealis", "dorado", "operator"):
        assert told(cast.viewer(other), after=place) == []
        assert page_of(cast.viewer(other)) == before[other]
    (once,) = reading.page(cast.viewer("cygnus"), Selection(), limit=10).statements
    assert once.date_added > reading.page(aster, Selection(), limit=10).statements[0].date_added


def test_who_leaves_is_told_to_drop_what_it_held_and_nobody_else_notices(cast):
    aster, green, note = cast.viewer("aster"), a_note(object_marking_refs=[tlp.ID_OF["green"]]), a_note()
    build.publish(aster, green, note)
    place = changes.head()
    leave(cast.borealis, cast.ring)
    assert told(cast.viewer("borealis"), after=place) == [("remove", "narrowed", note["id"])]
    assert told(aster, after=place) == told(cast.viewer("cygnus"), after=place) == []
    assert page_of(cast.viewer("borealis")) == [green["id"]]


def test_a_clearance_takes_and_gives_sight(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    place = changes.head()
    clear(cast.borealis, Tlp.GREEN)
    clear(cast.borealis, Tlp.RED)
    assert told(cast.viewer("borealis"), after=place) == [("upsert", "granted", note["id"])]


def test_who_lags_behind_is_still_told_of_removes_from_before_it_left(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, note)
    place = changes.head()
    assert [op for op, _, _ in told(borealis)] == ["upsert"]
    build.publish(aster, note | {"modified": "2026-06-01T00:00:00Z", "revoked": True})
    leave(cast.borealis, cast.ring)
    assert told(cast.viewer("borealis"), after=place) == [("remove", "revoked", note["id"])]


def test_who_joins_late_is_not_told_what_went_before(cast):
    aster, cygnus, note = cast.viewer("aster"), cast.viewer("cygnus"), a_note()
    build.publish(aster, note)
    withdrawing.withdraw(aster, [note["id"]])
    join(cast.cygnus, cast.ring)
    assert told(cast.viewer("cygnus")) == []
    build.publish(aster, note, wake=True)
    assert told(cygnus) == [("upsert", "published", note["id"])]  # a viewer from before it joined is seen to be stale
    withdrawing.withdraw(aster, [note["id"]])
    assert told(cast.viewer("cygnus")) == [("remove", "withdrawn", note["id"])]


def test_an_older_version_comes_into_sight_with_the_newest(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note, note | {"modified": "2026-06-01T00:00:00Z"})
    moment = Change.unrestricted.order_by("-seq").first().date_added
    join(cast.cygnus, cast.ring)
    found = reading.page(cast.viewer("cygnus"), Selection(versions="all", added_after=moment), limit=10).statements
    assert [s.version for s in found] == [note["modified"], "2026-06-01T00:00:00Z"]


def test_sight_costs_the_same_queries_whatever_there_is(cast):
    aster = cast.viewer("aster")
    counts = []
    for size in (3, 60):
        build.publish(aster, *[build.an_indicator() for _ in range(size)])
        with CaptureQueriesContext(connection) as joining:
            join(cast.cygnus, cast.ring)
        with CaptureQueriesContext(connection) as leaving_:
            leave(cast.cygnus, cast.ring)
        counts.append((len(joining), len(leaving_)))
    assert counts[0][0] >= counts[1][0] <= 40
    assert counts[0][1] >= counts[1][1] <= 40


def test_reading_and_moving_cost_the_same_queries_whatever_there_is(cast):
    aster, counts = cast.viewer("aster"), []
    notes = [a_note() for _ in range(80)]
    build.publish(aster, *notes)
    join(cast.cygnus, cast.ring)
    for some in (notes[:5], notes[5:]):
        with CaptureQueriesContext(connection) as moving:
            build.publish(aster, *some, partners=("dorado",))
        with CaptureQueriesContext(connection) as delta:
            changes.since(aster, EVERYTHING, after=0, limit=50)
        with CaptureQueriesContext(connection) as page:
            reading.page(aster, Selection(once=True), limit=50)
        with CaptureQueriesContext(connection) as taking:
            withdrawing.withdraw(aster, [note["id"] for note in some])
        counts.append((len(delta), len(page), len(moving), len(taking)))
    assert counts[0][:2] == counts[1][:2] == (2, 2), "whether there is anything, and what"
    assert all(later <= earlier <= 40 for earlier, later in zip(*counts, strict=True))


# Leaving the exchange


def test_who_leaves_may_take_everything_along(cast):
    aster, green, note = cast.viewer("aster"), a_note(object_marking_refs=[tlp.ID_OF["green"]]), a_note()
    build.publish(aster, green, note)
    place = changes.head()
    assert leaving.withdraw_everything(cast.aster.pk) == 2
    assert {id_ for _, _, id_ in told(cast.viewer("borealis"), after=place)} == {green["id"], note["id"]}
    assert told(cast.viewer("cygnus"), after=place) == [("remove", "withdrawn", green["id"])]
    assert page_of(aster) == page_of(cast.viewer("borealis")) == []


def test_who_leaves_may_hand_over(cast):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    aster, borealis, cygnus = (cast.viewer(name) for name in ("aster", "borealis", "cygnus"))
    ring, other, both = a_note(), a_note(), a_note()
    build.publish(aster, ring, both, groups=("ring",))
    build.publish(aster, other, groups=("second",))
    build.publish(borealis, both | {"content": "mine"})
    place = changes.head()
    assert leaving.hand_over(cast.aster.pk, cast.borealis.pk) == 2
    assert sorted(page_of(borealis, own=True)) == sorted([ring["id"], other["id"], both["id"]])
    found = changes.since(borealis, EVERYTHING, after=place, limit=100).changes
    assert {(c.op, c.publisher_name) for c in found if c.stix_id == ring["id"]} == {
        ("remove", "Aster"),
        ("upsert", "Borealis"),
    }
    assert [c.op for c in found if c.stix_id == ring["id"]] == ["remove", "upsert"]
    assert [(c.op, c.publisher_name) for c in found if c.stix_id == both["id"]] == [("remove", "Aster")]
    assert told(cygnus, after=place) == [("remove", "withdrawn", other["id"])]
    assert page_of(cygnus) == []
    record = AuditRecord.objects.get(verb="objects.handed-over")
    assert (record.target, sorted(record.details["ids"])) == ("partner:borealis", sorted([ring["id"], other["id"]]))
    again = build.publish(borealis, ring)
    assert build.results(again)[0]["status"] == "unchanged"
    assert second.slug == "second"


# At once


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_publisher_at_work_while_a_partner_joins_and_leaves_loses_nothing():
    cast = build.the_cast()
    done = threading.Event()

    def publish(name):
        try:
            viewer = cast.viewer(name)
            for number in range(25):
                notes = [a_note() for _ in range(3)]
                build.publish(viewer, *notes, groups=("ring",))
                if number % 5 == 1:
                    build.publish(viewer, notes[0], everyone=True, tlp=Tlp.GREEN)
                if number % 5 == 2:
                    withdrawing.withdraw(viewer, [notes[1]["id"]])
                if number % 5 == 3:
                    build.publish(viewer, notes[2], partners=("cygnus",))
        finally:
            connections.close_all()

    def come_and_go():
        try:
            for _ in range(12):
                join(cast.cygnus, cast.ring)
                leave(cast.cygnus, cast.ring)
            join(cast.cygnus, cast.ring)
        finally:
            connections.close_all()

    def follow(step):
        """A viewer that is authenticated once and grows stale on the way, as that of a long poll does."""
        try:
            viewer, state = cast.viewer("cygnus"), {}
            place = None
            while True:
                last_round = done.is_set()
                place, more = step(viewer, state, place)
                if last_round and not more:
                    return state
        finally:
            connections.close_all()

    def delta(viewer, state, after):
        span = changes.since(viewer, EVERYTHING, after=after or 0, limit=7)
        for change in span.changes:
            if change.op == "upsert":
                state[change.stix_id] = change.body
            else:
                state.pop(change.stix_id, None)
        return span.reached, span.more

    def taxii(viewer, state, moment):
        page = reading.page(viewer, Selection(added_after=moment), limit=7)
        state |= {s.stix_id: s.body for s in page.statements}
        return (page.statements[-1].date_added if page.statements else moment), page.more

    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(follow, step) for step in (delta, taxii)]
        for writer in [pool.submit(publish, "aster"), pool.submit(publish, "borealis"), pool.submit(come_and_go)]:
            writer.result()
        done.set()
        held, taken = (reader.result() for reader in readers)
    visible = {s.stix_id: s.body for s in reading.page(cast.viewer("cygnus"), Selection(), limit=1_000).statements}
    assert len(visible) == 140
    assert held == visible
    assert visible.items() <= taken.items()
    rows = list(Change.unrestricted.order_by("seq").values_list("seq", "date_added").distinct())
    assert len({seq for seq, _ in rows}) == len(rows)
    assert [date for _, date in rows] == sorted({date for _, date in rows})


def test_an_older_version_that_was_withdrawn_stays_so_though_a_newer_one_is_there(cast):
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note)
    withdrawing.withdraw(aster, [note["id"]])
    newer = note | {"content": "other", "modified": "2026-07-01T00:00:00Z"}
    assert build.results(build.publish(aster, newer, wake=True))[0]["status"] == "accepted"
    assert build.results(build.publish(aster, note))[0]["status"] == "withdrawn"
    assert len(said(cast.viewer("borealis"), note["id"], versions="all")) == 1
    assert build.results(build.publish(aster, note, wake=True))[0]["status"] == "accepted"
    assert len(said(cast.viewer("borealis"), note["id"], versions="all")) == 2


def test_an_older_version_that_comes_late_with_another_audience_is_its_publishers_alone(cast):
    aster, note = cast.viewer("aster"), a_note()
    newest = note | {"content": "for one", "modified": "2026-07-01T00:00:00Z"}
    build.publish(aster, newest, partners=("borealis",))
    late = build.publish(aster, note, groups=("ring",))
    assert build.results(late)[0]["status"] == "accepted"
    assert len(said(aster, note["id"], versions="all")) == 2
    assert said(cast.viewer("borealis"), note["id"], versions="all") == said(aster, note["id"])
    assert told(cast.viewer("cygnus")) == []
