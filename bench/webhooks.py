"""Webhooks: one change that every one of many addresses is told of, beside a bare loop that posts the same bodies.

`bench.audience` makes partners and addresses, in a process with the settings of the exchange; `bench.posting` is the
bare loop.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import orjson

from bench.measures import BATCHES, must
from bench.server import Server, spent_s
from bench.table import Row
from indicators.stix import making

_ROOT = Path(__file__).resolve().parent.parent
_WORKERS, _LEAST_TOLD = 4, 1_000
#: What has arrived is counted so seldom: each count costs about what five messages do.
_LOOK_S = 0.5
#: Seconds after which what has not come counts as lost.
_LATEST_S = 120.0
#: Of the processor, in two seconds: of three processes that wait for work.
_IDLE_S = 0.3
#: Answers 204 to whatever it is sent, and keeps connections, as servers of HTTP/1.1 do.
_RECEIVER = """
import asyncio
class Receiver(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.read = transport, b""
    def data_received(self, piece):
        self.read += piece
        while (end := self.read.find(b"\\r\\n\\r\\n")) >= 0:
            length = int(self.read[:end].lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
            if len(self.read) < end + 4 + length:
                return
            self.read = self.read[end + 4 + length:]
            self.transport.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def webhooks(server: Server, *, addresses: int) -> Iterator[Row]:
    """By four workers; 50 addresses a partner. The processor's time is that of workers and PostgreSQL together."""
    with contextlib.ExitStack() as opened:
        receiver = opened.enter_context(
            subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True)
        )
        opened.callback(receiver.terminate)
        assert receiver.stdout is not None
        url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/"
        _run(server, "bench.audience", str(addresses), url)
        workers = [opened.enter_context(_worker(server, number)) for number in range(_WORKERS - 1)]  # one is there
        publisher = opened.enter_context(server.wire(0))
        database = opened.enter_context(server.database())
        server.rest(log_too=True)
        roots = [server.process_id, server.postgres_id(), *workers]
        _begun(workers)
        body = orjson.dumps({"objects": [making.account_pattern()]})
        spent, began = spent_s(roots), time.perf_counter()
        publisher.ask("POST", f"{BATCHES}?everyone=true", body)
        count = _arrived(database, addresses)
        took, spent = time.perf_counter() - began, spent_s(roots) - spent
        bare = json.loads(_run(server, "bench.posting", str(addresses), url))
    rate, mine, other = count / took, count / spent, bare["posted"] / bare["processor_s"]
    name = f"{addresses:,} webhook subscriptions, {_WORKERS} workers: a change told to all"
    yield Row(
        name,
        0,
        f"{rate:,.0f} messages/s",
        f"a bare loop: {bare['posted'] / bare['took_s']:,.0f}; the last after {took:.1f} s",
        f"{rate / (bare['posted'] / bare['took_s']):.2f}",
        target=f"≥ {_LEAST_TOLD:,}",
        met=rate >= _LEAST_TOLD,
    )
    yield Row(
        f"{name}, in a second of the processor",
        0,
        f"{mine:,.0f} messages, with PostgreSQL",
        f"a bare loop: {other:,.0f}",
        f"1/{other / mine:.1f}",
    )


def _arrived(database: Any, addresses: int) -> int:
    """How many messages arrived once all have, or no more come."""
    count, last, until = 0, -1, time.perf_counter() + _LATEST_S
    while count < addresses and time.perf_counter() < until:
        (count,) = database.execute(_DELIVERED).fetchone()
        if count != last:
            last, until = count, time.perf_counter() + _LATEST_S
        time.sleep(_LOOK_S)
    must(count == addresses, f"{count} of {addresses} messages arrived")
    return int(count)


_DELIVERED = "SELECT count(*) FROM indicators_delivery WHERE state = 'delivered' AND kind = 'changes'"


def _run(server: Server, module: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | server.environment(),
        cwd=_ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@contextlib.contextmanager
def _worker(server: Server, number: int) -> Iterator[int]:
    """A further worker for webhooks, as the exchange's own; its process."""
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "exchange.celery", "worker", "--pool", "threads"]
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(
        [*command, *quiet, "-Q", "webhooks", "-c", "16", "-n", f"bench-{number}@%h"],
        env=os.environ | server.environment(),
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _begun(workers: Collection[int]) -> None:
    """Until these have loaded what they need, and wait for work."""
    until, before = time.perf_counter() + _LATEST_S, -1.0
    while (spent := spent_s(workers)) - before > _IDLE_S and time.perf_counter() < until:
        before = spent
        time.sleep(2)
