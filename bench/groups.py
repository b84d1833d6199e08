"""Readers of 5, 20 and 40 groups, and a neighbour with 10,000 sets of partners: what others do must cost them nothing.

What a reader pays for nothing new and for a page of changes stands beside the floor's, which sends as many bytes; then
one member shares thousands of objects, each with a set of partners of its own, and both are measured once more beside
what they were.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench import crowd, filling
from bench.measures import Sides, drain_changes, must
from bench.server import Server
from bench.table import Row, sooner
from bench.wire import Wire

#: Of a page; of few objects, a reader of 5 of 200 groups sees a fortieth.
_PAGE, _SEEN = 1_000, 50
#: By how many groups a reader is in and what was asked, seconds.
_Times = dict[tuple[int, str], list[float]]


def groups(sides: Sides, *, stored: int, sets: int, rounds: int) -> Iterator[Row]:
    """The rows; `stored` objects go to the groups, and `sets` of the neighbour's each to partners of its own choice."""
    server = sides.server
    made = _crowd(server)
    filling.fill(sides.database, made["templates"], stored, salt="groups")
    sides.database.execute("VACUUM (ANALYZE)")
    sides.fill_floor(stored)
    server.rest()
    wires = [Wire(server.info["base_url"], key=key) for key in made["keys"]]
    before, floor = _Times(), _Times()
    page = min(_PAGE, stored // _SEEN)
    change = orjson.dumps(wires[0].ask("GET", "/api/v1/changes?limit=1").json()["changes"][0]).decode()
    sides.floor_database.execute("UPDATE objects SET change = %s WHERE seq <= %s", [change, page])
    sides.floor_database.execute("VACUUM (ANALYZE)")
    _measure(sides, wires, before, floor, rounds=rounds, page=page)
    for count in crowd.READERS:
        ours = before[count, "idle"]
        yield sooner(f"nothing new, of {count} groups", stored, ours, floor[count, "idle"], name="floor", most=3)
    for count in crowd.READERS:
        ours = before[count, "page"]
        yield sooner(f"{page:,} changes, of {count} groups", stored, ours, floor[count, "page"], name="floor", most=3)
    _crowd(server, "--sets", str(sets))
    server.rest()
    after = _Times()
    _measure(sides, wires, after, floor, rounds=rounds, page=page)
    for what, said in (("idle", "nothing new"), ("page", f"{page:,} changes")):
        for count in crowd.READERS:
            name = f"{said}, of {count} groups, a neighbour made {sets:,} sets"
            yield sooner(name, stored, after[count, what], before[count, what], name="before", most=1.5)
    for wire in wires:
        wire.close()


def _measure(sides: Sides, wires: Sequence[Wire], ours: _Times, floor: _Times, *, rounds: int, page: int) -> None:
    """Each reader in turn, and the floor after each."""
    ends = [drain_changes(wire) for wire in wires]
    last = int(sides.floor_database.execute("SELECT max(seq) FROM objects").fetchone()[0])
    for _ in range(rounds):
        for count, wire, end in zip(crowd.READERS, wires, ends, strict=True):
            answer = _timed(wire, f"/api/v1/changes?limit={page}&cursor={end}", ours.setdefault((count, "idle"), []))
            must(not answer["changes"] and answer["cursor"] == end, "nothing was to be new, and the cursor to stay")
            _timed(sides.floor, f"/objects?after={last}&limit={page}", floor.setdefault((count, "idle"), []))
            answer = _timed(wire, f"/api/v1/changes?limit={page}", ours.setdefault((count, "page"), []))
            must(len(answer["changes"]) == page, "a whole page was to be read")
            _timed(sides.floor, f"/changes?after=0&limit={page}", floor.setdefault((count, "page"), []))


def _timed(wire: Wire, path: str, into: list[float]) -> Any:
    began = time.perf_counter()
    answer = wire.ask("GET", path)
    into.append(time.perf_counter() - began)
    return answer.json()


def _crowd(server: Server, *options: str) -> Any:
    """What `bench.crowd` makes in the running exchange."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.crowd", *options],
        env=os.environ | server.environment(),
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(told.stdout)
