"""What the tools of the field send, sent to the running server: cytaxii2 itself, and the requests of the platforms.

Each is as the tool's own source has it: OpenCTI (`ingestionManager`, TypeScript), MISP (`TaxiiServer.php` and
`taxii_push.py`), misp-modules (`taxii21.py`), Splunk's CTIS app (`common.py`), OpenCTI's TAXII 2 connector. Sentinel's
and Splunk Enterprise Security's pollers are not public: theirs follow what their manuals say.
"""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import taxii2client
from cytaxii2 import cytaxii2
from requests.auth import HTTPBasicAuth
from taxii2client.common import TokenAuth
from taxii2client.exceptions import ValidationError
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

from partners.models import Group
from tests import build
from tests.indicators.taxii.cast import TAXII, Caller, a_caller, a_domain, an_indicator, published, revised
from tests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = "8f7d31e0-4c0a-4f65-9b0e-2f3c6f1f9a54"
LAST = "x-taxii-date-added-last"


@pytest.fixture
def labs() -> tuple[Caller, Caller]:
    aster, borealis = a_caller("Aster"), a_caller("Borealis")
    build.a_ring(aster.partner, borealis.partner, slug="outer")
    return aster, borealis


@pytest.fixture
def aster(labs: tuple[Caller, Caller]) -> Caller:
    return labs[0]


@pytest.fixture
def borealis(labs: tuple[Caller, Caller]) -> Caller:
    return labs[1]


@pytest.fixture
def group(labs: tuple[Caller, Caller]) -> str:
    return str(Group.objects.get(slug="outer").collection_id)


@pytest.fixture
def root(live_server: Any) -> str:
    return f"{live_server.url}/taxii2/exchange"


def basic(caller: Caller, user: str = "anybody") -> str:
    return base64.b64encode(f"{user}:{caller.key}".encode()).decode()


def some(count: int) -> list[dict[str, Any]]:
    return [an_indicator() for _ in range(count)]


# cytaxii2


def test_cytaxii2_goes_from_discovery_to_the_last_page(
    live_server: Any, aster: Caller, borealis: Caller, group: str
) -> None:
    writer = cytaxii2.cytaxii2(f"{live_server.url}/taxii2/", "", aster.key)
    assert writer.discovery_request()["response"]["default"] == f"{live_server.url}/taxii2/exchange/"
    assert writer.root_discovery()["response"]["versions"] == [TAXII]
    listed = writer.collection_request()["response"]["collections"]
    assert [one["alias"] for one in listed] == ["partner-aster", "everything", "in-force", "group-outer"]
    assert writer.collection_data_request(group)["response"] == listed[3]
    held = some(25)
    added = writer.inbox_request(group, json.dumps({"objects": held}))
    assert (added["status_code"], added["response"]["success_count"]) == (202, 25)

    reader = cytaxii2.cytaxii2(f"{live_server.url}/taxii2", "who ever", borealis.key)
    found, cursor = [], None
    while True:
        page = reader.poll_request(group, limit=10, next=cursor)["response"]
        found += page["objects"]
        if not page["more"]:
            break
        cursor = page["next"]
    assert published(found) == held
    assert reader.poll_request(EVERYTHING, object_id=held[3]["id"], object_type="indicator")["response"] == {
        "more": False,
        "objects": [held[3]],
    }
    assert reader.poll_request(group, added_after="2100-01-01T00:00:00Z")["response"] == {}
    refused = reader.inbox_request(EVERYTHING, json.dumps({"objects": held}))
    assert (refused["status"], refused["response"]["http_status"]) == (False, "403")


def test_cytaxii2_of_taxii_2_0_is_told_that_2_1_is_spoken_here(live_server: Any, aster: Caller) -> None:
    told = cytaxii2.cytaxii2(f"{live_server.url}/taxii2/", "any", aster.key, version=2.0).discovery_request()
    assert (told["status_code"], told["response"]["http_status"]) == (406, "406")


# taxii2-client, beside test_taxii_clients.py


