"""The delta: what a subscriber holds after any page is what the log says, and the trailer proves it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
import time_machine
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from exchange import clock, incarnation
from exchange.lists import pages, sets
from indicators.ending import retiring
from indicators.feeds import proving
from indicators.models import FeedSet, InForce, Receipt
from partners import keys
from partners.groups import membership
from partners.scopes import KEY_SCOPES, Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db


class Subscriber:
    """One who follows the protocol of docs/delta.md, in memory."""

    def __init__(self, caller: Caller, feed: str = "all", limit: int = 3) -> None:
        self.caller, self.path, self.limit = caller, f"feeds/{feed}/delta", limit
        self.cursor, self.held, self.rows = "", {}, []
        self.trailer: pages.Trailer | None = None

    def page(self) -> pages.Page:
        answer = self.caller.get(f"{self.path}?limit={self.limit}" + (f"&cursor={self.cursor}" if self.cursor else ""))
        assert answer.status_code == 200, answer.content
        page = pages.read([answer.content])
        ops = [row["op"] for row in page.rows]
        assert ops == sorted(ops), "removes first"
        for row in page.rows:
            name = (row["publisher"]["id"], row["id"])
            self.held.pop(name, None)
            if row["op"] == "upsert":
                self.held[name] = (row["sha256"], sets.moment(row["valid_until"]))
        self.rows += page.rows
        self.cursor, self.trailer = page.trailer.next_cursor, page.trailer
        return page

    def catch_up(self) -> list[dict]:
        """Up to the end; what was told on the way. The set hash is the exchange's, or this fails."""
        self.rows = []
        while self.page().trailer.more:
            pass
        assert self.trailer is not None
        total = sets.SetHash()
        for (source, stix_id), (sha256, end) in self.held.items():
            total.add(sets.element(self.trailer.set_key, source=source, stix_id=stix_id, sha256=sha256, end=end))
        assert (total.count, total.hex) == (self.trailer.set_count, self.trailer.set_hash)
        return self.rows

    def ids(self) -> set[str]:
        return {stix_id for _, stix_id in self.held}


def visible(caller: Caller, kind: str = "") -> set[str]:
    """What the REST face tells a beginner is live, by the log."""
    cursor, live = "", set()
    while True:
        page = read(caller.get(f"changes?limit=50&cursor={cursor}" + (f"&kind={kind}" if kind else "")))
        for change in page["changes"]:
            live.discard(change["id"])
            if change["op"] == "upsert":
                live.add(change["id"])
        cursor = page["cursor"]
        if not page["more"]:
            return live


def revoked(stix: dict) -> dict:
    return stix | {"revoked": True, "modified": build.later()}


def withdraw(caller: Caller, stix: dict) -> None:
    assert read(caller.send("POST", "objects/withdraw", {"ids": [stix["id"]]}))["counts"]["accepted"] == 1


def test_a_feed_is_told_page_by_page_with_the_publishers_bytes_and_proved_at_its_end(aster, borealis):
    sent = [build.an_indicator() for _ in range(8)]
    raw = [orjson.dumps(stix).replace(b'"confidence":', b'"confidence": ') for stix in sent]
    aster.push(*raw)
    reader = Subscriber(borealis)
    rows = reader.catch_up()
    assert [row["id"] for row in rows] == [stix["id"] for stix in sent]
    assert rows[0]["entries"][0]["value"] in raw[0].decode()
    assert reader.trailer.set_count == 8
    assert reader.catch_up() == []
    cursor = reader.cursor
    reader.catch_up()
    assert reader.cursor == cursor


def test_a_revocation_is_a_remove_and_a_revision_takes_the_place(aster, borealis):
    first, second, third = (build.an_indicator() for _ in range(3))
    aster.push(first, second)
    reader = Subscriber(borealis)
    reader.catch_up()
    aster.push(third, revoked(first), second | {"confidence": 11, "modified": build.later()})
    rows = reader.catch_up()
    assert sorted((row["op"], row["reason"], row["id"]) for row in rows) == sorted([
        ("remove", "revoked", first["id"]),
        ("upsert", "published", third["id"]),
        ("upsert", "revised", second["id"]),
    ])  # fmt: skip
    assert reader.ids() == {second["id"], third["id"]}


