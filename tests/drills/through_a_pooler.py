"""What a process of an exchange does with its store, by many threads at once: run by test_pooler.py through a PgBouncer."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import django

django.setup()

from django.db import connection, transaction  # noqa: E402

from exchange.sql import Message, ask  # noqa: E402
from indicators.feeds.filters import EVERYTHING  # noqa: E402
from indicators.log import changes, waking  # noqa: E402
from tests import build  # noqa: E402

THREADS, ROUNDS = 8, 12


def pid() -> int:
    return ask("SELECT pg_backend_pid()")[0][0]


def settings_of_one_query() -> set[str]:
    """What is set for one query is over with it, though another's may be next on the connection."""
    asked = "SELECT current_setting('work_mem')"
    assert ask(asked, settings={"work_mem": "7MB"}) == [("7MB",)]
    return {value for (value,) in ask(asked)}


def one_after_the_other() -> None:
    """A lock of a transaction keeps others out of it, and is let go with it."""
    with transaction.atomic():
        message = Message()
        message.add("SELECT pg_advisory_xact_lock(77)")
        inside = message.add("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND granted")
        message.send()
        assert inside.rows == [(1,)]


def work(cast, number: int) -> tuple[list[str], set[int], set[str]]:
    made, pids, kept = [], set(), set()
    viewer = cast.viewer("aster")
    for _ in range(ROUNDS):
        objects = [build.an_indicator() for _ in range(2)]
        assert build.publish(viewer, *objects, groups=("ring",)).counts["accepted"] == 2
        made += [each["id"] for each in objects]
        pids.add(pid())
        kept |= settings_of_one_query()
        one_after_the_other()
        connection.close()
    return made, pids, kept


def followed(viewer) -> list[str]:
    found, after = [], 0
    while True:
        span = changes.since(viewer, EVERYTHING, after=after, limit=20)
        found += [change.stix_id for change in span.changes]
        after = span.reached
        if not span.more:
            return found


def main() -> None:
    cast = build.the_cast()
    heard, woken = waking.LISTENER.heard, threading.Event()
    waking.LISTENER.listen(woken.set, heard=heard)
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(lambda number: work(cast, number), range(THREADS)))
    made = [stix_id for ids, *_ in done for stix_id in ids]
    said = {
        "made": len(made),
        "followed": sorted(followed(cast.viewer("borealis"))) == sorted(made),
        "servers": len(set().union(*(pids for _, pids, _ in done))),
        "kept": sorted(set().union(*(kept for *_, kept in done))),
        "woken": woken.wait(60),
        "jit": ask("SELECT current_setting('jit'), current_setting('plan_cache_mode')")[0],
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
