"""What stands before the log in each collection: what objects refer to and the exchange itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
import stix2

from exchange import clock
from indicators.reading import referred
from indicators.stix import vocabulary
from indicators.stix.tlp import TLP2_IDS
from indicators.telling import subscribing
from partners.keys import auth
from partners.models import Partner
from partners.scopes import Scope
from tests import build
from tests.indicators.taxii.cast import EVERYTHING, ROOT, Caller, a_caller, an_indicator, another_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

pytestmark = pytest.mark.django_db

FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
LONG_AGO = "1970-01-01T00:00:00Z"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"


def read(answer: HttpResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.content
    return orjson.loads(answer.content)


def objects(caller: Caller, path: str, **parameters: Any) -> list[dict[str, Any]]:
    return read(caller.from_the_beginning(path, **parameters)).get("objects", [])


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in found]


def walked(caller: Caller, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages by `next`, from the beginning."""
    found, more = [], True
    while more:
        page = read(caller.from_the_beginning(path, **parameters))
        found += page["objects"]
        more, parameters["next"] = page["more"], page.get("next")
    return found


OUR_EXTENSIONS = [one["id"] for one in vocabulary.extension_definitions(schemas_url="")]


def every_collection(caller: Caller) -> list[str]:
    subscribing.save_feed(auth.viewer_of_key(caller.key), name="cards", filter_json={"kinds": ["payment-fingerprint"]})
    listed = read(caller.get(f"{ROOT}collections/"))["collections"]
    assert {one["alias"].split("-")[0] for one in listed} >= {"partner", "everything", "feed"}
    return [f"{ROOT}collections/{one['id']}/" for one in listed]


def invited(name: str) -> Partner:
    partner = build.a_partner(name)
    Partner.objects.filter(pk=partner.pk).update(state=Partner.State.INVITED)
    return partner


