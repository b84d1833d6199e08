"""taxii2-client, unchanged, against the running server: discovery, collections, pages, manifest, adding, status."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

from indicators.reading import referred
from tests import build
from tests.indicators.taxii.cast import Caller, a_caller, a_domain, an_indicator, published, revised

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def labs() -> tuple[Caller, Caller]:
    aster, borealis = a_caller("Aster"), a_caller("Borealis")
    build.a_ring(aster.partner, borealis.partner, slug="outer")
    return aster, borealis


def server_of(caller: Caller, url: str) -> Server:
    return Server(url, user="anybody", password=caller.key)


def collections_of(caller: Caller, url: str) -> tuple[Collection, Collection]:
    """The own collection and everything."""
    own, everything, *_ = server_of(caller, f"{url}/taxii2/").default.collections
    return own, everything


@pytest.mark.parametrize("path", ["/taxii2/", "/taxii2"])
def test_discovery_leads_to_the_api_root_and_its_collections(
    live_server: Any, labs: tuple[Caller, Caller], path: str
) -> None:
    server = server_of(labs[0], live_server.url + path)
    assert isinstance(server.default, ApiRoot)
    assert server.api_roots == [server.default]
    assert server.default.versions == ["application/taxii+json;version=2.1"]
    own, everything, in_force, outer = server.default.collections
    assert (in_force.can_read, in_force.can_write) == (True, False)
    assert outer.alias == "group-outer"
    assert own.id == str(labs[0].partner.collection_id)
    assert (own.can_read, own.can_write) == (True, True)
    assert (everything.can_read, everything.can_write) == (True, False)


def test_what_one_lab_adds_the_other_pages_through(live_server: Any, labs: tuple[Caller, Caller]) -> None:
    aster, borealis = labs
    held = [an_indicator() for _ in range(25)]
    own, _ = collections_of(aster, live_server.url)
    status = own.add_objects({"objects": held})
    assert (status.status, status.success_count, status.failure_count) == ("complete", 25, 0)
    _, everything = collections_of(borealis, live_server.url)
    walked = [one for page in as_pages(everything.get_objects, per_request=10) for one in page["objects"]]
    assert published(walked) == held
    listed = [one["id"] for page in as_pages(everything.get_manifest, per_request=7) for one in page["objects"]]
    assert listed == [one["id"] for one in walked]


def test_pages_of_the_servers_own_size_are_walked_to_the_end(live_server: Any, labs: tuple[Caller, Caller]) -> None:
    own, _ = collections_of(labs[0], live_server.url)
    held = [an_indicator() for _ in range(1_050)]
    own.add_objects({"objects": held})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for pages in (as_pages(own.get_objects), as_pages(own.get_objects, per_request=5_000)):
            walked = [page["objects"] for page in pages]
            assert [len(page) for page in walked] == [1_000, 50 + len(referred.found())]
            assert published(itertools.chain(*walked)) == held


def test_a_status_is_asked_for_again_and_tells_of_failures(live_server: Any, labs: tuple[Caller, Caller]) -> None:
    own, _ = collections_of(labs[0], live_server.url)
    status = own.add_objects({"objects": [an_indicator(), {"type": "indicator"}]})
    status.refresh()
    assert (status.status, status.total_count, status.success_count, status.failure_count) == ("complete", 2, 1, 1)
    assert status.failures[0]["message"].startswith("refused: ")
    root = server_of(labs[0], f"{live_server.url}/taxii2/").default
    assert root.get_status(status.id).successes == status.successes


def test_objects_versions_and_filters(live_server: Any, labs: tuple[Caller, Caller]) -> None:
    own, _ = collections_of(labs[0], live_server.url)
    held, domain = an_indicator(), a_domain()
    own.add_objects({"objects": [held, revised(held, 2), domain]})
    assert own.get_object(held["id"])["objects"] == [revised(held, 2)]
    assert own.object_versions(held["id"])["versions"] == [held["modified"], revised(held, 2)["modified"]]
    assert own.get_object(held["id"], version="first")["objects"] == [held]
    assert own.get_objects(type=["domain-name"])["objects"] == [domain]
    assert own.get_objects(id=[held["id"]], version=["all"])["objects"] == [held, revised(held, 2)]
    last = own.get_manifest(version="all")["objects"][-1]["date_added"]
    assert own.get_objects(added_after=last) == {}


def test_delete(live_server: Any, labs: tuple[Caller, Caller]) -> None:
    own, _ = collections_of(labs[0], live_server.url)
    held = an_indicator()
    own.add_objects({"objects": [held]})
    own.delete_object(held["id"])
    with pytest.raises(Exception, match="404"):
        own.get_object(held["id"])
