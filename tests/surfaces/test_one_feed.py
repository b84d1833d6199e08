"""One feed over every surface: each finds the same set, whatever the filter asks for."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import timedelta

import pytest
from django.test import Client as Browser

from exchange import clock
from exchange.agent import jobs, sync
from exchange.client import Client
from exchange.lists import pages
from indicators.api import events
from indicators.feeds import proving, snapshots
from indicators.models import Digest, FeedSet
from indicators.opinions import recording
from indicators.stix import making
from indicators.telling import digesting, looking, notifying
from indicators.telling.digesting import Wish
from partners.keys import auth
from partners.scopes import KEY_SCOPES
from tests import build, sending
from tests.indicators.api.caller import Caller, read
from tests.indicators.api.test_events import an_open_stream
from tests.indicators.api.test_waking import listener  # noqa: F401 - a fixture
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)

_CAMPAIGN = "campaign--2f1d7a60-0000-4000-8000-000000000001"
_HOOK = "https://receiver.example/hook"


@pytest.fixture
def world(transactional_db, listener, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr(proving, "_MOVES", timedelta(0))
    monkeypatch.setattr(proving, "_SHARE", float("inf"))
    monkeypatch.setattr(proving, "_TOGETHER", float("inf"))
    monkeypatch.setattr(looking, "EVERY", timedelta(0))
    monkeypatch.setattr(snapshots.make, "delay_on_commit", lambda pk: None)
    monkeypatch.setattr(events, "_MOVES_S", 0.2)
    monkeypatch.setattr(events, "LONGEST_S", 2 * DEADLINE_S)
    return build.the_cast()


@pytest.fixture
def sent(monkeypatch):
    return sending.receivers(monkeypatch)


def carrying(value, **more):
    return making.account_pattern(carrier={"token": making.token(f"{value:02x}" * 32)}, **more)


def put_together(*members):
    """A campaign, and what is said to belong to it."""
    said = {"spec_version": "2.1", "created": clock.rfc3339(clock.now()), "modified": clock.rfc3339(clock.now())}
    grouped = {"context": "suspicious-activity", "object_refs": [_CAMPAIGN, *(one["id"] for one in members)]}
    return (
        {"type": "campaign", "id": _CAMPAIGN, "name": "amber heron 41", **said},
        {"type": "grouping", "id": "grouping--2f1d7a60-0000-4000-8000-000000000002", **grouped, **said},
    )


def folded(changes, held):
    """What somebody holds who applies hints to what they held."""
    for one in changes:
        (held.add if one["op"] == "upsert" else held.discard)(one["id"])
    return held


@pytest.mark.parametrize(
    "text",
    [
        "confidence:>=70",
        "publishers:>=2",
        f"type:indicator campaign:{_CAMPAIGN}",
        pytest.param("matched:true", marks=pytest.mark.long),
        pytest.param("age:<1w type:indicator -severity:low", marks=pytest.mark.long),
        pytest.param("until:<90d confidence:>=70", marks=pytest.mark.long),
    ],
)
def test_a_feed_is_the_same_set_on_every_surface(world, sent, live_server, tmp_path, text, mailoutbox):
    aster, borealis = Caller(world.keys["aster"]), Caller(world.keys["borealis"])
    key = build.a_key(world.borealis, *KEY_SCOPES)
    reader = Caller(key)
    feed = read(reader.send("POST", "feeds", {"name": "one", "text": text}), 201)["id"]
    read(reader.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    person = build.a_user(world.borealis)
    viewer = auth.viewer_of_user(person)
    digesting.choose(viewer, person, Wish(every=Digest.Every.HOURLY, feeds=(feed,)))
    hinted: set[str] = set()
    with an_open_stream(reader.key, f"events?feed={feed}") as stream:
        alone, both, gone, disputed, low = (carrying(place) | {"confidence": 80} for place in range(5))
        low["confidence"] = 10
        aster.push(alone, both, gone, disputed, low)
        borealis.push(*(carrying(place) | {"confidence": 75} for place in (1, 2)))
        aster.push(*put_together(alone, both, gone, disputed))
        assert aster.send("POST", f"objects/{gone['id']}/withdraw", {}).status_code == 204
        given = {"opinion": "strongly-disagree", "reason": "false_positive"}
        read(borealis.send("POST", f"objects/{disputed['id']}/opinions", given))
        recording.catch_up()
        whole = by_delta(reader, feed)
        assert whole
        until(lambda: streamed(stream) == whole or stream.named("end"))
        assert streamed(stream) == whole, stream.events
    for _ in range(3):
        notifying.look()
        notifying.look_behind()
        notifying.sweep()
        notifying.deliver()
    for message in sent:
        folded(message["data"]["changes"], hinted)
    assert hinted == whole, "webhook"
    assert by_list(reader, feed) == whole, "flat list"
    assert by_collection(reader, feed) - {disputed["id"]} == whole, "TAXII, which has no word for disputed"
    assert by_snapshot(reader, feed) == whole, "snapshot"
    assert by_agent(live_server.url, key, feed, tmp_path) == whole, "agent"
    assert by_portal(person, feed) - {disputed["id"]} == whole, "portal"
    told = digesting.compose(viewer, Digest.objects.get(user=person), until=clock.now() + timedelta(minutes=1))
    assert told is not None
    assert f"one: {len(whole)} new or changed" in told[1], "digest"


def streamed(stream):
    return folded([change for _, _, said in stream.named("change") for change in said["changes"]], set())


def by_delta(reader, feed):
    held, cursor = set(), ""
    while True:
        page = pages.read([reader.get(f"feeds/{feed}/delta?limit=2{cursor}").content])
        folded(page.rows, held)
        cursor = f"&cursor={page.trailer.next_cursor}"
        if not page.trailer.more:
            assert page.trailer.set_count == len(held)
            return held


def by_list(reader, feed):
    text = b"".join(reader.get(f"blocklists/{feed}?format=csv").streaming_content).decode()
    return {one for row in csv.DictReader(io.StringIO(text)) for one in row["ids"].split("|")}


def by_collection(reader, feed):
    found = read(reader.get(f"/taxii2/exchange/collections/{feed}/objects/"))
    return {one["id"] for one in found["objects"] if one["type"] == "indicator"}


def by_snapshot(reader, feed):
    assert reader.get(f"feeds/{feed}/snapshot").status_code == 202
    snapshots.make(FeedSet.unrestricted.get(feed=feed).pk)
    body = gzip.decompress(b"".join(reader.get(f"feeds/{feed}/snapshot").streaming_content))
    return {row["id"] for row in pages.read([body]).rows}


def by_agent(url, key, feed, directory):
    job = jobs.Job(path=directory / "list.csv", state_dir=directory / "state", form="csv", feed=feed)
    with Client(url, key) as client:
        sync.run_once(client, job)
    return {one for row in csv.DictReader(job.path.open()) for one in row["ids"].split("|")}


def by_portal(person, feed):
    browser = Browser()
    build.sign_in(browser, person)
    page = browser.get(f"/indicators?view={feed}").content.decode()
    return {
        part.split('"')[0].split("?")[0] for part in page.split("/indicators/")[1:] if part.startswith("indicator--")
    }
