"""TAXII 2.1 §3.1, §3.2, §3.6, §4, §5.1, §5.2, §8.2: what the server says of itself, and how it speaks at all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import orjson
import pytest
from django.test import Client

from partners.scopes import Scope
from tests.indicators.taxii.cast import EVERYTHING, ROOT, TAXII, Caller, a_caller, an_indicator, another_key, revised

if TYPE_CHECKING:
    from django.http import HttpResponse

pytestmark = pytest.mark.django_db


def read(answer: HttpResponse) -> dict[str, object]:
    return orjson.loads(answer.content)


def every_get(caller: Caller) -> list[str]:
    """One address of each GET endpoint, each of which exists."""
    held = an_indicator()
    status = caller.add(held)["id"]
    one = f"{caller.own}objects/{held['id']}/"
    tables = [f"{caller.own}{name}/" for name in ("manifest", "objects")]
    return [
        "/taxii2/",
        ROOT,
        f"{ROOT}status/{status}/",
        f"{ROOT}collections/",
        caller.own,
        *tables,
        one,
        f"{one}versions/",
    ]


# §3.1 Endpoints


def test_3_1_every_answer_names_taxii_and_its_version(aster: Caller) -> None:
    for path in every_get(aster):
        answer = aster.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (200, TAXII), path
    assert aster.get("/taxii2/nowhere/")["Content-Type"] == TAXII


def test_3_1_a_missing_slash_is_answered_and_not_redirected(aster: Caller) -> None:
    for path in every_get(aster):
        assert aster.get(path.rstrip("/")).content == aster.get(path).content, path


def test_3_1_a_missing_slash_loses_no_objects_that_are_added(aster: Caller) -> None:
    assert aster.post(f"{aster.own}objects", {"objects": [an_indicator()]}).status_code == 202


@pytest.mark.parametrize(
    "accept",
    [
        TAXII,
        "application/taxii+json",
        "application/taxii+json; version=2.1",
        'application/taxii+json;version="2.1"',
        "application/taxii+json;version=2.0, application/taxii+json;version=2.1;q=0.5",
        "application/taxii+json;version=2.1,application/stix+json;version=2.1",
        "text/html, */*;q=0.1",
        "application/*",
        "APPLICATION/TAXII+JSON;VERSION=2.1",
        "application/taxii+json ; version = 2.1 ",
        " application/taxii+json;\tversion=2.1;q=0.001",
        "application/taxii+json;version=2.1;charset=utf-8",
        "application/stix+json;version=2.1",
        "text/html,,application/taxii+json",
        "*/*;q=0, application/taxii+json;version=2.1",
        "application/taxii+json;q=0, application/taxii+json;version=2.1",
        "*/*",
    ],
)
def test_3_1_media_ranges_that_take_taxii_2_1_are_never_a_406(aster: Caller, accept: str) -> None:
    for path in every_get(aster):
        assert aster.get(path, Accept=accept).status_code == 200, path


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "text/html",
        "application/taxii+json;version=2.0",
        f"{TAXII};q=0",
        "*/*, application/taxii+json;q=0.000",
        "application/*;q=0",
        "application/taxii+json;version=2.1;q=0, */*;q=1",
        "application/vnd.oasis.taxii+json",
        "application/vnd.oasis.taxii+json; version=2.0",
        "application/stix+json;version=2.0",
    ],
)
def test_3_1_other_media_ranges_are_a_406(aster: Caller, accept: str) -> None:
    for path in every_get(aster):
        answer = aster.get(path, Accept=accept)
        assert (answer.status_code, read(answer)["error_code"]) == (406, "not-acceptable"), path


def test_3_1_a_request_without_accept_or_with_an_empty_one_is_answered(aster: Caller) -> None:
    for accept in ({}, {"Accept": ""}, {"Accept": " "}):
        assert Client(headers={"Authorization": f"Bearer {aster.key}"} | accept).get("/taxii2/").status_code == 200


def test_3_1_head_is_answered_like_get_without_a_body(aster: Caller) -> None:
    for path in every_get(aster):
        head, get = aster.head(path), aster.get(path)
        assert (head.status_code, head.content) == (200, b""), path
        kept = [name for name in get.headers if name != "X-Request-ID"]
        assert {name: head.headers.get(name) for name in kept} == {name: get[name] for name in kept}, path


def test_3_1_errors_of_a_post_come_in_the_order_of_who_what_and_how(aster: Caller) -> None:
    """Who asks (401), for what (404), with which right (403), in which media type (415): the first that is wrong."""
    answers = [
        Client(headers={"Accept": TAXII}).post(f"{ROOT}collections/none/objects/", b"{", content_type="text/plain"),
        aster.post(f"{ROOT}collections/none/objects/", b"{", content_type="text/plain"),
        aster.post(f"{EVERYTHING}objects/", b"{", content_type="text/plain"),
        aster.post(f"{aster.own}objects/", b"{", content_type="text/plain"),
        aster.post(f"{aster.own}objects/", b"{"),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 403, 415, 400]


def test_3_1_a_post_that_would_not_take_the_answer_is_a_406_and_adds_nothing(aster: Caller) -> None:
    answer = aster.post(f"{aster.own}objects/", {"objects": [an_indicator()]}, Accept="text/html")
    assert answer.status_code == 406
    assert aster.get(f"{aster.own}objects/").content == b"{}"


def test_3_1_methods_that_an_endpoint_lacks_are_a_405_that_names_the_others(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    known = {
        "/taxii2/": "GET, HEAD",
        f"{aster.own}objects/": "GET, HEAD, POST",
        f"{aster.own}objects/{held['id']}/": "DELETE, GET, HEAD",
    }
    for path, methods in known.items():
        answer = Client(headers=aster.headers).put(path)
        assert (answer.status_code, answer["Allow"]) == (405, methods)


# §3.6 Errors


def test_3_6_1_an_error_message_has_title_code_id_and_the_status_as_a_string(aster: Caller) -> None:
    answer = aster.get(f"{ROOT}collections/{uuid.uuid4()}/")
    message = read(answer)
    assert answer["Content-Type"] == TAXII
    assert message == {
        "title": "Not found",
        "description": "There is no such collection.",
        "error_code": "not-found",
        "error_id": answer["X-Request-ID"],
        "http_status": "404",
    }


def test_3_6_1_http_status_matches_the_header_for_every_error(aster: Caller) -> None:
    objects = f"{aster.own}objects/"
    answers = [
        Client().get("/taxii2/"),
        aster.get("/taxii2/other/"),
        aster.get(objects, {"limit": "0"}),
        aster.get("/taxii2/", Accept="text/html"),
        aster.post(objects, b"{}", content_type="text/plain"),
        aster.post(objects, b"{"),
        aster.post(EVERYTHING + "objects/", {"objects": [an_indicator()]}),
        Client(headers=aster.headers).put("/taxii2/"),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 400, 406, 415, 400, 403, 405]
    for answer in answers:
        assert read(answer)["http_status"] == str(answer.status_code)
        assert read(answer)["title"]


def test_3_6_a_nul_in_the_path_is_a_404(aster: Caller) -> None:
    for path in (
        f"{aster.own}objects/a%00b/",
        f"{aster.own}objects/a%00b/versions/",
        f"{ROOT}collections/%00/",
        "/taxii2/%00",
    ):
        assert aster.get(path).status_code == 404, path


# §1.6.9 and §8.2.2 Authentication


@pytest.mark.parametrize("header", ["", "Basic bm9ib2R5Ondyb25n", "Bearer wrong", "Basic %%%", "Digest x", "Token x"])
def test_1_6_9_without_a_valid_key_every_endpoint_is_a_401_that_names_both_schemes(aster: Caller, header: str) -> None:
    for path in every_get(aster):
        answer = Client(headers={"Authorization": header, "Accept": TAXII} if header else {"Accept": TAXII}).get(path)
        assert answer.status_code == 401, path
        assert "Basic " in answer["WWW-Authenticate"]
        assert "Bearer " in answer["WWW-Authenticate"]


def test_8_2_2_basic_with_any_user_name_and_bearer_both_open(aster: Caller) -> None:
    bearer = Client(headers={"Authorization": f"Bearer {aster.key}"}).get(aster.own)
    assert bearer.content == aster.get(aster.own).content


# §4.1 Discovery


def test_4_1_1_discovery_has_a_title_and_a_default_that_is_among_the_api_roots(aster: Caller) -> None:
    discovery = read(aster.get("/taxii2/"))
    assert discovery["title"]
    assert discovery["api_roots"] == [discovery["default"]]


def test_4_1_1_an_api_root_is_an_absolute_https_url_without_a_query(aster: Caller) -> None:
    answer = Client(headers=aster.headers).get("/taxii2/", secure=True)
    assert read(answer)["default"] == "https://testserver/taxii2/exchange/"


def test_8_2_1_discovery_is_at_the_root_of_the_server(aster: Caller) -> None:
    assert aster.get("/taxii2/").status_code == 200


# §4.2 API root


def test_4_2_1_the_api_root_lists_2_1_and_a_positive_max_content_length(aster: Caller) -> None:
    root = read(aster.get(ROOT))
    assert root["title"]
    assert root["versions"] == [TAXII]
    assert root["max_content_length"] == 32 * 1024 * 1024


# §5.1, §5.2 Collections


def test_5_1_1_a_lab_has_its_own_collection_one_of_everything_and_one_of_each_group(aster: Caller) -> None:
    own, everything, in_force, ring = read(aster.get(f"{ROOT}collections/"))["collections"]  # type: ignore[misc]
    assert (own["id"], own["can_read"], own["can_write"]) == (str(aster.partner.collection_id), True, True)
    assert (everything["alias"], everything["can_read"], everything["can_write"]) == ("everything", True, False)
    assert (in_force["alias"], in_force["can_read"], in_force["can_write"]) == ("in-force", True, False)
    assert (ring["alias"], ring["can_read"], ring["can_write"]) == ("group-ring", True, True)


def test_5_1_1_a_key_that_may_neither_read_nor_write_gets_an_empty_object() -> None:
    caller = a_caller("Aster", Scope.SUBSCRIBE)
    assert read(caller.get(f"{ROOT}collections/")) == {}
    assert caller.get(caller.own).status_code == 404


def test_3_3_collections_come_in_the_same_order_every_time(aster: Caller) -> None:
    assert len({aster.get(f"{ROOT}collections/").content for _ in range(5)}) == 1


def test_5_2_1_a_collection_is_found_by_id_in_any_case_and_by_alias(aster: Caller) -> None:
    for collection in read(aster.get(f"{ROOT}collections/"))["collections"]:  # type: ignore[attr-defined]
        for name in (collection["id"], collection["id"].upper(), collection["alias"]):
            assert read(aster.get(f"{ROOT}collections/{name}/")) == collection


def test_2_ids_of_collections_and_statuses_are_uuids_of_version_4(aster: Caller) -> None:
    ids = [collection["id"] for collection in read(aster.get(f"{ROOT}collections/"))["collections"]]  # type: ignore[attr-defined]
    ids.append(aster.add(an_indicator())["id"])
    assert {uuid.UUID(found).version for found in ids} == {4}


def test_5_2_another_partners_collection_is_answered_like_one_that_does_not_exist(
    aster: Caller, borealis: Caller
) -> None:
    absent = f"{ROOT}collections/{uuid.uuid4()}/"
    for rest in (
        "",
        "objects/",
        "manifest/",
        f"objects/indicator--{uuid.uuid4()}/",
        f"objects/indicator--{uuid.uuid4()}/versions/",
    ):
        theirs, nobodys = aster.get(borealis.own + rest), aster.get(absent + rest)
        assert theirs.status_code == nobodys.status_code == 404
        assert {k: v for k, v in read(theirs).items() if k != "error_id"} == {
            k: v for k, v in read(nobodys).items() if k != "error_id"
        }
    assert aster.post(f"{borealis.own}objects/", {"objects": [an_indicator()]}).status_code == 404


def test_5_4_a_key_that_may_only_publish_writes_and_does_not_read(aster: Caller) -> None:
    writer = another_key(aster.partner, Scope.PUBLISH)
    held = an_indicator()
    writer.add(held)
    for path in ("objects/", "manifest/", f"objects/{held['id']}/", f"objects/{held['id']}/versions/"):
        assert writer.get(writer.own + path).status_code == 403, path
    assert writer.get(EVERYTHING).status_code == 404


def test_5_5_a_key_that_may_only_read_is_refused_with_403(aster: Caller) -> None:
    reader = another_key(aster.partner, Scope.READ)
    assert read(reader.get(reader.own))["can_write"] is False
    answer = reader.post(f"{reader.own}objects/", {"objects": [an_indicator()]})
    assert (answer.status_code, read(answer)["error_code"]) == (403, "collection-not-writable")


def test_5_5_a_recipient_never_writes(dorado: Caller) -> None:
    assert dorado.post(f"{dorado.own}objects/", {"objects": [an_indicator()]}).status_code == 403


# §5.7 Delete


def test_5_7_a_deleted_object_is_gone_and_stays_so_when_it_is_added_again(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held, revised(held, 2))
    path = f"{aster.own}objects/{held['id']}/"
    answer = aster.delete(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/taxii+json;version=2.1")
    assert [aster.get(each).status_code for each in (path, f"{path}versions/")] == [404, 404]
    assert aster.delete(path).status_code == 404
    assert aster.objects(f"{aster.own}objects/") == aster.objects(f"{EVERYTHING}objects/") == []
    status = aster.post(f"{aster.own}objects/", {"objects": [held]}).json()
    assert (status["success_count"], status["failure_count"]) == (0, 1)
    assert aster.objects(f"{aster.own}objects/") == []


def test_5_7_delete_heeds_match_version_and_match_spec_version(aster: Caller) -> None:
    held, other = an_indicator(), an_indicator()
    versions = [held, revised(held, 2), revised(held, 3)]
    aster.add(*versions, other)
    path = f"{aster.own}objects/{held['id']}/"
    assert aster.delete(f"{path}?match[spec_version]=2.0").status_code == 404
    assert aster.delete(f"{path}?match[version]=last").status_code == 200
    assert aster.objects(path) == [versions[1]]
    assert aster.delete(f"{path}?match[version]={held['modified']}").status_code == 200
    assert aster.objects(path, **{"match[version]": "all"}) == [versions[1]]
    assert aster.delete(f"{path}?match[version]=all&match[spec_version]=2.1").status_code == 200
    assert aster.objects(f"{aster.own}objects/") == [other]


def test_5_7_delete_answers_by_the_table_of_rights(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    reader, writer = another_key(aster.partner, Scope.READ), another_key(aster.partner, Scope.PUBLISH)
    path = f"{aster.own}objects/{held['id']}/"
    assert [caller.delete(path).status_code for caller in (reader, writer)] == [403, 403]
    assert another_key(aster.partner, Scope.SUBSCRIBE).delete(path).status_code == 404
    assert aster.delete(f"{aster.own}objects/{an_indicator()['id']}/").status_code == 404
