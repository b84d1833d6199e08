"""What migrations make of a store that holds something, and of processes of the version before that still serve."""

import importlib

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader

from indicators.models import Delivery
from indicators.telling import subscribing
from tests import build

pytestmark = pytest.mark.django_db

_OURS = ("exchange", "partners", "indicators")
_DELIVERIES_BY_HAND = importlib.import_module("indicators.migrations.0003_deliveries_by_hand")


def run(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


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