def test_a_reason_says_what_is_new_to_the_reader_and_what_changed(aster, borealis):
    held, later, back = (build.an_indicator() for _ in range(3))
    aster.push(held, back)
    reader, slow = Subscriber(borealis), Subscriber(borealis)

    def told(who):
        return {(row["op"], row["reason"], row["id"]) for row in who.catch_up()}

    assert told(reader) == {("upsert", "published", one["id"]) for one in (held, back)}
    told(slow)
    aster.push(later)
    assert told(reader) == {("upsert", "published", later["id"])}
    aster.push(later | {"modified": build.later()}, held | {"modified": build.later()})
    withdraw(aster, back)
    assert told(reader) == {
        ("upsert", "revised", later["id"]), ("upsert", "revised", held["id"]), ("remove", "withdrawn", back["id"])
    }  # fmt: skip
    assert read(aster.push(back, query="?groups=ring&wake=true"))["counts"]["accepted"] == 1
    assert told(reader) == {("upsert", "published", back["id"])}
    assert told(slow) == {
        ("upsert", "published", later["id"]), ("upsert", "revised", held["id"]), ("upsert", "published", back["id"])
    }  # fmt: skip


def test_who_began_late_or_lagged_holds_the_same(aster, borealis):
    lagging = Subscriber(borealis)
    stix = [build.an_indicator() for _ in range(9)]
    aster.push(*stix[:4])
    lagging.page()
    for each in stix[:2]:
        aster.push(revoked(each))
    aster.push(*stix[4:])
    late = Subscriber(borealis)
    late.catch_up()
    assert "remove" not in {row["op"] for row in late.rows}, "a beginner holds nothing to remove"
    lagging.catch_up()
    assert lagging.held == late.held
    assert late.ids() == visible(borealis)


@pytest.mark.slow
def test_whatever_happens_the_set_is_what_is_seen(aster, borealis, cygnus, cast):
    """Publish, revise, revoke, withdraw, narrow, expire: after each, every reader's set is its own view."""
    readers = [Subscriber(caller, limit=2) for caller in (aster, borealis, cygnus)]

    def check():
        for reader in readers:
            reader.catch_up()
            assert reader.ids() == visible(reader.caller)

    check()
    mine, other = build.an_indicator(), build.an_indicator()
    aster.push(mine, other)
    check()
    borealis.push(mine)  # the same id, held by another
    check()
    aster.send("PUT", f"objects/{mine['id']}/audience", {"everyone": True})
    check()
    aster.send("PUT", f"objects/{mine['id']}/audience", {"groups": []})
    check()
    borealis.push(revoked(mine))
    check()
    withdraw(aster, other)
    check()
    ends = build.an_indicator(valid_until=clock.rfc3339(clock.now() + timedelta(hours=1)))
    aster.push(ends)
    check()
    with time_machine.travel(clock.now() + timedelta(hours=2)):
        retiring.expire_due()
    check()


def test_a_version_that_the_feed_no_longer_selects_is_removed_as_filtered(aster, borealis):
    sure = build.an_indicator() | {"confidence": 90}
    aster.push(sure, build.an_indicator() | {"confidence": 10})
    feed = read(borealis.send("POST", "feeds", {"name": "sure", "text": "confidence:>=70"}), 201)["id"]
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    assert reader.ids() == {sure["id"]}
    aster.push(sure | {"confidence": 20, "modified": build.later()})
    assert [(row["op"], row["reason"]) for row in reader.catch_up()] == [("remove", "filtered")]
    answer = read(aster.push(sure | {"confidence": 80, "modified": clock.rfc3339(clock.now() + timedelta(minutes=40))}))
    assert answer["counts"]["accepted"] == 1
    assert [row["op"] for row in reader.catch_up()] == ["upsert"]


