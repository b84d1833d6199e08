"""Whether a host is its member's: by a challenge in its DNS, which a worker looks for.

A row of ServiceHost with `ask_at` is the queue. It is asked for at once, then less and less often for a month, and when
its member says so; of the partner first whose hosts were asked for longest ago. No request waits for a name server.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from structlog import get_logger

from exchange import clock, hints, outbound
from exchange.celery import app
from indicators.benign import service_hosts, suppressing
from indicators.models import ServiceHost

log = get_logger()

#: The name, below a host, under which its member shows the challenge.
LABEL = "_exchange-challenge"
_ANSWER_S = 5.0
_TURN_S = 60.0
_SOONEST, _GIVES_UP = timedelta(minutes=1), timedelta(days=30)


def record_of(value: str) -> str:
    """The name of the TXT record that proves a host."""
    return f"{LABEL}.{value}"


def ask_next() -> bool:
    """Ask the DNS of the next host that is due; whether there was one."""
    claimed = _claim()
    if claimed is None:
        return False
    host_id, value, challenge = claimed
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, while the name servers take their time
    shown = challenge in _shown(record_of(value))
    with transaction.atomic():
        host = ServiceHost.objects.select_for_update(no_key=True).get(pk=host_id)
        if host.ended_at is not None or host.proven_at is not None:
            return True
        if shown:
            service_hosts.prove(host, by="dns")
            transaction.on_commit(suppressing.hint)
        else:
            ServiceHost.objects.filter(pk=host_id).update(asked_at=clock.now())
    return True


def _shown(name: str) -> list[str]:
    try:
        return outbound.txt(name, timeout_s=_ANSWER_S)
    except outbound.Failed:
        return []


def _claim() -> tuple[UUID, str, str] | None:
    """The next host that is due: its key, its name, its challenge. It is due again later, whatever comes of it."""
    asked: dict[str, Any] = {"now": clock.now(), "soonest": _SOONEST, "over": _GIVES_UP}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        claimed: tuple[UUID, str, str] | None = cursor.fetchone()
    return claimed


# One row. A host that is a minute old is asked for again in a minute, one that is a day old in six hours.
_CLAIM = """
WITH next AS (
    SELECT s.id FROM indicators_servicehost s
    WHERE s.ask_at <= %(now)s
    ORDER BY (SELECT max(x.asked_at) FROM indicators_servicehost x WHERE x.partner_id = s.partner_id) NULLS FIRST,
             s.ask_at, s.id
    LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE indicators_servicehost s
SET ask_at = CASE WHEN %(now)s - s.since < %(over)s THEN %(now)s + greatest(%(soonest)s, (%(now)s - s.since) / 4) END
FROM next WHERE s.id = next.id
RETURNING s.id, s.value, s.challenge
"""


def hint() -> None:
    """Ask a worker to look; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.benign.proofs.catch_up")
def catch_up() -> None:
    """Ask for what is due."""
    until = time.monotonic() + _TURN_S
    while time.monotonic() < until and ask_next():
        pass
