"""A MISP of others: what its events say comes in, and one's own goes there as events.

Against a stand-in that answers in the shapes of MISP's OpenAPI document: MISP itself cannot be installed from packages.
"""

import json
import uuid

import pytest

from exchange import outbound
from indicators.connections import keeping, misp
from indicators.connections.keeping import Wish
from indicators.ending import withdrawing
from indicators.models import Connection, Passed
from indicators.publishing.reach import Reach
from partners.keys import auth
from partners.sharing import groups_named
from tests import build
from tests.indicators.connections.test_pulling import a_net, newer, own

pytestmark = pytest.mark.django_db
HOST = "https://misp.example/"
SAYS = {"entry_program": "api", "shared_infra": "none"}


class Misp:
    """Events by uuid, as the REST API shows and takes them."""

    def __init__(self, monkeypatch) -> None:
        self.events, self.asked, self.clock = {}, [], 1_700_000_000
        monkeypatch.setattr(outbound, "post", self._post)

    def has(self, *attributes, distribution="1", tags=("tlp:green",), event_uuid=None):
        """An event with these attributes, published now; it takes the place of the one of the same uuid."""
        self.clock += 10
        one = {
            "uuid": event_uuid or str(uuid.uuid4()),
            "info": "",
            "timestamp": str(self.clock),
            "published": True,
            "distribution": distribution,
            "Tag": [{"name": tag} for tag in tags],
            "Attribute": list(attributes),
        }
        self.events[one["uuid"]] = one
        return one["uuid"]

    def attributes(self):
        every = [one for event in self.events.values() for one in event.get("Attribute", ())]
        return {one["uuid"]: one for one in every if not one.get("deleted")}

    def _post(self, url, body, *, headers, timeout_s, max_bytes):
        assert url.startswith(HOST)
        assert headers["Authorization"] == "the-key"
        path, sent = url.removeprefix(HOST), json.loads(body)
        self.asked.append((path, sent))
        name, _, last = path.rpartition("/")
        answer = {
            "events/restSearch": self._search,
            "events/add": self._add,
        }.get(path) or {
            "events/edit": self._edit_event,
            "attributes/edit": self._edit,
            "attributes/delete": self._delete,
        }[name]
        status, said = answer(sent, last)
        return outbound.Reply(status, None, json.dumps(said).encode())

    def _search(self, sent, _):
        found = [one for one in self.events.values() if one["published"]]
        if "uuid" in sent:
            found = [one for one in found if one["uuid"] in sent["uuid"]]
        found = [one for one in found if int(one["timestamp"]) >= int(sent.get("timestamp", 0))]
        first = (sent["page"] - 1) * sent["limit"]
        return 200, {"response": [{"Event": one} for one in found[first : first + sent["limit"]]]}

    def _add(self, sent, _):
        event = sent["Event"]
        if event["uuid"] in self.events:
            return 403, {
                "name": "Event already exists, if you would like to edit it, use the url in the location header."
            }
        self.events[event["uuid"]] = event | {"timestamp": "0"}
        return 200, {"Event": event}

    def _edit_event(self, sent, event_uuid):
        held = {one["uuid"]: one for one in self.events[event_uuid]["Attribute"]}
        held |= {one["uuid"]: one for one in sent["Event"]["Attribute"]}
        self.events[event_uuid]["Attribute"] = list(held.values())
        return 200, {"Event": self.events[event_uuid]}

    def _edit(self, sent, attribute_uuid):
        held = self.attributes().get(attribute_uuid)
        if held is None:
            return 404, {"name": "Invalid attribute"}
        held.update(sent)
        return 200, {"Attribute": held}

    def _delete(self, _, attribute_uuid):
        held = self.attributes().get(attribute_uuid)
        if held is None:
            return 404, {"name": "Invalid attribute"}
        held["deleted"] = True
        return 200, {"message": "Attribute deleted."}


def ip(value="45.13.7.9", **more):
    return {"uuid": str(uuid.uuid4()), "type": "ip-dst", "value": value, "to_ids": True, **more}


@pytest.fixture
def theirs(monkeypatch):
    return Misp(monkeypatch)


