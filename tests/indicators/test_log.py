"""The log by channels, held against a model of a few lines: random acts of partners, and readers that lag behind.

Each act writes what the verbs write (a holding, its versions, its changes) by the functions that they write it with, so
that thousands of acts take seconds. Checked, as the design of the log has it:

- whoever has caught up holds what the rule shows, each in its newest version, however it lagged and by whatever pages;
- nobody is told of an upsert of what they do not see, or of an id that they never could see;
- the cursor of an idle reader does not move when others do what it may not see;
- pruning makes nobody start over who was up to date, and nobody miss what was pruned.

`LOG_ACTS` says how many acts; what each mutant of the code does to this test is written in ADR 0031.
"""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from exchange import clock
from exchange.errors import Gone
from exchange.sql import Message
from indicators import reading
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, pruning, walking
from indicators.models import Change, Hidden, Holding, Progress, Telling
from indicators.publishing import storing
from indicators.reading.selecting import Selection
from indicators.sight import relining, resighting
from indicators.stix import making
from indicators.stix.drafts import Draft
from partners import sight
from partners.audiences import AudienceSpec
from partners.keys import auth
from partners.models import Membership, Partner, Sight
from partners.sharing import intern_audience, intern_withdrawn
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db

ACTS = int(os.environ.get("LOG_ACTS", "150"))
PER_WORLD = 300
LABS = ("A", "B", "C", "D", "E")
GROUPS = ("g", "h", "i")
State = Holding.State


@dataclass
class Thing:
    """A holding as the model knows it."""

    publisher: str
    stix_id: str
    holding_id: int
    versions: list[int]
    audience_id: int
    tlp: Tlp
    everyone: bool
    groups: frozenset[str]
    named: frozenset[str]
    state: State = State.LIVE


@dataclass
class Reader:
    """A consumer of the delta feed and of TAXII, and what it has made of them."""

    after: int = 0
    fresh: int = 0
    held: dict[str, str] = field(default_factory=dict)
    begun: bool = False
    moment: datetime | None = None
    taken: set[int] = field(default_factory=set)