def test_restored_to_an_earlier_point_everybody_starts_over_and_holds_what_there_is(aster, borealis):
    aster.push(build.an_indicator())
    reader = Subscriber(borealis)
    reader.catch_up()
    incarnation.begin()
    incarnation.forget()
    assert code(borealis.get(f"feeds/all/delta?cursor={reader.cursor}"), 410) == "start-over"
    again = Subscriber(borealis)
    again.catch_up()
    assert again.held == reader.held
    assert again.trailer.set_key != reader.trailer.set_key


def test_who_was_away_for_longer_than_removals_are_kept_starts_over_and_only_they(aster, borealis):
    stix = build.an_indicator()
    aster.push(stix, build.an_indicator())
    away, idle = Subscriber(borealis), Subscriber(borealis)
    away.catch_up()
    aster.push(revoked(stix))
    idle.catch_up()
    with time_machine.travel(clock.now() + proving.KEPT + timedelta(days=1)):
        FeedSet.unrestricted.update(asked_at=clock.now())
        proving.forget()
    assert code(borealis.get(f"feeds/all/delta?cursor={away.cursor}"), 410) == "start-over"
    assert idle.catch_up() == []


def test_who_was_away_no_longer_than_removals_are_kept_goes_on(aster, borealis):
    stix = build.an_indicator()
    aster.push(stix)
    reader = Subscriber(borealis)
    reader.catch_up()
    aster.push(revoked(stix))
    with time_machine.travel(clock.now() + proving.KEPT):
        proving.forget()
    assert [row["op"] for row in reader.catch_up()] == ["remove"]


def test_a_set_that_nobody_asks_for_is_forgotten(borealis):
    reader = Subscriber(borealis)
    reader.catch_up()
    with time_machine.travel(clock.now() + proving.UNUSED + timedelta(days=1)):
        proving.forget()
    assert not FeedSet.unrestricted.exists()
    assert code(borealis.get(f"feeds/all/delta?cursor={reader.cursor}"), 410) == "start-over"


def test_nothing_that_others_do_unseen_moves_a_cursor_or_a_hash(aster, borealis, cygnus):
    aster.push(build.an_indicator())
    reader = Subscriber(cygnus)
    reader.catch_up()
    before = (reader.cursor, reader.trailer.set_hash)
    aster.push(*[build.an_indicator() for _ in range(5)])
    assert cygnus.get(f"feeds/all/delta?cursor={reader.cursor}").status_code == 200
    reader.catch_up()
    assert (reader.cursor, reader.trailer.set_hash) == before


def test_a_cursor_and_a_feed_are_their_owners_alone(aster, borealis, cygnus):
    reader = Subscriber(borealis)
    reader.catch_up()
    assert code(aster.get(f"feeds/all/delta?cursor={reader.cursor}"), 400) == "bad-cursor"
    feed = read(borealis.send("POST", "feeds", {"name": "x", "filter": {}}), 201)["id"]
    assert code(aster.get(f"feeds/{feed}/delta"), 404) == "not-found"
    assert code(aster.get("feeds/nothing/delta"), 404) == "not-found"
    assert code(borealis.get(f"feeds/{feed}/delta?cursor={reader.cursor}"), 400) == "bad-cursor"


def test_whoever_is_told_a_page_sees_all_of_it_at_that_moment(aster, borealis, cast):
    """A row whose holding left the sight after the set was brought up to date is not told, and no hash stated."""
    stix = build.an_indicator()
    aster.push(stix, build.an_indicator())
    reader = Subscriber(borealis, limit=100)
    reader.catch_up()
    late = Subscriber(borealis, limit=100)
    late.page()
    InForce.unrestricted.update(version_id=InForce.unrestricted.order_by("place").last().version_id)
    fresh = Subscriber(borealis, limit=100)
    page = fresh.page()
    assert len(page.rows) == 1
    assert page.trailer.set_hash is None


