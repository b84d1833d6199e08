"""What a process of an exchange reads while its replica keeps up, stands still, goes away and returns: for test_replicas.py."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import django

django.setup()

import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from exchange import counting, env, replicas  # noqa: E402
from indicators.feeds.filters import EVERYTHING  # noqa: E402
from indicators.log import changes  # noqa: E402
from tests import build  # noqa: E402
from tests.waiting import until  # noqa: E402

REPLICA = env.conninfo(settings.DATABASES["replica"] | {"OPTIONS": {}})
WRITERS, EACH = 3, 12


def answered(outcome: str) -> float:
    return counting.REPLICA_READS.labels(outcome)._value.get()


class Reader:
    """Borealis, who follows by a cursor."""

    def __init__(self, cast) -> None:
        self.viewer, self.place, self.told = cast.viewer("borealis"), 0, []

    def follow(self) -> list:
        """What is new, to its end."""
        new, more = [], True
        while more:
            span = changes.since(self.viewer, EVERYTHING, after=self.place, limit=20)
            new += [(change.op, change.stix_id) for change in span.changes]
            self.place, more = span.reached, span.more
        self.told += new
        return new

    def is_answered_by_the_replica(self) -> bool:
        before = answered("replica")
        self.follow()
        return answered("replica") > before


def on_replica(sql: str) -> None:
    with psycopg.connect(REPLICA, autocommit=True) as own:
        own.execute(sql)


def publish(cast) -> str:
    made = build.an_indicator()
    assert build.publish(cast.viewer("aster"), made, groups=("ring",)).counts["accepted"] == 1
    return made["id"]


def while_it_stands_still(cast, reader: Reader) -> None:
    on_replica("SELECT pg_wal_replay_pause()")
    try:
        behind = answered("behind")
        for _ in range(3):
            new = publish(cast)
            assert reader.follow() == [("upsert", new)], "what was acknowledged is read at once"
            assert reader.follow() == [], "a cursor that the replica does not know yet leads on"
        assert answered("behind") >= behind + 6
    finally:
        on_replica("SELECT pg_wal_replay_resume()")


def under_load(cast, reader: Reader) -> None:
    over, made = threading.Event(), []

    def write(_: int) -> None:
        made.extend(publish(cast) for _ in range(EACH))
        connection.close()

    def read() -> None:
        while not over.is_set():
            reader.follow()
        connection.close()

    reader.told = []
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reading = pool.submit(read)
        list(pool.map(write, range(WRITERS)))
        over.set()
        reading.result()
    reader.follow()
    assert sorted(stix_id for _, stix_id in reader.told) == sorted(made), "each change exactly once"


def while_it_is_away(cast, reader: Reader, *control: str) -> None:
    subprocess.run([*control, "stop", "-m", "immediate"], check=True, stdout=subprocess.DEVNULL)
    failed = answered("failed")
    new = publish(cast)
    assert reader.follow() == [("upsert", new)]
    assert answered("failed") > failed
    subprocess.run([*control, "start"], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    replicas.REST_S = 0.2
    cast = build.the_cast()
    reader = Reader(cast)
    first = [publish(cast) for _ in range(3)]
    assert reader.follow() == [("upsert", stix_id) for stix_id in first]
    until(reader.is_answered_by_the_replica)
    while_it_stands_still(cast, reader)
    until(reader.is_answered_by_the_replica)
    under_load(cast, reader)
    until(reader.is_answered_by_the_replica)
    while_it_is_away(cast, reader, *sys.argv[1:])
    until(reader.is_answered_by_the_replica)
    fresh = Reader(cast)
    until(fresh.is_answered_by_the_replica)
    fresh.told, fresh.place = [], 0
    assert len(fresh.follow()) == 3 + 3 + WRITERS * EACH + 1
    sys.stdout.write("each change once\n")


if __name__ == "__main__":
    main()
