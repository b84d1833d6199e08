"""Two exchanges, each a whole set of real processes: one pulls from the other, and checks the head of its log."""

from __future__ import annotations

import re
from contextlib import contextmanager

import httpx
import pytest

from exchange.client import ApiError, Client
from indicators.stix import making
from tests.drills.demo import Demo
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.long
ASTER, BOREALIS, CYGNUS = range(3)


class Person:
    """An admin of a partner, in the portal."""

    def __init__(self, demo: Demo, number: int) -> None:
        partner = demo.info["partners"][number]
        self._http = httpx.Client(base_url=demo.url, follow_redirects=True, timeout=DEADLINE_S)
        self.post("/account/login/", login=partner["username"], password=partner["password"])

    def get(self, path: str) -> str:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text[:500]
        return answer.text

    def post(self, path: str, at: str = "", **form: str) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(at or path))[1]
        answer = self._http.post(
            path, data=form | {"csrfmiddlewaretoken": token}, headers={"Referer": str(self._http.base_url)}
        )
        assert answer.status_code == 200, answer.text[:500]
        return answer.text


@contextmanager
def running(data_dir, **more):
    demo = Demo(data_dir, **more)
    try:
        yield demo
    finally:
        demo.stop()


def a_net(host: int) -> dict:
    return making.account_pattern("net", carrier={"value": f"198.51.100.{host}/32"}, tlp_word="green")


def ids(demo: Demo, number: int) -> dict[str, str]:
    """What a partner sees, each with its publisher."""
    with Client(demo.url, demo.key(number)) as client:
        found = client.request("GET", "/api/v1/objects", params={"limit": "200"})["objects"]
        return {one["object"]["id"]: one["publisher"]["slug"] for one in found}


def log_of(demo: Demo) -> dict:
    """Its last head; nothing before the first."""
    with Client(demo.url, demo.key(BOREALIS)) as client:
        try:
            return client.log_head()
        except ApiError:
            return {}


def test_an_exchange_pulls_from_another_whose_log_is_proven_and_gives_nothing_back(tmp_path):
    """That a log which goes back stops it: tests/indicators/connections/test_heads.py."""
    with running(tmp_path / "ours") as ours, running(tmp_path / "theirs") as theirs:
        admin, acts = Person(ours, BOREALIS), "/organisation/connections/"
        shared, secret = a_net(1), a_net(2)
        with Client(theirs.url, theirs.key(ASTER)) as aster:
            aster.publish([shared], groups=["ring"])
            aster.publish([secret], partners=["cygnus"])
        until(lambda: shared["id"] in ids(theirs, BOREALIS))
        collection = collection_of(theirs, BOREALIS, "ring")
        until(lambda: log_of(theirs))
        admin.post(
            acts,
            name="theirs",
            kind="taxii",
            direction="pull",
            url=f"{theirs.url}/taxii2/exchange/collections/{collection}/",
            authorization=f"Bearer {theirs.key(BOREALIS)}",
            strictest="green",
            groups="cti",
            log_key=log_of(theirs)["keys"][-1]["public_key"],
        )
        until(lambda: ids(ours, BOREALIS).get(shared["id"]) == "borealis")
        assert ids(ours, ASTER).get(shared["id"]) == "borealis", "a member of the group that it goes to"
        assert shared["id"] not in ids(ours, CYGNUS), "the ring there is not the ring here: no wider audience"
        assert secret["id"] not in ids(ours, BOREALIS)
        assert "Its log is checked." in admin.get(acts)
        push_back(admin, theirs, collection)
        until(lambda: is_over(row_of(admin.get(acts), "back")))
        assert ids(theirs, BOREALIS)[shared["id"]] == "aster", "it did not come back as somebody else's"


def row_of(page: str, name: str) -> str:
    """What the page of connections says of the one of this name."""
    return next(row for row in page.split("<li>") if f">{name}</b>" in row)


def is_over(row: str) -> bool:
    """Whether a run of it found nothing that may go out."""
    return "Nothing new." in row or "came-in" in row


def collection_of(demo: Demo, number: int, group: str) -> str:
    with Client(demo.url, demo.key(number)) as client:
        found = client.request("GET", "/taxii2/exchange/collections/")["collections"]
    return next(one["id"] for one in found if group in one["title"].lower())


def push_back(admin: Person, theirs: Demo, collection: str) -> None:
    """A connection that would bring back there what came from there, if what came in went out."""
    admin.post(
        "/organisation/connections/",
        name="back",
        kind="taxii",
        direction="push",
        url=f"{theirs.url}/taxii2/exchange/collections/{collection}/",
        authorization=f"Bearer {theirs.key(BOREALIS)}",
        strictest="green",
    )
