"""Matches, among as many values as are stored: a page, what is new, and how soon somebody is told.

Before it was a query, `/matches?limit=5` took 0.5 to 0.8 s at 81,000 objects.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Iterator

import orjson

from bench import filling
from bench.measures import Sides, drain_changes, must, push
from bench.table import Row, at_most
from indicators.stix import making

#: Of so many objects one carries a value that another lab's carries too.
_ONE_IN = 50


def matches(sides: Sides, size: int, *, rounds: int) -> Iterator[Row]:
    """With values of two labs, an equal part of each; read by one of them."""
    fill(sides, size // _ONE_IN)
    whole = f"{size:,} values, {size // _ONE_IN:,} of them matched"
    reader = sides.reader
    for name, path, least in (
        ("the newest 5 matches", "/api/v1/matches?limit=5", 5),
        ("a page of 100 matches", "/api/v1/matches?limit=100", 100),
    ):
        yield _row(
            name, size, whole, _times(rounds, lambda path=path, least=least: _page(reader, path, least)), most=50
        )
    since = reader.ask("GET", "/api/v1/matches?limit=1").json()["since"]
    yield _row(
        "matches since, nothing new",
        size,
        whole,
        _times(rounds, lambda: reader.ask("GET", f"/api/v1/matches?since={since}")),
        most=5,
    )
    asked, told = [], []
    cursor = drain_changes(reader)
    for _ in range(rounds):
        value = making.token(uuid.uuid4().hex * 2)
        push(sides.reader, _one(value))
        cursor = drain(reader, cursor)[0]
        since = reader.ask("GET", "/api/v1/matches?limit=1").json()["since"]
        began = time.perf_counter()
        push(sides.publisher, _one(value))
        pushed = time.perf_counter()
        page = reader.ask("GET", f"/api/v1/matches?since={since}").json()
        asked.append(time.perf_counter() - pushed)
        must(len(page["matches"]) == 1, "one match was to be found")
        cursor, changes = drain(reader, cursor)
        told.append(time.perf_counter() - began - asked[-1])
        must("matches" in changes[-1], "the change was to tell its match")
        sides.server.rest()
    yield _row("matches since, one new", size, whole, asked, most=50)
    yield _row("POST until a poller is told of the match", size, whole, told, most=100)


def fill(sides: Sides, pairs: int) -> None:
    """So many values that objects of two labs carry."""
    templates = [making.account_pattern() for _ in range(2)]
    for wire, template in zip((sides.publisher, sides.reader), templates, strict=True):
        push(wire, orjson.dumps({"objects": [template]}))
        sides.server.rest()
        filling.fill(sides.database, [template["id"]], pairs, salt=template["id"], values="matched")


def drain(reader, cursor: str) -> tuple[str, list[dict]]:
    """All changes after a cursor, and the next one."""
    changes = []
    while True:
        page = reader.ask("GET", f"/api/v1/changes?limit=5000&cursor={cursor}").json()
        cursor, changes = page["cursor"], changes + page["changes"]
        if not page["more"]:
            return cursor, changes


def _one(value: dict) -> bytes:
    return orjson.dumps({"objects": [making.account_pattern(carrier={"token": value})]})


def _page(reader, path: str, least: int) -> None:
    must(len(reader.ask("GET", path).json()["matches"]) == least, "a full page was to be answered")


def _times(rounds: int, work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def _row(name: str, size: int, whole: str, times: list[float], *, most: float) -> Row:
    row = at_most(name, size, statistics.median(times) * 1_000, unit="ms", most=most, digits=1)
    return Row(row.measure, size, row.exchange, whole, target=f"≤ {most:g} ms", met=row.met)
