"""The objects that each route is asked for, who may see each, and the things that are one partner's own."""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from dataclasses import dataclass, field
from datetime import timedelta

from django.test import Client

from exchange import clock, health
from indicators import detectors
from indicators.benign import service_hosts
from indicators.connections import keeping
from indicators.ending import recalling
from indicators.models import Connection, Delivery, Ending, Excerpt, Holding, ReportSchedule
from indicators.opinions import many
from indicators.publishing import awaiting, quarantine
from indicators.publishing.reach import Reach
from indicators.reports import reporting, scheduling
from indicators.stix import making, parsing, tlp
from indicators.telling import subscribing
from partners import keys
from partners.groups import membership
from partners.identity import inviting
from partners.keys import auth
from partners.log import transparency
from partners.models import AuditRecord, Partner
from partners.scopes import Role, Scope
from tests import build, casting
from tests.surfaces.matrix.row import API, PARTNERS


@dataclass
class Scene:
    """Objects of one id space that different partners may see, and Aster's own things."""

    cast: build.Cast
    objects: dict[str, dict]
    sees: dict[str, set[str]]
    things: dict[str, str]
    people: dict[str, object]
    admin_keys: dict[str, str]
    sessions: dict[str, object] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)  # whom something that was done may have signed out

    def ask(self, who: str, path: str, *, method: str = "get", body: dict | None = None):
        client = Client(raise_request_exception=False)
        headers = {}
        if path.startswith(("/api/", "/taxii2")):
            if who != "anonymous":
                admin = path.startswith((API + "keys", API + "log/"))
                held = self.admin_keys if admin else self.cast.keys
                headers = build.bearer(held[who])
        elif who != "anonymous":
            client = self.signed_in(who)
        if method == "get":
            return client.get(path, headers=headers)
        self.unsure.update(self.sessions)
        return getattr(client, method)(path, json.dumps(body or {}), content_type="application/json", headers=headers)

    def signed_in(self, who: str) -> Client:
        """A browser of somebody's; they sign in where they never did, or what was asked signed them out."""
        client = Client(raise_request_exception=False)
        client.cookies.load(self.sessions.get(who, {}))
        if who in self.sessions and who not in self.unsure:
            return client
        if client.session.get("_auth_user_id"):
            self.unsure.discard(who)
        else:
            build.sign_in(client, self.people[who], good_for=timedelta(hours=1))
            self.sessions[who] = {name: cookie.value for name, cookie in client.cookies.items()}
            self.unsure.add(who)  # this may be undone with what is asked
        return client

    def path(self, template: str, thing: str = "ring") -> str:
        from indicators.taxii import collections

        return template.format(object=self.objects[thing]["id"], everything=collections.EVERYTHING, **self.things)


@casting.once
def the_scene() -> Scene:
    cast = build.the_cast()
    health.beat_seen()
    aster = cast.viewer("aster")
    value = uuid.uuid4().hex * 2
    objects = {
        name: making.account_pattern(tlp_word=word, name=f"title-{name}-{uuid.uuid4().hex}", carrier=carrier)
        for name, word, carrier in (
            ("everyone", "green", None),
            ("ring", "amber", {"token": making.token(value)}),
            ("alone", "red", None),
        )
    }
    answer = build.publish(aster, *objects.values())
    # The same value from Cygnus, whom only Aster... nobody else sees: a match that must not show to the ring.
    theirs = making.account_pattern(name=f"title-cygnus-{uuid.uuid4().hex}", carrier={"token": making.token(value)})
    build.publish(cast.viewer("cygnus"), theirs | {"object_marking_refs": [tlp.ID_OF["red"]]}, partners=("aster",))
    objects["cygnus"] = theirs
    feed = subscribing.save_feed(aster, name="secret feed", filter_json={"kinds": ["account-pattern"]})
    moving = subscribing.save_feed(aster, name="secret feed that moves", filter_json={"publishers": {">=": 1}})
    subscription, _ = subscribing.subscribe(aster, url="https://receiver.example/hook", feed_id=feed.pk)
    delivery = Delivery.unrestricted.create(
        partner_id=aster.partner_id, subscription=subscription, first_seq=0, last_seq=1, changes=1, state="dead"
    )
    held = awaiting.keep(
        parsing.read_batch(json.dumps(objects["alone"]).encode()),
        by=aster,
        batch_id=answer.batch_id,
        reach=Reach(),
        why="x",
    )
    says_red = making.account_pattern(name=f"red-{uuid.uuid4().hex}", labels=["TLP:RED"])
    build.publish(aster, says_red, groups=("ring",))
    (quarantined,) = quarantine.page(aster, limit=2)
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    proposal = membership.dissolve(admin, cast.ring)
    spare = subscribing.save_feed(aster, name="spare feed", filter_json={})
    people = {name: build.a_user(getattr(cast, name)) for name in PARTNERS}
    admin = auth.viewer_of_user(people["aster"])
    _, link = inviting.invite(admin, email="new@example.org", role=Role.ANALYST)
    received = a_package(cast.borealis, recipient="aster")
    reporting.release(a_person(cast.borealis, Role.COUNSEL), received.pk)
    prepared = a_package(cast.aster, recipient="borealis")
    head = transparency.seal(every=timedelta(0))
    made = Scene(
        cast,
        objects,
        {
            "everyone": set(PARTNERS),
            "ring": {"aster", "borealis"},
            "alone": {"aster"},
            "cygnus": {"aster", "cygnus"},
        },
        {
            "batch": str(answer.batch_id),
            "feed": str(spare.pk),
            "subscription": str(subscription.pk),
            "delivery": str(delivery.pk),
            "waiting": str(held.pk),
            "excerpt": str(an_excerpt(cast.aster, objects["ring"]["id"]).pk),
            "connection": str(a_connection(aster).pk),
            "detector": detectors.register(aster, name="secret detector").code,
            "ending": str(an_ending(cast.aster).pk),
            "recall": str(recalling.prepare(aster, recalling.Wanted(detector="d-00000000")).pk),
            "judging": str(many.prepare(admin, [objects["ring"]["id"]]).pk),
            "host": str(service_hosts.add(admin, ["api.aster.example"])[0].pk),
            "quarantined": str(quarantined.entry),
            "proposal": str(proposal.pk),
            "own": str(cast.aster.collection_id),
            "group": str(cast.ring.collection_id),
            "own-feed": str(feed.pk),
            "moving-feed": str(moving.pk),
            "match": "1",
            "key": keys.public_id_of(build.a_key(cast.aster, Scope.READ)),
            "token": link.partition("token=")[2],
            "sign_on": str(build.a_sign_on(admin).pk),
            "user": str(build.a_user(cast.aster).pk),
            "received": str(received.pk),
            "prepared": str(prepared.pk),
            "schedule": str(a_schedule(cast.aster, feed=feed).pk),
            "head": str(head.size),
            "leaf": bytes(AuditRecord.objects.filter(partner=cast.aster).order_by("pk")[0].leaf_hash).hex(),
        },
        people,
        {name: build.a_key(getattr(cast, name), Scope.ADMIN, Scope.READ) for name in PARTNERS},
    )
    for name in PARTNERS:
        made.signed_in(name)
    return made


