"""Stores that were filled by older releases, migrated from there: what was in them is read as before, or is gone."""

import hashlib
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from exchange import clock
from exchange.client import merkle
from indicators import reading
from indicators.ending import retiring
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Change, Holding, Quarantined
from indicators.publishing import quarantine
from indicators.reading.selecting import Selection
from partners.keys import auth
from partners.log import audit, transparency
from partners.models import Partner
from partners.tlp import Tlp
from tests import build
from tests.stores import another_store, fill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

CARD = "4111111111111111"
_BEFORE_HOLDINGS = {
    "exchange": "0002_incarnation",
    "partners": "0007_drawn_ids_of_people",
    "indicators": "0011_start_over_for_subscriptions",
}


def as_seen_by(partner):
    """What a partner reads of a store: as the release before it wrote it down in `store_before_holdings.json`."""
    viewer = auth.viewer_of_partner(partner.pk)
    every, last = Selection(versions="all"), Selection()
    found = reading.page(viewer, every, limit=1_000).statements
    return {
        "versions": [
            [
                *(said.stix_id, said.version, said.publisher_name, said.latest, said.revoked),
                *(hashlib.sha256(said.body.encode()).hexdigest(), said.date_added.isoformat()),
            ]
            for said in found
        ],
        "changes": [
            [told.op, told.reason, told.stix_id, told.publisher_name]
            for told in changes.since(viewer, EVERYTHING, after=0, limit=1_000).changes
        ],
        "last": [said.stix_id for said in reading.page(viewer, last, limit=1_000).statements],
        "once": [
            [said.stix_id, said.version, said.publisher_name]
            for said in reading.page(viewer, replace(every, once=True), limit=1_000).statements
        ],
    }


def told_after(viewer, place):
    told = changes.since(viewer, EVERYTHING, after=place, limit=1_000).changes
    return [(one.seq, one.op, one.reason, one.stix_id, one.publisher_name, one.body) for one in told]


def one_line_each(versions):
    """Of each id the versions of the publisher that comes first: nobody names a creator there (`lines`)."""
    first = {}
    return [
        [stix_id, *said[:2]] for stix_id, *said, _, _, _, _ in versions if first.setdefault(stix_id, said[1]) == said[1]
    ]


def test_who_reads_a_filled_store_of_before_holdings_reads_the_same_after_it_and_goes_on_from_the_same_places():
    kept = json.loads((Path(__file__).parent.parent / "data" / "store_before_holdings.json").read_text())
    with another_store():
        for app, migration in _BEFORE_HOLDINGS.items():
            call_command("migrate", app, migration, verbosity=0)
        fill(kept["tables"])
        call_command("migrate", verbosity=0)
        _places_are_kept(kept)
        call_command("prepare", stdout=io.StringIO())
        over = Holding.unrestricted.get(state="live", valid_until__lt=clock.now()).stix_id
        assert retiring.expire() == 1
        for partner in Partner.objects.filter(slug__in=kept["seen"]):
            now = as_seen_by(partner)
            now["changes"] = [told for told in now["changes"] if over not in told]
            before = kept["seen"][partner.slug]
            # Not told at that time: that what others lost is seen all the same, and to its publisher that they lost it.
            since_then = [told for told in now["changes"] if told not in before["changes"]]
            assert all(told[:2] == ["upsert", "granted"] for told in since_then), since_then
            now["changes"] = [told for told in now["changes"] if told not in since_then]
            assert now == before | {"once": one_line_each(before["versions"])}, partner.slug
        cast = {partner.slug: build.viewer_of(partner) for partner in Partner.objects.filter(kind="lab")}
        mine = json.loads(reading.page(cast["aster"], Selection(own=True), limit=1).statements[0].body)
        assert build.results(build.publish(cast["aster"], mine))[0]["status"] == "unchanged"
        newer = mine | {"modified": build.later()}
        assert build.results(build.publish(cast["aster"], newer))[0]["status"] == "accepted"
        assert reading.own_object(cast["aster"], mine["id"]).version == newer["modified"]


def _places_are_kept(kept):
    """Of a log of before channels, so that cursors of that time lead on.

    A cursor holds a place, and under which life of the store and filter: none of them changed.
    """
    before = {
        (row["seq"], row["op"], row["reason"], row["object_id"], datetime.fromisoformat(row["date_added"]))
        for row in kept["tables"]["indicators_change"]
    }
    stored = Change.unrestricted.values_list("seq", "op", "reason", "version_id", "date_added")
    assert set(stored) == before
    for partner in Partner.objects.filter(slug__in=kept["seen"]):
        viewer = auth.viewer_of_partner(partner.pk)
        every = told_after(viewer, 0)
        for place in range(max(seq for seq, *_ in before) + 1):
            assert told_after(viewer, place) == [told for told in every if told[0] > place], (partner.slug, place)


def test_the_proofs_of_a_log_of_before_holdings_hold_after_the_upgrade():
    """The tables of the log are those of that time: what is written and signed there by today's code is as it was then."""
    with another_store():
        for app, migration in _BEFORE_HOLDINGS.items():
            call_command("migrate", app, migration, verbosity=0)
        for number in range(5):
            target = f"feed:{number}"
            audit.write(audit.Verb.FEED_SAVED, partner_id=None, actor="system", target=target, details={"n": number})
        old = transparency.seal(every=timedelta(0))
        proofs = transparency.inclusion_proofs(range(old.size), size=old.size)
        call_command("migrate", verbosity=0)
        assert transparency.head() == old
        assert transparency.inclusion_proofs(range(old.size), size=old.size) == proofs
        audit.write(audit.Verb.FEED_SAVED, partner_id=None, actor="system", target="feed:after", details={})
        new = transparency.seal(every=timedelta(0))
        assert new.size > old.size
        proof = [bytes.fromhex(one) for one in transparency.consistency_proof(old.size, new.size)]
        assert merkle.extends(old.size, new.size, proof=proof, first_root=bytes(old.root), second_root=bytes(new.root))
        assert list(transparency.verify()) == []


def test_an_upgrade_deletes_what_would_be_refused_now_and_seals_the_rest():
    with another_store():
        call_command("migrate", "indicators", "0009_service_hosts", verbosity=0)
        store = MigrationExecutor(connection).loader.project_state([("indicators", "0009_service_hosts")]).apps
        partner = store.get_model("partners", "Partner").objects.create(name="Aster", slug="aster", clearance=Tlp.RED)
        batch = store.get_model("indicators", "Batch")._base_manager.create(
            partner=partner, actor="x", request_digest=b"", counts={}, results="[]"
        )
        for code, stix_id, body in (
            ("card-number", "tool--1", CARD),
            ("secret", "tool--2", "a secret"),
            ("says-red", "tool--3", "before"),
            ("says-red", "tool--3", "after"),
        ):
            store.get_model("indicators", "Quarantined")._base_manager.create(
                partner=partner, batch=batch, stix_id=stix_id, body=body, code=code, field="", message=""
            )
        call_command("migrate", verbosity=0)
        (row,) = Quarantined.unrestricted.all()
        assert quarantine.body(row) == b"after"
