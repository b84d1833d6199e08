"""`python -m bench [--quick | --full] [--markdown]`: prints a table; nothing here is a test.

Each figure stands beside its limit, measured in the same run and interleaved with it, so that the ratio means
something on a noisy machine. Medians of several rounds. By default 10,000 and 100,000 objects are stored; `--full` adds
1,000,000 and a race over 100,000 objects; `--quick` is for a glance, in under two minutes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
import psycopg
from rich.console import Console

from bench import (
    curves,
    filling,
    filters,
    groups,
    lookups,
    loop,
    matching,
    measures,
    neighbour,
    peer,
    prompts,
    race,
    tokens,
    webhooks,
)
from bench.campaign import latency
from bench.campaign import measure as campaign
from bench.measures import Sides
from bench.server import Server, floor_beside, served
from bench.table import Row, as_markdown, into_readme, on_terminal
from indicators.stix import making


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...] = (10_000, 100_000)
    rounds: int = 5
    per_round: int = 2_000
    lookups: int = 800
    raced: int = 20_000
    pushed: int = 100_000
    settles: bool = True
    hostile_s: float = 6.0
    stock: int = 25_000
    sets: int = 10_000
    entries: int = 1_000_000
    followed: int = 15_000
    changes: int = 100
    streams: int = 2_000
    subscribers: int = 500
    snapshot: int = 1_000_000
    addresses: int = 10_000


QUICK = Plan(
    sizes=(5_000,),
    rounds=3,
    per_round=1_000,
    lookups=200,
    raced=1_920,
    pushed=5_000,
    settles=False,
    hostile_s=3.0,
    stock=5_000,
    sets=500,
    entries=50_000,
    followed=1_500,
    changes=20,
    streams=100,
    subscribers=40,
    snapshot=5_000,
    addresses=2_000,
)
FULL = Plan(sizes=(10_000, 100_000, 1_000_000), raced=100_000)
#: Objects that go to many groups, in a run of everything: filling as many again as are stored takes its time.
_TO_GROUPS = 100_000
console = Console(stderr=True, width=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 objects, few rounds")
    parser.add_argument("--full", action="store_true", help="also 1,000,000 objects, and a race over 100,000")
    parser.add_argument(
        "--neighbour", nargs="?", const="", metavar="NAME", help="the hostile neighbour alone, or what is named so"
    )
    parser.add_argument("--groups", action="store_true", help="readers of many groups alone")
    parser.add_argument("--filters", action="store_true", help="pages of filters alone, at the last size")
    parser.add_argument("--matches", action="store_true", help="matches alone, at the last size")
    parser.add_argument("--tokens", action="store_true", help="oblivious tokens alone")
    parser.add_argument("--agent", action="store_true", help="the agent's look-ups and deltas alone")
    parser.add_argument(
        "--loop",
        nargs="?",
        const="",
        metavar="SCENE",
        help="the closed loop alone: streams, applied, snapshot, webhooks",
    )
    parser.add_argument(
        "--curves",
        nargs="?",
        const="",
        metavar="PART",
        help="what processes and size make of it, alone: web, workers, growth",
    )
    parser.add_argument("--ten-million", action="store_true", help="--curves also at 10,000,000 objects")
    parser.add_argument("--campaign", action="store_true", help="what five labs find together, alone")
    parser.add_argument("--seed", type=int, default=1, help="of the story that --campaign tells")
    parser.add_argument("--evidence", action="store_true", help="evidence until it is in a campaign, alone")
    parser.add_argument("--prompts", action="store_true", help="10,000 signatures over prompts, alone")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--readme",
        action="store_true",
        help="write the figures into README.md (--curves: into operating.md): all, or these alone",
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL if options.full else Plan()
    rows, began = [], time.monotonic()
    if options.neighbour is not None:
        found = hostile(plan, options.neighbour)
    elif options.groups:
        found = groups_alone(plan)
    elif options.filters:
        found = filters_alone(plan)
    elif options.matches:
        found = matches_alone(plan)
    elif options.agent:
        found = agent_alone(plan)
    elif options.loop is not None:
        found = loop_alone(plan, options.loop)
    elif options.curves is not None:
        found = curves_alone(options.curves, quick=options.quick, most=options.ten_million)
    elif options.prompts:
        found = prompts.rows(quick=options.quick)
    elif options.evidence:
        found = evidence_alone(quick=options.quick)
    elif options.campaign:
        found = campaign.rows(quick=options.quick, full=options.full, seed=options.seed)
    else:
        found = tokens_alone(plan) if options.tokens else measured(plan)
    for row in found:
        console.print("  ".join(cell for cell in row.cells() if cell), style="dim")
        rows.append(row)
    if options.readme:
        _write(rows, options, began)
    if options.markdown:
        print(as_markdown(rows))
    else:
        Console(width=140).print(on_terminal(rows))


def _said(options: argparse.Namespace, began: float) -> str:
    """How the figures of the README were taken."""
    given = " ".join(f"--{name}" for name in ("quick", "full") if getattr(options, name))
    minutes = (time.monotonic() - began) / 60
    return (
        f'From one run of `make bench BENCH_ARGS="{given} --readme"` on {date.today()} ({minutes:.0f} minutes; client,'  # noqa: DTZ011 - the day here
        f" web, workers, PostgreSQL and floor on {os.cpu_count()} shared cores, fsync on, everything switched on; a"
        " ratio differs by a tenth from run to run). What is **bold** misses its target."
    )


def _write(rows: list[Row], options: argparse.Namespace, began: float) -> None:
    root = Path(__file__).resolve().parent.parent
    if options.curves is not None:
        page = root / "exchange/docs/operating.md"
        page.write_text(curves.into_page(page.read_text(), rows))
        return
    alone = (
        any((options.groups, options.filters, options.matches, options.tokens, options.agent, options.prompts))
        or options.campaign
        or options.neighbour is not None
        or options.loop is not None
    )
    readme = root / "README.md"
    readme.write_text(into_readme(readme.read_text(), rows, whole="" if alone else _said(options, began)))


def measured(plan: Plan) -> Iterator[Row]:
    """All rows, in the order in which they are measured."""
    medallion = peer_here()  # set up first: nothing is installed while something is measured
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
        Server(Path(directory) / "data") as server,
        floor_beside(server) as (floor_url, floor_database),
        served("bench.minimal:application") as minimal_url,
    ):
        sides = Sides(server, floor_url, floor_database, minimal_url)
        own: list[measures.Rates] = []
        for size in plan.sizes:
            fill(sides, size)
            console.print(f"Measuring at {size:,} objects …", style="dim")
            pull_rounds = 3 if size <= 100_000 else 1
            yield from measures.full_pull(sides, size, rounds=pull_rounds)  # first: nothing was analysed yet
            if plan.settles:
                sides.settle()
            rows, rates = measures.ingest(sides, size, rounds=plan.rounds, per_round=plan.per_round)
            own.append(rates)
            yield from rows
            yield from measures.polls(sides, size, rounds=plan.rounds * 4)
            yield from measures.lookups(sides, size, rounds=plan.rounds, requests=plan.lookups)
            if size == plan.sizes[0]:
                yield from beside_peer(sides, medallion, size, directory=Path(directory))
        last = plan.sizes[-1]
        if len(own) > 1:
            yield from measures.growth(own[0], own[-1], size=last, least=0.9 if last >= 1_000_000 else None)
        yield from matching.matches(sides, last, rounds=plan.rounds * 2)
        yield from measures.telling(sides, last, pushes=30)
        yield from measures.memory(sides, last, pushed=plan.pushed)
        server.rest()
        yield from race.race(server, objects=plan.raced, stored=last)
        server.rest()
        yield from groups.groups(sides, stored=min(last, _TO_GROUPS), sets=plan.sets, rounds=plan.rounds * 4)
        server.rest()
        yield from tokens.tokens(server, stock=plan.stock)
        server.rest()
        yield from lookups.agent(server, entries=plan.entries, published=plan.followed, rounds=plan.changes)
        server.rest()
        yield from neighbour.hostile_neighbour(server, stored=last, seconds=plan.hostile_s)
        sides.close()
    yield from filters_alone(plan, pushing=False)
    yield from loop_alone(plan)


def hostile(plan: Plan, named: str) -> Iterator[Row]:
    """The hostile neighbour alone, in an exchange that holds next to nothing."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory, Server(Path(directory) / "data") as server:
        yield from neighbour.hostile_neighbour(server, stored=server.stored(), seconds=plan.hostile_s, named=named)


