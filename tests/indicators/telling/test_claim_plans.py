"""What a claim reads: of what is due, that of the partners whose turn it is, whatever PostgreSQL knows of the tables."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection

from indicators.models import Delivery, Subscription
from indicators.telling import claiming, subscribing
from partners.models import Partner
from tests import build, stores
from tests.plans import nodes, planned

pytestmark = pytest.mark.django_db

URL = "https://receiver.example/hook"
BUSY, SUBSCRIPTIONS, DUE, IDLE = 4, 20, 3, 50


@pytest.fixture
def crowd():
    """Few partners to whom much is due, among many to whom nothing is."""
    stores.forget_statistics()
    Partner.everybody.bulk_create(
        Partner(name=f"I{n}", slug=f"i{n}", kind="lab", identity_id=f"identity--{uuid4()}", clearance=build.Tlp.RED)
        for n in range(IDLE)
    )
    for number in range(BUSY):
        viewer = build.viewer_of(build.a_partner(f"Busy{number}"), build.Scope.SUBSCRIBE)
        first, _ = subscribing.subscribe(viewer, url=f"{URL}/{number}", feed_id=None)
        others = (
            Subscription(
                partner_id=viewer.partner_id, url=f"{URL}/{n}", secret=first.secret, incarnation=first.incarnation
            )
            for n in range(1, SUBSCRIPTIONS)
        )
        Delivery.unrestricted.bulk_create(
            Delivery(partner_id=viewer.partner_id, subscription=told, kind="again", first_seq=1, last_seq=1, changes=1)
            for told in [first, *Subscription.unrestricted.bulk_create(others)]
            for _ in range(DUE)
        )


def scans(plan, cte: str) -> list[str]:
    """By what a part of a claim finds deliveries."""
    (part,) = (node for node in nodes(plan) if node.get("Subplan Name") == f"CTE {cte}")
    return [
        f"{node.get('Index Cond', '')} {node.get('Filter', '')} {node.get('Recheck Cond', '')}"
        for node in nodes(part)
        if node.get("Relation Name") == "indicators_delivery" and "again_of_id" not in node.get("Index Cond", "")
    ]


@pytest.mark.parametrize("counts", [False, True], ids=["nothing is counted", "all is counted"])
def test_a_claim_finds_what_it_takes_by_its_keys_even_where_postgresql_would_rather_join_all_that_is_due(crowd, counts):
    with connection.cursor() as cursor:
        if counts:
            cursor.execute("ANALYZE partners_partner, indicators_delivery, indicators_subscription")
        cursor.execute("SET LOCAL enable_nestloop = off")
    with planned() as plans:
        assert len(claiming.claim(4)) == 4
    plan = max(plans, key=lambda one: len(list(nodes(one))))
    taken = [found for found in scans(plan, "next") if "'due'" in found and "'sending'" in found]
    assert taken
    assert all("(id = " in found for found in taken)
    (due,) = (found for found in scans(plan, "ready") if "due_at" in found)
    assert "partner_id = " in due