class World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        tag = f"{self.random.getrandbits(24):06x}"
        self.partners = {name: build.a_partner(f"{name}{tag}") for name in LABS}
        self.clearance = dict.fromkeys(LABS, Tlp.RED)
        self.members: dict[str, set[str]] = {}
        self.groups = {}
        for group in GROUPS:
            self.members[group] = {name for name in LABS if self.random.random() < 0.5}
            self.groups[group] = build.a_ring(*(self.partners[n] for n in self.members[group]), slug=f"{group}{tag}")
        self.dissolved: set[str] = set()
        self.things: list[Thing] = []
        self.readers = {name: Reader() for name in LABS}
        self.could_see: dict[str, set[str]] = {name: set() for name in LABS}
        self.minute = self.unmoved = 0
        self.touched: set[str] = set()  # of what the present act writes, ids and partners

    def viewer(self, name):
        return auth.viewer_whatever_state(self.partners[name].pk)

    # The model.

    def sees(self, name, thing: Thing) -> bool:
        if thing.state == State.WITHDRAWN:
            return False
        if name == thing.publisher:
            return True
        grouped = any(name in self.members[group] for group in thing.groups)
        return thing.tlp <= self.clearance[name] and (thing.everyone or name in thing.named or grouped)

    def seen(self, name) -> set[str]:
        return {thing.stix_id for thing in self.things if self.sees(name, thing)}

    def live(self, name) -> set[str]:
        return {thing.stix_id for thing in self.things if thing.state == State.LIVE and self.sees(name, thing)}

    def note(self) -> None:
        """What each partner sees now, it could see."""
        for name in LABS:
            self.could_see[name] |= self.seen(name)

    # Writing, as the verbs do it.

    def audience(self, name) -> tuple[int, Tlp, bool, frozenset[str], frozenset[str]]:
        tlp = self.random.choice((Tlp.GREEN, Tlp.AMBER, Tlp.RED))
        kind = self.random.choice(("everyone", "group", "group", "groups", "named", "own"))
        mine = sorted(group for group in GROUPS if name in self.members[group] and group not in self.dissolved)
        everyone = kind == "everyone" and tlp < Tlp.RED
        count = {"group": 1, "groups": 2}.get(kind, 0) if tlp < Tlp.RED else 0
        groups = frozenset(self.random.sample(mine, min(count, len(mine))))
        others = [other for other in LABS if other != name]
        named = frozenset(self.random.sample(others, self.random.randint(1, 3))) if kind == "named" else frozenset()
        spec = AudienceSpec(
            tlp,
            everyone=everyone,
            groups=tuple(sorted(self.groups[group].pk for group in groups)),
            partners=tuple(sorted(self.partners[other].pk for other in named)),
        )
        return intern_audience(self.viewer(name), spec), tlp, everyone, groups, named

    def keys(self) -> tuple[int, int]:
        message = Message()
        reply = storing.keys_within(message, 1)
        message.send()
        return reply.rows[0]

    def draft(self, stix_id: str) -> Draft:
        self.minute += 1
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.minute)
        raw = b'{"type":"x-thing","id":"%b","modified":%d}' % (stix_id.encode(), self.minute)
        return Draft(
            index=0,
            raw=raw,
            data={},
            stix_id=stix_id,
            stix_type="x-thing",
            version=str(self.minute),
            created=moment,
            modified=moment,
            revoked=False,
            title=stix_id,
        )

    def store(self, name, thing: Thing | None, told: tuple, *, but=None, state=State.LIVE) -> Thing:
        """A version, of a new holding or of one that is there, and its change; `but` tells who lost it before."""
        audience_id, tlp, everyone, groups, named = told
        version, holding = self.keys()
        stix_id = f"x-thing--{version:032x}" if thing is None else thing.stix_id
        draft = self.draft(stix_id)
        message = Message()
        new = storing.NewVersion(
            draft, version, holding if thing is None else thing.holding_id, hashlib.sha256(draft.raw).digest()
        )
        begun = [storing.Begun(holding, audience_id, State.LIVE, version, stix_id, "x-thing", None, None, None)]
        turned = [] if thing is None else [storing.Turned(thing.holding_id, audience_id, state, version)]
        begun = begun if thing is None else []
        storing.store(self.partners[name].pk, [new], woken={}, begun=begun, turned=turned, within=message)
        lost = [] if but is None else [self.change(thing, Change.Op.REMOVE, Change.Reason.NARROWED, but=audience_id)]
        made = thing or Thing(name, stix_id, holding, [], audience_id, tlp, everyone, groups, named)
        made.versions.append(version)
        made.audience_id, made.tlp, made.everyone, made.groups, made.named = told
        made.state = state
        op = Change.Op.UPSERT if state == State.LIVE else Change.Op.REMOVE
        live = Change.Reason.PUBLISHED if thing is None else Change.Reason.REVISED
        reason = live if state == State.LIVE else Change.Reason.REVOKED
        changes.append([*lost, self.change(made, op, reason)], within=message)
        message.send()
        return made

    def change(self, thing, op, reason, *, again=False, but=None):
        self.touched.add(thing.stix_id)
        return changes.NewChange(thing.holding_id, thing.versions[-1], thing.audience_id, op, reason, again, but)

    def turn(self, thing, state: State, *, audience_id=None, newest: int | None = None) -> None:
        newest = None if state == State.WITHDRAWN else newest or thing.versions[-1]
        storing.turn([storing.Turned(thing.holding_id, audience_id or thing.audience_id, state, newest)])

    def pick(self, *states):
        return self.random.choice([thing for thing in self.things if thing.state in states] or [None])

    # Acts. Each is one transaction.

    def publish(self):
        name = self.random.choice(LABS)
        self.things.append(self.store(name, None, self.audience(name)))

    def revise(self):
        if thing := self.pick(State.LIVE, State.EXPIRED):
            same = thing.audience_id, thing.tlp, thing.everyone, thing.groups, thing.named
            self.store(thing.publisher, thing, same)

    def readdress_with_bytes(self):
        if thing := self.pick(State.LIVE, State.EXPIRED):
            told = self.audience(thing.publisher)
            earlier = list(thing.versions)
            self.store(thing.publisher, thing, told, but=told[0])
            storing.hide_history([thing.holding_id], Hidden.From.OTHERS, keep=thing.versions[len(earlier) :])
            thing.versions = thing.versions[-1:]

    def readdress(self):
        if thing := self.pick(State.LIVE, State.EXPIRED, State.REVOKED):
            told = self.audience(thing.publisher)
            if told[0] == thing.audience_id:
                return
            storing.readdress({thing.holding_id: told[0]})
            storing.hide_history([thing.holding_id], Hidden.From.OTHERS, keep=thing.versions[-1:])
            thing.versions = thing.versions[-1:]
            lost = self.change(thing, Change.Op.REMOVE, Change.Reason.NARROWED, but=told[0])
            before = thing.audience_id
            thing.audience_id, thing.tlp, thing.everyone, thing.groups, thing.named = told
            gained = self.change(thing, Change.Op.UPSERT, Change.Reason.GRANTED, again=True, but=before)
            changes.append([lost, gained])

    def end(self):
        if thing := self.pick(State.LIVE):
            state, reason = self.random.choice(
                (
                    (State.EXPIRED, Change.Reason.EXPIRED),
                    (State.WITHDRAWN, Change.Reason.WITHDRAWN),
                )
            )
            told = self.change(thing, Change.Op.REMOVE, reason)
            gone = state == State.WITHDRAWN
            self.turn(thing, state, audience_id=intern_withdrawn(self.partners[thing.publisher].pk) if gone else None)
            thing.state = state
            changes.append([told])

    def revoke(self):
        if thing := self.pick(State.LIVE):
            same = thing.audience_id, thing.tlp, thing.everyone, thing.groups, thing.named
            self.store(thing.publisher, thing, same, state=State.REVOKED)

    def again(self):
        """The same bytes, after they were withdrawn."""
        if thing := self.pick(State.WITHDRAWN):
            told = self.audience(thing.publisher)
            thing.audience_id, thing.tlp, thing.everyone, thing.groups, thing.named = told
            thing.state, thing.versions = State.LIVE, thing.versions[-1:]
            self.turn(thing, State.LIVE)
            storing.hide_history([thing.holding_id], Hidden.From.ALL, keep=thing.versions)
            changes.append([self.change(thing, Change.Op.UPSERT, Change.Reason.PUBLISHED, again=True)])

    def join(self):
        group, name = self.random.choice(GROUPS), self.random.choice(LABS)
        self.touched.add(name)
        if name not in self.members[group] and group not in self.dissolved:
            with sight.changing([self.partners[name].pk]):
                Membership.objects.create(partner=self.partners[name], group=self.groups[group])
            self.members[group].add(name)

    def leave(self):
        group = self.random.choice(GROUPS)
        if self.members[group]:
            self.part(group, [self.random.choice(sorted(self.members[group]))])

    def dissolve(self):
        if self.random.random() < 0.1 and len(self.dissolved) < 1:
            group = self.random.choice(GROUPS)
            self.dissolved.add(group)
            self.part(group, sorted(self.members[group]))

    def part(self, group, names):
        self.touched |= set(names)
        with sight.changing([self.partners[name].pk for name in names]):
            Membership.objects.filter(
                partner__in=[self.partners[name] for name in names], group=self.groups[group], until=None
            ).update(until=clock.now())
        self.members[group] -= set(names)

    def clear(self):
        name, clearance = self.random.choice(LABS), self.random.choice((Tlp.GREEN, Tlp.AMBER, Tlp.RED, Tlp.RED))
        self.touched.add(name)
        with sight.changing([self.partners[name].pk]):
            Partner.objects.filter(pk=self.partners[name].pk).update(clearance=clearance)
        self.clearance[name] = clearance

    def tell(self):
        of = set(Telling.objects.values_list("partner", flat=True))
        ended = Telling.objects.filter(partner=None).values("channel")
        of |= set(Sight.objects.filter(channel__in=ended).values_list("partner", flat=True))
        self.touched |= {name for name in LABS if self.partners[name].pk in of}
        resighting.tell_next()

    def prune(self):
        pruning.prune(limit=self.random.randint(1, 4))

    def act(self):
        few = len(self.things) < 25
        acts = (
            *[self.publish] * (6 if few else 2),
            *[self.revise] * 2,
            self.readdress_with_bytes,
            *[self.readdress] * 3,
            *[self.end] * 2,
            self.again,
            self.revoke,
            *[self.join] * 3,
            *[self.leave] * 3,
            self.dissolve,
            *[self.clear] * 2,
            *[self.tell] * 3,
            *[self.prune] * PRUNING,
        )
        act = self.random.choice(acts)
        idle = [name for name in self.random.sample(LABS, 2) if self.is_idle(name)]
        before = {name: self.seen(name) for name in idle}
        self.touched = set()
        with transaction.atomic():
            act()
        for name in idle:
            if not self.touched & (before[name] | self.seen(name) | {name}):
                assert self.is_idle(name), f"the cursor of {name} moved by what it does not see: {act.__name__}"
                self.unmoved += 1
        self.note()
        return act.__name__

    def is_idle(self, name) -> bool:
        """Whether nothing is new for a reader: then its cursor stays."""
        reader = self.readers[name]
        try:
            span = changes.since(self.viewer(name), EVERYTHING, after=reader.after, limit=1, fresh_until=reader.fresh)
        except Gone:
            return False
        return not span.changes and not span.more and span.reached == reader.after

    # Reading.

    def poll(self, name, *, limit):
        reader, viewer = self.readers[name], self.viewer(name)
        if not reader.begun:
            reader.begun, reader.fresh = True, changes.own_end(viewer)
        try:
            span = changes.since(viewer, EVERYTHING, after=reader.after, limit=limit, fresh_until=reader.fresh)
        except Gone:
            assert PRUNING, "nothing was pruned"
            self.readers[name] = Reader(moment=reader.moment, taken=reader.taken)
            return True
        for told in span.changes:
            if told.op == "upsert":
                assert told.stix_id in self.live(name), "an upsert of what is not seen"
                reader.held[told.stix_id] = told.body
            else:
                assert told.stix_id in self.could_see[name], "an id that could never be seen"
                reader.held.pop(told.stix_id, None)
        assert reader.after <= span.reached
        reader.after = span.reached
        return span.more

    def pull(self, name, *, limit):
        reader = self.readers[name]
        page = reading.page(self.viewer(name), Selection(added_after=reader.moment, versions="all"), limit=limit)
        reader.taken |= {said.object_id for said in page.statements}
        reader.moment = page.statements[-1].date_added if page.statements else reader.moment
        return page.more

    def check(self, name):
        resighting.tell_all()
        while self.poll(name, limit=self.random.randint(1, 50)):
            pass
        listed = reading.page(self.viewer(name), Selection(), limit=1_000).statements
        bodies = {said.stix_id: said.body for said in listed}
        assert len(listed) == len(bodies), "a version is listed twice"
        visible = {thing.stix_id: thing for thing in self.things if self.sees(name, thing)}
        assert bodies.keys() == visible.keys()
        assert self.readers[name].held == {key: bodies[key] for key in self.live(name)}
        assert self.is_idle(name)
        while self.pull(name, limit=self.random.randint(1, 50)):
            pass
        assert {thing.versions[-1] for thing in visible.values()} <= self.readers[name].taken
        group = self.random.choice(GROUPS)
        if name in self.members[group]:
            of_group = reading.page(self.viewer(name), Selection(group=self.groups[group].pk), limit=1_000).statements
            assert sorted(s.stix_id for s in of_group) == sorted(k for k, t in visible.items() if group in t.groups)


