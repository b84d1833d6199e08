"""A MISP of others: what its events say comes in, and one's own goes there as events.

Against a stand-in that answers in the shapes of MISP's OpenAPI document: MISP itself cannot be installed from packages.
"""

import json
import uuid

import pytest

from exchange import clock, outbound
from indicators.connections import keeping, misp, remote, running
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
        self.refuses = {}
        monkeypatch.setattr(outbound, "post", self._post)

    def has(self, *attributes, objects=(), distribution="1", tags=("tlp:green",), event_uuid=None, published=True):
        """An event with these attributes, edited now; it takes the place of the one of the same uuid."""
        self.clock += 10
        one = {
            "uuid": event_uuid or str(uuid.uuid4()),
            "info": "",
            "timestamp": str(self.clock),
            "published": False,
            "publish_timestamp": "0",
            "distribution": distribution,
            "Tag": [{"name": tag} for tag in tags],
            "Attribute": list(attributes),
            "Object": list(objects),
        }
        self.events[one["uuid"]] = one
        if published:
            self.publish(one["uuid"])
        return one["uuid"]

    def publish(self, event_uuid):
        """Show an event, whose `timestamp` stays (Event::publish)."""
        self.clock += 10
        self.events[event_uuid] |= {"published": True, "publish_timestamp": str(self.clock)}

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
        return outbound.Reply(status, None, json.dumps(said).encode()[:max_bytes])

    def _search(self, sent, _):
        found = [one for one in self.events.values() if one["published"]]
        if "uuid" in sent:
            found = [one for one in found if one["uuid"] in sent["uuid"]]
        for name in ("timestamp", "publish_timestamp"):
            found = [one for one in found if int(one[name]) >= int(sent.get(name, 0))]
        if sent.get("metadata"):
            found = [{name: said for name, said in one.items() if name not in ("Attribute", "Object")} for one in found]
        first = (sent["page"] - 1) * sent["limit"]
        return 200, {"response": [{"Event": one} for one in found[first : first + sent["limit"]]]}

    def _add(self, sent, _):
        event = sent["Event"]
        for one in event["Attribute"]:
            if one["value"] in self.refuses:
                return self.refuses[one["value"]]
        if event["uuid"] in self.events:
            return 404, {
                "name": "Event already exists, if you would like to edit it, use the url in the location header."
            }
        self.events[event["uuid"]] = event | {"timestamp": "0", "publish_timestamp": "0"}
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
    return {"uuid": str(uuid.uuid4()), "type": "ip-dst", "value": value, "to_ids": True, "distribution": "5", **more}


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
    mail = ip("anna@mail.example", type="email-src")
    theirs.has(mail, ip(Tag=[{"name": "tlp:amber"}]))
    theirs.has(ip("45.13.9.1"), tags=())
    one = run(connect("pull"))
    assert values(cast) == []
    assert "1 personal-stays-there" in one.outcome
    assert "1 over-marking" in one.outcome
    assert "1 unmarked" in one.outcome
    assert "anna" not in json.dumps(one.counts) + one.outcome


@pytest.mark.parametrize("distribution", ["0", "4", "5", "9", None])
def test_what_a_misp_shows_to_few_goes_to_nobody_but_the_partner(cast, connect, run, theirs, distribution):
    theirs.has(ip(), distribution=distribution)
    one = run(connect("pull"))
    assert values(cast) == []
    assert "1 narrow-distribution" in one.outcome
    run(connect("pull", name="alone", reach=Reach()))
    assert len(values(cast)) == 1


def an_object(*attributes, **more):
    return {"uuid": str(uuid.uuid4()), "name": "domain-ip", "distribution": "5", "Attribute": list(attributes), **more}


@pytest.mark.parametrize("distribution", ["0", "4", "9", "", None])
def test_what_of_an_event_a_misp_shows_to_few_stays_out_of_what_more_would_see(
    cast, connect, run, theirs, distribution
):
    narrow = {"distribution": distribution}
    theirs.has(
        ip("45.13.7.1"),
        ip("45.13.7.2", **narrow),
        ip("45.13.7.3", distribution="3"),
        ip("45.13.7.4", deleted=True, **narrow),
        objects=[
            an_object(ip("45.13.8.1"), ip("45.13.8.2", **narrow), distribution="1"),
            an_object(ip("45.13.9.1"), ip("45.13.9.2", distribution="3"), **narrow),
        ],
    )
    one = run(connect("pull"))
    assert [f"45.13.{end}" in "".join(values(cast)) for end in ("7.1", "7.3", "8.1")] == [True] * 3
    assert len(values(cast)) == 3
    assert "3 narrow-distribution" in one.outcome
    run(connect("pull", name="alone", reach=Reach()))
    assert len(values(cast)) == 7


def test_what_is_shown_to_fewer_than_before_is_taken_back(cast, connect, run, theirs):
    first, second = ip("45.13.7.9"), ip("45.13.8.9")
    event = theirs.has(first, second)
    one = run(connect("pull"))
    theirs.has(first, second | {"distribution": "4"}, event_uuid=event)
    one = run(one)
    assert values(cast) == ["[ipv4-addr:value = '45.13.7.9']"]
    assert one.counts["taken-back"] == 1


def test_an_event_that_is_published_long_after_it_was_edited_comes_in(cast, connect, run, theirs):
    late = theirs.has(ip("45.13.7.9"), published=False)
    theirs.has(ip("45.13.8.9"))
    one = run(connect("pull"))
    assert values(cast) == ["[ipv4-addr:value = '45.13.8.9']"]
    theirs.publish(late)
    run(one)
    assert len(values(cast)) == 2


