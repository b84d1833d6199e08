"""Places of a set: what stays in it however old, where a cursor still leads, and to whom a row is new."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
import time_machine

from exchange import clock, paging
from exchange.lists import pages
from indicators.feeds import proving, receipts, snapshots
from indicators.models import FeedSet, InForce, Receipt, Snapshot
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import code, read
from tests.indicators.api.test_delta import Subscriber, revoked

pytestmark = pytest.mark.django_db


def forget():
    """As it is done when removals of now are told no more, of sets that somebody asked for lately."""
    with time_machine.travel(clock.now() + proving.KEPT + timedelta(days=1)):
        FeedSet.unrestricted.update(asked_at=clock.now())
        proving.forget()


def test_what_is_in_force_is_kept_however_long_ago_it_was_told(aster, borealis):
    kept, ended = build.an_indicator(), build.an_indicator()
    aster.push(kept, ended)
    Subscriber(borealis).catch_up()
    aster.push(revoked(ended))
    Subscriber(borealis).catch_up()
    forget()
    assert InForce.unrestricted.exclude(removed="").count() == 0
    beginner = Subscriber(borealis)
    beginner.catch_up()
    assert beginner.ids() == {kept["id"]}


def test_who_began_after_a_removal_goes_on_once_it_is_forgotten(aster, borealis):
    held, ended = [build.an_indicator() for _ in range(3)], build.an_indicator()
    aster.push(*held, ended)
    Subscriber(borealis).catch_up()
    aster.push(revoked(ended))
    Subscriber(borealis).catch_up()
    beginner = Subscriber(borealis, limit=1)
    beginner.page()
    forget()
    beginner.catch_up()
    assert beginner.ids() == {stix["id"] for stix in held}


def test_a_cursor_beyond_the_end_of_its_set_starts_over(aster, borealis):
    """The store was restored to an earlier point, and nobody said so."""
    aster.push(build.an_indicator())
    Subscriber(borealis).catch_up()
    feed_set = FeedSet.unrestricted.get()
    viewer = borealis.viewer
    scope = f"delta;{proving.scope_of(viewer, feed='all')}"
    for beyond, status in ((0, 200), (1, 410)):
        cursor = paging.seal([feed_set.pk, feed_set.place + beyond, 0], viewer=viewer.partner_id, scope=scope)
        assert borealis.get(f"feeds/all/delta?cursor={cursor}").status_code == status
    assert code(borealis.get(f"feeds/all/delta?cursor={cursor}"), 410) == "start-over"


def test_to_a_beginner_what_was_revised_before_is_as_new_as_all_else_on_each_page(aster, borealis):
    first, second = build.an_indicator(), build.an_indicator()
    aster.push(first, second)
    Subscriber(borealis).catch_up()
    aster.push(first | {"modified": build.later()})
    beginner = Subscriber(borealis, limit=1)
    assert [(row["id"], row["reason"]) for row in beginner.catch_up()] == [
        (second["id"], "published"),
        (first["id"], "published"),
    ]


def test_another_marking_alone_is_told_though_it_moves_no_hash(aster, borealis):
    made = build.an_indicator(tlp_word="amber")
    aster.push(made, query="?groups=ring")
    reader = Subscriber(borealis)
    reader.catch_up()
    before = reader.trailer.set_hash
    answer = aster.send("PUT", f"objects/{made['id']}/audience", {"tlp": Tlp.AMBER_STRICT.word})
    assert answer.status_code == 204
    assert [(row["op"], row["tlp"]) for row in reader.catch_up()] == [("upsert", Tlp.AMBER_STRICT.word)]
    assert reader.trailer.set_hash == before


def test_of_the_instances_of_a_subscriber_those_are_remembered_that_spoke_last(aster, borealis, monkeypatch):
    monkeypatch.setattr(receipts, "_MOST_INSTANCES", 2)
    reader = Subscriber(borealis)
    reader.catch_up()
    for name in ("one", "two", "three", "two"):
        read(borealis.send("POST", "feeds/all/acks", {"instance": name, "cursor": reader.cursor}))
    assert sorted(Receipt.unrestricted.values_list("instance", flat=True)) == ["three", "two"]


@pytest.mark.parametrize(("left_s", "made"), [(60, False), (-60, True)])
def test_a_file_that_a_worker_died_over_is_made_by_another_once_its_claim_is_over(
    aster, borealis, settings, tmp_path, left_s, made
):
    settings.SNAPSHOT_DIR = tmp_path
    aster.push(build.an_indicator())
    assert borealis.get("feeds/all/snapshot").status_code == 202
    (feed_set,) = FeedSet.unrestricted.values_list("pk", flat=True)
    Snapshot.unrestricted.update(claimed_until=clock.now() + timedelta(seconds=left_s))
    snapshots.make(feed_set)
    assert bool(Snapshot.unrestricted.get().name) == made


def test_a_file_leaves_out_what_its_reader_does_not_see_at_that_moment_and_states_no_hash(
    aster, borealis, settings, tmp_path
):
    settings.SNAPSHOT_DIR = tmp_path
    aster.push(build.an_indicator(), build.an_indicator())
    assert borealis.get("feeds/all/snapshot").status_code == 202
    Subscriber(borealis).catch_up()
    (feed_set,) = FeedSet.unrestricted.values_list("pk", flat=True)
    first, last = InForce.unrestricted.order_by("place")
    InForce.unrestricted.filter(pk=first.pk).update(version_id=last.version_id)  # as if it had left since
    snapshots.make(feed_set)
    page = pages.read([gzip.decompress(b"".join(borealis.get("feeds/all/snapshot").streaming_content))])
    assert (len(page.rows), page.trailer.set_hash, page.trailer.set_count) == (1, None, None)
