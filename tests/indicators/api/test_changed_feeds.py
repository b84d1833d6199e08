"""A feed whose filter is changed: who follows it is told what comes and what goes, and the set hash stays right."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange.lists import sets
from indicators.feeds import comparing, deltas, filters, proving, snapshots
from indicators.models import Delivery, Feed, FeedSet, InForce, Subscription
from indicators.opinions import giving, recording
from indicators.stix import making
from indicators.telling import delivering, notifying, subscribing
from partners.models import AuditRecord
from partners.scopes import Scope
from tests import build, sending
from tests.indicators.api.caller import another, at, code, read
from tests.indicators.api.test_delta import Subscriber, revoked

pytestmark = pytest.mark.django_db


def saved(caller, text="confidence:>=70", name="sure"):
    return read(caller.send("POST", "feeds", {"name": name, "text": text}), 201)["id"]


def changed(caller, feed, text):
    answer = read(caller.send("PATCH", f"feeds/{feed}", {"text": text}))
    assert answer["text"] == text
    return answer


def graded(*grades):
    return [build.an_indicator() | {"confidence": grade} for grade in grades]


@pytest.mark.parametrize("null", ["text", "filter", "name"])
def test_null_changes_nothing_of_a_feed(borealis, null):
    feed = saved(borealis)
    given = {"name": "new", "filter": {"confidence": {">=": 90}}}
    spelled = {"text": "confidence:>=90"} if null == "filter" else given
    answer = read(borealis.send("PATCH", f"feeds/{feed}", {**spelled, null: None}))
    assert answer["text"] == "confidence:>=90"
    assert answer["name"] == ("new" if null == "text" else "sure")
    assert read(borealis.send("PATCH", f"feeds/{feed}", {"name": "other", null: "third" if null == "name" else None}))[
        "text"
    ] == ("confidence:>=90")
    assert at(borealis.send("PATCH", f"feeds/{feed}", {null: None})) == "/filter"
    made = read(
        borealis.send("POST", "feeds", {"name": "made", "filter": {"confidence": {">=": 90}}, "text": None}), 201
    )
    assert made["text"] == "confidence:>=90"


def test_an_empty_text_never_selects_everything_beside_a_filter_or_in_place_of_one(borealis):
    feed = saved(borealis)
    for text in ("", "  "):
        for method, path in (("POST", "feeds"), ("PATCH", f"feeds/{feed}")):
            both = borealis.send(method, path, {"name": "both", "filter": {"confidence": {">=": 90}}, "text": text})
            assert (code(both, 422), at(both)) == ("bad-filter", "/text")
        alone = borealis.send("PATCH", f"feeds/{feed}", {"text": text})
        assert (code(alone, 422), at(alone)) == ("bad-filter", "/text")
    assert read(borealis.get(f"feeds/{feed}"))["text"] == "confidence:>=70"
    assert read(borealis.send("POST", "feeds", {"name": "all of it", "text": ""}), 201)["text"] == ""
    assert read(borealis.send("PATCH", f"feeds/{feed}", {"filter": {}}))["text"] == ""


def told(rows):
    return sorted((row["op"], row["reason"], row["id"]) for row in rows)


@pytest.mark.parametrize("stretch", [proving._STRETCH, 2])
def test_what_a_changed_filter_lets_go_is_removed_what_it_lets_in_comes_and_nothing_else_travels(
    aster, borealis, monkeypatch, stretch
):
    monkeypatch.setattr(proving, "_STRETCH", stretch)
    low, middle, high = graded(20, 75, 95)
    aster.push(low, middle, high, *graded(1, 2, 3))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    key = reader.trailer.set_key
    assert reader.ids() == {middle["id"], high["id"]}
    changed(borealis, feed, "confidence:>=90")
    assert told(reader.catch_up()) == [("remove", "filtered", middle["id"])]
    changed(borealis, feed, "confidence:>=20")
    rows = reader.catch_up()
    assert sorted((row["op"], row["id"]) for row in rows) == sorted([("upsert", low["id"]), ("upsert", middle["id"])])
    assert reader.trailer.set_key == key
    assert reader.catch_up() == []


def test_a_page_in_the_midst_of_it_states_no_hash_and_says_that_there_is_more(aster, borealis, monkeypatch):
    aster.push(*graded(*range(60, 100, 5)))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed, limit=100)
    reader.catch_up()
    monkeypatch.setattr(proving, "_STRETCH", 2)
    changed(borealis, feed, "confidence:>=95")
    page = reader.page()
    assert page.trailer.more
    assert page.trailer.set_hash is None
    reader.catch_up()
    assert len(reader.held) == 1


def test_ends_and_a_second_change_in_the_midst_of_a_first_are_taken_in(aster, borealis, monkeypatch):
    made = graded(*range(10, 100, 10))
    aster.push(*made)
    feed = saved(borealis, "confidence:>=50")
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    monkeypatch.setattr(proving, "_STRETCH", 3)
    aster.push(revoked(made[8]))  # before the set took it in
    changed(borealis, feed, "confidence:>=20")
    reader.page()
    aster.push(revoked(made[4]), revoked(made[0]))
    changed(borealis, feed, "confidence:<=60")
    reader.page()
    changed(borealis, feed, "confidence:>=30 confidence:<=60")
    reader.catch_up()
    assert reader.ids() == {made[place]["id"] for place in (2, 3, 5)}
    late = Subscriber(borealis, feed)
    late.catch_up()
    assert late.held == reader.held


def test_whoever_asked_with_the_filter_of_before_takes_nothing_back(aster, borealis):
    """A request that read the feed before the change, and its set after it."""
    aster.push(*graded(60, 75, 95))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    before = deltas.feed_of(borealis.viewer, feed)
    changed(borealis, feed, "confidence:>=90")
    reader.catch_up()
    place = FeedSet.unrestricted.get().place
    deltas.page(borealis.viewer, before, feed=feed, cursor=reader.cursor, limit=10)
    assert reader.catch_up() == []
    assert len(reader.held) == 1
    assert FeedSet.unrestricted.get().place == place


def test_a_poll_of_a_changed_feed_asks_no_more_than_before(aster, borealis):
    aster.push(*graded(60, 95))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed)
    reader.catch_up()

    def queries():
        with CaptureQueriesContext(connection) as asked:
            reader.catch_up()
        return len(asked)

    before = queries()
    changed(borealis, feed, "confidence:>=50")
    reader.catch_up()
    assert queries() == before


def test_cursors_and_sets_of_the_time_when_a_filter_could_not_be_changed_go_on(aster, borealis):
    aster.push(*graded(60, 95))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    wanted = deltas.feed_of(borealis.viewer, feed)
    former = proving.former_scope_of(borealis.viewer, wanted, feed=feed)
    feed_set = FeedSet.unrestricted.get()
    FeedSet.unrestricted.update(scope=former, filter="")
    reader.cursor = deltas.paging.seal(
        [feed_set.pk, feed_set.place, 0], viewer=borealis.viewer.partner_id, scope=f"delta;{former}"
    )
    assert reader.catch_up() == []
    aster.push(*graded(96))
    assert [row["op"] for row in reader.catch_up()] == ["upsert"]
    changed(borealis, feed, "confidence:>=96")
    assert [row["reason"] for row in reader.catch_up()] == ["filtered"]


def test_a_snapshot_of_after_the_change_holds_what_it_lets_in(aster, borealis):
    aster.push(*graded(60, 95))
    feed = saved(borealis)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    changed(borealis, feed, "confidence:>=50")
    assert read(borealis.get(f"feeds/{feed}/snapshot"), 202) == {"state": "making"}
    snapshots.make(FeedSet.unrestricted.get().pk)
    assert borealis.get(f"feeds/{feed}/snapshot").status_code == 200
    assert snapshots.served(borealis.viewer, feed=feed, coding="gzip").rows == 2


def test_the_log_of_a_changed_feed_is_read_from_the_beginning(aster, borealis):
    aster.push(*graded(60, 95))
    feed = saved(borealis)
    cursor = read(borealis.get(f"changes?feed={feed}"))["cursor"]
    assert code(borealis.get(f"changes?feed={feed}&cursor=nothing"), 400) == "bad-cursor"
    changed(borealis, feed, "confidence:>=50")
    assert code(borealis.get(f"changes?feed={feed}&cursor={cursor}"), 410) == "start-over"
    assert len(read(borealis.get(f"changes?feed={feed}"))["changes"]) == 2


def test_what_is_no_change_starts_nobody_over(aster, borealis):
    aster.push(*graded(95))
    feed = saved(borealis)
    cursor = read(borealis.get(f"changes?feed={feed}"))["cursor"]
    renamed = read(borealis.send("PATCH", f"feeds/{feed}", {"name": "other", "text": "confidence:>=70"}))
    assert renamed["name"] == "other"
    assert read(borealis.get(f"changes?feed={feed}&cursor={cursor}"))["changes"] == []
    (record,) = AuditRecord.objects.filter(verb="feed.changed")
    assert record.details["changed"] == ["name"]


def test_who_may_change_what(aster, borealis, cast):
    feed = saved(borealis)
    assert code(aster.send("PATCH", f"feeds/{feed}", {"name": "mine"}), 404) == "not-found"
    reads = another(cast.borealis, Scope.READ)
    assert code(reads.send("PATCH", f"feeds/{feed}", {"name": "mine"}), 403) == "missing-scope"
    assert code(borealis.send("PATCH", f"feeds/{feed}", {}), 422) == "bad-filter"
    both = borealis.send("PATCH", f"feeds/{feed}", {"text": "kind:account-pattern", "filter": {"kind": ["x"]}})
    assert at(both) == "/text"
    saved(borealis, name="taken")
    assert code(borealis.send("PATCH", f"feeds/{feed}", {"name": "taken"}), 409) == "name-taken"
    assert read(borealis.get(f"feeds/{feed}"))["text"] == "confidence:>=70"


NETS = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24")


@pytest.fixture
def judged(aster, borealis):
    """Of three nets by their ids, Borealis disputes the first; the second was revised thereafter, and disputed, too."""
    made = [making.account_pattern("net", carrier={"value": net}, tlp_word="green") for net in NETS]
    aster.push(*made)
    for stix in made[:2]:
        giving.give(borealis.viewer, stix["id"], opinion="disagree", reason="false_positive")
    aster.push(made[1] | {"confidence": 33, "modified": build.later()})
    return {stix["id"]: net for stix, net in zip(made, NETS, strict=True)}


def in_force(reader, judged):
    """The nets that a subscriber enforces, if the list and a beginner's log of the same feed hold the same."""
    feed = reader.path.split("/")[1]
    held = {net for stix_id, net in judged.items() if stix_id in reader.ids()}
    listed = read_text(reader.caller.get(f"blocklists/{feed}?format=txt"))
    assert {net for net in NETS if net in listed} == held
    live = {one["id"] for one in read(reader.caller.get(f"changes?feed={feed}"))["changes"] if one["op"] == "upsert"}
    assert {judged[stix_id] for stix_id in live if stix_id in judged} == held
    return held


