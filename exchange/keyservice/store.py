"""What the key service stores: sealed keys, and how many points each partner had evaluated today. No Django."""

from __future__ import annotations

from datetime import date

from psycopg_pool import ConnectionPool

#: A schema of its own, so that it may also lie in the exchange's database; another database is better.
_TABLES = """
CREATE SCHEMA IF NOT EXISTS keyservice;
CREATE TABLE IF NOT EXISTS keyservice.key (
    kind text NOT NULL, epoch text NOT NULL, sealed bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, epoch)
);
CREATE TABLE IF NOT EXISTS keyservice.spent (
    day date NOT NULL, partner text NOT NULL, subkind text NOT NULL, points bigint NOT NULL,
    PRIMARY KEY (day, partner, subkind)
);
"""
_LOCK = 0x6B657973  # "keys": two processes that start at once make the tables one after the other
_KEEP_DAYS = 2


class Store:
    """A small pool of connections to the service's database."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool(url, min_size=1, max_size=8, open=True, timeout=10, kwargs={"autocommit": True})
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            connection.execute(_TABLES)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()

    def sealed(self, kind: str, epoch: str) -> bytes | None:
        """The sealed seed of a key."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT sealed FROM keyservice.key WHERE kind = %s AND epoch = %s", [kind, epoch]
            ).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, kind: str, epoch: str, sealed: bytes) -> bytes:
        """Keep a new seed, unless there is one: returns the one that holds."""
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO keyservice.key (kind, epoch, sealed) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [kind, epoch, sealed],
            )
        held = self.sealed(kind, epoch)
        assert held is not None
        return held

    def spend(self, partner: str, subkind: str, points: int, *, day: date, most: int) -> bool:
        """Count points of a partner's day, unless they would be more than `most`; whether they were counted."""
        with self._pool.connection() as connection:
            counted = connection.execute(_SPEND, [day, partner, subkind, points, points, most]).fetchone()
            if counted is not None and counted[0] == points:  # the first of a day forgets the days before
                connection.execute("DELETE FROM keyservice.spent WHERE day < %s - %s", [day, _KEEP_DAYS])
        return counted is not None


_SPEND = """
INSERT INTO keyservice.spent (day, partner, subkind, points) SELECT %s, %s, %s, %s
ON CONFLICT (day, partner, subkind) DO UPDATE SET points = spent.points + excluded.points
WHERE spent.points + %s <= %s RETURNING points
"""
