"""`python -m bench --curves`: what more processes give, and what more objects cost, beside the machine's own limit.

Each rate stands beside the processors that it took (client, exchange and PostgreSQL together) and those that were idle:
where none is idle, no further process can give more, and the row says so.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import psycopg

from bench.campaign import workers
from bench.filling import fill
from bench.measures import BATCHES, drain_changes, envelope, push, timed
from bench.server import Server, served, spent_s
from bench.table import Row
from bench.wire import Wire, volley
from exchange import embedded
from indicators.stix import making

STEPS = (1, 2, 4)
_CONNECTIONS = 12
_LABS = 3
#: Objects of a pushed batch.
_BATCH = 100
#: With less than this share of its processors idle, the machine is the limit.
_IDLE = 0.15
_EXTRAPOLATED = (10_000_000, 100_000_000)


def web(server: Server, *, polls: int, pushes: int, rounds: int) -> Iterator[Row]:
    """Polls with nothing new, and pushes, answered by 1, 2 and 4 web processes: the best round of each, in turn."""
    with server.wire(0) as wire:
        push(wire, envelope(_BATCH))
    server.rest()
    polled: Rounds = {count: [] for count in STEPS}
    pushed: Rounds = {count: [] for count in STEPS}
    for _ in range(rounds):
        for count in STEPS:
            one, other = _by(server, count, polls=polls, pushes=pushes)
            polled[count].append(one)
            pushed[count].append(other)
            server.rest()
    yield from _curve("polls with nothing new, delta feed, web processes", polled, unit="polls/s")
    yield from _curve(f"pushes in batches of {_BATCH}, web processes", pushed, unit="objects/s")


def _by(server: Server, count: int, *, polls: int, pushes: int) -> tuple[Rate, Rate]:
    """Polls, then pushes, by so many web processes of their own beside the exchange's, which have nothing to do."""
    with (
        served("exchange.wsgi:application", workers=count, **server.environment()) as url,
        _wires(server, url) as wires,
    ):
        requests = _polls(wires, polls)
        volley(wires, requests[: 4 * _CONNECTIONS])  # the first of each process
        polled = _rate(server, polls, lambda: volley(wires, requests))
        batches = [wires[number % _LABS].request("POST", BATCHES, envelope(_BATCH)) for number in range(pushes)]
        return polled, _rate(server, pushes * _BATCH, lambda: volley(wires[:_LABS], batches))


@contextlib.contextmanager
def _wires(server: Server, url: str) -> Iterator[list[Wire]]:
    keys = [one["api_key"] for one in server.info["partners"][:_LABS]]
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(Wire(url, key=keys[number % _LABS])) for number in range(_CONNECTIONS)]


def _polls(wires: Sequence[Wire], count: int) -> list[bytes]:
    """Requests for what comes after the end of a lab's log: each holds its key, whichever connection it takes."""
    made = [wire.request("GET", f"/api/v1/changes?cursor={drain_changes(wire)}") for wire in wires[:_LABS]]
    return [made[number % _LABS] for number in range(count)]


def _rate(server: Server, count: int, work: Callable[[], object]) -> Rate:
    """How many a second; how many processors this process, all below it and PostgreSQL took; how many were idle."""
    roots = [os.getpid(), server.postgres_id()]
    spent, idle = spent_s(roots), workers.idle_s()
    took = timed(work)
    return count / took, (spent_s(roots) - spent) / took, (workers.idle_s() - idle) / took


def _curve(name: str, rates: Rounds, *, unit: str) -> Iterator[Row]:
    first = max(rates[STEPS[0]])[0]
    for count, rounds in rates.items():
        rate, busy, idle = max(rounds)
        yield Row(f"{name}: {count}", 0, f"{rate:,.0f} {unit}", limit(rate, busy, idle), f"{rate / first:.2f} x")


def limit(rate: float, busy: float, idle: float) -> str:
    """How much of the machine a rate took, what else was busy or idle, and what all processors give at this price.

    Where hardly a processor was idle, the machine is what bounds the rate, and a further process cannot raise it.
    """
    cores = os.cpu_count() or 1
    said = f"{busy:.2f} of {cores} processors ({idle:.2f} idle, others {max(0.0, cores - busy - idle):.2f})"
    bound = "the machine is the limit" if idle < _IDLE * cores else "not the machine"
    return f"{said}; {busy / rate * 1_000:.2f} ms each, so at most {rate * cores / busy:,.0f}: {bound}"


def matching(directory: Path, *, accounts: int) -> Iterator[Row]:
    """Evidence of four groups placed by 1, 2 and 4 worker processes, on the store of an exchange that has stopped."""
    with Server(directory) as server:
        environment = server.environment()
    environment["DATABASE_URL"] = embedded.start(directory)
    try:
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
            yield from workers.curve(environment, database, STEPS, accounts=accounts)
    finally:
        embedded.stop(directory)


