"""TAXII 2.1 §3.2 to §3.5, §3.7, §5.3, §5.4, §5.6, §5.8: objects, manifests and versions, their filters and pages."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from indicators.taxii import pages
from partners.scopes import Scope
from tests import build
from tests.indicators.taxii.cast import (
    EVERYTHING,
    PUBLISHED_AFTER,
    ROOT,
    TAXII,
    Caller,
    a_caller,
    a_domain,
    an_indicator,
    another_key,
    revised,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

pytestmark = pytest.mark.django_db

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"


def read(answer: HttpResponse) -> dict[str, Any]:
    return orjson.loads(answer.content)


def records(caller: Caller, **parameters: Any) -> list[dict[str, Any]]:
    return read(caller.get(f"{caller.own}manifest/", parameters)).get("objects", [])


# §3.2 Headers


def test_3_2_every_200_says_when_its_first_and_last_objects_were_added_in_microseconds(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held, an_indicator())
    one = f"{aster.own}objects/{held['id']}/"
    added = [record["date_added"] for record in records(aster)]
    for path, last in ((f"{aster.own}objects/", 1), (f"{aster.own}manifest/", 1), (one, 0), (f"{one}versions/", 0)):
        answer = aster.get(path)
        assert (answer[FIRST], answer[LAST]) == (added[0], added[last]), path
        assert TIMESTAMP.fullmatch(answer[FIRST])


def test_3_2_an_empty_answer_names_no_time_that_a_later_object_could_precede(aster: Caller) -> None:
    empty = aster.from_the_beginning(f"{aster.own}objects/", **{"match[type]": "malware"})
    assert empty[LAST] == "1970-01-01T00:00:00.000000Z"
    aster.add(an_indicator())
    last = aster.get(f"{aster.own}objects/")[LAST]
    assert aster.get(f"{aster.own}objects/", {"added_after": last})[LAST] == last


# §3.3 Sorting


def test_3_3_objects_and_manifest_are_in_the_order_in_which_they_were_added(aster: Caller) -> None:
    held = [an_indicator() for _ in range(5)]
    for one in reversed(held):
        aster.add(one)
    assert aster.objects(f"{aster.own}objects/") == held[::-1]
    dates = [record["date_added"] for record in records(aster)]
    assert dates == sorted(dates)
    assert len(set(dates)) == len(held)


# §3.4 Filtering


@pytest.mark.parametrize(
    "query",
    [
        "added_after=yesterday",
        "added_after=2026-01-01",
        "added_after=2026-13-01T00:00:00Z",
        "added_after=",
        "added_after=0001-01-01T00:00:00%2B23:59",
        "added_after=2026-01-01T00:00:00Z&added_after=2026-01-02T00:00:00Z",
        "limit=0",
        "limit=-1",
        "limit=ten",
        "limit=1.5",
        "limit=%C2%B2",
        "limit=",
        "limit=1&limit=x",
        "next=a&next=b",
        "next=forged",
        "next=a%00b",
        "match[id]=",
        "match[id]=a,,b",
        "match[id]=a%00b",
        "match[id]=a&match[id]=b",
        "match[type]=indicator, malware",
        "match[version]=newest",
        "match[version]=all,last",
        "match[version]=last,last",
        "match[version]=2026-01-01T00:00:00Z,2026-01-01T00:00:00.000Z",
        "match[spec_version]=",
        "match[id]=" + ",".join(["x"] * 1001),
    ],
)
def test_3_4_malformed_parameters_are_a_400(aster: Caller, query: str) -> None:
    for table in ("objects", "manifest"):
        answer = aster.get(f"{aster.own}{table}/?{query}")
        assert (answer.status_code, answer["Content-Type"]) == (400, TAXII), query


@pytest.mark.parametrize("query", ["match[color]=red", "page=3", "next="])
def test_3_4_what_is_not_a_parameter_of_taxii_is_ignored(aster: Caller, query: str) -> None:
    aster.add(an_indicator())
    assert len(aster.objects(f"{aster.own}objects/?{query}")) == 1


def test_3_4_added_after_leaves_out_what_was_added_at_that_moment_or_before(aster: Caller) -> None:
    held = [an_indicator() for _ in range(4)]
    aster.add(*held)
    moments = [record["date_added"] for record in records(aster)]
    for place, moment in enumerate(moments):
        assert aster.objects(f"{aster.own}objects/", added_after=moment) == held[place + 1 :]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-02T00:00:00Z",
        "2026-01-02t00:00:00.5z",
        "2026-01-02T00:00:00.123456789Z",
        "2026-01-02T05:00:00.000+05:00",
    ],
)
def test_3_4_added_after_takes_the_timestamps_that_clients_really_send(aster: Caller, moment: str) -> None:
    aster.add(an_indicator())
    assert len(aster.objects(f"{aster.own}objects/", added_after=moment)) == 1


def test_3_4_limit_is_never_exceeded_and_everything_comes_where_it_suffices(aster: Caller) -> None:
    held = [an_indicator() for _ in range(5)]
    aster.add(*held)
    for limit in range(1, 8):
        answer = read(aster.get(f"{aster.own}objects/", {"limit": limit}))
        assert answer["objects"] == held[:limit]
        assert answer["more"] is (limit < len(held))
        assert ("next" in answer) is answer["more"]
    assert aster.objects(f"{aster.own}objects/", limit="9" * 5000) == held


def test_3_4_a_parameter_that_is_sent_twice_is_taken_where_that_can_mean_one_thing_only(aster: Caller) -> None:
    held = [an_indicator() for _ in range(4)]
    aster.add(*held)
    path = f"{aster.own}objects/"
    assert aster.objects(f"{path}?limit=3&limit=2") == held[:2]
    assert aster.objects(f"{path}?limit=2&limit=2") == held[:2]
    first = records(aster)[0]["date_added"]
    assert aster.objects(f"{path}?added_after={first}&added_after={first}") == held[1:]
    assert aster.objects(f"{path}?match[type]=indicator&match[type]=indicator") == held


def test_3_4_all_match_fields_are_anded_and_their_values_are_ored(aster: Caller) -> None:
    one, two, domain = an_indicator(), an_indicator(), a_domain()
    aster.add(one, two, domain)
    path = f"{aster.own}objects/"
    assert aster.objects(path, **{"match[type]": "indicator,malware"}) == [one, two]
    assert aster.objects(path, **{"match[type]": "indicator,domain-name"}) == [one, two, domain]
    assert aster.objects(path, **{"match[id]": f"{two['id']},{domain['id']}"}) == [two, domain]
    assert aster.objects(path, **{"match[id]": f"{two['id']},{domain['id']}", "match[type]": "domain-name"}) == [domain]


def test_3_4_1_types_that_nobody_holds_are_no_error(aster: Caller) -> None:
    aster.add(an_indicator())
    for name in ("attack-pattern", "x-unheard-of", "language-content", "extension-definition"):
        assert aster.objects(f"{aster.own}objects/", **{"match[type]": name}) == []


def test_3_4_1_without_match_version_only_the_latest_comes(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held, revised(held, 3), revised(held, 2))
    assert aster.objects(f"{aster.own}objects/") == [revised(held, 3)]


@pytest.mark.parametrize(
    ("wanted", "days"),
    [
        ("last", [4]),
        ("first", [1]),
        ("all", [1, 3, 4, 2]),
        ("last,first", [1, 4]),
        ("2026-01-03T00:00:00.000Z", [3]),
        ("2026-01-03T00:00:00Z", [3]),
        ("2026-01-03T00:00:00.000Z,2026-01-02T00:00:00.000000Z", [3, 2]),
        ("first,2026-01-02T00:00:00.000Z,last", [1, 4, 2]),
        ("2026-01-09T00:00:00.000Z", []),
    ],
)
def test_3_4_1_match_version_takes_keywords_timestamps_and_any_mixture(
    aster: Caller, wanted: str, days: list[int]
) -> None:
    held = an_indicator()
    for day in (1, 3, 4, 2):
        aster.add(revised(held, day))
    for path in (f"{aster.own}objects/", f"{aster.own}objects/{held['id']}/", f"{EVERYTHING}objects/"):
        found = aster.objects(path, **{"match[version]": wanted})
        assert [one["modified"][8:10] for one in found] == [f"{day:02}" for day in days], path


def test_3_4_1_what_has_no_modified_is_matched_by_created(aster: Caller) -> None:
    marking = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "definition_type": "statement",
        "definition": {"statement": "Copyright"},
    }
    aster.add(marking)
    assert aster.objects(f"{aster.own}objects/", **{"match[version]": "2026-01-01T00:00:00.000Z"}) == [marking]
    assert records(aster)[0]["version"] == "2026-01-01T00:00:00.000Z"


def test_3_4_1_what_has_no_timestamps_has_one_version_the_same_everywhere(aster: Caller) -> None:
    domain = a_domain()
    status = aster.add(domain)
    (record,) = records(aster)
    one = f"{aster.own}objects/{domain['id']}/"
    assert record["version"] == record["date_added"]
    assert status["successes"] == [{"id": domain["id"], "version": record["version"]}]
    assert read(aster.get(f"{one}versions/"))["versions"] == [record["version"]]
    assert aster.objects(one, **{"match[version]": record["version"]}) == [domain]


def test_3_4_1_match_spec_version_leaves_out_every_other(aster: Caller) -> None:
    new, old, domain = an_indicator(), an_indicator(), a_domain()
    del old["spec_version"]  # by STIX 2.1 §3.2 this is 2.0, and 2.1 for a cyber-observable
    aster.add(new, old, domain)
    path = f"{aster.own}objects/"
    assert aster.objects(path, **{"match[spec_version]": "2.1"}) == [new, domain]
    assert aster.objects(path, **{"match[spec_version]": "2.0"}) == [old]
    assert aster.objects(path, **{"match[spec_version]": "2.0,2.1"}) == [new, old, domain]
    assert aster.objects(path, **{"match[spec_version]": "3.0"}) == []


# §3.5 Pagination


@pytest.mark.slow
def test_3_5_pages_by_next_are_the_whole_list_whatever_their_size(aster: Caller) -> None:
    held = [an_indicator() for _ in range(7)]
    aster.add(*held)
    for limit in range(1, 9):
        for path in (f"{aster.own}objects/", f"{EVERYTHING}objects/"):
            found = [one for page in aster.pages(path, {"limit": limit}) for one in read(page)["objects"]]
            assert found == held


def test_3_5_pages_by_added_after_alone_are_the_whole_list(aster: Caller) -> None:
    held = [an_indicator() for _ in range(7)]
    aster.add(*held)
    found, after = [], PUBLISHED_AFTER
    while batch := read(page := aster.get(f"{aster.own}objects/", {"limit": 3, "added_after": after})).get("objects"):
        found += batch
        after = page[LAST]
    assert found == held


def test_3_5_next_goes_on_with_the_same_added_after_and_with_a_newer_one(aster: Caller) -> None:
    held = [an_indicator() for _ in range(6)]
    aster.add(*held)
    moments = [record["date_added"] for record in records(aster)]
    path = f"{aster.own}objects/"
    first = read(aster.get(path, {"limit": 2, "added_after": moments[0]}))
    assert first["objects"] == held[1:3]
    assert aster.objects(path, next=first["next"], added_after=moments[0]) == held[3:]
    assert aster.objects(path, next=first["next"], added_after=moments[2]) == held[3:]
    assert aster.objects(path, next=first["next"], added_after=moments[4]) == held[5:]
    assert aster.objects(path, next=first["next"]) == held[3:]


def test_3_5_the_size_of_a_page_may_change_on_the_way(aster: Caller) -> None:
    held = [an_indicator() for _ in range(6)]
    aster.add(*held)
    first = read(aster.get(f"{aster.own}objects/", {"limit": 1}))
    assert aster.objects(f"{aster.own}objects/", next=first["next"], limit=3) == held[1:4]


def test_3_5_a_cursor_is_worthless_to_another_viewer_or_filter(aster: Caller, borealis: Caller) -> None:
    aster.add(an_indicator(), an_indicator())
    cursor = read(aster.get(f"{EVERYTHING}objects/", {"limit": 1}))["next"]
    for caller, path, more in (
        (borealis, f"{EVERYTHING}objects/", {}),
        (aster, f"{EVERYTHING}objects/", {"match[type]": "malware"}),
        (aster, f"{EVERYTHING}objects/", {"match[version]": "all"}),
    ):
        answer = caller.get(path, {"next": cursor} | more)
        assert (answer.status_code, read(answer)["error_code"]) == (400, "bad-cursor")


def test_3_5_a_page_of_large_objects_ends_early_and_nothing_is_lost(
    aster: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 50_000)
    held = [an_indicator(description="x" * size) for size in (100, 30_000, 30_000, 60_000, 60_000, 100, 100)]
    aster.add(*held)
    sizes, found = [], []
    for page in aster.pages(f"{aster.own}objects/"):
        sizes.append(len(read(page)["objects"]))
        found += read(page)["objects"]
    assert found == held
    assert sizes == [3, 1, 1, 2]


# §3.7 Envelope


def test_3_7_objects_come_back_byte_for_byte(aster: Caller) -> None:
    raw = (
        b'{ "type" : "indicator","spec_version":"2.1", "id":"indicator--%s","created":"2026-01-01T00:00:00.1Z",\n'
        b'"modified":"2026-01-01T00:00:00.100000Z","pattern":"[a:b = \'\\u00e9\xc3\xa9\\/\']","pattern_type":"stix",'
        b'"valid_from":"2026-01-01T00:00:00Z","x_big":12345678901234567890123,"x_float":1.50E+3,"x_empty":{ }}'
    ) % str(uuid.uuid4()).encode()
    assert orjson.loads(aster.post(f"{aster.own}objects/", b'{"objects":[' + raw + b"]}").content)["success_count"] == 1
    for path in (f"{aster.own}objects/", f"{EVERYTHING}objects/"):
        assert aster.get(path).content == b'{"more":false,"objects":[' + raw + b"]}"


def test_3_7_without_objects_the_envelope_is_an_empty_object(aster: Caller) -> None:
    for table in ("objects", "manifest"):
        answer = aster.get(f"{aster.own}{table}/")
        assert (answer.status_code, answer.content) == (200, b"{}")


# §5.3 Manifest


def test_5_3_1_a_record_has_id_date_version_and_one_of_the_collections_media_types(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    (record,) = records(aster)
    assert set(record) == {"id", "date_added", "version", "media_type"}
    assert (record["id"], record["version"]) == (held["id"], held["modified"])
    assert TIMESTAMP.fullmatch(record["date_added"])
    assert record["media_type"] in read(aster.get(aster.own))["media_types"]


def test_5_3_the_manifest_has_a_record_for_each_object_of_the_same_request(aster: Caller) -> None:
    one, two = an_indicator(), an_indicator()
    aster.add(one, revised(one, 2), two, a_domain())
    for query in ({}, {"match[version]": "all"}, {"match[type]": "indicator"}, {"match[id]": one["id"]}, {"limit": 2}):
        found = aster.objects(f"{aster.own}objects/", **query)
        listed = records(aster, **query)
        assert [record["id"] for record in listed] == [one["id"] for one in found]


def test_5_3_the_pages_of_a_manifest_are_turned_by_next(aster: Caller) -> None:
    held = [an_indicator() for _ in range(5)]
    aster.add(*held)
    walked = aster.pages(f"{aster.own}manifest/", {"limit": 2})
    assert [record["id"] for page in walked for record in read(page)["objects"]] == [one["id"] for one in held]


# §5.6 Get an object, §5.8 versions


def test_5_6_an_object_that_is_absent_or_invisible_is_the_same_404(aster: Caller, cygnus: Caller) -> None:
    hidden = an_indicator()
    aster.add(hidden)
    absent = an_indicator()["id"]
    for rest in ("", "versions/"):
        answers = [cygnus.get(f"{EVERYTHING}objects/{found}/{rest}") for found in (hidden["id"], absent)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert read(answers[0])["description"] == read(answers[1])["description"]


def test_5_6_a_filter_that_leaves_nothing_of_an_object_gives_an_empty_envelope(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    for query in (
        {"match[version]": "2026-01-02T00:00:00Z"},
        {"added_after": "2100-01-01T00:00:00Z"},
        {"match[spec_version]": "2.0"},
    ):
        answer = aster.get(f"{aster.own}objects/{held['id']}/", query)
        assert (answer.status_code, answer.content) == (200, b"{}")


def test_5_6_only_version_filters_apply_to_one_object(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    assert aster.objects(f"{aster.own}objects/{held['id']}/", **{"match[type]": "malware", "match[id]": "other"}) == [
        held
    ]


def test_5_8_1_all_versions_are_listed_as_their_publisher_wrote_them(aster: Caller) -> None:
    held = an_indicator()
    later = held | {"modified": "2026-01-02T00:00:00.123456Z"}
    aster.add(held)
    aster.add(later)
    path = f"{aster.own}objects/{held['id']}/versions/"
    assert read(aster.get(path)) == {"more": False, "versions": [held["modified"], later["modified"]]}
    assert read(aster.get(path, {"limit": 1}))["more"] is True
    assert [page.content for page in aster.pages(path, {"limit": 1})][
        1
    ] == b'{"more":false,"versions":["2026-01-02T00:00:00.123456Z"]}'
    assert aster.get(path, {"match[spec_version]": "2.0"}).content == b"{}"


# Who sees what


def test_everything_holds_what_the_viewer_may_see_and_the_own_collection_what_it_published(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    mine, theirs = an_indicator(), an_indicator()
    aster.add(mine)
    borealis.add(theirs)
    assert aster.objects(f"{aster.own}objects/") == [mine]
    assert aster.objects(f"{EVERYTHING}objects/") == [mine, theirs]
    assert borealis.objects(f"{borealis.own}objects/") == [theirs]
    assert cygnus.objects(f"{EVERYTHING}objects/") == []


@pytest.mark.slow
def test_an_id_and_version_of_two_publishers_has_one_place_the_first_that_the_viewer_may_see(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    shared = an_indicator(object_marking_refs=[GREEN])
    other = shared | {"name": "Borealis says it otherwise"}
    for caller, one in ((aster, shared), (borealis, other)):
        assert read(caller.post(f"{ROOT}collections/group-ring/objects/", {"objects": [one]}))["success_count"] == 1
    outsider = a_caller("Draco")
    build.a_ring(borealis.partner, outsider.partner, slug="outer")
    for caller in (aster, borealis):
        assert caller.objects(f"{EVERYTHING}objects/") == [shared]
    assert outsider.objects(f"{EVERYTHING}objects/") == []
    build.a_ring(borealis.partner, cygnus.partner, slug="second")
    newer = {"objects": [revised(other, 2)]}
    assert read(borealis.post(f"{ROOT}collections/group-second/objects/", newer))["success_count"] == 1
    assert cygnus.objects(f"{EVERYTHING}objects/") == [revised(other, 2)]


@pytest.mark.parametrize("wanted", ["last", "first", "all"])
def test_nobody_adds_a_version_to_anothers_line_nor_hides_one(aster: Caller, borealis: Caller, wanted: str) -> None:
    held = an_indicator()
    aster.add(revised(held, 2))
    borealis.add(revised(held, 1), revised(held, 2), revised(held, 3))
    for caller in (aster, borealis):
        found = caller.objects(f"{EVERYTHING}objects/", **{"match[version]": wanted})
        assert [one["modified"][8:10] for one in found] == ["02"]


def test_what_is_narrowed_away_is_not_there_any_more_and_never_was(aster: Caller, borealis: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    assert borealis.objects(f"{EVERYTHING}objects/") == [held]
    aster.add(revised(held, 2, object_marking_refs=[RED]))
    for version in ("last", "first", "all", held["modified"]):
        assert borealis.objects(f"{EVERYTHING}objects/", **{"match[version]": version}) == []
    assert borealis.get(f"{EVERYTHING}objects/{held['id']}/").status_code == 404
    assert len(aster.objects(f"{aster.own}objects/", **{"match[version]": "all"})) == 2


def test_what_is_widened_appears_as_added_now(aster: Caller, cygnus: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    last = aster.get(f"{aster.own}objects/")[LAST]
    wide = revised(held, 2, object_marking_refs=[GREEN])
    aster.add(wide)
    assert cygnus.objects(f"{EVERYTHING}objects/", added_after=last) == [wide]


def test_a_revoked_version_reaches_who_follows_added_after(aster: Caller, borealis: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    last = borealis.get(f"{EVERYTHING}objects/")[LAST]
    aster.add(revised(held, 2, revoked=True))
    (found,) = borealis.objects(f"{EVERYTHING}objects/", added_after=last)
    assert found["revoked"] is True


# Cost


def test_a_page_costs_at_most_five_queries(aster: Caller, borealis: Caller, count_queries: Callable[..., int]) -> None:
    held = [an_indicator() for _ in range(50)]
    aster.add(*held)
    one = f"objects/{held[0]['id']}/"
    for base in (aster.own, EVERYTHING):
        for rest in (
            "objects/",
            "manifest/",
            f"objects/?match[id]={held[0]['id']}",
            one,
            f"{one}versions/",
            f"{one}?match[version]=2000-01-01T00:00:00Z",
        ):
            key = another_key(aster.partner, Scope.READ)
            key.get(base)  # the first use of a key is written down
            assert count_queries(lambda path=base + rest, key=key: key.get(path)) <= 5, base + rest