@pytest.fixture
def connect(cast):
    build.a_ring(cast.cygnus, slug="own")
    viewer = auth.viewer_of_user(build.a_user(cast.cygnus))

    def make(direction, **more):
        wish = {
            "name": "misp",
            "kind": Connection.Kind.MISP,
            "direction": direction,
            "url": HOST,
            "credential": "the-key",
        }
        if direction == "pull":
            wish |= {"says": SAYS, "reach": Reach(groups=tuple(groups_named(viewer, ["own"])))}
        return keeping.connect(viewer, Wish(**(wish | more)))

    return make


def values(cast):
    return sorted(json.loads(one.body)["pattern"] for one in own(cast.viewer("cygnus")).values())


def test_what_travels_in_clear_comes_in_and_follows_what_changes(cast, connect, run, theirs):
    first, second = ip("45.13.7.9"), ip("45.13.8.9")
    event = theirs.has(first, second)
    one = run(connect("pull"))
    assert values(cast) == ["[ipv4-addr:value = '45.13.7.9']", "[ipv4-addr:value = '45.13.8.9']"], one.outcome
    assert one.counts["accepted"] == 2
    one = run(one)
    assert one.counts["accepted"] == 2, "the same again is nothing new"
    theirs.has(first, second | {"deleted": True}, event_uuid=event)
    run(one)
    assert values(cast) == ["[ipv4-addr:value = '45.13.7.9']"]
    theirs.has(first, second, event_uuid=event)
    run(one)
    assert len(values(cast)) == 2, "it is back there, so it is here"


def test_raw_personal_values_tokens_and_what_is_too_strict_stay_out(cast, connect, run, theirs):
    mail = {"uuid": str(uuid.uuid4()), "type": "email-src", "value": "anna@mail.example", "to_ids": True}
    theirs.has(mail, ip(Tag=[{"name": "tlp:amber"}]))
    theirs.has(ip("45.13.9.1"), tags=())
    one = run(connect("pull"))
    assert values(cast) == []
    assert "1 personal-stays-there" in one.outcome
    assert "1 over-marking" in one.outcome
    assert "1 unmarked" in one.outcome
    assert "anna" not in json.dumps(one.counts) + one.outcome


@pytest.mark.parametrize("distribution", ["0", "4"])
def test_what_a_misp_shows_to_few_goes_to_nobody_but_the_partner(cast, connect, run, theirs, distribution):
    theirs.has(ip(), distribution=distribution)
    one = run(connect("pull"))
    assert values(cast) == []
    assert "1 narrow-distribution" in one.outcome
    run(connect("pull", name="alone", reach=Reach()))
    assert len(values(cast)) == 1


def test_an_event_that_is_gone_takes_what_came_of_it_along(cast, connect, run, theirs):
    event = theirs.has(ip())
    one = run(connect("pull"))
    del theirs.events[event]
    place = Connection.unrestricted.get().place | {"checked_at": "2026-01-01T00:00:00Z"}
    Connection.unrestricted.update(place=place)
    one = run(one)
    assert values(cast) == []
    assert one.counts["taken-back"] == 1


def test_pages_of_events_are_read_to_the_end(cast, connect, run, theirs):
    for host in range(misp.PAGE + 3):
        theirs.has(ip(f"45.13.10.{host + 1}"))
    run(connect("pull"))
    assert len(values(cast)) == misp.PAGE + 3


def test_ones_own_goes_there_and_is_edited_and_deleted(cast, connect, run, theirs):
    stix = a_net()
    build.publish(
        cast.viewer("cygnus"), stix, a_net(9, tlp="amber"), build.an_indicator(tlp_word="green"), groups=("own",)
    )
    one = run(connect("push"))
    (sent,) = theirs.attributes().values()
    assert (sent["type"], sent["value"]) == ("ip-src", "198.51.100.7")
    assert one.counts["sent"] == 1
    (event,) = theirs.events.values()
    assert (event["distribution"], event["published"]) == ("0", False)
    assert {"name": "tlp:green"} in sent["Tag"]
    build.publish(cast.viewer("cygnus"), newer(stix, confidence=33), groups=("own",))
    one = run(one)
    assert {"name": 'exchange:confidence="33"'} in theirs.attributes()[sent["uuid"]]["Tag"]
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"]])
    one = run(one)
    assert theirs.attributes() == {}
    assert Passed.unrestricted.count() == 0


def test_what_came_from_a_misp_goes_to_none(cast, connect, run, theirs):
    theirs.has(ip())
    run(connect("pull"))
    theirs.events.clear()
    one = run(connect("push", name="back"))
    assert theirs.events == {}
    assert "1 came-in" in one.outcome
