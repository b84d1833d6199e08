"""Many objects revoked or taken back in one call: each answered, retried like a push, and a repeat says so."""

import json
import uuid

import pytest
from django.db.models import F

from indicators import reading
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Batch, StixObject
from indicators.stix import making, tlp
from partners import keys
from partners.models import AuditRecord
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db
VERBS = ("revoke", "withdraw")


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


def end(caller, verb, ids, **headers):
    body = json.dumps({"ids": ids}).encode()
    return caller.ask("POST", f"objects/{verb}", body, media="application/json", **headers)


def said(answer):
    return [(one["status"], one.get("code")) for one in read(answer)["results"]]


def told(viewer, place=0):
    return [(c.op, c.reason, c.stix_id) for c in changes.since(viewer, EVERYTHING, after=place, limit=99).changes]


@pytest.mark.parametrize(("verb", "reason"), [("revoke", "revoked"), ("withdraw", "withdrawn")])
def test_each_is_answered_and_a_repeat_says_so(cast, aster, verb, reason):
    mine, theirs, absent = [making.account_pattern() for _ in range(3)], making.account_pattern(), str(uuid.uuid4())
    aster.push(*mine, query="?groups=ring")
    Caller(cast.keys["borealis"]).push(theirs, query="?groups=ring")
    ids = [*(one["id"] for one in mine), theirs["id"], f"indicator--{absent}", mine[0]["id"]]
    place = changes.head()
    first = read(end(aster, verb, ids))
    assert [(one["id"], one["status"], one.get("code")) for one in first["results"]] == [
        *((one["id"], "accepted", None) for one in mine),
        (theirs["id"], "refused", "not-found"),
        (f"indicator--{absent}", "refused", "not-found"),
        (mine[0]["id"], "unchanged", None),
    ]
    assert told(cast.viewer("borealis"), place) == [("remove", reason, one["id"]) for one in mine]
    again = read(end(aster, verb, ids[:3]))
    assert again["counts"]["unchanged"] == 3
    assert changes.head() == place + 3
    assert read(aster.get(f"batches/{first['id']}")) == first
    assert AuditRecord.objects.filter(target=f"batch:{first['id']}").count() == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_uuid_in_capitals_names_the_same_object(aster, verb):
    one = making.account_pattern()
    aster.push(one)
    capitals = f"indicator--{one['id'].removeprefix('indicator--').upper()}"
    assert said(end(aster, verb, [capitals, one["id"]])) == [("accepted", None), ("unchanged", None)]


@pytest.mark.parametrize("verb", VERBS)
def test_a_retry_is_given_the_first_answer(aster, verb):
    one = making.account_pattern()
    aster.push(one)
    key = {"Idempotency_Key": "end-1"}
    first = end(aster, verb, [one["id"]], **key)
    again = end(aster, verb, [one["id"]], **key)
    assert (again.headers["Idempotency-Replayed"], read(again)) == ("true", read(first))
    assert said(again) == [("accepted", None)]
    assert code(end(aster, verb, ["x"], **key), 409) == "idempotency-key-reused"
    assert Batch.unrestricted.count() == 2


def test_a_revoked_version_keeps_the_bytes_the_place_and_comes_after_what_is_held(cast, aster):
    odd = (
        '{ "type":"x-odd", "id":"x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f",\t"created":"2026-01-01T00:00:00Z",'
        ' "modified" : "%s", "n":1.10, "u":"\\u00e9\\/", "raw":"é", "nested":{"revoked":false,"modified":"x"},'
        ' "object_marking_refs":["%s"] }'
    )
    ahead = build.later()
    raw = odd % (ahead, tlp.ID_OF["green"])
    aster.push(raw.encode(), query="?groups=ring&tlp=amber")
    assert said(end(aster, "revoke", ["x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f"])) == [("accepted", None)]
    (row,) = StixObject.objects.visible_to(cast.viewer("borealis")).filter(holding__newest=F("pk"))
    after = ahead.replace(".000Z", ".001Z")
    assert row.body == raw.replace(ahead, after).replace("] }", '] ,"revoked":true}')
    assert row.version == after
    assert not StixObject.objects.visible_to(cast.viewer("cygnus")).exists(), "GREEN alone would go to everybody"


