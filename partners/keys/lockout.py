"""Count refused API keys, and shut out who goes on. The only writer of RefusedCredentials.

Counted are the network that a refused key came from (an IPv4 address, an IPv6 /64) and the public id that it named.
A locked network gets 429 for every key that was never used from there. A locked public id gets 429 for what is not
the key: so naming the public id of another's key shuts out nobody who holds it. Nothing is asked or written for a
valid key beyond what authenticates it: one query, or a condition of what is asked with it (`claims`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from exchange import clock
from exchange.errors import ExchangeError, TooMany, Unauthenticated
from exchange.origins import Origin
from partners.models import RefusedCredentials

#: So many refusals within WINDOW shut out for WINDOW.
WINDOW = timedelta(minutes=5)
PER_NETWORK = 30
PER_KEY = 100
_KEPT = timedelta(hours=1)


def locked(end: datetime, *, at: datetime) -> TooMany:
    """The answer to who is locked out."""
    seconds = max(1, round((end - at).total_seconds()))
    return TooMany("Too many invalid API keys.", code="too-many-invalid-keys", retry_after_s=seconds)


def refuse(origin: Origin, *, public_id: str | None) -> ExchangeError:
    """Count one refused key; returns what to raise: the same words whatever was wrong with it, or 429."""
    moment = clock.now()
    names = [network_name(origin)] + ([f"key {public_id}"] if public_id else [])
    ends = list(RefusedCredentials.objects.filter(name__in=names, until__gt=moment).values_list("until", flat=True))
    if ends:
        return locked(max(end for end in ends if end), at=moment)
    for name, limit in zip(names, (PER_NETWORK, PER_KEY), strict=False):
        _count(name, limit=limit, at=moment)
    return Unauthenticated("This API key is not valid.", code="invalid-key")


def network_name(origin: Origin) -> str:
    """The row that counts the refusals of the network a caller comes from."""
    return f"network {origin.network(bits4=32, bits6=64)}"


def _count(name: str, *, limit: int, at: datetime) -> None:
    """One more, in a window that begins with its first; a new row takes a few that are long over with it."""
    asked: dict[str, str | int | datetime] = {
        "name": name,
        "at": at,
        "start": at - WINDOW,
        "limit": limit,
        "end": at + WINDOW,
        "old": at - _KEPT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, asked)
        if cursor.fetchone() == (1,):
            cursor.execute(_FORGET, asked)


_COUNT = """
INSERT INTO partners_refusedcredentials AS counted (name, refused, since) VALUES (%(name)s, 1, %(at)s)
ON CONFLICT (name) DO UPDATE SET
    refused = CASE WHEN counted.since <= %(start)s THEN 1 ELSE counted.refused + 1 END,
    since = CASE WHEN counted.since <= %(start)s THEN %(at)s ELSE counted.since END,
    until = CASE WHEN counted.since > %(start)s AND counted.refused + 1 >= %(limit)s THEN %(end)s END
RETURNING refused
"""

_FORGET = """
DELETE FROM partners_refusedcredentials WHERE name IN (
    SELECT name FROM partners_refusedcredentials WHERE since < %(old)s ORDER BY since LIMIT 50
    FOR UPDATE SKIP LOCKED)
"""
