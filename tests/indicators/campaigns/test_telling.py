"""What becomes of a campaign is told to its group by webhook, stream and inbox; to others by none of them."""

import json
from datetime import timedelta

import pytest

from exchange import clock, outbound
from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign
from indicators.telling import notifying, subscribing
from partners.scopes import Scope
from tests import build, sending
from tests.drilling import LONG
from tests.indicators.api.caller import Caller, read
from tests.indicators.api.test_events import an_open_stream, listening, own_streams  # noqa: F401 - fixtures
from tests.indicators.api.test_waking import listener  # noqa: F401 - a fixture
from tests.indicators.campaigns.sending import Pooling, send
from tests.indicators.campaigns.test_placing import campaign_of
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
IN_IT = ("aster", "borealis", "cygnus")


class Reader:
    """Somebody who follows by webhook and stream, and looks into the inbox."""

    def __init__(self, partner):
        self.caller = Caller(build.a_key(partner, Scope.READ, Scope.SUBSCRIBE))
        url = f"https://{partner.slug}.example/hook"
        self.subscription, _ = subscribing.subscribe(self.caller.viewer, url=url, feed_id=None)
        self.url, self.seen = url, 0

    def by_stream(self):
        return {one for one in self.stream.told() if one.startswith("campaign--")}

    def by_inbox(self):
        items = read(self.caller.get("inbox"))["items"]
        return {(one["about"], did) for one in items if one["kind"] == "campaign" for did in one["did"] or [""]}


@pytest.fixture
def posted(monkeypatch):
    """By address, the ids of campaigns that it was told of."""
    found = {}

    def post(url, body, *, headers, **_):
        changes = json.loads(body)["data"]["changes"]
        found.setdefault(url, set()).update(one["id"] for one in changes if one["id"].startswith("campaign--"))
        return outbound.Reply(200, None, b"")

    sending.answer_by(monkeypatch, post)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    return found


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))
    monkeypatch.setattr(proposing, "hint", lambda: None)
    return Pooling(interval_s=0)


def created(pool):
    campaign_of(pool, "x", count=12)
    return "created"


def grew(pool):
    campaign_of(pool, "x", count=40)
    return "grew"


def two(pool):
    campaign_of(pool, "x", count=14)
    campaign_of(pool, "y", count=12)


def joined(pool):
    """Bridges at three labs make two one: the smaller ends and becomes a part of the larger."""
    bridges = [
        pool.account(
            *(pool.token(f"{letter} card {number % 4}", "pan_token") for letter in "xy"),
            *(pool.token(f"{letter} device {number % 3}") for letter in "xy"),
        )
        for number in range(8)
    ]
    for name in IN_IT:
        send(pool.labs[name], "evidence?round=1", *(pool.account(*line["tokens"]) for line in bridges))
    return "joined"


def dismissed(pool):
    one = Campaign.objects.get(state="live")
    for name in IN_IT[:2]:
        said = {"says": "dismiss", "reason": "benign_shared"}
        assert pool.labs[name].send("PUT", f"campaigns/{one.pk}/statement", said).status_code == 200
    return "dismissed"


def facts():
    return {one.pk: one.told for one in Campaign.objects.exclude(told={})}


def tell(pool):
    assert proposing.work(pool.group.pk)
    announcing.catch_up()


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((created,), marks=LONG),
        (created, grew),
        pytest.param((two, joined), marks=LONG),
        pytest.param((created, dismissed), marks=LONG),
    ],
    ids=lambda steps: steps[-1].__name__,
)
@pytest.mark.slow
def test_what_becomes_of_a_campaign_is_told_to_those_concerned_alone(pool, posted, steps):
    *before, last = steps
    for step in before:
        step(pool)
        tell(pool)
    members = {name: Reader(pool.partners[name]) for name in pool.partners}
    strangers = [Reader(build.a_partner("Gemini")), Reader(pool.cast.operator)]
    readers = [*members.values(), *strangers]
    for each in readers:
        notifying.dispatch(each.subscription.pk)
    while sending.send_next():
        pass
    posted.clear()
    began, before = clock.now(), facts()
    streams = [an_open_stream(each.caller.key) for each in readers]
    for each, opened in zip(readers, streams, strict=True):
        each.stream = opened.__enter__()
    try:
        did = last(pool)
        tell(pool)
        told = {f"campaign--{pk}" for pk, said in facts().items() if said != before.get(pk)}
        shown = {f"campaign--{one.pk}" for one in Campaign.objects.filter(told_at__gt=began)}
        assert told
        until(lambda: all(each.by_stream() >= told for each in members.values()))
        for each in readers:
            notifying.dispatch(each.subscription.pk)
        while sending.send_next():
            pass
        for name, each in members.items():
            assert each.by_stream() == told
            assert posted[each.url] == told
            if name in IN_IT:
                assert did in {what for about, what in each.by_inbox() if about in shown}
            else:
                assert each.by_inbox() == set()
        for each in strangers:
            assert each.by_stream() == set()
            assert each.url not in posted
            assert each.by_inbox() == set()
    finally:
        for opened in streams:
            opened.__exit__(None, None, None)
