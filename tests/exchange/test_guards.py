"""The list of triggers is what the migrations make."""

from __future__ import annotations

import pytest
from django.db import connection

from exchange import guards

pytestmark = pytest.mark.django_db


def test_each_trigger_of_the_store_is_one_that_doctor_looks_for():
    assert guards.found() == {(table, name) for table, names in guards.TRIGGERS.items() for name in names}
    assert guards.missing() == []


@pytest.mark.parametrize(
    "lost", ["ALTER TABLE {} DISABLE TRIGGER {}", "DROP TRIGGER {1} ON {0}"], ids=["switched off", "gone"]
)
def test_one_that_is_lost_is_named(lost):
    table, trigger = "partners_treehead", "heads_are_append_only"
    with connection.cursor() as cursor:
        cursor.execute(lost.format(table, trigger))
    assert guards.missing() == [f"{trigger} on {table}"]
