"""What migrations make of a store that holds something, and of processes of the version before that still serve."""

import hashlib
import importlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader

from exchange import clock
from indicators import reading
from indicators.ending import retiring
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Delivery, Holding
from indicators.reading.selecting import Selection
from indicators.telling import subscribing
from partners.keys import auth
from partners.models import Partner
from tests import build
from tests.stores import another_store, fill

pytestmark = pytest.mark.django_db

_OURS = ("exchange", "partners", "indicators")
_DELIVERIES_BY_HAND = importlib.import_module("indicators.migrations.0003_deliveries_by_hand")
_BEFORE_HOLDINGS = {
    "exchange": "0002_incarnation",
    "partners": "0007_drawn_ids_of_people",
    "indicators": "0011_start_over_for_subscriptions",
}


def run(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


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


def one_line_each(versions):
    """Of each id the versions of the publisher that comes first: nobody names a creator there (`lines`)."""
    first = {}
    return [
        [stix_id, *said[:2]] for stix_id, *said, _, _, _, _ in versions if first.setdefault(stix_id, said[1]) == said[1]
    ]


@pytest.mark.django_db(transaction=True)
def test_who_reads_a_filled_store_of_before_holdings_reads_the_same_after_it():
    kept = json.loads((Path(__file__).parent.parent / "data" / "store_before_holdings.json").read_text())
    with another_store():
        for app, migration in _BEFORE_HOLDINGS.items():
            call_command("migrate", app, migration, verbosity=0)
        fill(kept["tables"])
        call_command("migrate", verbosity=0)
        call_command("prepare", stdout=io.StringIO())
        over = Holding.unrestricted.get(state="live", valid_until__lt=clock.now()).stix_id
        assert retiring.expire() == 1
        for partner in Partner.objects.filter(slug__in=kept["seen"]):
            now = as_seen_by(partner)
            now["changes"] = [told for told in now["changes"] if over not in told]
            before = kept["seen"][partner.slug]
            assert now == before | {"once": one_line_each(before["versions"])}, partner.slug
        cast = {partner.slug: build.viewer_of(partner) for partner in Partner.objects.filter(kind="lab")}
        mine = json.loads(reading.page(cast["aster"], Selection(own=True), limit=1).statements[0].body)
        assert build.results(build.publish(cast["aster"], mine))[0]["status"] == "unchanged"
        newer = mine | {"modified": build.later()}
        assert build.results(build.publish(cast["aster"], newer))[0]["status"] == "accepted"
        assert reading.own_object(cast["aster"], mine["id"]).version == newer["modified"]


def test_a_delivery_that_was_sent_once_more_by_hand_is_no_second_one_of_changes():
    cast = build.the_cast()
    aster = build.viewer_of(cast.aster)
    subscription, _ = subscribing.subscribe(aster, url="https://hooks.example/x", feed_id=None)
    older, newer = (
        Delivery.unrestricted.create(
            partner=cast.aster, subscription=subscription, kind="ping", first_seq=1, last_seq=1, changes=1
        )
        for _ in range(2)
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_delivery_of_changes_under_way_per_subscription")
    Delivery.unrestricted.update(kind="changes")
    run(_DELIVERIES_BY_HAND._BY_HAND)
    assert dict(Delivery.unrestricted.values_list("pk", "kind")) == {older.pk: "again", newer.pk: "changes"}


def test_a_process_of_the_version_before_can_still_write_while_the_store_is_brought_up_to_date():
    """What it does not know of has a value without it: `prepare` runs while it serves (operating.md)."""
    loader = MigrationLoader(None)
    added = [
        (f"{app}.{operation.model_name}.{operation.name}", operation.field)
        for (app, _), migration in sorted(loader.disk_migrations.items())
        if app in _OURS
        for made in [{one.name_lower for one in migration.operations if isinstance(one, migrations.CreateModel)}]
        for operation in migration.operations
        if isinstance(operation, migrations.AddField) and not migration.initial
        if operation.model_name_lower not in made  # a table that the version before does not know
    ]
    assert added
    assert [name for name, field in added if not field.null and not field.has_db_default()] == []
