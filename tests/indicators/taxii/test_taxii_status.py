"""TAXII 2.1 §4.3: how long a status is there, and what goes with it."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from django.conf import settings

from exchange import clock
from exchange.celery import app
from indicators.ending import retiring
from indicators.models import Batch, Quarantined
from partners.models import AuditRecord
from tests.indicators.taxii.cast import ROOT, Caller, an_indicator

pytestmark = pytest.mark.django_db


def aged(status_id: str, age: timedelta) -> str:
    Batch.unrestricted.filter(pk=status_id).update(received_at=clock.now() - age)
    return f"{ROOT}status/{status_id}/"


def a_day_ago(caller: Caller) -> str:
    return aged(caller.add(an_indicator())["id"], timedelta(hours=25))


def test_4_3_a_status_is_kept_for_longer_than_a_day_and_then_forgotten(aster: Caller) -> None:
    assert timedelta(days=settings.BATCH_DAYS) > timedelta(hours=24)
    young = a_day_ago(aster)
    old = aged(aster.add(an_indicator())["id"], timedelta(days=settings.BATCH_DAYS, minutes=1))
    retiring.forget_old_batches()
    assert aster.get(young).status_code == 200
    gone, absent = aster.get(old), aster.get(f"{ROOT}status/0b1f7a52-8f0e-4f53-9d7e-3f6f3a1f8c11/")
    assert gone.status_code == absent.status_code == 404
    assert orjson.loads(gone.content)["description"] == orjson.loads(absent.content)["description"]


def test_4_3_what_was_added_stays_when_its_status_is_forgotten(aster: Caller) -> None:
    held = an_indicator()
    aged(aster.add(held)["id"], timedelta(days=settings.BATCH_DAYS + 1))
    retiring.forget_old_batches()
    assert not Batch.unrestricted.exists()
    assert aster.objects(f"{aster.own}objects/") == [held]


def test_what_waits_in_quarantine_keeps_its_batch(aster: Caller) -> None:
    status = orjson.loads(aster.post(f"{aster.own}objects/", {"objects": [an_indicator(labels=["TLP:RED"])]}).content)
    path = aged(status["id"], timedelta(days=settings.BATCH_DAYS + 1))
    retiring.forget_old_batches()
    assert aster.get(path).status_code == 200
    Quarantined.unrestricted.all().delete()
    retiring.forget_old_batches()
    assert aster.get(path).status_code == 404


def test_batches_are_forgotten_page_by_page_of_every_partner_and_that_is_written_down(
    aster: Caller, borealis: Caller
) -> None:
    for caller in (aster, aster, aster, borealis):
        aged(caller.add(an_indicator())["id"], timedelta(days=settings.BATCH_DAYS + 1))
    assert [retiring.forget_batches(limit=2) for _ in range(3)] == [3, 1, 0]
    written = AuditRecord.objects.filter(verb="batches.forgotten").order_by("pk")
    assert sum(record.details["count"] for record in written) == 4
    assert {record.target for record in written} == {
        f"partner:{aster.partner.pk}",
        f"partner:{borealis.partner.pk}",
    }


def test_forgetting_is_a_task_that_beat_sends(aster: Caller) -> None:
    (entry,) = [found for found in settings.CELERY_BEAT_SCHEDULE.values() if "forget_old_batches" in found["task"]]
    assert entry["task"] == retiring.forget_old_batches.name
    assert entry["task"] in app.tasks


def test_4_3_a_repeated_post_has_a_status_of_its_own_that_says_what_was_held(aster: Caller) -> None:
    held = an_indicator()
    first, second = aster.add(held), aster.add(held)
    assert first["id"] != second["id"]
    assert "message" not in first["successes"][0]
    assert second["successes"] == [first["successes"][0] | {"message": second["successes"][0]["message"]}]
    for status in (first, second):
        assert orjson.loads(aster.get(f"{ROOT}status/{status['id']}/").content) == status
