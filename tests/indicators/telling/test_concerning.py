"""What concerns one's own is told apart: to an address that asks for nothing else, and marked to all others."""

from __future__ import annotations

import uuid

import orjson
import pytest

from exchange import clock
from indicators.campaigns.tables import Campaign
from indicators.ending import recalling
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Delivery, Subscription
from indicators.opinions import giving
from indicators.stix import making
from indicators.telling import concerning, notifying, subscribing
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.indicators.telling.test_delivering import fail

pytestmark = pytest.mark.django_db
URL = "https://receiver.example/hook"
TOKEN = making.token("ab" * 32)


@pytest.fixture
def ours(cast):
    made = making.account_pattern(carrier={"token": TOKEN})
    build.publish(cast.viewer("borealis"), made, groups=("ring",))
    return made["id"]


def said(viewer, *, after, only_yours=True):
    span = changes.since(viewer, EVERYTHING, after=after, limit=100)
    return concerning.hints(viewer, span.changes, only_yours=only_yours)


def test_others_words_on_ones_own_matches_and_recalls_concern_one_and_nothing_else_does(cast, ours):
    borealis, aster = cast.viewer("borealis"), cast.viewer("aster")
    place = changes.head()
    other = build.an_indicator()
    build.publish(aster, other, groups=("ring",))
    assert said(borealis, after=place) == []
    assert [one["id"] for one in said(borealis, after=place, only_yours=False)] == [other["id"]]
    giving.give(borealis, other["id"], opinion="agree", reason="confirmed_here")
    assert said(borealis, after=place) == [], "what one says oneself is nothing that one is told"
    giving.give(aster, ours, opinion="disagree", reason="false_positive")
    (opinion,) = said(borealis, after=place)
    assert (opinion["type"], opinion["yours"]) == ("opinion", [ours])
    match = making.account_pattern(carrier={"token": TOKEN})
    build.publish(aster, match, groups=("ring",))
    assert [(one["id"], one["yours"]) for one in said(borealis, after=place)][1:] == [(match["id"], [ours])]
    # Aster is told of Borealis's opinion on its own; that the match came with an object of its own is no news to it.
    assert [(one["type"], one["yours"]) for one in said(aster, after=0)] == [("opinion", [other["id"]])]
    place = changes.head()
    recall = recalling.prepare(aster, recalling.Wanted(ids=(other["id"],)))
    recalling.carry_out(aster, recall.pk)
    assert [(one["reason"], one["id"]) for one in said(borealis, after=place)] == [("recalled", other["id"])]
    assert said(aster, after=place) == [], "who recalled it knows"


def test_what_somebody_says_of_anothers_object_concerns_no_third_reader(cast):
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="three")
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("three",))
    giving.give(cast.viewer("borealis"), made["id"], opinion="agree", reason="confirmed_here")
    assert [one["yours"] for one in said(cast.viewer("aster"), after=0)] == [[made["id"]]]
    assert said(cast.viewer("cygnus"), after=0) == []
    assert len(said(cast.viewer("cygnus"), after=0, only_yours=False)) == 2, "it reads both"


def test_who_does_not_see_the_opinion_learns_nothing_of_it(cast, ours):
    giving.give(cast.viewer("aster"), ours, opinion="disagree", reason="victim")
    assert said(cast.viewer("cygnus"), after=0) == []


def test_an_address_that_asks_for_what_is_its_own_is_sent_nothing_else(cast, ours, answers):
    subscribing.subscribe(cast.viewer("borealis"), url=URL, feed_id=None, only_yours=True)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    notifying.sweep()
    assert not Delivery.unrestricted.exists()
    assert Subscription.unrestricted.get().seq == changes.head(), "it has been looked at"
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    giving.give(cast.viewer("aster"), ours, opinion="disagree", reason="false_positive")
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    notifying.sweep()
    notifying.deliver()
    (sent,) = answers[1]
    assert [(one["type"], one["yours"]) for one in sent[1]["data"]["changes"]] == [("opinion", [ours])]
    delivery = Delivery.unrestricted.get()
    # What the opinion takes out of lists is told to those who are told everything, and hurries nobody else.
    assert (delivery.changes, delivery.urgent, sent[1]["data"]["urgent"]) == (1, False, False)


