"""The inbox: what concerns a partner, and nothing that it may not see."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest

from exchange import clock
from indicators.campaigns.tables import Campaign
from indicators.ending import recalling
from indicators.feeds import deltas, proving
from indicators.models import Connection, Delivery, InForce, Receipt, Subscription
from indicators.opinions import appealing, giving
from indicators.stix import making, parsing
from indicators.telling import subscribing
from indicators.telling.inbox import inbox
from partners import sight
from partners.models import Membership
from partners.scopes import Scope
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_opinions_on_mine_and_matches_with_mine(cast):
    aster, borealis, cygnus = (cast.viewer(name) for name in ("aster", "borealis", "cygnus"))
    since = clock.now() - timedelta(hours=1)
    token = {"token": making.token("a" * 64)}
    mine, theirs = (making.account_pattern(carrier=token, tlp_word="green") for _ in range(2))
    build.publish(aster, mine, groups=("ring",))
    build.publish(borealis, theirs, groups=("ring",))
    giving.give(borealis, mine["id"], opinion="disagree", reason="false_positive")
    found = inbox(aster, since=since)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert {(one.kind, one.about, one.says, one.by) for one in found} == {
        ("opinion", mine["id"], "false_positive", "Borealis"),
        ("match", mine["id"], "email", "Borealis"),
    }
    assert [(one.kind, one.about) for one in inbox(borealis, since=since)] == [("match", theirs["id"])]
    assert inbox(cygnus, since=since) == []
    assert inbox(aster, since=clock.now() + timedelta(seconds=1)) == []
    assert len(inbox(aster, since=since, limit=1)) == 1


def said(viewer, **more):
    return {(one.kind, one.about, one.says) for one in inbox(viewer, since=clock.now() - timedelta(days=1), **more)}


def test_a_recall_is_told_to_who_held_it_and_neither_to_its_publisher_nor_to_who_came_later(cast):
    aster, made = cast.viewer("aster"), build.an_indicator()
    build.publish(aster, made, groups=("ring",))
    recalling.carry_out(aster, recalling.prepare(aster, recalling.Wanted(ids=(made["id"],))).pk)
    with sight.changing([cast.cygnus.pk]):
        Membership.objects.create(partner=cast.cygnus, group=cast.ring)
    assert {name: said(cast.viewer(name)) for name in ("aster", "borealis", "cygnus")} == {
        "aster": set(),
        "borealis": {("recall", made["id"], "")},
        "cygnus": set(),
    }


def test_a_campaign_of_a_group_that_one_has_left_is_told_no_more(cast):
    now = clock.now()
    one = Campaign.objects.create(
        id=uuid.uuid4(),
        group=cast.ring,
        labs={str(cast.borealis.pk): 3},
        name="maple",
        cluster=1,
        first_seen=now,
        last_seen=now,
        told={"name": "maple"},
        told_at=now,
    )
    assert said(cast.viewer("borealis")) == {("campaign", f"campaign--{one.pk}", "maple")}
    assert said(cast.viewer("aster")) == set(), "no account of its own is in it"
    with sight.changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis).update(until=now)
    assert said(cast.viewer("borealis")) == set()


def test_appeals_and_connections_are_told_to_who_may_see_to_them(cast):
    aster = cast.viewer("aster")
    token = {"token": making.token("a" * 64)}
    mine = making.account_pattern(carrier=token)
    build.publish(aster, mine, groups=("ring",))
    (value,) = parsing.read_batch(json.dumps({"objects": [mine]}).encode())[0].tokens
    appealing.file(cast.viewer("borealis"), [value], reason="false_positive")
    Connection.unrestricted.create(
        partner_id=aster.partner_id, name="misp", kind="misp", direction="pull", url="https://m.example/",
        failing_since=clock.now(),
    )  # fmt: skip
    appeal, broken = ("appeal", mine["id"], "false_positive"), ("connection", "misp", "failing")
    assert said(build.viewer_of(cast.aster, Scope.PUBLISH, Scope.READ)) == {appeal}
    assert said(build.viewer_of(cast.aster, Scope.ADMIN, Scope.READ)) == {broken}
    assert said(build.viewer_of(cast.aster, Scope.READ)) == set()
    assert said(cast.viewer("borealis")) == set()


def test_endpoints_that_fail_or_were_given_up_are_told_to_who_may_read_subscriptions(cast):
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    one, other = (subscribing.subscribe(aster, url="https://receiver.example/", feed_id=None)[0] for _ in range(2))
    assert said(aster) == set()
    Subscription.unrestricted.filter(pk=one.pk).update(opened_at=clock.now(), failures=7)
    Subscription.unrestricted.filter(pk=other.pk).update(state="dead")
    about = {"partner_id": aster.partner_id, "subscription": other, "first_seq": 0, "last_seq": 1, "changes": 1}
    Delivery.unrestricted.create(**about, state="dead", finished_at=clock.now())
    assert said(aster) == {("endpoint", str(one.pk), "failing"), ("endpoint", str(other.pk), "given-up")}
    assert said(borealis) == set()
    assert said(build.viewer_of(cast.aster, Scope.READ)) == set()


def test_an_agent_that_differs_or_is_silent_is_told_to_its_own_partner(cast):
    aster = cast.viewer("aster")
    feed_set = proving.brought(aster, deltas.feed_of(aster, "all"), feed="all")
    about = {"feed_set": feed_set, "version": "1", "place": 0}
    now = clock.now()
    for name, equal, at in (("good", True, now), ("bad", False, now), ("gone", True, now - timedelta(hours=1))):
        Receipt.unrestricted.create(**about, instance=name, equal=equal, at=at)
    assert said(aster) == {("agent", "bad", "differs"), ("agent", "gone", "silent")}
    assert said(cast.viewer("borealis")) == set()


def test_an_agent_that_stays_behind_is_told_once_it_is_late(cast):
    aster = cast.viewer("aster")
    build.publish(aster, making.account_pattern())
    feed_set = proving.brought(aster, deltas.feed_of(aster, "all"), feed="all")
    late = Receipt.unrestricted.create(feed_set=feed_set, version="1", instance="late", place=0, at=clock.now())
    assert said(aster) == set(), "a change on its way is no news"
    InForce.unrestricted.update(told_at=clock.now() - timedelta(minutes=6))
    assert said(aster) == {("agent", "late", "lags")}
    late.place = feed_set.place
    late.save()
    assert said(aster) == set()