@pytest.mark.slow
def test_a_reader_that_leaves_a_group_is_told_so_and_again_when_it_comes_back(aster, borealis, cast):
    aster.push(*[build.an_indicator() for _ in range(5)])
    reader = Subscriber(borealis, limit=2)
    reader.page()  # in the midst of the first fill
    admin = replace(cast.viewer("borealis"), scopes=frozenset(Scope))
    membership.leave(admin, cast.ring)
    reader.catch_up()
    assert reader.ids() == visible(borealis) == set()
    build.a_ring(cast.aster, cast.borealis, slug="later")
    aster.push(build.an_indicator(), query="?groups=later")
    reader.catch_up()
    assert reader.ids() == visible(borealis)
    assert len(reader.ids()) == 1


def test_a_key_for_one_group_has_a_set_of_its_own_that_other_groups_do_not_move(aster, borealis, cast):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    key = keys.issue(cast.borealis, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1]
    narrow, whole = Subscriber(Caller(key)), Subscriber(borealis)
    aster.push(build.an_indicator(), query="?groups=ring")
    narrow.catch_up()
    before = (narrow.cursor, narrow.trailer.set_hash)
    aster.push(build.an_indicator(), query="?groups=second")
    assert narrow.catch_up() == []
    assert (narrow.cursor, narrow.trailer.set_hash) == before
    whole.catch_up()
    assert (len(narrow.held), len(whole.held)) == (1, 2)
    assert whole.trailer.set_key != narrow.trailer.set_key
    assert code(borealis.get(f"feeds/all/delta?cursor={narrow.cursor}"), 400) == "bad-cursor"


def test_two_holdings_of_one_id_under_one_shown_source_are_one_object(aster, borealis, cygnus, cast):
    """What is attributed to the exchange alone has one source for its readers, whoever published it."""
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="second")
    stix = build.an_indicator()
    for extension in stix["extensions"].values():
        extension["attribution"] = "exchange"
    other = stix | {"confidence": 33, "modified": build.later()}
    reader = Subscriber(cygnus)
    assert read(aster.push(stix, query="?groups=second"))["counts"]["accepted"] == 1
    assert [row["publisher"]["named"] for row in reader.catch_up()] == [False]
    assert read(borealis.push(other, query="?groups=second"))["counts"]["accepted"] == 1
    reader.catch_up()
    assert len(reader.held) == reader.trailer.set_count == 1
    withdraw(aster, stix)
    assert [row["op"] for row in reader.catch_up()] == ["upsert"]
    withdraw(borealis, stix)
    assert [row["op"] for row in reader.catch_up()] == ["remove"]
    assert reader.held == {}


def test_a_set_takes_in_a_long_log_by_stretches_and_says_so_until_it_is_whole(aster, borealis, monkeypatch):
    monkeypatch.setattr("indicators.feeds.proving._STRETCH", 2)
    made = [build.an_indicator() for _ in range(7)]
    aster.push(*made, query="?groups=ring")
    reader = Subscriber(borealis)
    assert {row["publisher"]["named"] for row in reader.catch_up()} == {True}
    assert reader.ids() == {stix["id"] for stix in made}


def test_an_idle_poll_writes_nothing_and_asks_little(aster, borealis):
    aster.push(*[build.an_indicator() for _ in range(3)])
    reader = Subscriber(borealis)
    reader.catch_up()
    with CaptureQueriesContext(connection) as queries:
        reader.page()
    changed = [q["sql"] for q in queries if q["sql"].lstrip().startswith(("INSERT", "UPDATE", "DELETE"))]
    assert changed == []
    assert len(queries) <= 8, [q["sql"][:80] for q in queries]


def test_a_delta_costs_its_changes(aster, borealis):
    aster.push(*[build.an_indicator() for _ in range(200)])
    reader = Subscriber(borealis, limit=1_000)
    reader.catch_up()
    aster.push(build.an_indicator())
    with CaptureQueriesContext(connection) as queries:
        assert len(reader.catch_up()) == 1
    assert len(queries) <= 20, [q["sql"][:80] for q in queries]


