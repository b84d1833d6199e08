"""Who is there, and the history that both worlds share.

Borealis reads: it shares the ring with Aster, and is not in the circle of Aster and Cygnus. Its clearance is AMBER, so
what goes to the ring as AMBER+STRICT is not for it either.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from unittest import mock

from django.conf import settings as configured
from django.db import transaction
from django.test import Client
from django.utils.module_loading import import_string

from exchange import outbound
from exchange.tokens import forms
from indicators.models import Delivery
from indicators.reports import reporting
from indicators.stix import making, tlp, vocabulary
from indicators.taxii import collections
from indicators.telling import notifying
from partners import keys
from partners.groups import membership, proposing, steering
from partners.identity import inviting
from partners.keys import auth
from partners.models import AuditRecord, Group, Partner
from partners.scopes import KEY_SCOPES, Role
from partners.tlp import Tlp
from tests import build, sending
from tests.indicators.api.caller import Caller, read
from tests.indicators.campaigns.sending import answer_of, send
from tests.surfaces.worlds import pinned
from tests.surfaces.worlds.pinned import Pins

HOOK = "https://borealis.example/hook"
BROKEN_HOOK = "https://aster.example/hook"
OUTSIDE = "203.0.113.9"  # where those come from whom nobody knows
_IDS = uuid.UUID("6c5c1a52-4f5b-4d0f-9a43-3f0e3f6a8f3c")
FIRST, REVISED, LATER = (f"2026-11-{day:02d}T08:00:00.000Z" for day in (1, 2, 3))


def an_id(name: str, kind: str = "indicator") -> str:
    """An id that is the same in each world."""
    return f"{kind}--{uuid.uuid5(_IDS, name)}"


def a_value(name: str) -> str:
    """The value of a token: 64 hexadecimal digits."""
    return uuid.uuid5(_IDS, f"{name} 1").hex + uuid.uuid5(_IDS, f"{name} 2").hex


def an_indicator(name: str, /, *, value: str = "", word: str | None = None, **more: Any) -> dict[str, Any]:
    """An account pattern with an id and a value of that name."""
    stamps: dict[str, Any] = {"id": an_id(name), "created": FIRST, "modified": FIRST, "name": f"Seen {name}"}
    stamps |= {"at": datetime(2026, 11, 5, tzinfo=UTC), "valid_for": timedelta(days=20)}
    carrier = {"token": making.token(a_value(value or name))}
    return making.account_pattern(carrier=carrier, tlp_word=word, **(stamps | more))


def an_appeal(*names: str, reason: str) -> dict[str, Any]:
    """What is sent to appeal against the values of those names."""
    tokens = [making.token(a_value(name)) for name in names]
    kept = ("scheme", "key_epoch", "value")
    return {"tokens": [{"subkind": "email"} | {word: one[word] for word in kept} for one in tokens], "reason": reason}


def a_domain(name: str) -> dict[str, Any]:
    return {"type": "domain-name", "spec_version": "2.1", "id": an_id(name, "domain-name"), "value": f"{name}.example"}


def an_object(kind: str, name: str, /, **more: Any) -> dict[str, Any]:
    """A STIX object with dates."""
    stamps = {"created": FIRST, "modified": FIRST}
    return {"type": kind, "spec_version": "2.1", "id": an_id(name, kind)} | stamps | more


def an_identity(name: str, called: str) -> dict[str, Any]:
    return an_object("identity", name, name=called, identity_class="organization")


def a_link(name: str, source: str, target: str) -> dict[str, Any]:
    return an_object("relationship", name, relationship_type="related-to", source_ref=source, target_ref=target)


def a_campaign(name: str) -> dict[str, Any]:
    return an_object("campaign", name, name=f"Campaign {name}")


def a_definition(name: str, statement: str) -> dict[str, Any]:
    made = an_object("marking-definition", name, definition_type="statement", definition={"statement": statement})
    return {key: value for key, value in made.items() if key != "modified"}


def classical(name: str, pattern: str, **more: Any) -> dict[str, Any]:
    dates = {"valid_from": FIRST, "pattern": pattern, "pattern_type": "stix"}
    return an_object("indicator", name, name=f"Classical {name}", **dates, **more)


def revised(stix: dict[str, Any], **more: Any) -> dict[str, Any]:
    return stix | {"modified": REVISED} | more


def marked(stix: dict[str, Any], word: str) -> dict[str, Any]:
    return stix | {"object_marking_refs": [tlp.ID_OF[word]]}


class Posted(NamedTuple):
    """A message to a hook of the reader's, without its signature."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Stage:
    """One world: its partners, their keys and people, and the names of things that paths speak of."""

    pins: Pins
    cast: build.Cast
    keys: dict[str, str]
    people: dict[str, Any]
    things: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)  # what came to the reader's hooks
    sessions: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Stage:
        """The same stage, to be played on in a world of its own."""
        return replace(self, things=dict(self.things), absent=dict(self.absent), sessions={})

    def caller(self, who: str) -> Caller:
        return Caller(self.keys[who])

    def viewer(self, who: str) -> Any:
        """Somebody's admin."""
        return auth.viewer_of_user(self.people[who])

    def push(self, who: str, *objects: dict[str, Any], **query: str) -> dict[str, Any]:
        """Push over REST; whatever is answered, but no error of ours."""
        asked = "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
        answer = self.caller(who).push(*objects, query=asked)
        assert answer.status_code < 500, answer.content
        return json.loads(answer.content)

    def hide(self, **things: object) -> None:
        """Things of others by name, which paths of the reader guess; in the other world nothing has these ids."""
        for name, value in things.items():
            self.things[name] = str(value)
            self.absent[str(value)] = f"<{name}>"

    def browser(self, who: str) -> Client:
        """A browser in which somebody is signed in and has just confirmed who they are."""
        client = Client(raise_request_exception=False)
        if who not in self.sessions:
            build.sign_in(client, self.people[who])
            self.sessions[who] = client.cookies
        client.cookies.load({name: cookie.value for name, cookie in self.sessions[who].items()})
        return client

    def turn(self) -> None:
        """Everything that is done in the background, as beat would have it done."""
        for job in configured.CELERY_BEAT_SCHEDULE.values():
            import_string(job["task"])()
        while sending.send_next() is not None:
            pass