def read_text(answer):
    assert answer.status_code == 200
    return b"".join(answer).decode()


_ALL = "standing:disputed,refuted,supported,unreviewed"


@pytest.mark.parametrize("stretch", [proving._STRETCH, 2])
def test_what_is_disputed_goes_with_the_filter_that_asked_for_it_and_comes_with_one_that_asks(
    aster, judged, monkeypatch, stretch
):
    monkeypatch.setattr(proving, "_STRETCH", stretch)
    feed = saved(aster, _ALL)
    reader = Subscriber(aster, feed)
    reader.catch_up()
    assert in_force(reader, judged) == set(NETS), "the first fill holds what was disputed before it"
    changed(aster, feed, "kind:account-pattern")
    rows = reader.catch_up()
    assert [(row["op"], row["reason"]) for row in rows if row["id"] in judged] == [("remove", "disputed")] * 2
    assert in_force(reader, judged) == {NETS[2]}
    changed(aster, feed, "standing:disputed,refuted")
    reader.catch_up()
    assert in_force(reader, judged) == set(NETS[:2])
    changed(aster, feed, "kind:account-pattern standing:supported,unreviewed")
    reader.catch_up()
    assert in_force(reader, judged) == {NETS[2]}


def test_what_was_disputed_before_it_came_into_sight_is_in_a_feed_that_asks_for_it(aster, borealis, cygnus):
    """Its last entry says that it was granted, not that it was judged."""
    net = making.account_pattern("net", carrier={"value": NETS[0]}, tlp_word="green")
    build.publish(aster.viewer, net, everyone=True)
    giving.give(borealis.viewer, net["id"], opinion="disagree", reason="stale")
    # Back again before anybody followed: what was said of it is still where it was.
    assert aster.send("PUT", f"objects/{net['id']}/audience", {"groups": ["ring"]}).status_code == 204
    recording.catch_up()
    feed = saved(cygnus, "standing:disputed,refuted")
    reader = Subscriber(cygnus, feed)
    reader.catch_up()
    assert in_force(reader, {net["id"]: NETS[0]}) == set()
    assert aster.send("PUT", f"objects/{net['id']}/audience", {"everyone": True}).status_code == 204
    reader.catch_up()
    assert in_force(reader, {net["id"]: NETS[0]}) == {NETS[0]}


