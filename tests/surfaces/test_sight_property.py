"""Whatever partners do, and in whatever order: each sees what a model of a few lines says, on every surface.

A seeded random walk through the real verbs. Followers lag behind by chance; whenever one has caught up, what it
holds is what the model says. `SIGHT_OPERATIONS` says how many operations; 150 of them share one world.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from exchange import clock
from indicators import reading
from indicators.ending import retiring, withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import tlp as tlps
from indicators.taxii import collections, pages
from indicators.taxii.filters import Query
from partners import sight
from partners.defaults import DefaultAudience
from partners.groups import steering
from partners.keys import auth
from partners.models import Membership, Partner
from partners.tlp import Tlp
from tests import build
from tests.drilling import runs

pytestmark = pytest.mark.django_db

OPERATIONS = int(os.environ.get("SIGHT_OPERATIONS", "300"))
PER_WORLD = 150
GROUPS = ("north", "south", "west")


@dataclass
class Member:
    """A partner as the model knows it."""

    name: str
    clearance: Tlp
    groups: set[str]
    publishes: bool = True


@dataclass
class Thing:
    """A holding as the model knows it: its newest bytes and who may see them."""

    publisher: str
    body: dict
    own: Tlp
    tlp: Tlp
    everyone: bool
    groups: frozenset[str]
    partners: frozenset[str]
    state: str = "live"  # or revoked, expired, withdrawn

    def seen_by(self, who: Member) -> bool:
        if self.state == "withdrawn":
            return False
        if who.name == self.publisher:
            return True
        in_group = bool(self.groups & who.groups) and self.tlp != Tlp.RED
        return self.tlp <= who.clearance and (self.everyone or who.name in self.partners or in_group)


@dataclass
class Follower:
    """What a reader that lags behind has made of what it was told."""

    after: int = 0
    fresh: int = 0
    held: dict[tuple[str, str], str] = field(default_factory=dict)
    added_after: datetime | None = None
    taken: dict[str, str] = field(default_factory=dict)

    def poll(self, viewer, *, limit):
        span = changes.since(viewer, EVERYTHING, after=self.after, limit=limit, fresh_until=self.fresh)
        for told in span.changes:
            key = (told.publisher_name, told.stix_id)
            if told.op == "upsert":
                self.held[key] = told.body
            else:
                self.held.pop(key, None)
        self.after = span.reached
        return span.more

    def pull(self, viewer, *, limit):
        page = pages.turn(viewer, EVERYTHING_OF(viewer), Query(limit=limit, added_after=self.added_after))
        self.taken |= {orjson.loads(body)["id"]: body for body in page.items}
        self.added_after = page.last if page.items else self.added_after
        return page.next is not None


def EVERYTHING_OF(viewer):
    return collections.find(viewer, "everything")


class World:
    def __init__(self, seed: int, monkeypatch) -> None:
        self.random = random.Random(seed)
        self.monkeypatch = monkeypatch
        tag = uuid.UUID(int=self.random.getrandbits(128)).hex[:6]
        self.partners = {name: build.a_partner(f"{name}{tag}") for name in ("A", "B", "C", "D")}
        self.partners["R"] = build.a_partner(f"R{tag}", kind="recipient")
        self.names = {partner.name: name for name, partner in self.partners.items()}
        self.members = {name: Member(name, Tlp(p.clearance), set(), name != "R") for name, p in self.partners.items()}
        self.groups = {}
        for group in GROUPS:
            inside = [name for name in self.partners if self.random.random() < 0.5]
            self.groups[group] = build.a_ring(*(self.partners[name] for name in inside), slug=f"{group}{tag}")
            for name in inside:
                self.members[name].groups.add(group)
        self.things: dict[str, Thing] = {}
        self.followers = {name: Follower() for name in self.partners}
        self.minute = 0

    def viewer(self, name):
        viewer = auth.viewer_whatever_state(self.partners[name].pk)
        return replace(viewer, scopes=build.LAB_SCOPES) if self.members[name].publishes else viewer

    # What the model says.

    def visible(self, name):
        return {key: thing for key, thing in self.things.items() if thing.seen_by(self.members[name])}

    # The verbs.

    def a_reach(self, name, own: Tlp):
        """A random reach and what the model makes of it: None where the batch names none."""
        kind = self.random.choice(("none", "everyone", "groups", "partners", "both"))
        tlp = self.random.choice((None, None, None, *Tlp))
        mine = self.members[name].groups
        everyone = kind == "everyone"
        groups = (
            set(self.random.sample(sorted(mine), self.random.randint(0, len(mine))))
            if kind in ("groups", "both")
            else set()
        )
        others = [other for other in self.partners if other != name]
        partners = set(self.random.sample(others, self.random.randint(1, 2))) if kind in ("partners", "both") else set()
        if Tlp.RED in (tlp, own):  # RED goes to named partners only
            everyone, groups = False, set()
        named = bool(everyone or groups or partners)
        reach = Reach(
            named=named,
            tlp=tlp,
            everyone=everyone,
            groups=tuple(self.groups[group].pk for group in groups),
            partners=tuple(self.partners[partner].pk for partner in partners),
        )
        marking = own if tlp is None else max(own, tlp)
        if not named:
            return reach, self.default(name, marking)
        red = marking == Tlp.RED
        return reach, {
            "tlp": marking,
            "everyone": everyone and not red,
            "groups": frozenset() if red else frozenset(groups),
            "partners": frozenset() if everyone and not red else frozenset(partners),
        }

    def default(self, name, marking):
        return {
            "tlp": marking,
            "everyone": marking <= Tlp.GREEN,
            "groups": frozenset(self.members[name].groups) if Tlp.GREEN < marking < Tlp.RED else frozenset(),
            "partners": frozenset(),
        }

    def push(self, name, body, reach):
        answer = build.publish_as(self.viewer(name), body, reach=reach, wake=True)
        return build.results(answer)[0]["status"]

    def publish(self):
        name = self.random.choice("ABCD")
        own = self.random.choice(list(Tlp))
        reach, model = self.a_reach(name, own)
        body = self.a_body(own)
        assert self.push(name, body, reach) == "accepted"
        self.things[body["id"]] = Thing(name, body, own, **model)

    def a_body(self, own, **more):
        self.minute += 1
        stix_id = f"indicator--{uuid.UUID(int=self.random.getrandbits(128), version=4)}"
        return {
            "type": "indicator",
            "spec_version": "2.1",
            "id": stix_id,
            "created": "2026-01-01T00:00:00.000Z",
            "modified": self.stamp(),
            "name": f"word{stix_id[-12:]}",
            "pattern": "[domain-name:value = 'x.example']",
            "pattern_type": "stix",
            "valid_from": "2026-01-01T00:00:00Z",
            "object_marking_refs": [tlps.ID_OF[own.word]],
        } | more

    def stamp(self):
        return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.minute)).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def pick(self, *states):
        return self.random.choice([thing for thing in self.things.values() if thing.state in states] or [None])

    def revise(self):
        thing = self.pick("live", "expired", "withdrawn")
        if thing is None or thing.body.get("revoked"):  # revoked is final, withdrawn or not
            return
        own = self.random.choice((thing.own, thing.own, *Tlp))
        reach, model = self.a_reach(thing.publisher, own)
        self.minute += 1
        body = thing.body | {"modified": self.stamp(), "object_marking_refs": [tlps.ID_OF[own.word]]}
        body.pop("valid_until", None)
        keeps = not reach.named and reach.tlp is None and own == thing.tlp and thing.state != "withdrawn"
        if keeps and self.has_left(thing):
            assert self.push(thing.publisher, body, reach) == "refused"
            return
        assert self.push(thing.publisher, body, reach) == "accepted"
        if keeps:
            model = {"tlp": thing.tlp, "everyone": thing.everyone, "groups": thing.groups, "partners": thing.partners}
        self.things[body["id"]] = Thing(thing.publisher, body, own, **model)

    def has_left(self, thing):
        """Whether its publisher has left a group of its audience: then nothing new goes there, though it may revoke."""
        return not thing.groups <= self.members[thing.publisher].groups

    def revoke(self):
        if (thing := self.pick("live")) is None:
            return
        self.minute += 1
        body = thing.body | {
            "modified": self.stamp(),
            "revoked": True,
            "object_marking_refs": [tlps.ID_OF[thing.tlp.word]],
        }
        assert self.push(thing.publisher, body, Reach()) == "accepted"
        thing.body, thing.state, thing.own = body, "revoked", thing.tlp

    def withdraw(self):
        if (thing := self.pick("live", "revoked", "expired")) is None:
            return
        withdrawing.withdraw(self.viewer(thing.publisher), [thing.body["id"]])
        thing.state = "withdrawn"

    def add_again(self):
        if (thing := self.pick("withdrawn")) is None:
            return
        reach, model = self.a_reach(thing.publisher, thing.own)
        assert self.push(thing.publisher, thing.body, reach) == "accepted"
        state = "revoked" if thing.body.get("revoked") else "live"
        self.things[thing.body["id"]] = Thing(thing.publisher, thing.body, thing.own, **model, state=state)

    def readdress(self):
        if (thing := self.pick("live", "revoked", "expired")) is None:
            return
        reach, model = self.a_reach(thing.publisher, thing.own)
        if self.random.random() < 0.5:
            assert self.push(thing.publisher, thing.body, reach) in ("accepted", "unchanged")
        elif reach.named or reach.tlp is not None:
            if reach.tlp is None:  # a marking stays as it is where none is named
                if thing.tlp is Tlp.RED and (model["everyone"] or model["groups"]):
                    return
                model |= {"tlp": thing.tlp}
            if not reach.named:  # another marking alone: where it is
                red, own = model["tlp"] is Tlp.RED, self.members[thing.publisher].groups
                model |= {
                    "everyone": thing.everyone and not red,
                    "groups": frozenset() if red else thing.groups & own,
                    "partners": thing.partners,
                }
            readdressing.readdress(self.viewer(thing.publisher), thing.body["id"], reach)
        if reach.named or reach.tlp is not None:
            self.things[thing.body["id"]] = replace(thing, **model)

    def expire(self):
        """A revision that ends soon, and its end."""
        if (thing := self.pick("live")) is None or self.has_left(thing):
            return
        self.minute += 1
        end = clock.now() + timedelta(hours=1)
        body = thing.body | {"modified": self.stamp(), "valid_until": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        body["object_marking_refs"] = [tlps.ID_OF[thing.tlp.word]]
        assert self.push(thing.publisher, body, Reach()) == "accepted"
        with self.monkeypatch.context() as patch:
            patch.setattr(clock, "now", lambda: end + timedelta(seconds=1))
            retiring.expire()
        thing.body, thing.own = body, thing.tlp
        for one in self.things.values():
            if one.state == "live" and one.body.get("valid_until"):
                one.state = "expired"

    def join(self):
        group, name = self.random.choice(GROUPS), self.random.choice(sorted(self.partners))
        if group not in self.members[name].groups:
            with sight.changing([self.partners[name].pk]):
                Membership.objects.create(partner=self.partners[name], group=self.groups[group])
            self.members[name].groups.add(group)
            self.share_by_default(name)

    def share_by_default(self, name):
        """Its admin says that what names no audience goes to the groups that it is in now."""
        groups = tuple(sorted(self.groups[group].pk for group in self.members[name].groups))
        default = DefaultAudience(open_to_everyone=True, groups=groups)
        steering.set_default_audience(self.partners[name], default, by=None)

    def leave(self):
        name = self.random.choice(sorted(self.partners))
        if self.members[name].groups:
            group = self.random.choice(sorted(self.members[name].groups))
            with sight.changing([self.partners[name].pk]):
                Membership.objects.filter(partner=self.partners[name], group=self.groups[group], until=None).update(
                    until=clock.now()
                )
            self.members[name].groups.remove(group)
            self.share_by_default(name)

    def clear(self):
        name, clearance = self.random.choice(sorted(self.partners)), self.random.choice(list(Tlp))
        with sight.changing([self.partners[name].pk]):
            Partner.objects.filter(pk=self.partners[name].pk).update(clearance=clearance)
        self.members[name].clearance = clearance

    def step(self):
        verbs = (
            *[self.publish] * (6 if len(self.things) < 40 else 1),
            *[self.revise] * 3,
            self.revoke,
            *[self.withdraw] * 2,
            *[self.add_again] * 2,
            *[self.readdress] * 4,
            self.expire,
            *[self.join] * 3,
            *[self.leave] * 3,
            *[self.clear] * 2,
        )
        verb = self.random.choice(verbs)
        verb()
        for name in self.partners:  # some read a little, and lag
            if self.random.random() < 0.15:
                self.followers[name].poll(self.viewer(name), limit=self.random.randint(1, 5))
            if self.random.random() < 0.15:
                self.followers[name].pull(self.viewer(name), limit=self.random.randint(1, 5))
        return verb.__name__

    # What is held against the model.

    def check(self, name):
        viewer, follower, visible = self.viewer(name), self.followers[name], self.visible(name)
        bodies = {key: json.dumps(thing.body) for key, thing in visible.items()}
        assert self.page(viewer, limit=7) == sorted(bodies.items())
        assert self.page(viewer, limit=1_000) == sorted(bodies.items())
        own = {key: body for key, body in bodies.items() if visible[key].publisher == name}
        assert self.page(viewer, limit=1_000, own=True) == sorted(own.items())
        newest = reading.newest(viewer, Selection(), limit=1_000).statements
        assert sorted((said.stix_id, said.body) for said in newest) == sorted(bodies.items())
        assert sum(reading.counts_by_kind(viewer).values()) == sum(t.state != "revoked" for t in visible.values())
        while follower.poll(viewer, limit=50):
            pass
        live = {(t.publisher, key): bodies[key] for key, t in visible.items() if t.state == "live"}
        assert {(self.names[who], key): body for (who, key), body in follower.held.items()} == live
        while follower.pull(viewer, limit=50):
            pass
        assert {key: follower.taken.get(key) for key in bodies} == bodies
        some = self.random.choice(list(self.things.values()) or [None])
        if some is not None:
            words = some.body["name"]
            found = reading.newest(viewer, Selection(words=words), limit=10).statements
            assert [said.stix_id for said in found] == [some.body["id"]] * (some.body["id"] in visible)
            assert reading.holds(viewer, some.body["id"]) == (some.body["id"] in visible)

    def page(self, viewer, *, limit, own=False):
        after, found = 0, []
        while True:
            page = reading.page(viewer, Selection(own=own), after=after, limit=limit)
            found += [(said.stix_id, said.body) for said in page.statements]
            after = page.reached
            if not page.more:
                return sorted(found)


@pytest.mark.parametrize("seed", runs(-(-OPERATIONS // PER_WORLD), quick=1))
def test_each_partner_sees_what_the_model_says(seed, monkeypatch):
    world = World(seed, monkeypatch)
    done: list[str] = []
    for number in range(min(PER_WORLD, OPERATIONS - seed * PER_WORLD)):
        done.append(world.step())
        if number % 4 == 0:
            name = world.random.choice(sorted(world.partners))
            try:
                world.check(name)
            except AssertionError as error:
                raise AssertionError(f"{name} after {done[-12:]}, operation {number} of seed {seed}") from error
    for name in world.partners:
        world.check(name)
    assert len(set(done)) == 10
