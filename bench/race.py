"""The race: many write and many follow, and each object is seen once by each who follows."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from bench.measures import BATCHES, last_date, must, timed
from bench.server import Server
from bench.table import Row, at_most
from indicators.stix import making


def race(server: Server, *, objects: int, stored: int) -> list[Row]:
    """32 writers, 8 readers that follow `added_after` alone, 8 that follow `next`: each object is seen once."""
    batch = 20
    share = objects // 32 // batch * batch
    total = share * 32
    with server.wire(1, taxii=True) as wire:
        start = last_date(wire, server)
    published: list[str] = []
    done = threading.Event()
    seen: list[Counter[str]] = [Counter() for _ in range(16)]
    failures: list[BaseException] = []

    def guarded(work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - told below, from the thread that can
            failures.append(error)
            done.set()

    def write(number: int) -> None:
        with server.wire(number % 3) as wire:
            for _ in range(share // batch):
                made = [making.account_pattern(tlp_word="green") for _ in range(batch)]
                while True:
                    wire.send(wire.request("POST", BATCHES, orjson.dumps({"objects": made})))
                    answer = wire.receive()
                    if answer.status != 429:
                        break
                    time.sleep(float(answer.headers["retry-after"]))
                must(answer.status == 200 and answer.json()["counts"]["accepted"] == batch, repr(answer.body[:200]))
                published.extend(one["id"] for one in made)

    def read(number: int, *, by_next: bool) -> None:
        with server.wire(number % 3, taxii=True) as wire:
            after, following, quiet = start, "", 0
            while quiet < 2 and not failures:
                finished = done.is_set()
                query = f"added_after={start}&next={following}" if following else f"added_after={after}"
                answer = wire.ask("GET", f"{server.everything}?limit=500&{query}")
                page = answer.json()
                seen[number].update(one["id"] for one in page.get("objects", ()))
                after = answer.headers.get("x-taxii-date-added-last", after)
                following = page.get("next", "") if by_next else ""
                if not page.get("objects"):
                    quiet += finished
                    time.sleep(0.01)

    def write_all() -> None:
        writers = [threading.Thread(target=guarded, args=(write, number)) for number in range(32)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        done.set()

    readers = [
        threading.Thread(target=guarded, args=(lambda number: read(number, by_next=number >= 8), number))
        for number in range(16)
    ]
    for thread in readers:
        thread.start()
    seconds = timed(write_all)
    for thread in readers:
        thread.join()
    if failures:
        raise failures[0]
    wanted = set(published)
    lost = sum(len(wanted - set(each)) for each in seen)
    doubled = sum(count - 1 for each in seen for one, count in each.items() if one in wanted)
    name = f"race: 32 writers, 16 readers, {total:,} objects"
    return [
        at_most(f"{name}: lost", stored, lost, unit="", most=0),
        at_most(f"{name}: doubled", stored, doubled, unit="", most=0),
        Row(f"{name}: written", stored, f"{total / seconds:,.0f} objects/s"),
    ]