def test_publish_and_revoke_of_many_leaves_nothing(aster, borealis):
    kept = build.an_indicator()
    aster.push(kept)
    reader = Subscriber(borealis, limit=1_000)
    reader.catch_up()
    many = [build.an_indicator() for _ in range(400)]
    aster.push(*many)
    reader.page()
    aster.push(*[revoked(stix) for stix in many])
    reader.catch_up()
    assert reader.ids() == {kept["id"]}


def test_a_receipt_says_what_was_applied_and_is_told_whether_it_is_equal(aster, borealis):
    aster.push(build.an_indicator())
    reader = Subscriber(borealis)
    reader.catch_up()
    said = {
        "instance": "i1",
        "cursor": reader.cursor,
        "set_count": reader.trailer.set_count,
        "set_hash": reader.trailer.set_hash,
        "blocked": 3,
        "lag_s": 0.5,
    }
    assert read(borealis.send("POST", "feeds/all/acks", said)) == {"equal": True}
    assert read(borealis.send("POST", "feeds/all/acks", said | {"set_hash": "00" * 32})) == {"equal": False}
    aster.push(build.an_indicator())
    Subscriber(borealis).catch_up()
    assert read(borealis.send("POST", "feeds/all/acks", said)) == {"equal": None}
    assert Receipt.unrestricted.get().counts == {"blocked": 3}, "what is not said is not 0"
    assert code(aster.send("POST", "feeds/all/acks", said), 400) == "bad-cursor"
    assert code(borealis.send("POST", "feeds/all/acks", said | {"blocked": -1}), 422) == "bad-receipt"


LATE = {"part": "file", "count": 2, "behind_s": 90}


def test_an_instance_says_which_kinds_of_its_parts_are_late_and_nothing_else_of_them(aster, borealis):
    aster.push(build.an_indicator())
    reader = Subscriber(borealis)
    reader.catch_up()

    def said(late):
        return borealis.send("POST", "feeds/all/acks", {"instance": "i1", "cursor": reader.cursor, "late": late})

    for late, at in (
        ([{**LATE, "part": "our WAF"}], "/late/0/part"),
        ([LATE, LATE], "/late/1/part"),
        ([{**LATE, "part": ["file"]}], "/late/0/part"),
        ([{**LATE, "behind_s": 1.5}], "/late/0/behind_s"),
        ([{**LATE, "count": 2**31}], "/late/0/count"),
        ([{**LATE, "name": "our WAF"}], "/late/0"),
        ([LATE] * 7, "/late"),
        ("file", "/late"),
    ):
        answered = said(late)
        assert read(answered, 422)["errors"][0]["field"] == at
        assert b"WAF" not in answered.content
    assert not Receipt.unrestricted.exists()
    for late in ([LATE], [], None):
        assert read(said(late)) == {"equal": None}
        assert Receipt.unrestricted.get().late == (late or [])


@pytest.mark.django_db(transaction=True)
def test_agents_on_one_key_and_publishers_at_once_end_with_one_set(aster, borealis):
    """Two subscribers follow while two publishers push and revoke; nobody errs, and all hold the same at the end."""
    done, failed = threading.Event(), []

    def follow(reader: Subscriber) -> None:
        try:
            while not done.is_set():
                reader.page()
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    def push(caller: Caller) -> None:
        try:
            for _ in range(6):
                stix = [build.an_indicator() for _ in range(4)]
                caller.push(*stix)
                caller.push(revoked(stix[0]))
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    readers = [Subscriber(borealis, limit=2) for _ in range(2)]
    following = [threading.Thread(target=follow, args=(reader,)) for reader in readers]
    pushing = [threading.Thread(target=push, args=(caller,)) for caller in (aster, borealis)]
    for thread in (*following, *pushing):
        thread.start()
    for thread in pushing:
        thread.join()
    done.set()
    for thread in following:
        thread.join()
    assert failed == []
    for reader in readers:
        reader.catch_up()
    assert readers[0].held == readers[1].held
    assert readers[0].ids() == visible(borealis)
    assert len(readers[0].ids()) == 36
