"""The list of triggers is what the migrations make."""

from __future__ import annotations

import pytest

from exchange import guards

pytestmark = pytest.mark.django_db


def test_each_trigger_of_the_store_is_one_that_doctor_looks_for():
    assert guards.found() == {(table, name) for table, names in guards.TRIGGERS.items() for name in names}
    assert guards.missing() == []