#: A second, processors that it took, processors that were idle; and several of these by the number of processes.
Rate = tuple[float, float, float]
Rounds = dict[int, list[Rate]]
#: What is measured at one size, by its name, which has its unit.
Figures = dict[str, float]
_STORED = "growth: bytes on disk an object"


def growth(server: Server, sizes: Sequence[int], *, rounds: int) -> Iterator[Row]:
    """Time of a page, a poll and a push, and bytes on disk an object, at each size; then extrapolated."""
    found: dict[int, Figures] = {}
    with server.wire(0) as publisher, server.wire(1) as reader, server.database() as database:
        template = making.account_pattern()
        push(publisher, orjson.dumps({"objects": [template]}))
        database.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
        for size in sizes:
            server.rest()
            fill(database, [template["id"]], max(1, size - server.stored()), salt=f"curve {size}")
            database.execute("VACUUM (ANALYZE)")
            database.execute("CHECKPOINT")
            found[size] = _figures(server, publisher, reader, database, rounds)
            yield from (_at(name, size, value) for name, value in found[size].items())
    if len(sizes) > 1:
        for size in _EXTRAPOLATED:
            if size > sizes[-1]:
                yield from (_extrapolated(name, found, size) for name in found[sizes[-1]])


def _figures(server: Server, publisher: Wire, reader: Wire, database: psycopg.Connection[Any], rounds: int) -> Figures:
    """Medians of milliseconds, and what explains them: the processor's time, log written, levels of indexes."""
    cursor = drain_changes(reader)
    reads = {
        "page of 1,000": reader.request("GET", "/api/v1/objects?limit=1000"),
        "poll with nothing new": reader.request("GET", f"/api/v1/changes?cursor={cursor}"),
    }
    works = {name: lambda request=request: reader.finish(request) for name, request in reads.items()}
    bodies = iter([envelope(_BATCH) for _ in range(rounds + 1)])
    works[f"push of {_BATCH}"] = lambda: push(publisher, next(bodies))
    figures: Figures = {}
    roots = [*server.web_processes(), server.postgres_id()]
    for name, work in works.items():
        work()  # what the first one brings into memory is not measured
        server.rest()
        before, spent = _place(database), spent_s(roots)
        figures[f"growth: {name}, ms"] = statistics.median(timed(work) for _ in range(rounds)) * 1_000
        figures[f"growth: {name}, ms of processor"] = (spent_s(roots) - spent) / rounds * 1_000
        written = (_place(database) - before) / rounds / _BATCH
    figures["growth: bytes of PostgreSQL's log an object pushed"] = written
    stored, levels = database.execute(_ON_DISK).fetchone() or (0, 0)
    return figures | {_STORED: float(stored), "growth: levels of the deepest index": float(levels)}


def _place(database: psycopg.Connection[Any]) -> int:
    """How far PostgreSQL's log has come, in bytes."""
    return int(database.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])


def _at(name: str, size: int, value: float) -> Row:
    return Row(name, size, f"{value:,.1f}" if value < 100 else f"{value:,.0f}")


def _extrapolated(name: str, found: dict[int, Figures], size: int) -> Row:
    """By the last two sizes: what came with ten times as many comes again with each further ten times, as with btrees.

    Bytes an object stay what they are at the last size: each object has rows and entries of its own.
    """
    before, last = sorted(found)[-2:]
    grown, value = found[last][name] - found[before][name], found[last][name]
    tens = math.log10(size / last) / math.log10(last / before)
    if name == _STORED:
        said = f"{value:,.0f}: {value * size / 10**9:,.0f} GB in all"
    else:
        said = f"{value + max(0.0, grown) * tens:,.1f}"
    return Row(name, size, said, f"extrapolated: {grown:+,.2f} from {before:,} to {last:,}")


# Of the exchange's own tables with their indexes and long values; a btree of level 0 is one leaf.
_ON_DISK = """
SELECT (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'indicators\\_%')
           / (SELECT count(*) FROM indicators_stixobject),
       (SELECT max((bt_metap(c.oid::regclass::text)).level) + 1
        FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
        JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relkind = 'i' AND i.indrelid::regclass::text LIKE 'indicators\\_%')
"""


def into_page(text: str, rows: Sequence[Row]) -> str:
    """The page with these rows as the table of its section "Curves"; rows of a part that was not measured stay."""
    before, heading, rest = text.partition("\n### Curves\n")
    if not heading:
        raise RuntimeError("the page has no section of curves")
    lines = rest.splitlines(keepends=True)
    table = [place for place, line in enumerate(lines) if line.startswith("|")]
    first, last = table[0], next(place for place in table if place + 1 not in table)
    kept = {tuple(cells[:2]): cells for cells in map(_cells, lines[first + 2 : last + 1])}
    kept |= {(row.measure, _size(row)): [row.measure, _size(row), row.exchange, row.against, row.ratio] for row in rows}
    made = [f"| {' | '.join(cells)} |\n" for cells in kept.values()]
    return before + heading + "".join([*lines[: first + 2], *made, *lines[last + 1 :]])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _size(row: Row) -> str:
    return f"{row.stored:,}" if row.stored else ""
