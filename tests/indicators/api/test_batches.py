"""Push: what a batch may be sent as, how each object is answered, and that a retry is safe."""

from __future__ import annotations

import gzip
import json
import uuid

import orjson
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exchange import bodies
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import API, STIX, at, code, read
from tests.indicators.api.caller import another as key_of

pytestmark = pytest.mark.django_db


def envelope(*objects) -> bytes:
    return orjson.dumps({"objects": list(objects)})


def test_each_object_of_a_batch_is_answered_by_its_place(aster):
    good, again = build.an_indicator(), build.an_indicator()
    bad = build.an_indicator() | {"pattern": 7}
    aster.push(again)
    answer = read(aster.push(good, bad, again, b'{"type":"indicator","type":"x"}', b"17"))
    assert [result["index"] for result in answer["results"]] == [0, 1, 2, 3, 4]
    assert [result["status"] for result in answer["results"]] == [
        "accepted",
        "refused",
        "unchanged",
        "refused",
        "refused",
    ]
    assert answer["counts"] == {
        "accepted": 1,
        "unchanged": 1,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 0,
        "refused": 3,
    }
    assert answer["results"][0]["id"] == good["id"]
    assert answer["results"][1]["field"] == "/pattern"
    assert answer["results"][3]["code"] == "duplicate-key"


def test_a_batch_is_answered_again_to_its_own_partner_and_to_nobody_else(cast, aster, borealis):
    pushed = aster.push(build.an_indicator())
    batch_id = read(pushed)["id"]
    assert aster.get(f"batches/{batch_id}").content == pushed.content
    assert code(borealis.get(f"batches/{batch_id}"), 404) == "not-found"
    assert code(aster.get(f"batches/{uuid.uuid4()}"), 404) == "not-found"


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/stix+json;version=2.1",
        "APPLICATION/STIX+JSON; version=2.1",
        "application/taxii+json;version=2.1",
    ],
)
def test_a_batch_is_read_as_json_of_these_media_types(aster, media):
    assert read(aster.push(build.an_indicator(), media=media))["counts"]["accepted"] == 1


@pytest.mark.parametrize("media", ["application/x-ndjson", "application/jsonl"])
def test_a_batch_is_read_as_lines(aster, media):
    lines = b"\n".join(orjson.dumps(build.an_indicator()) for _ in range(3)) + b"\n"
    assert read(aster.ask("POST", "batches", lines, media=media))["counts"]["accepted"] == 3


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/stix+json;version=2.0"],
)
def test_other_media_types_are_not_read(aster, media):
    answer = aster.ask("POST", "batches", envelope(build.an_indicator()), media=media)
    assert code(answer, 415) == "unsupported-media-type"


def test_a_bundle_and_a_single_object_are_batches_too(aster):
    one = build.an_indicator()
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [build.an_indicator()]}
    assert read(aster.send("POST", "batches", one))["results"][0]["id"] == one["id"]
    assert read(aster.send("POST", "batches", bundle))["counts"]["accepted"] == 1


def test_gzip_is_undone_and_other_encodings_are_not_read(aster):
    body = gzip.compress(envelope(build.an_indicator()))
    assert read(aster.ask("POST", "batches", body, media=STIX, Content_Encoding="gzip"))["counts"]["accepted"] == 1
    for encoding in ("deflate", "br", "gzip, gzip"):
        answer = aster.ask("POST", "batches", body, media=STIX, Content_Encoding=encoding)
        assert code(answer, 415) == "unsupported-encoding"


def test_a_few_bytes_that_unpack_to_too_many_are_refused(aster):
    bomb = gzip.compress(b" " * (bodies.MAX_BATCH_BYTES + 1))
    assert len(bomb) < 100_000
    answer = aster.ask("POST", "batches", bomb, media=STIX, Content_Encoding="gzip")
    assert code(answer, 413) == "body-too-dense"


def test_what_follows_the_gzip_is_refused(aster):
    body = gzip.compress(envelope(build.an_indicator())) + b"more"
    assert code(aster.ask("POST", "batches", body, media=STIX, Content_Encoding="gzip"), 400) == "bad-gzip"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b" ", "malformed-json"),
        (b"{", "malformed-json"),
        (b"[]", "not-stix"),
        (b"{}", "empty-batch"),
        (b'{"objects":7}', "not-stix"),
        (b"\xff\xfe", "malformed-json"),
    ],
)
def test_a_body_that_holds_no_objects_is_malformed(aster, body, expected):
    assert code(aster.ask("POST", "batches", body, media=STIX), 400) == expected


def test_too_many_objects_are_refused_whole(aster):
    body = b'{"objects":[' + b",".join([b"{}"] * 20_001) + b"]}"
    assert aster.ask("POST", "batches", body, media=STIX).status_code == 413
    assert read(aster.get("objects"))["objects"] == []