def test_taxii2_client_writes_to_a_group_and_reads_it_by_page_manifest_object_version_and_status(
    root: str, aster: Caller, borealis: Caller, group: str
) -> None:
    mine = Collection(f"{root}/collections/{group}/", user="x", password=aster.key)
    held, domain = some(12), a_domain()
    later = revised(held[0], 2)
    status = mine.add_objects({"objects": [*held, domain, later]})
    assert (status.status, status.success_count) == ("complete", 14)
    api_root = ApiRoot(f"{root}/", user="any", password=aster.key)
    assert api_root.get_status(status.id).successes == status.successes

    theirs = Collection(f"{root}/collections/{group}", user="y", password=borealis.key)
    assert (theirs.alias, theirs.can_read, theirs.can_write) == ("group-outer", True, True)
    walked = [one for page in as_pages(theirs.get_objects, per_request=5) for one in page["objects"]]
    assert published(walked) == [*held[1:], domain, later]
    listed = [one for page in as_pages(theirs.get_manifest, per_request=5) for one in page["objects"]]
    assert [one["id"] for one in listed] == [one["id"] for one in walked]
    assert theirs.get_object(held[0]["id"], version="first")["objects"] == [held[0]]
    assert theirs.object_versions(held[0]["id"])["versions"] == [held[0]["modified"], later["modified"]]
    moment = datetime.fromisoformat(listed[9]["date_added"])
    assert theirs.get_objects(added_after=moment.isoformat().replace("+00:00", "Z"))["objects"] == walked[10:]


def test_the_token_scheme_of_clients_built_on_taxii2_client_opens(live_server: Any, aster: Caller) -> None:
    server = Server(f"{live_server.url}/taxii2/", auth=TokenAuth(aster.key))
    assert server.default.collections[0].alias == "partner-aster"


# OpenCTI


class OpenCti:
    """OpenCTI's TAXII ingestion: `next` while there is more, else `added_after`, kept in milliseconds."""

    def __init__(self, uri: str, collection: str, authorization: str, limit: int | None = None) -> None:
        self.url = f"{uri if uri.endswith('/') else uri + '/'}collections/{collection}/objects/"
        self.headers = {"Accept": "application/taxii+json;version=2.1", "Authorization": authorization}
        self.limit = limit
        self.cursor: str | None = None
        self.added_after: str | None = None

    def run(self) -> list[dict[str, Any]]:
        given = {"next": self.cursor, "added_after": self.added_after, "limit": self.limit}
        parameters = {name: value for name, value in given.items() if value is not None}
        answer = httpx.get(self.url, params=parameters, headers=self.headers, timeout=DEADLINE_S)
        answer.raise_for_status()
        data = answer.json()
        if not data.get("objects"):
            return []
        if data.get("more") and data.get("next"):
            self.cursor = data["next"]
        else:
            self.cursor, self.added_after = None, answer.headers[LAST][:23] + "Z"  # `toISOString()`
        return list(data["objects"])


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_opencti_ingests_a_group_to_the_end_and_goes_on_where_it_stopped(
    root: str, aster: Caller, borealis: Caller, group: str, scheme: str
) -> None:
    authorization = f"Basic {basic(borealis)}" if scheme == "Basic" else f"Bearer {borealis.key}"
    ingester = OpenCti(root, group, authorization, limit=4)
    assert published(itertools.chain(*(ingester.run() for _ in range(4)))) == []
    mine = Collection(f"{root}/collections/{group}/", user="x", password=aster.key)
    held = some(10)
    mine.add_objects({"objects": held})
    assert published(itertools.chain(*(ingester.run() for _ in range(3)))) == held
    more = some(6)
    mine.add_objects({"objects": more})
    seen = {one["id"] for _ in range(5) for one in ingester.run()}
    assert {one["id"] for one in more} <= seen
    assert seen <= {one["id"] for one in held + more}


def test_opencti_s_taxii2_connector_finds_a_collection_by_its_title_and_takes_all_pages(
    live_server: Any, aster: Caller, borealis: Caller
) -> None:
    held = some(7)
    aster.add(*held)
    server = Server(f"{live_server.url}/taxii2/", auth=TokenAuth(borealis.key))
    (api_root,) = [found for found in server.api_roots if found.url.split("/")[-2] == "exchange"]
    (collection,) = [found for found in api_root.collections if found.title == "Group Outer"]
    filters: dict[str, Any] = {"limit": 3, "added_after": "2020-01-01T00:00:00.000Z"}
    response = collection.get_objects(**filters)
    found = list(response["objects"])
    while response["more"]:
        filters.pop("added_after", None)
        filters["next"] = response["next"]
        response = collection.get_objects(**filters)
        found += response["objects"]
    assert published(found) == held


