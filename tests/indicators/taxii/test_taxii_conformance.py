"""TAXII 2.1 §2, §3.6, §3.8, §4, §7, §8: what holds for all resources; and the table of requirements is what is tested."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.test import Client, override_settings

from indicators.telling import subscribing
from partners.keys import auth
from tests.indicators.taxii.cast import EVERYTHING, ROOT, TAXII, Caller, a_domain, an_indicator, revised

if TYPE_CHECKING:
    from django.http import HttpResponse

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "exchange" / "docs" / "taxii-conformance.md"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def read(answer: HttpResponse) -> dict[str, Any]:
    return orjson.loads(answer.content)


def resources(caller: Caller) -> dict[str, HttpResponse]:
    """One answer of each resource that the server makes itself (an envelope's objects are their publishers')."""
    held = an_indicator()
    subscribing.save_feed(auth.viewer_of_key(caller.key), name="feed", filter_json={})
    added = caller.post(f"{caller.own}objects/", {"objects": [held, revised(held, 2), a_domain(), {"type": "x"}, held]})
    status = read(added)["id"]
    one = f"{caller.own}objects/{held['id']}/"
    return {
        "discovery": caller.get("/taxii2/"),
        "api-root": caller.get(ROOT),
        "status": caller.get(f"{ROOT}status/{status}/"),
        "collections": caller.get(f"{ROOT}collections/"),
        "collection": caller.get(caller.own),
        "manifest": caller.get(f"{caller.own}manifest/", {"match[version]": "all", "limit": 2}),
        "empty manifest": caller.get(f"{caller.own}manifest/", {"match[type]": "tool"}),
        "empty envelope": caller.get(f"{EVERYTHING}objects/", {"match[type]": "tool"}),
        "versions": caller.get(f"{one}versions/"),
        "error": caller.get(f"{caller.own}objects/", {"limit": "0"}),
        "added": added,
    }


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inside:
        yield from walk(child, f"{path}/{name}")


@pytest.mark.django_db
def test_2_no_list_of_any_resource_is_empty_and_integers_are_safe(aster: Caller) -> None:
    for name, answer in resources(aster).items():
        for path, value in walk(read(answer)):
            assert value != [], (name, path)
            assert value is not None, (name, path)
            if isinstance(value, int):
                assert abs(value) < 2**53, (name, path)


@pytest.mark.django_db
def test_2_timestamps_are_utc_with_six_digits_and_z(aster: Caller) -> None:
    seen = [
        value
        for answer in resources(aster).values()
        for path, value in walk(read(answer))
        if path.endswith(("/date_added", "/request_timestamp"))
    ]
    assert len(seen) >= 4
    assert all(TIMESTAMP.fullmatch(value) for value in seen)


@pytest.mark.django_db
def test_3_8_property_names_are_short_lower_case_ascii(aster: Caller) -> None:
    for name, answer in resources(aster).items():
        for path, _ in walk(read(answer)):
            assert re.fullmatch(r"(/([a-z0-9_]{1,250}|\d+))*", path), (name, path)


@pytest.mark.django_db
def test_3_6_whatever_is_asked_a_fault_is_a_taxii_error_message_and_never_a_page(aster: Caller) -> None:
    for path in ("/taxii2/x", "/taxii2/x/", f"{ROOT}collections/x/", f"{ROOT}status/", f"{ROOT}collections//objects/"):
        answer = aster.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, TAXII), path
        assert read(answer)["title"], path


@pytest.mark.django_db
def test_4_2_an_api_root_that_is_not_there_is_a_404(aster: Caller) -> None:
    for path in ("/taxii2/other/", "/taxii2/other/collections/", "/taxii2/exchange2/"):
        assert aster.get(path).status_code == 404, path


@pytest.mark.django_db
def test_4_3_1_counts_add_up_and_lists_are_as_long_as_their_counts(aster: Caller) -> None:
    status = read(resources(aster)["status"])
    assert status["status"] == "complete"
    assert status["pending_count"] == 0
    assert "pendings" not in status
    assert len(status["successes"]) == status["success_count"] == 4
    assert len(status["failures"]) == status["failure_count"] == 1
    assert status["total_count"] == status["success_count"] + status["failure_count"]


@pytest.mark.django_db
def test_5_2_1_every_kind_of_collection_names_the_media_types_that_its_manifest_may_have(aster: Caller) -> None:
    for collection in read(resources(aster)["collections"])["collections"]:
        assert collection["media_types"] == [f"application/stix+json;version={version}" for version in ("2.1", "2.0")]
        assert set(collection) == {"id", "title", "description", "alias", "can_read", "can_write", "media_types"}


@pytest.mark.django_db
def test_5_5_a_bundle_and_an_envelope_with_custom_properties_are_taken(aster: Caller) -> None:
    for more in ({"x_note": {"a": 1}}, {"type": "bundle", "id": "bundle--0b1f7a52-8f0e-4f53-9d7e-3f6f3a1f8c11"}):
        answer = aster.post(f"{aster.own}objects/", {"objects": [an_indicator()]} | more)
        assert (answer.status_code, read(answer)["success_count"]) == (202, 1)


@pytest.mark.django_db
def test_5_5_an_object_of_stix_2_0_is_taken_and_told_apart_in_the_manifest(aster: Caller) -> None:
    old = an_indicator(labels=["malicious-activity"])
    del old["spec_version"]
    aster.add(old, an_indicator())
    listed = read(aster.get(f"{aster.own}manifest/"))["objects"]
    assert [record["media_type"][-3:] for record in listed] == ["2.0", "2.1"]


@pytest.mark.django_db
def test_7_1_no_resource_of_the_server_has_a_property_that_is_neither_of_taxii_nor_begins_with_x(aster: Caller) -> None:
    known = {
        *("title", "description", "contact", "default", "api_roots", "versions", "max_content_length"),
        *("id", "alias", "can_read", "can_write", "media_types", "collections"),
        *("status", "request_timestamp", "total_count", "success_count", "successes", "failure_count", "failures"),
        *("pending_count", "pendings", "version", "message", "more", "next", "objects", "date_added", "media_type"),
        *("error_id", "error_code", "http_status", "external_details", "details"),
    }
    for name, answer in resources(aster).items():
        for path, value in walk(read(answer)):
            if isinstance(value, dict) and not path.endswith("/details"):  # whose content is the server's own
                assert {key for key in value if not key.startswith("x_")} <= known, (name, path)


@pytest.mark.django_db
@override_settings(SECURE_SSL_REDIRECT=True)
def test_8_2_2_in_production_plain_http_is_refused(aster: Caller) -> None:
    for path in ("/taxii2/", "/taxii2"):
        plain = Client(headers=aster.headers).get(path)
        assert (plain.status_code, plain.json()["error_code"]) == (403, "https-required")
    assert Client(headers=aster.headers).get("/taxii2/", secure=True).status_code == 200


# The table


def names_of_tests() -> list[str]:
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    return [node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]


def rows() -> list[tuple[str, str, list[str]]]:
    """Section, requirement, and the names in backticks; a name may end in `*`."""
    cells = [line.strip("| \n").split(" | ") for line in TABLE.read_text().splitlines() if re.match(r"\| \d", line)]
    return [(section, requirement, re.findall(r"`(test_\w+\*?)`", tests)) for section, requirement, tests in cells]


def test_every_requirement_of_the_table_has_tests_and_each_of_them_exists() -> None:
    names = names_of_tests()
    assert len(rows()) > 50
    for section, requirement, named in rows():
        assert requirement
        assert named, (section, requirement)
        for name in named:
            assert fnmatch.filter(names, name), name


def test_every_test_with_a_section_in_its_name_is_in_the_table() -> None:
    named = [name for _, _, found in rows() for name in found]
    sectioned = [name for name in names_of_tests() if re.match(r"test_\d", name)]
    assert len(sectioned) > 90
    missing = [name for name in sectioned if not any(fnmatch.fnmatch(name, pattern) for pattern in named)]
    assert not missing


def test_a_test_stands_at_the_section_that_its_name_says() -> None:
    for section, requirement, named in rows():
        for name in named:
            said = re.match(r"test_((?:\d_)*\d)_", name)
            assert said is None or said[1].replace("_", ".").startswith(section), (requirement, name)
