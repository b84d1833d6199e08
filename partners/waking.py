"""Wake whoever waits for the next change: who it is and what it may see is asked again."""

from __future__ import annotations

from django.db import connection


def wake() -> None:
    """On commit. Whoever is woken and finds nothing goes on waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('exchange_changes', '')")