def test_a_set_that_was_made_before_it_was_told_of_what_is_disputed_is_told_now(aster, judged):
    feed = saved(aster, "standing:disputed")
    reader = Subscriber(aster, feed)
    reader.catch_up()
    kept = FeedSet.unrestricted.get(feed_id=feed)
    lacking = InForce.unrestricted.filter(feed_set=kept).order_by("place").first()
    hashed = sets.SetHash(kept.count, int.from_bytes(kept.total))
    hashed.drop(proving._element(bytes(kept.set_key), comparing.held(kept, ids=[lacking.holding.stix_id])[0]))
    lacking.delete()
    before = filters.parse(Feed.unrestricted.get(pk=feed).filter).scope
    FeedSet.unrestricted.filter(pk=kept.pk).update(filter=before, count=hashed.count, total=hashed.total.to_bytes(32))
    beginner = Subscriber(aster, feed)
    rows = beginner.catch_up()
    assert {judged[row["id"]] for row in rows if row["id"] in judged} == set(NETS[:2])
    told = [row["id"] for row in reader.catch_up()]
    assert told == [lacking.holding.stix_id], "what stays is not told again"
    assert reader.catch_up() == []


def test_who_disputes_an_indicator_enforces_it_by_no_filter(borealis, judged):
    feed = saved(borealis, _ALL)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    assert in_force(reader, judged) == {NETS[2]}
    changed(borealis, feed, "standing:disputed")
    reader.catch_up()
    assert in_force(reader, judged) == set()


