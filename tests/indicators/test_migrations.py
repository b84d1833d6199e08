"""What migrations make of a store that holds something, and of processes of the version before that still serve."""

import importlib

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader

from indicators import reading, subscribing, withdrawing
from indicators.models import Delivery, Marked, StixObject
from indicators.stix import tlp
from tests import build
from tests.indicators.test_markings import a_definition
from tests.indicators.test_publishing import a_note

pytestmark = pytest.mark.django_db

_OURS = ("exchange", "partners", "indicators")
_MARKED = importlib.import_module("indicators.migrations.0004_marked_by_own_definitions")
_DELIVERIES_BY_HAND = importlib.import_module("indicators.migrations.0003_deliveries_by_hand")
_IDS_IN_LOWER_CASE = importlib.import_module("indicators.migrations.0006_ids_in_lower_case")


def in_capitals(*object_ids):
    """As these rows were stored before ids were folded."""
    for row in StixObject.unrestricted.filter(pk__in=object_ids):
        kind, _, uuid_ = row.stix_id.rpartition("--")
        StixObject.unrestricted.filter(pk=row.pk).update(stix_id=f"{kind}--{uuid_.upper()}")


def run(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_a_holding_in_capitals_is_found_in_lower_case_with_all_its_versions():
    cast = build.the_cast()
    aster, note = cast.viewer("aster"), a_note()
    newer = note | {"modified": "2026-06-01T00:00:00Z"}
    build.publish(aster, note, newer, groups=("ring",))
    in_capitals(*StixObject.unrestricted.values_list("pk", flat=True))
    run(_IDS_IN_LOWER_CASE._FOLD)
    assert len(reading.statements(cast.viewer("borealis"), note["id"], versions="all")) == 2
    withdrawing.withdraw(aster, [note["id"]])
    assert not StixObject.objects.visible_to(cast.viewer("borealis")).exists()


def test_of_one_id_that_a_publisher_holds_in_both_spellings_each_stays_whole():
    cast = build.the_cast()
    aster, note = cast.viewer("aster"), a_note()
    build.publish(aster, note, note | {"modified": "2026-06-01T00:00:00Z"}, groups=("ring",))
    in_capitals(*StixObject.unrestricted.values_list("pk", flat=True))
    build.publish(aster, note, groups=("ring",))
    build.publish(cast.viewer("borealis"), note, groups=("ring",))
    before = set(StixObject.unrestricted.values_list("pk", "stix_id"))
    run(_IDS_IN_LOWER_CASE._FOLD)
    assert set(StixObject.unrestricted.values_list("pk", "stix_id")) == before


def test_a_definition_is_followed_to_what_was_stored_before_the_names_of_markings_were_kept():
    cast = build.the_cast()
    aster, definition = cast.viewer("aster"), a_definition("amber")
    note = a_note(object_marking_refs=[definition["id"]])
    known = a_note(object_marking_refs=list(tlp.KNOWN_IDS - {build.red()}))
    build.publish(aster, definition, note, known, groups=("ring",))
    kept = list(Marked.unrestricted.values_list("object", "marking"))
    Marked.unrestricted.all().delete()
    run(_MARKED._NAMED, [_MARKED._KNOWN])
    assert list(Marked.unrestricted.values_list("object", "marking")) == kept
    build.publish(aster, a_definition("red", marking_id=definition["id"], day=2))
    assert not reading.holds(cast.viewer("borealis"), note["id"])


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
        for operation in migration.operations
        if isinstance(operation, migrations.AddField) and not migration.initial
    ]
    assert added
    assert [name for name, field in added if not field.null and not field.has_db_default()] == []