#: What a guess of the reader's names where the others did nothing.
ABSENT = {
    **{
        f"x_{name}": str(uuid.uuid5(_IDS, name))
        for name in (
            "batch", "feed", "subscription", "delivery", "waiting", "quarantined", "report", "invitation", "proposal",
            "offer", "campaign", "recall", "appeal", "ticket", "schedule",
        )
    },
    "x_key": "aaaaaaaa",
    "x_detector": "d-00000000",
    "x_user": "5003287469311121",
    "x_leaf": "ab" * 32,
    "x_group": "secret-aaaaaaaa",
    "x_slug": "newcomer",
    "x_name": "nobody-there",
}  # fmt: skip


@contextlib.contextmanager
def receiving(posted: list[Posted]) -> Iterator[None]:
    """Hooks of the reader's answer 200, that of another 500; no broker is asked to have messages sent."""

    def post(url: str, body: bytes, *, headers: dict[str, str], **_: Any) -> outbound.Reply:
        if url.startswith(BROKEN_HOOK):
            return outbound.Reply(500, None, b"")
        kept = {name: text for name, text in headers.items() if name.lower() != "webhook-signature"}
        posted.append(Posted(url, kept, body))
        return outbound.Reply(200, None, b"")

    def posting(url: str, body: bytes, **more: Any) -> Generator[Any, Any, outbound.Reply]:
        return post(url, body, **more)
        yield  # which makes it one of steps, without any

    by_both = mock.patch.multiple(outbound, post=post, posting=posting)
    with by_both, mock.patch.object(notifying, "wake"):
        yield


def begin(pins: Pins, posted: list[Posted]) -> Stage:
    """The history up to where the worlds part."""
    pinned.forget()
    pinned.pin_the_store()
    pins.step("cast", seconds=0)
    cast = build.the_cast()
    Partner.objects.filter(pk=cast.borealis.pk).update(clearance=Tlp.AMBER)
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    build.a_ring(cast.aster, cast.borealis, slug="pair", policy=Group.Policy.CLOSED_FACTS)
    everybody = {name: getattr(cast, name) for name in ("aster", "borealis", "cygnus", "dorado", "operator")}
    stage = Stage(
        pins,
        cast,
        {name: build.a_key(partner, *KEY_SCOPES) for name, partner in everybody.items()},
        {name: build.a_user(partner) for name, partner in everybody.items()},
        posted=posted,
    )
    narrow = keys.issue(cast.borealis, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1]
    stage.keys["narrow"] = narrow
    Group.objects.filter(slug__in=("ring", "pair", "circle")).update(evidence=True)
    for number, act in enumerate((_of_others, _of_the_reader, _own_things, _between, _pooled)):
        pins.step(act.__name__, seconds=10 + number)
        act(stage)
    stage.things |= ABSENT | {"extension": vocabulary.EXTENSION_ID}
    stage.absent |= {value: f"<{name}>" for name, value in ABSENT.items()}
    for seconds in (120, 180):  # the second does what the first asked for
        pins.step(f"turn at {seconds}", seconds=seconds)
        stage.turn()
    _after_the_turn(stage)
    return stage


def _pooled(stage: Stage) -> None:
    """Evidence of Aster and the reader, in both groups that they share: a campaign in each, joined by own tokens."""
    for group in ("ring", "pair"):
        for who in ("aster", "borealis"):
            assert [answer.status_code for answer in pool(stage, who, group)] == [200, 200]