def look_again():
    """The next run looks what is gone."""
    one = Connection.unrestricted.get()
    Connection.unrestricted.update(place=one.place | {"checked_at": "2026-01-01T00:00:00Z"})


def test_an_event_that_is_unpublished_and_published_again_comes_back(cast, connect, run, theirs):
    event = theirs.has(ip())
    theirs.has(ip("45.13.8.9"))
    one = run(connect("pull"))
    theirs.events[event]["published"] = False
    look_again()
    one = run(one)
    assert values(cast) == ["[ipv4-addr:value = '45.13.8.9']"]
    theirs.publish(event)
    run(one)
    assert len(values(cast)) == 2, "as it was: nothing of it was edited"


def test_which_events_are_gone_is_asked_over_as_many_runs_as_it_takes(cast, connect, run, theirs, monkeypatch):
    events = [theirs.has(ip(f"45.13.10.{host}")) for host in range(1, 8)]
    one = run(connect("pull"))
    for event in events[::3]:
        del theirs.events[event]
    look_again()
    theirs.asked.clear()
    monkeypatch.setattr(misp, "IDS", 2)
    monkeypatch.setattr(running, "RUN_PAGES", 3)  # one of events, two of this
    one = run(one)
    assert one.place["check"]
    assert one.due_at <= clock.now(), "it goes on at once"
    one = run(one)
    assert "check" not in one.place
    assert len(values(cast)) == 4
    questions = [sent["uuid"] for _, sent in theirs.asked if "uuid" in sent]
    assert [event for some in questions for event in some] == sorted(events), "each is asked for once"
    run(one)
    assert len([sent for _, sent in theirs.asked if "uuid" in sent]) == len(questions), "and not again at once"


def test_an_event_that_is_gone_takes_what_came_of_it_along(cast, connect, run, theirs):
    event = theirs.has(ip())
    one = run(connect("pull"))
    del theirs.events[event]
    look_again()
    one = run(one)
    assert values(cast) == []
    assert one.counts["taken-back"] == 1


def test_pages_of_events_are_read_to_the_end(cast, connect, run, theirs):
    for host in range(misp.PAGE + 3):
        theirs.has(ip(f"45.13.10.{host + 1}"))
    run(connect("pull"))
    assert len(values(cast)) == misp.PAGE + 3


def test_an_event_that_is_longer_than_is_read_stops_no_other(cast, connect, run, theirs, monkeypatch):
    first = ip("45.13.7.9")
    event = theirs.has(first)
    one = run(connect("pull"))
    monkeypatch.setattr(remote, "MAX_BYTES", 4_000)
    theirs.has(first | {"comment": "x" * 5_000}, event_uuid=event)
    theirs.has(ip("45.13.8.9"))
    one = run(one)
    assert len(values(cast)) == 2, one.outcome
    assert (one.failures, "1 too-long" in one.outcome) == (0, True)
    theirs.has(ip("45.13.8.10"), event_uuid=event)
    one = run(one)
    assert values(cast) == ["[ipv4-addr:value = '45.13.8.10']", "[ipv4-addr:value = '45.13.8.9']"]


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


REFUSED = [
    (403, {"saved": False, "name": "Could not add Event", "errors": {"Event": {"info": ["Info cannot be empty."]}}}),
    (403, {"name": "Could not add Event", "message": "Could not add Event", "errors": "Event blocked."}),
    (400, {"name": "Invalid request."}),
]


@pytest.mark.parametrize("answer", REFUSED)
def test_one_event_that_a_misp_refuses_stops_no_other(cast, connect, run, theirs, answer):
    theirs.refuses["198.51.100.7"] = answer
    build.publish(cast.viewer("cygnus"), a_net(), a_net(9, tlp="clear"), groups=("own",))
    one = run(connect("push"))
    assert [sent["value"] for sent in theirs.attributes().values()] == ["198.51.100.9"]
    assert (one.counts["sent"], one.counts["refused"], one.failures) == (1, 1, 0)
    assert "1 refused" in one.outcome
    build.publish(cast.viewer("cygnus"), a_net(11), groups=("own",))
    run(one)
    assert "198.51.100.11" in {sent["value"] for sent in theirs.attributes().values()}, "it goes on"


@pytest.mark.parametrize(
    "said", [{"name": "You do not have permission to use this functionality.", "errors": ""}, ["?"], "saved"]
)
def test_a_user_who_may_add_nothing_there_is_told_to_a_person(cast, connect, run, theirs, said):
    theirs.refuses["198.51.100.7"] = (403, said)
    build.publish(cast.viewer("cygnus"), a_net(), groups=("own",))
    one = run(connect("push"))
    assert one.failing_since is not None
    assert one.counts.get("refused", 0) == 0


@pytest.mark.parametrize("status", [403, 404])
def test_an_event_that_is_there_and_not_to_be_changed_is_refused(cast, connect, run, theirs, status):
    build.publish(cast.viewer("cygnus"), a_net(), groups=("own",))
    one = run(connect("push"))
    Passed.unrestricted.all().delete()
    Connection.unrestricted.update(place={})
    theirs._edit_event = lambda *_: (status, {"name": "Invalid event"})
    one = run(one)
    assert (one.counts["refused"], one.failures) == (1, 0)
    Connection.unrestricted.update(place={})
    del theirs._edit_event
    one = run(one)
    assert one.counts["sent"] == 2, "it has the event, and takes what is new of it"


def test_what_came_from_a_misp_goes_to_none(cast, connect, run, theirs):
    theirs.has(ip())
    run(connect("pull"))
    theirs.events.clear()
    one = run(connect("push", name="back"))
    assert theirs.events == {}
    assert "1 came-in" in one.outcome