def test_5_4_what_objects_refer_to_comes_first_in_every_collection(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    hidden = invited("Draco")
    author = aster.partner.identity_id
    aster.add(an_indicator(created_by_ref=author, object_marking_refs=[AMBER]))
    listed = objects(borealis, f"{EVERYTHING}objects/")
    first = [vocabulary.EXCHANGE_IDENTITY_ID, *TLP2_IDS, *OUR_EXTENSIONS]
    assert ids(listed)[: len(first)] == first
    partners = Partner.objects.exclude(pk=hidden.pk)
    assert {(one["id"], one["name"]) for one in listed[len(first) : -1]} == {
        (one.identity_id, one.name) for one in partners
    }
    assert {author, AMBER} <= set(ids(listed)[:-1])
    for caller in (aster, borealis, cygnus):
        for path in every_collection(caller):
            assert objects(caller, f"{path}objects/")[: len(listed) - 1] == listed[:-1], path
    for one in listed:
        stix2.parse(one, allow_custom=False)


def test_5_4_the_exchange_stands_before_the_log_for_nobody_who_may_not_read(aster: Caller) -> None:
    writer = another_key(aster.partner, Scope.PUBLISH)
    for path in (f"{aster.own}objects/", f"{aster.own}manifest/", f"{aster.own}objects/{AMBER}/"):
        assert writer.from_the_beginning(path).status_code == 403


def test_what_stands_before_the_log_moves_with_nothing_that_is_published(aster: Caller, cygnus: Caller) -> None:
    before = cygnus.from_the_beginning(f"{EVERYTHING}manifest/")
    aster.add(an_indicator(created_by_ref=aster.partner.identity_id))
    after = cygnus.from_the_beginning(f"{EVERYTHING}manifest/")
    assert (before.content, before[FIRST], before[LAST]) == (after.content, after[FIRST], after[LAST])


def test_who_becomes_a_partner_moves_no_date_of_the_others(aster: Caller) -> None:
    before = read(aster.from_the_beginning(f"{EVERYTHING}manifest/"))["objects"]
    new = a_caller("Draco").partner.identity_id
    after = read(aster.from_the_beginning(f"{EVERYTHING}manifest/"))["objects"]
    assert [one for one in after if one["id"] != new] == before
    assert len(after) == len(before) + 1


def test_3_5_what_stands_before_the_log_comes_once_whatever_the_size_of_pages(aster: Caller) -> None:
    aster.add(*(an_indicator() for _ in range(3)))
    count = len(referred.found())
    whole = read(aster.from_the_beginning(f"{aster.own}manifest/"))["objects"]
    assert len(whole) == count + 3
    dates = [record["date_added"] for record in whole]
    assert dates == sorted(set(dates))
    for limit in (1, 2, 5, count - 1, count, count + 1, count + 3, count + 4):
        found = walked(aster, f"{aster.own}objects/", limit=limit)
        assert ids(found) == ids(whole), limit
        assert walked(aster, f"{aster.own}manifest/", limit=limit) == whole, limit
        after, seen = LONG_AGO, []
        while page := read(answer := aster.from_the_beginning(f"{aster.own}objects/", limit=limit, added_after=after)):
            seen += page["objects"]
            after = answer[LAST]
        assert seen == found, limit


def test_3_5_a_collection_without_anything_published_says_that_there_is_no_more(aster: Caller) -> None:
    count = len(referred.found())
    for limit in (count, count + 1):
        page = read(aster.from_the_beginning(f"{aster.own}objects/", limit=limit))
        assert (len(page["objects"]), page["more"]) == (count, False)


def test_3_5_a_reader_on_the_way_may_skip_the_rest_with_a_later_added_after(aster: Caller) -> None:
    held = an_indicator()
    aster.add(held)
    cursor = read(aster.from_the_beginning(f"{aster.own}objects/", limit=2))["next"]
    assert aster.objects(f"{aster.own}objects/", next=cursor) == [held]


def test_3_2_the_dates_of_a_page_are_those_of_its_first_and_last_records(aster: Caller) -> None:
    aster.add(an_indicator())
    for limit in (1, 3, 1_000):
        records = aster.from_the_beginning(f"{aster.own}manifest/", limit=limit)
        dates = [one["date_added"] for one in read(records)["objects"]]
        answer = aster.from_the_beginning(f"{aster.own}objects/", limit=limit)
        assert (answer[FIRST], answer[LAST]) == (dates[0], dates[-1])


@pytest.mark.parametrize("table", ["objects", "manifest"])
def test_3_4_every_filter_holds_for_what_the_exchange_stands_for(aster: Caller, table: str) -> None:
    aster.add(an_indicator())
    path, mine = f"{aster.own}{table}/", aster.partner.identity_id
    of_2022 = "2022-10-01T00:00:00.000Z"

    def found(**match: str) -> list[str]:
        return ids(objects(aster, path, **{f"match[{name}]": value for name, value in match.items()}))

    assert found(type="marking-definition") == [*TLP2_IDS]
    assert found(type="marking-definition,indicator")[:-1] == [*TLP2_IDS]
    assert found(type="identity") == [one.stix_id for one in referred.found(stix_types=["identity"])]
    assert found(type="extension-definition") == OUR_EXTENSIONS
    assert found(type="malware") == []
    assert found(id=f"{mine},{AMBER.upper().replace('MARKING-DEFINITION', 'marking-definition')}") == [AMBER, mine]
    assert found(id=AMBER, type="identity") == []
    assert found(spec_version="2.0") == []
    assert len(found(spec_version="2.0,2.1")) == len(referred.found()) + 1
    for version in ("first", "last", "all", "first,last"):
        assert len(found(version=version)) == len(referred.found()) + 1
    assert found(version=of_2022) == [*TLP2_IDS]
    assert found(version=f"{of_2022},2000-01-01T00:00:00Z", type="identity") == []


def test_5_6_what_the_exchange_stands_for_is_found_by_its_id_in_every_collection(aster: Caller) -> None:
    hidden = invited("Draco")
    for path in every_collection(aster):
        for one in referred.found():
            of = f"{path}objects/{one.stix_id}/"
            assert aster.from_the_beginning(of).content == b'{"more":false,"objects":[%s]}' % one.body.encode()
            assert read(aster.from_the_beginning(f"{of}versions/"))["versions"] == [one.version]
            assert aster.from_the_beginning(of, **{"match[version]": "2000-01-01T00:00:00Z"}).content == b"{}"
            assert aster.from_the_beginning(of, added_after="2026-01-01T00:00:00Z").content == b"{}"
        assert aster.from_the_beginning(f"{path}objects/{hidden.identity_id}/").status_code == 404
    assert aster.delete(f"{aster.own}objects/{AMBER}/").status_code == 404


def test_a_copy_that_a_publisher_adds_is_served_once_and_is_the_exchange_s(aster: Caller, borealis: Caller) -> None:
    mine = aster.partner.identity_id
    copies = {one.stix_id: orjson.loads(one.body) for one in referred.found(stix_ids=[AMBER, mine])}
    aster.add(copies[AMBER] | {"x_own": True}, copies[mine])
    for caller, path in ((aster, aster.own), (borealis, EVERYTHING)):
        for parameters in ({}, {"match[version]": "all"}, {"match[version]": copies[AMBER]["created"]}):
            assert ids(walked(caller, f"{path}objects/", **parameters)).count(AMBER) == 1
        assert ids(walked(caller, f"{path}objects/")).count(mine) == 1
        for stix_id, copy in copies.items():
            assert objects(caller, f"{path}objects/{stix_id}/") == [copy]
            assert caller.objects(f"{path}objects/", **{"match[id]": stix_id}) == []
    assert aster.delete(f"{aster.own}objects/{mine}/").status_code == 200


def test_a_newer_version_that_a_partner_adds_of_its_own_identity_comes_in_its_place(
    aster: Caller, borealis: Caller
) -> None:
    mine = aster.partner.identity_id
    (ours,) = (orjson.loads(one.body) for one in referred.found(stix_ids=[mine]))
    newer = ours | {"modified": clock.rfc3339(clock.now())[:23] + "Z", "contact_information": "desk"}
    aster.add(newer)
    walk = walked(borealis, f"{EVERYTHING}objects/")
    assert [one for one in walk if one["id"] == mine] == [ours, newer]
    assert walk[-1] == newer
    versions = borealis.from_the_beginning(f"{EVERYTHING}objects/{mine}/versions/")
    assert read(versions)["versions"] == [ours["modified"], newer["modified"]]


def test_who_follows_pays_nothing_for_what_stands_before_the_log(
    aster: Caller, count_queries: Callable[..., int]
) -> None:
    aster.add(*(an_indicator() for _ in range(4)))
    path = f"{EVERYTHING}objects/"
    cursor = read(aster.get(path, {"limit": 2}))["next"]
    last = aster.get(path)[LAST]
    assert count_queries(lambda: aster.from_the_beginning(path, added_after=last)) == 2  # who asks, and what
    some = count_queries(lambda: aster.from_the_beginning(path, next=cursor))
    assert count_queries(lambda: aster.from_the_beginning(path)) == some + 1
