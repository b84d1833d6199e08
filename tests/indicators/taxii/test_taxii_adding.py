"""TAXII 2.1 §4.3 and §5.5: adding objects, and the status that tells what became of each."""

from __future__ import annotations

import gzip
import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from exchange import bodies
from indicators.stix import parsing
from indicators.telling import notifying
from partners.scopes import Scope
from tests.indicators.taxii.cast import EVERYTHING, ROOT, TAXII, Caller, a_domain, an_indicator, another_key, revised

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

    from tests.build import Cast

pytestmark = pytest.mark.django_db


def read(answer: HttpResponse) -> dict[str, Any]:
    return orjson.loads(answer.content)


def add(caller: Caller, *objects: dict[str, Any]) -> dict[str, Any]:
    answer = caller.post(f"{caller.own}objects/", {"objects": objects})
    assert (answer.status_code, answer["Content-Type"]) == (202, TAXII)
    return read(answer)


def test_5_5_a_post_is_a_202_with_a_status_that_has_every_required_property(aster: Caller) -> None:
    one, two = an_indicator(), a_domain()
    status = add(aster, one, two)
    assert uuid.UUID(status.pop("id")).version == 4
    assert status.pop("request_timestamp").endswith("Z")
    assert status.pop("successes")[0] == {"id": one["id"], "version": one["modified"]}
    assert status == {
        "status": "complete",
        "total_count": 2,
        "success_count": 2,
        "failure_count": 0,
        "pending_count": 0,
    }


def test_5_5_an_exact_duplicate_is_no_error_and_no_second_object(aster: Caller) -> None:
    held = an_indicator()
    add(aster, held)
    again = add(aster, held)
    assert (again["success_count"], again["failure_count"]) == (1, 0)
    assert aster.objects(f"{aster.own}objects/", **{"match[version]": "all"}) == [held]


def test_5_5_other_content_under_the_same_version_is_a_failure_that_says_why(aster: Caller) -> None:
    held = an_indicator()
    add(aster, held)
    status = add(aster, held | {"name": "Other"})
    (failure,) = status["failures"]
    assert (failure["id"], failure["version"]) == (held["id"], held["modified"])
    assert "version-conflict" in failure["message"]
    assert aster.objects(f"{aster.own}objects/") == [held]


def test_5_5_the_valid_rest_of_an_envelope_is_kept(aster: Caller) -> None:
    one, two = an_indicator(), an_indicator()
    status = add(aster, one, {"type": "indicator"}, an_indicator(pattern=""), two)
    assert (status["total_count"], status["success_count"], status["failure_count"]) == (4, 2, 2)
    assert aster.objects(f"{aster.own}objects/") == [one, two]


def test_4_3_1_every_detail_has_an_id_and_a_version_even_where_none_could_be_read(aster: Caller) -> None:
    status = add(aster, {"type": "indicator"}, an_indicator(id="no"), an_indicator())
    assert [failure["id"] for failure in status["failures"]] == ["objects/0", "objects/1"]
    assert all(detail["version"] for detail in status["failures"] + status["successes"])


def test_4_3_1_what_is_quarantined_is_a_failure_because_nothing_will_process_it_further(aster: Caller) -> None:
    held = an_indicator(labels=["TLP:RED"])
    status = add(aster, held)
    assert (status["status"], status["pending_count"], status["failure_count"]) == ("complete", 0, 1)
    assert status["failures"][0]["message"].startswith("quarantined: ")
    assert aster.objects(f"{aster.own}objects/") == []


def test_4_3_the_status_is_read_again_by_any_key_of_the_same_partner_and_by_nobody_else(
    aster: Caller, borealis: Caller
) -> None:
    status = add(aster, an_indicator(), a_domain(), {"type": "x"})
    path = f"{ROOT}status/{status['id']}/"
    for caller in (aster, another_key(aster.partner, Scope.READ)):
        assert read(caller.get(path)) == status
    assert borealis.get(path).status_code == 404


@pytest.mark.parametrize("name", ["0b1f7a52-8f0e-4f53-9d7e-3f6f3a1f8c11", "1", "%00", "not-a-uuid"])
def test_4_3_a_status_that_does_not_exist_is_a_404(aster: Caller, name: str) -> None:
    assert aster.get(f"{ROOT}status/{name}/").status_code == 404


def test_2_no_list_of_a_status_is_ever_empty(aster: Caller) -> None:
    good, bad = add(aster, an_indicator()), add(aster, {"type": "x"})
    assert [name for name in ("successes", "failures", "pendings") if name in good] == ["successes"]
    assert [name for name in ("successes", "failures", "pendings") if name in bad] == ["failures"]


@pytest.mark.parametrize(
    "media_type", [TAXII, "application/taxii+json", "application/taxii+json; version=2.1; charset=utf-8"]
)
def test_3_1_the_content_type_of_taxii_is_never_a_415(aster: Caller, media_type: str) -> None:
    answer = aster.post(f"{aster.own}objects/", {"objects": [an_indicator()]}, content_type=media_type)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/taxii+json;version=2.0", "text/plain", "application/stix+json;version=2.1", ""],
)
def test_5_5_any_other_content_type_is_a_415(aster: Caller, media_type: str) -> None:
    answer = aster.post(f"{aster.own}objects/", {"objects": [an_indicator()]}, content_type=media_type)
    assert (answer.status_code, read(answer)["error_code"]) == (415, "unsupported-media-type")


def test_5_5_what_is_not_utf_8_is_a_400_and_adds_nothing(aster: Caller) -> None:
    fine = orjson.dumps(an_indicator())
    for body in (
        b'{"objects":[%b,{"type":"note","abstract":"caf\xe9"}]}' % fine,
        b'{"objects":[%b]}\xff' % fine,
        '{"objects":[]}'.encode("utf-16"),
    ):
        answer = aster.post(f"{aster.own}objects/", body)
        assert (answer.status_code, answer["Content-Type"]) == (400, TAXII), body
    assert aster.objects(f"{aster.own}objects/") == []