@pytest.fixture
def answers(monkeypatch):
    return sending.receivers(monkeypatch)


def test_addresses_are_told_once_that_the_feed_changed_and_then_what_the_new_filter_lets_through(
    aster, borealis, answers
):
    feed = saved(borealis)
    subscription, given_up = (
        subscribing.subscribe(borealis.viewer, url="https://receiver.example/hook", feed_id=feed)[0] for _ in range(2)
    )
    Subscription.unrestricted.filter(pk=given_up.pk).update(state="dead")
    changed(borealis, feed, "confidence:>=80")
    changed(borealis, feed, "confidence:>=90")
    notifying.deliver()
    (said,) = answers
    assert (said["type"], said["data"]["feed"], said["data"]["urgent"]) == ("feed.changed", feed, True)
    assert said["data"]["link"].endswith(f"/api/v1/changes?feed={feed}")
    low, high = graded(85, 95)
    aster.push(low, high)
    notifying.dispatch(subscription.pk)
    notifying.deliver()
    assert [one["id"] for one in answers[-1]["data"]["changes"]] == [high["id"]]
    kept = Delivery.unrestricted.get(kind="refiltered")
    delivering.send_again(borealis.viewer, kept.pk)
    notifying.deliver()
    assert answers[-1]["type"] == "feed.changed"
