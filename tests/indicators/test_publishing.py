"""The one way in: every element answered, bytes sacred, versions ruled, audiences kept."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators import reading
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Batch, Quarantined
from indicators.reading.selecting import Selection
from indicators.stix import tlp
from partners.scopes import Scope
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def said(viewer, stix_id, **more):
    return [(s.publisher_slug, s.body) for s in reading.statements(viewer, stix_id, **more)]


def told(viewer, after=0, **more):
    return [
        (c.op, c.reason, c.stix_id) for c in changes.since(viewer, EVERYTHING, after=after, limit=100, **more).changes
    ]


def a_note(stix_id=None, *, modified="2026-05-01T00:00:00Z", **more):
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": stix_id or f"note--{uuid.uuid4()}",
        "created": "2026-05-01T00:00:00Z",
        "modified": modified,
        "content": "seen",
        "object_refs": ["indicator--2f2b9d56-7c16-4c5e-8d5f-1a2b3c4d5e6f"],
        **more,
    }


def test_the_bytes_come_back_as_they_were_sent(cast):
    odd = (
        b'{ "type":"x-odd", "id":"x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f",\t"n":1.10, "m":1e5, "big":12345678901234567890123,'
        b' "u":"\\u00e9\\/\\ud83d\\ude00", "raw":"\xc3\xa9", "nested":{"b":[ ],"a":null} }'
    )
    build.publish(cast.viewer("aster"), odd)
    assert said(cast.viewer("borealis"), "x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f") == [("aster", odd.decode())]


def test_every_element_is_answered_in_order_and_the_valid_rest_is_kept(cast):
    good = build.an_indicator()
    answer = build.publish(
        cast.viewer("aster"),
        good,
        b'{"type":"indicator","type":"x"}',
        b'{"type":"note","id":"note--x"}',
        good,
        a_note(labels=["TLP:RED"]),
        b'"text"',
    )
    assert [(r["index"], r["status"], r.get("code")) for r in build.results(answer)] == [
        (0, "accepted", None),
        (1, "refused", "duplicate-key"),
        (2, "refused", "bad-id"),
        (3, "unchanged", None),
        (4, "quarantined", "says-red"),
        (5, "refused", "not-an-object"),
    ]
    assert dict(answer.counts) == {
        "accepted": 1,
        "unchanged": 1,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 1,
        "refused": 3,
    }
    assert Quarantined.objects.of(cast.viewer("aster")).get().code == "says-red"
    assert not Quarantined.objects.of(cast.viewer("borealis")).exists()


def test_what_is_refused_is_stored_nowhere(cast):
    secret = "hunter2-" + uuid.uuid4().hex
    refused = build.an_indicator()
    extension = next(iter(refused["extensions"].values()))
    extension["token"] = {"scheme": "sha256", "key_epoch": "1", "norm_version": "1", "value": secret}
    answer = build.publish(cast.viewer("aster"), refused)
    assert build.results(answer)[0]["code"] == "unkeyed-hash"
    assert secret not in answer.results.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{secret}%"])
            assert cursor.fetchone() == (0,), table


def test_the_newest_version_wins_and_all_are_kept(cast):
    stix_id = f"note--{uuid.uuid4()}"
    first, second = a_note(stix_id), a_note(stix_id, modified="2026-06-01T00:00:00Z")
    older = a_note(stix_id, modified="2026-05-15T00:00:00Z")
    for each in (first, second, older):
        build.publish(cast.viewer("aster"), each)
    borealis = cast.viewer("borealis")
    assert [json.loads(body)["modified"] for _, body in said(borealis, stix_id)] == ["2026-06-01T00:00:00Z"]
    assert len(said(borealis, stix_id, versions="all")) == 3
    assert told(borealis) == [("upsert", "revised", stix_id)]


def test_other_content_under_the_same_version_is_refused(cast):
    note = a_note()
    build.publish(cast.viewer("aster"), note)
    answer = build.publish(cast.viewer("aster"), note | {"content": "other"})
    assert build.results(answer)[0] | {"message": ""} == {
        "index": 0,
        "id": note["id"],
        "version": note["modified"],
        "status": "refused",
        "code": "version-conflict",
        "field": "/modified",
        "message": "",
    }


def test_revoked_is_final(cast):
    note = a_note()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    build.publish(aster, note)
    build.publish(aster, note | {"modified": "2026-06-01T00:00:00Z", "revoked": True})
    again = build.publish(aster, note | {"modified": "2026-07-01T00:00:00Z"})
    assert build.results(again)[0]["code"] == "revoked-is-final"
    assert told(borealis) == [("remove", "revoked", note["id"])]
    assert json.loads(said(borealis, note["id"])[0][1])["revoked"] is True


def test_a_revocation_dated_before_what_is_held_ends_it_all_the_same(cast):
    note = a_note()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    build.publish(aster, note | {"modified": "2026-08-01T00:00:00Z"})
    place = changes.head()
    answer = build.publish(aster, note | {"modified": "2026-06-01T00:00:00Z", "revoked": True})
    assert build.results(answer)[0]["status"] == "accepted"
    assert told(borealis, after=place) == told(aster, after=place) == [("remove", "revoked", note["id"])]
    for viewer in (aster, borealis):
        assert [json.loads(body)["revoked"] for _, body in said(viewer, note["id"], versions="all")] == [True]


@pytest.mark.parametrize("field", ["/modified", "/created"])
@pytest.mark.parametrize(("minutes", "code"), [(59, None), (61, "dated-ahead"), (60 * 24 * 365 * 70, "dated-ahead")])
def test_what_is_dated_more_than_an_hour_ahead_is_refused_by_name(cast, field, minutes, code):
    when = (clock.now() + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (said,) = build.results(build.publish(cast.viewer("aster"), a_note() | {field[1:]: when}))
    assert (said.get("code"), said.get("field")) == (code, field if code else None)


def test_ids_are_held_per_publisher_and_nobody_blocks_or_overwrites_another(cast):
    note = a_note()
    other = note | {"content": "other", "modified": "2026-09-09T00:00:00Z"}
    build.publish(cast.viewer("aster"), note)
    answer = build.publish(cast.viewer("cygnus"), other)
    assert build.results(answer)[0]["status"] == "accepted"
    assert said(cast.viewer("borealis"), note["id"]) == [("aster", json.dumps(note))]
    assert said(cast.viewer("cygnus"), note["id"]) == [("cygnus", json.dumps(other))]


def test_who_sees_both_holdings_sees_equal_bytes_once_and_different_bytes_twice(cast):
    same, differs = a_note(), a_note()
    build.publish(cast.viewer("aster"), same, differs)
    build.publish(cast.viewer("borealis"), same, differs | {"content": "other"})
    aster = cast.viewer("aster")
    merged = reading.merged(reading.statements(aster, same["id"]))
    assert [[s.publisher_slug for s in by] for _, by in merged] == [["aster", "borealis"]]
    assert len(reading.merged(reading.statements(aster, differs["id"]))) == 2
    once = reading.page(aster, Selection(once=True), limit=10).statements
    assert [(s.stix_id, s.publisher_slug) for s in once] == [(same["id"], "aster"), (differs["id"], "aster")]


def test_an_id_that_the_reader_may_not_see_elsewhere_still_serves_the_one_it_may(cast):
    note = a_note()
    build.publish(cast.viewer("cygnus"), note)  # first, but only for cygnus
    build.publish(cast.viewer("borealis"), note)
    once = reading.page(cast.viewer("aster"), Selection(once=True), limit=10).statements
    assert [s.publisher_slug for s in once] == ["borealis"]


def test_nobody_speaks_in_another_partners_name(cast):
    theirs = a_note(created_by_ref=cast.borealis.identity_id)
    own = a_note(created_by_ref=cast.aster.identity_id)
    outside = a_note(created_by_ref=f"identity--{uuid.uuid4()}")
    identity = {
        "type": "identity",
        "id": cast.borealis.identity_id,
        "created": "2026-01-01T00:00:00Z",
        "modified": "2026-01-01T00:00:00Z",
    }
    answer = build.publish(cast.viewer("aster"), theirs, own, outside, identity)
    assert [(r["status"], r.get("field")) for r in build.results(answer)] == [
        ("refused", "/created_by_ref"),
        ("accepted", None),
        ("accepted", None),
        ("refused", "/id"),
    ]


def test_a_narrower_marking_removes_it_from_those_who_lose_sight_and_hides_the_history(cast):
    note = a_note()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    build.publish(aster, note)
    place = changes.head()
    narrowed = note | {"modified": "2026-06-01T00:00:00Z", "object_marking_refs": [tlp.ID_OF["red"]]}
    build.publish(aster, narrowed)
    assert told(borealis, after=place) == [("remove", "narrowed", note["id"])]
    assert told(aster, after=place) == [("upsert", "revised", note["id"])]
    with pytest.raises(NotFound):
        reading.statements(borealis, note["id"], versions="all")
    assert told(cast.viewer("cygnus")) == []


def test_a_revision_that_says_nothing_new_keeps_the_audience(cast):
    note = a_note()
    build.publish(cast.viewer("aster"), note, partners=("cygnus",))
    build.publish(cast.viewer("aster"), note | {"modified": "2026-06-01T00:00:00Z"})
    assert [op for op, _, _ in told(cast.viewer("cygnus"))] == ["upsert"]
    assert told(cast.viewer("borealis")) == []


def test_a_batch_may_narrow_every_object_and_an_object_only_itself(cast):
    green = a_note(object_marking_refs=[tlp.ID_OF["green"]])
    build.publish(cast.viewer("aster"), green, tlp=Tlp.AMBER)
    assert reading.statements(cast.viewer("borealis"), green["id"])[0].tlp == Tlp.AMBER
    with pytest.raises(NotFound):
        reading.statements(cast.viewer("cygnus"), green["id"])


def test_the_same_key_and_content_are_answered_as_the_first_time(cast):
    aster, indicator = cast.viewer("aster"), build.an_indicator()
    first = build.publish(aster, indicator, key="k1")
    again = build.publish(aster, indicator, key="k1")
    assert (again.batch_id, again.results, again.replayed) == (first.batch_id, first.results, True)
    assert Batch.objects.of(aster).count() == 1
    with pytest.raises(Conflict):
        build.publish(aster, build.an_indicator(), key="k1")
    assert build.publish(cast.viewer("borealis"), indicator, key="k1").replayed is False


def test_a_key_that_may_only_read_publishes_nothing(cast):
    with pytest.raises(Forbidden):
        build.publish(build.viewer_of(cast.aster, Scope.READ), build.an_indicator())


def test_red_for_a_group_is_refused_as_a_whole(cast):
    with pytest.raises(Refused) as refused:
        build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",), tlp=Tlp.RED)
    assert refused.value.code == "red-needs-names"


def test_an_audience_of_single_partners_reaches_exactly_them(cast):
    note = a_note(object_marking_refs=[tlp.ID_OF["red"]])
    build.publish(cast.viewer("aster"), note, partners=("cygnus",))
    sees = {name for name in cast.keys if told(cast.viewer(name))}
    assert sees == {"aster", "cygnus"}


def test_closed_facts_takes_only_our_kinds_of_indicator(cast):
    build.a_ring(cast.aster, cast.borealis, slug="closed", policy="closed-facts")
    classical = {
        "type": "indicator",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00Z",
        "modified": "2026-01-01T00:00:00Z",
        "pattern": "[domain-name:value = 'x.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    answer = build.publish(cast.viewer("aster"), classical, build.an_indicator(), groups=("closed",))
    assert [r.get("code") for r in build.results(answer)] == ["not-our-kinds", None]


def test_the_number_of_queries_does_not_grow_with_the_batch(cast):
    aster = cast.viewer("aster")
    build.publish(aster, build.an_indicator())
    counts = []
    for size in (3, 10, 200):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            build.publish(aster, *[build.an_indicator() for _ in range(size)])
        counts.append(len(queries))
    assert counts[1] == counts[2] <= 8
    assert counts[0] <= counts[1], "a few objects need no COPY"


def test_hints_are_sent_after_the_commit_only(cast, hints, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        build.publish(cast.viewer("aster"), build.an_indicator())
        assert hints == {"notifying": 0}
    assert hints == {"notifying": 1}