def groups_alone(plan: Plan) -> Iterator[Row]:
    """Readers of many groups alone."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
        Server(Path(directory) / "data") as server,
        floor_beside(server) as (floor_url, floor_database),
        served("bench.minimal:application") as minimal_url,
    ):
        sides = Sides(server, floor_url, floor_database, minimal_url)
        yield from groups.groups(sides, stored=plan.sizes[-1], sets=plan.sets, rounds=plan.rounds * 4)
        sides.close()


def filters_alone(plan: Plan, *, pushing: bool = True) -> Iterator[Row]:
    """Pages of filters alone, in an exchange of their own, and with `pushing` what publishing costs beside them."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
        Server(Path(directory) / "data") as server,
        floor_beside(server) as (floor_url, floor_database),
        served("bench.minimal:application") as minimal_url,
    ):
        sides = Sides(server, floor_url, floor_database, minimal_url)
        yield from filters.filters(sides, stored=plan.sizes[-1], rounds=plan.rounds * 2)
        if pushing:
            sides.fill_floor(plan.sizes[-1])
            yield from measures.ingest(sides, plan.sizes[-1], rounds=plan.rounds, per_round=plan.per_round)[0]
        sides.close()


def matches_alone(plan: Plan) -> Iterator[Row]:
    """Matches alone, among as many values as are stored last."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
        Server(Path(directory) / "data") as server,
        floor_beside(server) as (floor_url, floor_database),
        served("bench.minimal:application") as minimal_url,
    ):
        sides = Sides(server, floor_url, floor_database, minimal_url)
        fill(sides, plan.sizes[-1], floor=False)
        yield from matching.matches(sides, plan.sizes[-1], rounds=plan.rounds * 2)
        sides.close()


def tokens_alone(plan: Plan) -> Iterator[Row]:
    """Oblivious tokens alone."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory, Server(Path(directory) / "data") as server:
        yield from tokens.tokens(server, stock=plan.stock)