#: How many of the acts of a turn prune.
PRUNING = 0


@pytest.mark.core
@pytest.mark.parametrize("seed", range(-(-ACTS // PER_WORLD)))
@pytest.mark.parametrize("pruned", [False, True])
def test_the_log_tells_each_reader_what_the_model_says(seed, pruned, monkeypatch, settings):
    monkeypatch.setattr(resighting, "PORTION", 2)
    monkeypatch.setattr(walking, "_LEAST_ROWS", 1)
    monkeypatch.setattr(walking, "_WIDER", 2)
    monkeypatch.setattr("tests.indicators.test_log.PRUNING", 3 if pruned else 0)
    settings.CHANGE_DAYS = 0
    world, done = World(seed), []
    for number in range(min(PER_WORLD, ACTS - seed * PER_WORLD)):
        try:
            done.append(world.act())
            for name in world.random.sample(LABS, 2):  # some read a little, and lag
                if world.random.random() < 0.4:
                    world.poll(name, limit=world.random.randint(1, 5))
                if world.random.random() < 0.2:
                    world.pull(name, limit=world.random.randint(1, 5))
            if number % 5 == 0:
                world.check(world.random.choice(LABS))
        except AssertionError as error:
            raise AssertionError(f"after {done[-8:]}, act {number} of seed {seed}") from error
    for name in LABS:
        world.check(name)
    assert world.unmoved > number / 20


def test_a_date_leads_to_its_place_within_a_commit():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(5)])
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)])
    borealis = cast.viewer("borealis")
    whole = reading.page(borealis, Selection(), limit=100).statements
    assert len(whole) == 8
    for number, said in enumerate(whole):
        later = reading.page(borealis, Selection(added_after=said.date_added), limit=100).statements
        assert [one.seq for one in later] == [one.seq for one in whole[number + 1 :]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM indicators_commit")
        assert cursor.fetchone() == (2,)


def test_a_change_that_nobody_is_told_of_keeps_nobody_who_follows_the_log():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), build.an_indicator())
    held = Holding.unrestricted.get()
    own = held.audience_id
    changes.append([changes.NewChange(held.pk, held.newest_id, own, Change.Op.UPSERT, Change.Reason.GRANTED, but=own)])
    relining.catch_up()
    reached = Progress.objects.filter(name="lines").values_list("seq", flat=True)
    assert set(reached) == {changes.head()}


def test_who_begins_is_told_of_the_newest_version_alone():
    cast = build.the_cast()
    first = build.an_indicator()
    build.publish(cast.viewer("aster"), first)
    build.publish(cast.viewer("aster"), first | {"modified": build.later(), "name": "the newest"})
    (told,) = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=9).changes
    assert (told.reason, "the newest" in (told.body or "")) == ("revised", True)


@pytest.mark.parametrize("at", range(9))
def test_what_a_filter_passes_over_fills_a_stretch_and_hides_nothing_behind_it(at, monkeypatch):
    monkeypatch.setattr(walking, "_LEAST_ROWS", 2)
    cast = build.the_cast()
    wanted = making.prompt_signature()
    for place in range(9):
        build.publish(cast.viewer("aster"), wanted if place == at else build.an_indicator())
    found = changes.since(cast.viewer("borealis"), Filter.of(kinds=("prompt-signature",)), after=0, limit=1)
    assert [one.stix_id for one in found.changes] == [wanted["id"]]
