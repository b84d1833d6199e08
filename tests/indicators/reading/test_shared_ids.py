"""The database notes each id that several publishers hold, also where two bring it at once."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from indicators import reading
from indicators.log import appending
from indicators.models import Holding, SharedId
from indicators.reading.selecting import Selection
from tests import build
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)


def waiting_for_the_order():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
            [appending.ORDER_LOCK],
        )
        return cursor.fetchone()[0]


def shown(viewer, stix_id):
    page = reading.page(viewer, Selection(once=True), limit=100)
    return [one.publisher_slug for one in page.statements if one.stix_id == stix_id]


def test_of_two_publishers_who_bring_an_id_at_once_a_reader_of_a_collection_finds_one():
    """Neither sees the other's holding when it writes its own; whoever tells it second does."""
    cast = build.the_cast()
    made = build.an_indicator()

    def publish(slug):
        build.publish(cast.viewer(slug), made)
        connections.close_all()

    both = [threading.Thread(target=publish, args=(slug,)) for slug in ("aster", "borealis")]
    with transaction.atomic():
        appending.lock()
        for each in both:
            each.start()
        until(lambda: waiting_for_the_order() == len(both))
    for each in both:
        each.join(DEADLINE_S)
    assert Holding.unrestricted.filter(stix_id=made["id"]).count() == 2
    assert SharedId.objects.filter(stix_id=made["id"]).exists()
    assert len(shown(cast.viewer("aster"), made["id"])) == 1


def test_an_id_of_one_publisher_is_not_noted_however_often_it_is_revised():
    cast = build.the_cast()
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made)
    build.publish(cast.viewer("aster"), made | {"modified": build.later()})
    assert not SharedId.objects.exists()
