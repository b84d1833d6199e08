"""The floor: the least that a durable exchange over HTTP can be. No groups, no tokens, no log, no states.

A bare WSGI app on the same web server, on the same PostgreSQL server in a database of its own: authenticate by
one look-up, orjson, one multi-row INSERT of text into a table with a unique index, commit; reads by keyset, text
joined. Of each row that it reads it asks whether its reader may see it, by one look-up of its audience: no right
exchange can do without, so it is no price of ours. A page of changes sends the bytes of a change, not of its object
alone: two in five of them are what the change says beside it. `FLOOR_URL` names its database.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import orjson
import psycopg

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (key text PRIMARY KEY, channels bigint[] NOT NULL);
CREATE TABLE IF NOT EXISTS audiences (id bigint PRIMARY KEY, channels bigint[] NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    seq bigserial PRIMARY KEY, id text NOT NULL UNIQUE, body text NOT NULL, change text,
    audience bigint NOT NULL DEFAULT 1);
INSERT INTO audiences VALUES (1, '{1,2}');
INSERT INTO keys VALUES ('floor', '{2,3,4,5,6,7,8,9}');
"""
KEY = "floor"

_local = threading.local()
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    database = _connection()
    key = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    reader = database.execute("SELECT channels FROM keys WHERE key = %s", [key]).fetchone()
    if reader is None:
        return _answer(start_response, b"{}", status="401 Unauthorized")
    path = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        return _answer(start_response, _add(database, environ["wsgi.input"].read()))
    if path in _PAGES:
        asked = parse_qs(environ.get("QUERY_STRING", ""))
        after, limit = int(asked["after"][0]), int(asked["limit"][0])
        return _answer(start_response, _page(database, _PAGES[path], reader[0], after=after, limit=limit))
    found = database.execute("SELECT body FROM objects WHERE id = %s", [path.rpartition("/")[2]]).fetchone()
    return _answer(start_response, found[0].encode() if found else b"{}")


def _add(database: psycopg.Connection[Any], body: bytes) -> bytes:
    objects = orjson.loads(body)["objects"]
    with database.transaction():
        database.execute(
            "INSERT INTO objects (id, body) SELECT * FROM unnest(%s::text[], %s::text[])",
            [[one["id"] for one in objects], [orjson.dumps(one).decode() for one in objects]],
        )
    return orjson.dumps({"added": len(objects)})


# The rule as a subquery, so that the rows are read in their order whatever PostgreSQL knows of the tables.
_PAGE = """
SELECT o.seq, o.{column} FROM objects o
WHERE o.seq > %s AND (SELECT a.channels && %s::bigint[] FROM audiences a WHERE a.id = o.audience)
ORDER BY o.seq LIMIT %s
"""
_PAGES = {"/objects": _PAGE.format(column="body"), "/changes": _PAGE.format(column="change")}


def _page(database: psycopg.Connection[Any], sql: str, channels: list[int], *, after: int, limit: int) -> bytes:
    rows = database.execute(sql, [after, channels, limit]).fetchall()
    last = rows[-1][0] if rows else after
    return f'{{"last":{last},"objects":[{",".join(body for _, body in rows)}]}}'.encode()


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "database"):
        _local.database = psycopg.connect(os.environ["FLOOR_URL"], autocommit=True)
    return _local.database


def _answer(start_response: StartResponse, body: bytes, *, status: str = "200 OK") -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