def a_connection(aster):
    """An admin's, to a server of somebody else's that is never asked."""
    admin = auth.viewer_of_user(build.a_user(Partner.objects.get(pk=aster.partner_id)))
    url = "https://peer.example/collections/secret/"
    wish = keeping.Wish("secret connection", Connection.Kind.TAXII, Connection.Direction.PULL, url)
    return keeping.connect(admin, wish)


def an_excerpt(partner, stix_id) -> Excerpt:
    return Excerpt.unrestricted.create(
        partner=partner,
        holding=Holding.unrestricted.get(stix_id=stix_id, publisher=partner),
        excerpt_id="x-exchange-excerpt--1",
        sha256=b"",
        text="secret text",
        actor="key:x",
        valid_until=clock.now() + timedelta(days=1),
    )


def an_ending(partner) -> Ending:
    return Ending.unrestricted.create(
        partner=partner,
        actor="key:x",
        verb=Ending.Verb.WITHDRAW,
        objects_ended=1,
        state=Ending.State.DISARMED,
        until=clock.now() + timedelta(hours=1),
    )


def a_person(partner, role):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def a_package(partner, *, recipient: str):
    """A report package with a root that everybody may see."""
    root = {
        "type": "campaign",
        "spec_version": "2.1",
        "id": f"campaign--{uuid.uuid4()}",
        "created": "2026-11-01T00:00:00.000Z",
        "modified": "2026-11-01T00:00:00.000Z",
        "name": "A campaign",
    }
    build.publish(build.viewer_of(partner), root, everyone=True)
    return reporting.prepare(a_person(partner, Role.ADMIN), recipient=recipient, root=root["id"])


def a_schedule(partner, *, feed) -> ReportSchedule:
    """Of drafts, for everybody's neighbour; never due here."""
    wish = scheduling.Wish("secret schedule", "borealis", ReportSchedule.Every.WEEK, 1, 8, feed_id=feed.pk)
    return scheduling.make(a_person(partner, Role.ADMIN), wish)


def content(response) -> str:
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    if response.headers.get("Content-Type") == "application/zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as files:
            raw = b"".join(files.read(name) for name in files.namelist() if name.endswith(".json"))
    return raw.decode("latin-1" if raw.startswith(b"%PDF-") else "utf-8")


def marks(stix: dict) -> list[str]:
    """What would betray an object: its id, its title, and the value that it matches on."""
    return [stix["id"], stix["name"], *re.findall(r"[0-9a-f]{64}", stix["pattern"])[:1]]


def without_ids(text: str) -> str:
    text = re.sub(r'(?<=name="csrfmiddlewaretoken" value=")[^"]+', "token", text)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=keys/)[a-z2-7]{8}(?=/)|(?<=people/)[0-9]+", "id", text)


def shared_value(scene: Scene, who: str, betrayed: list[str]) -> bool:
    """A value that the caller knows from an object that it may see is no betrayal."""
    known = {mark for name, stix in scene.objects.items() if who in scene.sees[name] for mark in marks(stix)}
    return set(betrayed) <= known