class OpenCtiConnector:
    """OpenCTI's connector `taxii2` (`client_taxii.py`): one dictionary of filters for all collections and runs."""

    def __init__(self, url: str, key: str, collections: str = "*.*") -> None:
        self.server = Server(url, auth=TokenAuth(key))
        self.root_path, self.title = collections.split(".")
        self.filters: dict[str, Any] = {"limit": 3}

    def run(self) -> list[dict[str, Any]]:
        self.filters["added_after"] = datetime(2020, 1, 1)
        roots = [root for root in self.server.api_roots if self.root_path in ("*", root.url.split("/")[-2])]
        found = [one for root in roots for one in root.collections if self.title in ("*", one.title)]
        return [each for collection in found for each in self.poll(collection)]

    def poll(self, collection: Collection) -> list[dict[str, Any]]:
        objects: list[dict[str, Any]] = []
        response = collection.get_objects(**self.filters)
        while response.get("objects"):
            objects += response["objects"]
            if response.get("more") is not True:
                break
            self.filters.pop("added_after", None)
            self.filters["next"] = response["next"]
            response = collection.get_objects(**self.filters)
        return objects


@pytest.mark.parametrize("collections", ["*.*", "exchange.*", "exchange.Group Outer"])
def test_opencti_s_taxii2_connector_gets_everything_by_its_defaults_run_after_run(
    live_server: Any, aster: Caller, borealis: Caller, collections: str
) -> None:
    held, own = some(8), some(5)
    aster.add(*held)
    borealis.add(*own)
    connector = OpenCtiConnector(f"{live_server.url}/taxii2/", borealis.key, collections)
    assert {one["id"] for one in published(connector.run())} == {one["id"] for one in held + own}
    later = some(2)
    aster.add(*later)
    assert {one["id"] for one in later} <= {one["id"] for one in connector.run()}


def test_taxii2_client_takes_ids_in_urls_and_no_aliases(root: str, aster: Caller, group: str) -> None:
    by_id = Collection(f"{root}/collections/{group}/", user="x", password=aster.key)
    assert by_id.alias == "group-outer"
    with pytest.raises(ValidationError, match="does not match"):
        Collection(f"{root}/collections/group-outer/", user="x", password=aster.key).get_objects()


# MISP


def test_misp_lists_collections_and_turns_pages_with_its_lower_case_basic(
    live_server: Any, aster: Caller, group: str
) -> None:
    """`TaxiiServer.php` sends a Content-Type with a GET, `basic` in lower case, and `next` empty on the first page."""
    held = some(60)
    aster.add(*held)
    headers = {"Accept": TAXII, "Content-type": TAXII, "Authorization": f"basic {basic(aster)}"}
    base, api_root = live_server.url, "taxii2/exchange"
    listed = httpx.get(f"{base}/{api_root}/collections/", headers=headers, timeout=DEADLINE_S).json()["collections"]
    assert group in [one["id"] for one in listed]
    objects = f"{base}/{api_root}/collections/{group}/objects/"
    first = httpx.get(objects, params={"limit": 50, "next": ""}, headers=headers, timeout=DEADLINE_S).json()
    second = httpx.get(objects, params={"limit": 50, "next": first["next"]}, headers=headers, timeout=DEADLINE_S).json()
    assert published(first["objects"] + second["objects"]) == held
    one = httpx.get(f"{objects}{held[7]['id']}/", headers=headers, timeout=DEADLINE_S).json()
    assert one["objects"][0] == held[7]


def test_misp_pushes_envelopes_below_max_content_length_without_waiting(
    live_server: Any, aster: Caller, borealis: Caller, group: str
) -> None:
    auth = HTTPBasicAuth(*base64.b64decode(basic(aster)).split(b":"))
    api_root_url = f"{live_server.url}/taxii2/exchange"
    with taxii2client.ApiRoot(api_root_url, auth=auth) as api_root:
        longest = api_root.max_content_length
    held = some(3)
    envelope = b'{"objects":[' + b",".join(json.dumps(one).encode() for one in held) + b"]}"
    assert len(envelope) <= longest
    with taxii2client.Collection(f"{api_root_url}/collections/{group}", auth=auth) as collection:
        status = collection.add_objects(envelope, wait_for_completion=False)
    assert (status.status, status.failure_count, status.success_count) == ("complete", 0, 3)
    assert len(borealis.objects(f"/taxii2/exchange/collections/{group}/objects/")) == 3