BROKEN = {
    b'{"type":"note","id":"%b","a":1,"a":2}': True,
    b'{"type":"note","id":"%b","abstract":"\\ud800"}': True,
    b'{"labels":["x"],"id":"%b","x":{"id":"note--00000000-0000-4000-8000-000000000009"},"a":nul}': True,
    b'{"id":"%b","n":' + b"[" * 200 + b"]" * 200 + b"}": True,
    b'{"id":"%b","id":"note--00000000-0000-4000-8000-000000000009"}': False,
    b'{"type":"note","x":{"id":"%b"},"a":1,"a":2}': False,
    b'{"type":"note","id":"4539148803436467","x":"%b","a":1,"a":2}': False,
    b'{"type":"note","name":"id","x":"%b","a":1,"a":2}': False,
}


@pytest.mark.parametrize("body", BROKEN)
def test_4_3_1_a_failure_has_the_objects_own_id_where_that_can_be_told(aster: Caller, body: bytes) -> None:
    own = f"note--{uuid.uuid4()}"
    status = orjson.loads(aster.post(f"{aster.own}objects/", b'{"objects":[%b]}' % (body % own.encode())).content)
    (failure,) = status["failures"]
    assert failure["id"] == (own if BROKEN[body] else "objects/0")


def test_4_3_1_a_success_names_its_marks(aster: Caller, cast: Cast) -> None:
    sloppy = {"type": "campaign", "id": f"campaign--{uuid.uuid4()}", "created": "2026-01-01T00:00:00Z", "labels": []}
    ring = f"{ROOT}collections/{cast.ring.collection_id}/objects/"
    for held in ("Marked", "Held already"):
        (success,) = orjson.loads(aster.post(ring, {"objects": [sloppy]}).content)["successes"]
        assert success["message"].startswith(held)
        assert "missing-property at /name" in success["message"]
        assert "empty at /labels" in success["message"]


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"[]",
        b"7",
        b'"text"',
        b'{"objects":{}}',
        b"{}",
        b"\xff\xfe",
        b"\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_5_5_a_body_that_is_no_envelope_is_a_400_or_422(aster: Caller, body: bytes) -> None:
    answer = aster.post(f"{aster.own}objects/", body)
    assert (answer.status_code, answer["Content-Type"]) in {(400, TAXII), (422, TAXII)}


def test_4_2_1_a_body_of_max_content_length_is_read_and_a_longer_one_is_a_413(
    aster: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope = orjson.dumps({"objects": [an_indicator()]})
    longest = envelope + b" " * (bodies.MAX_BATCH_BYTES - len(envelope))
    assert aster.post(f"{aster.own}objects/", longest).status_code == 202
    answer = aster.post(f"{aster.own}objects/", longest + b" ")
    assert (answer.status_code, read(answer)["error_code"]) == (413, "body-too-large")


def test_4_2_1_too_many_objects_in_few_bytes_is_a_422_and_no_413(aster: Caller) -> None:
    answer = aster.post(f"{aster.own}objects/", b'{"objects":[' + b"{}," * parsing.LIMITS.objects + b"{}]}")
    assert (answer.status_code, read(answer)["error_code"]) == (422, "too-many-objects")


def test_5_5_gzip_is_undone_and_a_bomb_is_a_413(aster: Caller) -> None:
    held = an_indicator()
    packed = gzip.compress(orjson.dumps({"objects": [held]}))
    assert aster.post(f"{aster.own}objects/", packed, Content_Encoding="gzip").status_code == 202
    assert aster.objects(f"{aster.own}objects/") == [held]
    bomb = gzip.compress(b" " * (bodies.MAX_BATCH_BYTES + 1))
    assert aster.post(f"{aster.own}objects/", bomb, Content_Encoding="gzip").status_code == 413
    assert aster.post(f"{aster.own}objects/", packed[:-9], Content_Encoding="gzip").status_code == 400
    assert aster.post(f"{aster.own}objects/", packed, Content_Encoding="br").status_code == 415


def test_5_5_everything_cannot_be_added_to(aster: Caller) -> None:
    assert aster.post(f"{EVERYTHING}objects/", {"objects": [an_indicator()]}).status_code == 403


def test_what_another_partner_holds_under_an_id_is_neither_blocked_nor_told(aster: Caller, cygnus: Caller) -> None:
    held = an_indicator()
    add(aster, held)
    theirs = held | {"name": "Cygnus says"}
    assert add(cygnus, theirs)["success_count"] == 1
    assert cygnus.objects(f"{cygnus.own}objects/") == [theirs]
    assert aster.objects(f"{aster.own}objects/") == [held]
    assert add(cygnus, revised(theirs, 2, revoked=True))["success_count"] == 1
    assert aster.objects(f"{aster.own}objects/") == [held]


def test_a_post_costs_the_same_queries_whatever_its_size(aster: Caller, count_queries: Callable[..., int]) -> None:
    add(aster, an_indicator(), a_domain())
    costs = [
        count_queries(lambda size=size: add(aster, *[an_indicator() for _ in range(size)], a_domain()))
        for size in (10, 50, 200)
    ]
    assert len(set(costs)) == 1
    assert costs[0] <= 12


@pytest.mark.django_db(transaction=True)
def test_what_was_committed_is_acknowledged_though_the_broker_is_gone(
    aster: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise ConnectionError

    monkeypatch.setattr(notifying, "hint", gone)
    held = an_indicator()
    aster.add(held)
    assert aster.objects(f"{aster.own}objects/") == [held]