def pool(stage: Stage, who: str, group: str) -> list[Any]:
    """Send a group accounts that share cards and devices, the same ones in each group, and answer for these."""
    cards, devices = ([_pooled_token(kind, number) for number in range(3)] for kind in ("pan_token", "device"))
    lines = [
        {
            "account": str(uuid.UUID(bytes=uuid.uuid5(_IDS, f"{who} {group} {number}").bytes, version=4)),
            "tokens": [cards[number % 3], devices[number // 3]],
            "basis": "own_flag",
            "publisher_action": "suspended",
            "until": "2026-12-05T00:00:00Z",
        }
        for number in range(9)
    ]
    said = [answer_of(token, 8, 8) for token in (*cards, *devices)]
    sent = (("evidence?round=1", lines), ("prevalence", said))
    return [send(stage.caller(who), path, *some, group=group) for path, some in sent]


def _pooled_token(subkind: str, number: int) -> dict[str, Any]:
    value = a_value(f"{subkind} {number}")
    return {"subkind": subkind, "scheme": str(forms.scheme_of(subkind)), "key_epoch": "2026q4", "value": value}


SHARED = {
    "common": an_indicator("common"),  # what both have
    "theirs": an_indicator("theirs"),
    "shadowed": an_indicator("shadowed"),
    "veiled": an_indicator("veiled", extension={"attribution": "pseudonym"}),
    "open": an_indicator("open", word="green"),
    "named": an_indicator("named"),
    "both": an_indicator("both"),
    "relay": classical("relay", "[domain-name:value = 'relay.example']"),
    "network": classical("network", "[ipv4-addr:value = '185.77.147.0/24']"),
    "domain": a_domain("shared"),
    "campaign": a_campaign("hydra"),
    "link": a_link("link", an_id("theirs"), an_id("hydra", "campaign")),
}
OWN = {
    "mine": an_indicator("mine"),
    "alone": an_indicator("alone", word="red"),
    "same": an_indicator("same", value="common"),
    "match": an_indicator("match", value="shadowed"),
    "spare": an_indicator("spare"),
    "spoilt": an_indicator("spoilt"),
    "site": a_domain("site"),
    "address": classical("address", "[ipv4-addr:value = '185.77.147.7']"),
    "clear": classical("clear", "[domain-name:value = 'relay.example' OR domain-name:value = 'site.example']"),
    "own-campaign": a_campaign("own"),
}


def _of_others(stage: Stage) -> None:
    """What the reader may see of others."""
    theirs = ["common", "theirs", "shadowed", "relay", "network", "domain", "campaign", "link"]
    done = [
        stage.push("aster", *(SHARED[name] for name in theirs), groups="ring"),
        stage.push("aster", SHARED["veiled"], groups="ring", attribution="pseudonym"),
        stage.push("aster", SHARED["open"], everyone="true"),
        stage.push("aster", SHARED["named"], partners="borealis,cygnus"),
        stage.push("aster", SHARED["both"], groups="ring,circle"),
        stage.push("cygnus", an_indicator("of cygnus", word="clear"), everyone="true"),
        stage.push("cygnus", an_indicator("within", value="within"), groups="circle"),
    ]
    for answer in done:
        assert answer["counts"]["accepted"] == len(answer["results"]), answer


def _of_the_reader(stage: Stage) -> None:
    answer = stage.push("borealis", *OWN.values(), groups="ring")
    assert answer["counts"]["accepted"] == len(OWN) - 1, answer  # RED names nobody
    stage.things["batch"] = answer["id"]
    answer = stage.push("borealis", OWN["alone"], partners="aster")
    assert answer["counts"]["accepted"] == 1, answer
    labelled = an_indicator("says red", labels=["TLP:RED"])
    assert stage.push("borealis", labelled, groups="ring")["counts"]["quarantined"] == 1


def _own_things(stage: Stage) -> None:
    """What belongs to the reader alone."""
    me, admin = stage.caller("borealis"), stage.viewer("borealis")
    things = stage.things

    def made(path: str, document: dict[str, Any], status: int = 201) -> dict[str, Any]:
        return read(me.send("POST", path, document), status)

    things["feed"] = made("feeds", {"name": "Accounts", "filter": {"kinds": ["account-pattern"]}})["id"]
    things["moving"] = made("feeds", {"name": "Moving", "text": "publishers:>=2"})["id"]
    things["spare_feed"] = made("feeds", {"name": "Spare", "filter": {}})["id"]
    things["subscription"] = made("subscriptions", {"url": HOOK})["id"]
    things["feed_subscription"] = made("subscriptions", {"url": f"{HOOK}/feed", "feed": things["feed"]})["id"]
    things["spare_subscription"] = made("subscriptions", {"url": f"{HOOK}/spare"})["id"]
    things["host"] = made("service-hosts", {"values": ["api.borealis-own.test"]})["hosts"][0]["id"]
    things["spare_host"] = made("service-hosts", {"values": ["old.borealis-own.test"]})["hosts"][0]["id"]
    things["invitation"] = made("invitations", {"email": "new@borealis.example", "role": "analyst"})["id"]
    _, link = inviting.invite(admin, email="newer@borealis.example", role=Role.ANALYST)
    things["token"] = link.partition("token=")[2]
    wish = {"name": "spare", "scopes": ["read"], "expires_in_minutes": 600}
    things["key"] = made("keys", wish)["id"]
    things["spare_key"] = made("keys", wish | {"name": "sparer"})["id"]
    things["quarantined"] = read(me.get("quarantine"))["quarantined"][0]["entry"]
    things["user"] = str(build.a_user(stage.cast.borealis, role=Role.ANALYST).pk)
    things["sign_on"] = str(build.a_sign_on(admin).pk)
    stage.people["counsel"] = build.a_user(stage.cast.borealis, role=Role.COUNSEL)
    _hold_one(stage)


def _hold_one(stage: Stage) -> None:
    """A batch that waits for a second person."""
    me = stage.caller("borealis")
    read(me.send("PATCH", "partner", {"four_eyes": {"tlp": "clear", "audience": "everyone", "objects": 1}}))
    many = [an_indicator(f"held {number}") for number in range(2)]
    assert stage.push("borealis", *many, groups="ring")["counts"]["waiting"] == len(many)
    stage.things["waiting"] = read(me.get("waiting"))["waiting"][0]["id"]
    alone(stage, "borealis")


def alone(stage: Stage, who: str) -> None:
    """Let them publish any number of objects alone again."""
    settings = steering.settings_of(Partner.objects.get(slug=who))
    steering.change(stage.viewer(who), replace(settings, alone_objects=None), since=settings)


def _between(stage: Stage) -> None:
    """What the reader and another have together: a proposal, packages; and the collections."""
    cast, things = stage.cast, stage.things
    assert stage.push("aster", an_indicator("told"), groups="ring")["counts"]["accepted"] == 1
    proposal = membership.invite(stage.viewer("aster"), cast.ring, cast.dorado)
    things["proposal"] = str(proposal.pk)
    renewal = membership.renew(
        stage.viewer("borealis"), cast.ring, proposing.Basis("Renewed.", "", build.date(2026, 1, 1), None)
    )
    things["renewal"] = str(renewal.pk)
    received = reporting.prepare(stage.viewer("aster"), recipient="borealis", root=SHARED["campaign"]["id"])
    counsel = auth.viewer_of_user(build.a_user(cast.aster, role=Role.COUNSEL))
    reporting.release(counsel, received.pk)
    things["received"] = str(received.pk)
    prepared = reporting.prepare(stage.viewer("borealis"), recipient="aster", root=OWN["own-campaign"]["id"])
    things["prepared"] = str(prepared.pk)
    circle = Group.objects.get(slug="circle")
    things |= {
        "everything": str(collections.EVERYTHING),
        "own": str(cast.borealis.collection_id),
        "ring": str(cast.ring.collection_id),
        "circle": str(circle.collection_id),
        "of_aster": str(cast.aster.collection_id),
    }


def _after_the_turn(stage: Stage) -> None:
    """What exists only once the background has been at work, and where the reader stands."""
    me, things = stage.caller("borealis"), stage.things
    found = Delivery.unrestricted.filter(partner_id=stage.cast.borealis.pk).order_by("pk")
    things["delivery"] = str(found[0].pk)
    record = AuditRecord.objects.filter(partner=stage.cast.borealis, leaf__isnull=False).order_by("pk")[0]
    things["leaf"] = bytes(record.leaf_hash).hex()
    things["head"] = str(read(me.get("log/head"))["head"]["size"])
    things |= {f"{one['group']}_campaign": one["id"] for one in read(me.get("campaigns"))["campaigns"]}
    assert read(me.get(f"campaigns/{things['ring_campaign']}"))["elsewhere"][0]["own_tokens"] == 6
    things["cursor"] = read(me.get("changes"))["cursor"]
    things["feed_cursor"] = read(me.get(f"changes?feed={things['feed']}"))["cursor"]
    page = me.get(f"/taxii2/exchange/collections/{things['everything']}/objects/", Accept="application/taxii+json")
    things["added"] = page.headers["X-TAXII-Date-Added-Last"]


def taken_back[Made](play: Callable[[], Made]) -> Made:
    """What `play` makes in a world of its own."""
    pinned.forget()
    with transaction.atomic():
        made = play()
        transaction.set_rollback(True)
    pinned.forget()
    return made