def test_a_retry_with_its_key_is_given_the_first_answer_again(aster):
    one = build.an_indicator()
    first = aster.push(one, Idempotency_Key="k-1")
    again = aster.push(one, Idempotency_Key="k-1")
    assert first.headers.get("Idempotency-Replayed") is None
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content


def test_a_key_that_was_used_for_other_bytes_or_another_audience_is_a_conflict(aster):
    one = build.an_indicator()
    aster.push(one, Idempotency_Key="k-1")
    assert code(aster.push(build.an_indicator(), Idempotency_Key="k-1"), 409) == "idempotency-key-reused"
    assert code(aster.push(one, query="?groups=ring", Idempotency_Key="k-1"), 409) == "idempotency-key-reused"


def test_keys_of_two_partners_are_apart(aster, borealis):
    assert read(aster.push(build.an_indicator(), Idempotency_Key="k"))["counts"]["accepted"] == 1
    assert read(borealis.push(build.an_indicator(), Idempotency_Key="k"))["counts"]["accepted"] == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "café"])
def test_an_idempotency_key_is_visible_ascii(aster, key):
    assert code(aster.push(build.an_indicator(), Idempotency_Key=key), 400) == "bad-idempotency-key"


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("?group=ring", "/group", "unknown-parameter"),
        ("?groups=ring&groups=ring", "/groups", "bad-parameter"),
        ("?groups=nosuch", "/groups", "unknown-group"),
        ("?partners=nosuch", "/partners", "unknown-partner"),
        ("?tlp=purple", "/tlp", "unknown-marking"),
        ("?everyone=yes", "/everyone", "bad-parameter"),
        ("?everyone=true&groups=ring", "/everyone", "bad-audience"),
        ("?tlp=red&groups=ring", "/tlp", "red-needs-names"),
    ],
)
def test_a_misspelt_audience_is_refused_and_nothing_stored(aster, query, field, expected):
    answer = aster.push(build.an_indicator(), query=query)
    assert (code(answer, 422), at(answer)) == (expected, field)
    assert read(aster.get("objects"))["objects"] == []


def test_a_group_of_others_is_refused_like_one_that_does_not_exist(cast, aster):
    build.a_ring(cast.cygnus, cast.borealis, slug="theirs")
    theirs, none = (
        aster.push(build.an_indicator(), query=f"?groups={slug}", X_Request_ID="the-same-id")
        for slug in ("theirs", "no")
    )
    assert theirs.content == none.content


def test_the_audience_that_the_query_names_is_who_sees(aster, borealis, cygnus):
    named, ring = build.an_indicator(), build.an_indicator()
    read(aster.push(named, query="?partners=cygnus&tlp=red"))
    read(aster.push(ring, query="?groups=ring&tlp=amber"))
    assert borealis.get(f"objects/{named['id']}").status_code == 404
    assert cygnus.get(f"objects/{named['id']}").status_code == 200
    assert borealis.get(f"objects/{ring['id']}").status_code == 200
    assert cygnus.get(f"objects/{ring['id']}").status_code == 404


def test_what_is_refused_is_not_echoed(aster):
    secret = "4111111111111111"
    bad = build.an_indicator() | {"name": f"Card {secret}", "description": f"{secret}"}
    answer = aster.push(bad)
    assert read(answer)["counts"]["accepted"] == 0
    assert secret not in answer.content.decode()


def test_a_push_needs_the_scope_to_publish(cast, dorado):
    reader = key_of(cast.aster, Scope.READ)
    assert code(reader.push(build.an_indicator()), 403) == "missing-scope"
    assert code(dorado.push(build.an_indicator()), 403) == "missing-scope"


def test_a_push_without_a_valid_key_is_not_read():
    client = Client()
    for header in ({}, {"Authorization": "Bearer exk_nonsense"}, {"Authorization": "Digest x"}):
        answer = client.post(f"{API}batches", b"{}", content_type=STIX, headers=header)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_basic_with_the_key_as_password_is_as_good_as_bearer(cast):
    import base64

    basic = base64.b64encode(f"anything:{cast.keys['aster']}".encode()).decode()
    answer = Client().get(f"{API}me", headers={"Authorization": f"Basic {basic}"})
    assert read(answer)["partner"]["slug"] == "aster"


def test_a_batch_of_five_hundred_takes_as_many_queries_as_one_of_ten(aster):
    aster.push(build.an_indicator())  # the audience and the key's last use are written once

    def queries(count: int) -> int:
        objects = [build.an_indicator() for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            assert read(aster.push(*objects))["counts"]["accepted"] == count
        return len(captured)

    assert queries(500) == queries(10)


def test_a_body_that_is_cut_off_is_refused_whole(aster):
    body = envelope(build.an_indicator())
    answer = aster.ask("POST", "batches", body[:-20], media=STIX)
    assert answer.status_code == 400
    assert json.loads(answer.content)["code"] in ("malformed-json", "incomplete-body")
    assert read(aster.get("objects"))["objects"] == []