def test_misp_modules_read_a_collection_with_every_filter_they_offer(root: str, aster: Caller, group: str) -> None:
    held, domain = some(5), a_domain()
    aster.add(*held, revised(held[0], 2), domain)
    collection = taxii2client.Collection(f"{root}/collections/{group}/", user="misp", password=aster.key)

    def read(**filters: str) -> Iterator[dict[str, Any]]:
        pages = taxii2client.as_pages(collection.get_objects, per_request=2, spec_version="2.1", **filters)
        return itertools.chain.from_iterable(page.get("objects", []) for page in pages)

    assert published(read()) == [*held[1:], revised(held[0], 2), domain]
    assert list(read(type="indicator", version="all")) == [*held, revised(held[0], 2)]
    assert list(read(id=f"{held[1]['id']},{domain['id']}")) == [held[1], domain]
    assert list(read(added_after="2100-01-01T00:00:00Z")) == []


# Splunk


def test_splunks_ctis_app_submits_a_bundle_as_a_string_to_a_collection_that_it_looked_up(
    root: str, aster: Caller, borealis: Caller, group: str
) -> None:
    api_root = ApiRoot(url=f"{root}/", user="splunk", password=aster.key)
    found = {one.id: one for one in api_root.collections}[group]
    held = some(2)
    status = found.add_objects(json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": held}))
    assert status._raw["success_count"] == 2
    assert borealis.objects(f"/taxii2/exchange/collections/{group}/objects/") == held


def test_a_poller_that_knows_limit_but_not_next_comes_to_the_end_by_added_after(
    root: str, aster: Caller, group: str
) -> None:
    held = some(25)
    aster.add(*held)
    url = f"{root}/collections/{group}/objects"
    seen, after = [], "1970-01-01T00:00:00Z"
    while True:
        answer = httpx.get(
            url,
            params={"added_after": after, "limit": 10},
            headers={"Accept": "*/*"},
            auth=("u", aster.key),
            timeout=DEADLINE_S,
        )
        if not answer.json().get("objects"):
            break
        seen += answer.json()["objects"]
        after = answer.headers[LAST]
    assert published(seen) == held


# Microsoft Sentinel


def test_a_poller_that_keeps_nothing_but_a_date_of_seven_digits_misses_nothing(
    root: str, aster: Caller, borealis: Caller, group: str
) -> None:
    """API root, collection id, user name and password; dates as .NET writes them, `added_after` alone."""
    client = httpx.Client(
        auth=("sentinel", borealis.key), headers={"Accept": "application/taxii+json; version=2.1"}, timeout=DEADLINE_S
    )
    assert client.get(f"{root}/").json()["title"]
    assert client.get(f"{root}/collections/{group}/").json()["can_read"] is True
    seen: list[str] = []
    after = "2020-01-01T00:00:00.0000000Z"
    written: list[str] = []
    for count in (3, 0, 5):
        held = some(count)
        written += [one["id"] for one in held]
        if held:
            aster.add(*held)
        answer = client.get(f"{root}/collections/{group}/objects/", params={"added_after": after})
        assert answer.status_code == 200
        seen += [one["id"] for one in published(answer.json().get("objects", []))]
        after = answer.headers[LAST][:-1] + "0Z"
    assert seen == written


# Whatever else is sent


@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json; version=2.1",
        "application/taxii+json;  Version=2.1",
        "Application/TAXII+JSON ;version=2.1",
        "application/taxii+json",
        "application/*",
        "*/*",
        "application/taxii+json;version=2.1, application/stix+json;version=2.1",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    ],
)
def test_odd_accept_headers_are_understood_over_the_wire(root: str, aster: Caller, accept: str) -> None:
    answer = httpx.get(f"{root}/collections", headers={"Accept": accept}, auth=("any", aster.key), timeout=DEADLINE_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, TAXII)


@pytest.mark.parametrize("path", ["", "/collections", "/collections/everything", "/collections/everything/objects"])
def test_addresses_without_their_slash_are_answered_over_the_wire(root: str, aster: Caller, path: str) -> None:
    assert httpx.get(f"{root}{path}", auth=("any", aster.key), timeout=DEADLINE_S).status_code == 200


def test_a_doubled_limit_is_the_smaller_one_over_the_wire(root: str, aster: Caller) -> None:
    aster.add(*some(5))
    url = f"{root}/collections/everything/objects/?limit=4&match%5Btype%5D=indicator&limit=2"
    assert len(httpx.get(url, auth=("any", aster.key), timeout=DEADLINE_S).json()["objects"]) == 2


def test_a_key_that_is_wrong_is_asked_for_in_both_ways_over_the_wire(root: str) -> None:
    answer = httpx.get(f"{root}/", auth=("any", "exk_wrong"), timeout=DEADLINE_S)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="exchange", Basic realm="exchange"'
    assert answer.json()["http_status"] == "401"