def test_what_does_not_concern_an_address_that_asks_for_its_own_does_not_hurry_it(cast, ours, answers, time):
    """What it would not be told of is no news for it."""
    subscription, _ = subscribing.subscribe(cast.viewer("borealis"), url=URL, feed_id=None, only_yours=True)
    giving.give(cast.viewer("aster"), ours, opinion="disagree", reason="false_positive")
    (delivery_id,) = notifying.dispatch_all([subscription.pk])
    delivery = fail(Delivery.unrestricted.get(pk=delivery_id))
    time.move_to(delivery.due_at)
    delivery = fail(delivery)
    time.shift(61)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None
    assert Delivery.unrestricted.get().due_at == delivery.due_at
    giving.give(cast.viewer("aster"), ours, opinion="agree", reason="confirmed_here")
    assert notifying.dispatch(subscription.pk) == delivery.pk


def test_a_campaign_that_ones_accounts_are_in_concerns_one_and_no_other_does(cast):
    borealis, now = cast.viewer("borealis"), clock.now()
    ours, others, left, odd = (f"campaign--{uuid.uuid4()}" for _ in range(4))
    ring, elsewhere = cast.ring.pk, build.a_ring(cast.aster, cast.cygnus, slug="elsewhere").pk
    for one, lab, group in ((ours, cast.borealis, ring), (others, cast.cygnus, ring), (left, cast.borealis, elsewhere)):
        Campaign.objects.create(
            id=uuid.UUID(one.removeprefix("campaign--")),
            group_id=group,
            labs={str(lab.pk): 3},
            name=f"maple summit {one[-4:]}",
            cluster=1,
            first_seen=now,
            last_seen=now,
        )
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    (told,) = changes.since(borealis, EVERYTHING, after=0, limit=9).changes
    ids = (ours, others, left, odd, "campaign--of-another-form")
    found = concerning.yours(
        borealis, [told._replace(stix_type="campaign", stix_id=one, seq=n) for n, one in enumerate(ids)]
    )
    assert found == {0: [ours]}


@pytest.mark.parametrize("form", ["slack", "teams"])
def test_a_chat_is_told_that_it_concerns_it(cast, ours, answers, form):
    subscribing.subscribe(cast.viewer("borealis"), url=URL, feed_id=None, form=form, only_yours=True)
    giving.give(cast.viewer("aster"), ours, opinion="disagree", reason="false_positive")
    notifying.sweep()
    notifying.deliver()
    (sent,) = answers[1]
    assert "In what concerns you: 1 new or changed." in str(sent[1])


def test_it_is_chosen_changed_and_read_over_rest(cast):
    caller = Caller(cast.keys["borealis"])
    made = read(caller.send("POST", "subscriptions", {"url": URL, "only": "yours"}), 201)
    assert made["only"] == "yours"
    path = f"subscriptions/{made['id']}"
    assert read(caller.send("PATCH", path, {"only": None}))["only"] is None
    assert read(caller.send("PATCH", path, {"only": "yours"}))["only"] == "yours"
    assert read(caller.send("PATCH", path, {"state": "paused"}))["only"] == "yours"
    for sent in ("theirs", ""):
        refused = caller.send("PATCH", path, {"only": sent})
        assert (code(refused, 422), at(refused)) == ("bad-only", "/only")
    assert read(caller.send("POST", "subscriptions", {"url": URL}), 201)["only"] is None


@pytest.mark.parametrize("query", ["only=", "only=theirs"])
def test_a_stream_takes_no_other_word(cast, query):
    assert code(Caller(cast.keys["borealis"]).get(f"events?{query}"), 422) == "bad-parameter"


@pytest.mark.django_db(transaction=True)
def test_a_stream_of_what_is_ones_own_tells_nothing_else(cast, ours):
    cursor = read(Caller(cast.keys["borealis"]).get("changes"))["cursor"]
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    giving.give(cast.viewer("aster"), ours, opinion="disagree", reason="stale")
    answer = Caller(cast.keys["borealis"]).get(f"events?only=yours&cursor={cursor}")
    text = b""
    for chunk in answer.streaming_content:
        text += chunk
        if b"event: change" in text:
            break
    answer.close()
    event = text[text.index(b"event: change") :]
    data = orjson.loads(next(line for line in event.split(b"\n") if line.startswith(b"data: "))[6:])
    assert [(one["type"], one["yours"]) for one in data["changes"]] == [("opinion", [ours])]