def evidence_alone(*, quick: bool) -> Iterator[Row]:
    """Evidence until it is in a campaign, alone."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        tokens, accounts = (20_000, 20) if quick else (1_000_000, 100)
        yield from latency.rows(Path(directory) / "data", tokens=tokens, accounts=accounts)


def agent_alone(plan: Plan) -> Iterator[Row]:
    """The agent alone."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory, Server(Path(directory) / "data") as server:
        yield from lookups.agent(server, entries=plan.entries, published=plan.followed, rounds=plan.changes)


def loop_alone(plan: Plan, scene: str = "") -> Iterator[Row]:
    """The closed loop, or one scene of it, each in an exchange of its own."""
    scenes = {
        "streams": lambda server: loop.streams(server, count=plan.streams),
        "applied": lambda server: loop.applied(server, subscribers=plan.subscribers, rounds=max(5, plan.changes // 5)),
        "snapshot": lambda server: loop.snapshot(server, entries=plan.snapshot),
        "webhooks": lambda server: webhooks.webhooks(server, addresses=plan.addresses),
    }
    for name, measure in scenes.items():
        if scene in ("", name):
            with (
                tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
                Server(Path(directory) / "data") as server,
            ):
                yield from measure(server)


def curves_alone(part: str, *, quick: bool, most: bool) -> Iterator[Row]:
    """What more processes give and more objects cost, or one part of it, each in an exchange of its own."""
    sizes = (1_000, 10_000) if quick else (10_000, 100_000, 1_000_000, *([10_000_000] if most else []))
    rounds = 2 if quick else 5
    parts = {
        "web": lambda server: curves.web(
            server, polls=600 if quick else 4_000, pushes=12 if quick else 60, rounds=rounds
        ),
        "growth": lambda server: curves.growth(server, sizes, rounds=rounds * 4),
    }
    for name, measure in parts.items():
        if part in ("", name):
            with (
                tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory,
                Server(Path(directory) / "data") as server,
            ):
                yield from measure(server)
    if part in ("", "workers"):
        with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
            yield from curves.matching(Path(directory) / "data", accounts=100 if quick else 1_000)


def fill(sides: Sides, size: int, *, floor: bool = True) -> None:
    """Up to `size` objects on both sides, or on ours alone."""
    missing = size - sides.server.stored()
    if missing > 1:
        console.print(f"Filling up to {size:,} objects …", style="dim")
        template = making.account_pattern()
        measures.push(sides.publisher, orjson.dumps({"objects": [template]}))
        sides.server.rest()
        filling.fill(sides.database, [template["id"]], missing - 1, salt=str(size))
        body = filling.check(sides.database, template["id"])
        answer = sides.publisher.ask("POST", measures.BATCHES, b'{"objects":[' + body + b"]}").json()
        if answer["counts"]["unchanged"] != 1:
            raise RuntimeError(f"the exchange does not know what was filled: {answer}")
    if floor:
        sides.fill_floor(size)


def peer_here() -> Path | None:
    """The interpreter of the peer's environment; None, and said why, where there is none."""
    try:
        return peer.python()
    except peer.Missing as missing:
        console.print(f"medallion is left out: {missing}", style="yellow")
        return None


def beside_peer(sides: Sides, interpreter: Path | None, size: int, *, directory: Path) -> list[Row]:
    if interpreter is None:
        return []
    configuration = peer.configure(directory, (making.account_pattern() for _ in range(peer.STORED)))
    with served("bench.peer_app:application", python=interpreter, workers=1, PEER_CONFIG=str(configuration)) as url:
        return measures.beside_peer(sides, url, size=size)


if __name__ == "__main__":
    try:
        main()
    except psycopg.Error as error:
        raise SystemExit(f"PostgreSQL: {error}") from error