def test_what_says_that_it_is_not_revoked_says_the_opposite(aster):
    one = making.account_pattern() | {"revoked": False}
    aster.push(one)
    assert said(end(aster, "revoke", [one["id"]])) == [("accepted", None)]
    assert json.loads(StixObject.unrestricted.get(holding__newest=F("pk")).body)["revoked"] is True


def test_what_has_one_version_only_ends_without_another(cast, aster):
    address = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "198.51.100.7"}
    aster.push(address, query="?groups=ring")
    assert said(end(aster, "revoke", [address["id"]])) == [("accepted", None)]
    assert told(cast.viewer("borealis"))[-1] == ("remove", "revoked", address["id"])
    assert said(end(aster, "revoke", [address["id"]])) == [("unchanged", None)]
    assert said(aster.push(address)) == [("refused", "revoked-is-final")]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("form", ["bundle", "ndjson"])
def test_a_file_that_holds_the_objects_names_them(cast, aster, verb, form):
    ours = [making.account_pattern(), making.payment_fingerprint()]
    aster.push(*ours, query="?groups=ring")
    listed = [json.dumps(one) for one in ours]
    body = "\n".join(listed) if form == "ndjson" else '{"type":"bundle","id":"x","objects":[' + ",".join(listed) + "]}"
    media = "application/x-ndjson" if form == "ndjson" else "application/stix+json;version=2.1"
    answer = aster.ask("POST", f"objects/{verb}", body.encode(), media=media)
    assert said(answer) == [("accepted", None)] * 2
    assert reading.counts_by_kind(cast.viewer("borealis")) == {}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("ids", "named"),
    [([], "bad-ids"), (["x"] * 1_001, "bad-ids"), ([7], "bad-id"), (["a\nb"], "bad-id"), (["x" * 301], "bad-id")],
)
def test_it_is_bounded_and_says_where(aster, verb, ids, named):
    assert code(end(aster, verb, ids), 422) == named


def test_what_is_too_many_bytes_together_is_named_in_parts(aster, monkeypatch):
    from exchange import bodies

    one = making.account_pattern()
    aster.push(one)
    monkeypatch.setattr(bodies, "MAX_BATCH_BYTES", 10)
    assert code(end(aster, "revoke", [one["id"]]), 413) == "batch-too-large"


@pytest.mark.parametrize("verb", VERBS)
def test_a_narrow_key_ends_nothing_of_other_groups_and_a_reader_nothing(cast, aster, verb):
    build.a_ring(cast.aster, cast.cygnus, slug="second")
    inside, other = making.account_pattern(), making.account_pattern()
    aster.push(inside, query="?groups=ring")
    aster.push(other, query="?groups=second")
    narrow = Caller(keys.issue(cast.aster, name="narrow", scopes=[Scope.READ, Scope.PUBLISH], groups=[cast.ring.pk])[1])
    assert said(end(narrow, verb, [inside["id"], other["id"]])) == [
        ("accepted", None),
        ("refused", "key-limited-to-groups"),
    ]
    assert reading.statements(cast.viewer("cygnus"), other["id"])[0].revoked is False
    assert code(end(Caller(build.a_key(cast.aster, Scope.READ)), verb, [other["id"]]), 403) == "missing-scope"


def test_a_nightly_dump_undoes_nobody(cast, aster):
    dump = [making.account_pattern() for _ in range(3)]
    aster.push(*dump)
    end(aster, "withdraw", [dump[1]["id"]])
    assert [status for status, _ in said(aster.push(*dump))] == ["unchanged", "withdrawn", "unchanged"]
    assert [status for status, _ in said(aster.push(*dump, query="?wake=true"))] == [
        "unchanged",
        "accepted",
        "unchanged",
    ]
