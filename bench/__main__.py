"""`python -m bench [--quick]`: prints a table; nothing here is a test.

Each figure stands beside its limit, measured in the same run and interleaved with it, so that the ratio means
something on a noisy machine. Medians of several rounds.

- Ingest: batches over HTTP, durable, against parsing the same JSON (orjson), against stix2.parse, and against COPY
  of the same text into a table with a unique index.
- Poll: full pull by TAXII and by the delta feed, against COPY TO of the same bodies.
- Telling: from the answer to a push until a webhook arrives, p50 and p99.
"""

from __future__ import annotations

import argparse
import http.server
import io
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import psycopg
import stix2
from rich.console import Console
from rich.table import Table

from bench.server import Server
from indicators.stix import making

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 and 5,000 stored instead of 10,000 and 100,000")
    options = parser.parse_args()
    sizes = (1_000, 5_000) if options.quick else (10_000, 100_000)
    console = Console(width=118)
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory, Server(Path(directory) / "data") as server:
        for size in sizes:
            console.print(f"Filling up to {size:,} objects …", style="dim")
            fill(server, size)
            console.print(ingest_table(server, size))
            console.print(poll_table(server, size))
            console.print(telling_table(server, size))


def fill(server: Server, size: int) -> None:
    with server.client(0) as client:
        while (missing := size - server.stored()) > 0:
            push(client, [making.account_pattern() for _ in range(min(1_000, missing))])


def ingest_table(server: Server, size: int) -> Table:
    table = Table(title=f"Ingest, {size:,} stored (objects/s, median of {ROUNDS})", title_justify="left")
    for column in ("batch", "exchange (HTTP, durable)", "orjson", "stix2.parse", "COPY, unique index"):
        table.add_column(column, justify="right")
    with server.client(0) as client, psycopg.connect(server.database_url, autocommit=True) as database:
        database.execute("CREATE TABLE IF NOT EXISTS bench_copy (id text UNIQUE, body text)")
        for batch in (100, 500):
            ours, parsed, oracle, copied = [], [], [], []
            for _ in range(ROUNDS):
                several = [[making.account_pattern() for _ in range(batch)] for _ in range(1_000 // batch)]
                bodies = [envelope(objects) for objects in several]
                ours.append(rate(1_000, lambda bodies=bodies: [push_body(client, body) for body in bodies]))
                parsed.append(rate(1_000, lambda bodies=bodies: [orjson.loads(body) for body in bodies]))
                sample = several[0][:50]
                oracle.append(rate(50, lambda sample=sample: [stix2.parse(one, allow_custom=True) for one in sample]))
                copied.append(rate(1_000, lambda several=several: [copy_in(database, each) for each in several]))
            table.add_row(str(batch), shown(ours), *(against(ours, limit) for limit in (parsed, oracle, copied)))
    return table


def poll_table(server: Server, size: int) -> Table:
    table = Table(title=f"Poll, {size:,} stored (objects/s, median of 3)", title_justify="left")
    for column in ("full pull", "exchange", "COPY TO of the bodies", "first page ms", "last page ms"):
        table.add_column(column, justify="right" if column != "full pull" else "left")
    with server.client(1) as client, psycopg.connect(server.database_url, autocommit=True) as database:
        for name, pull in (("TAXII, pages of 1,000", pull_taxii), ("delta feed, pages of 5,000", pull_changes)):
            ours, copied, pages = [], [], []
            for _ in range(3):
                began = time.perf_counter()
                pages = pull(client, server)
                ours.append(sum(count for count, _ in pages) / (time.perf_counter() - began))
                copied.append(rate(size, lambda: copy_out(database)))
            full = [seconds * 1_000 for count, seconds in pages if count]
            table.add_row(name, shown(ours), against(ours, copied), f"{full[0]:.1f}", f"{full[-1]:.1f}")
        nothing = [timed(lambda: idle_poll(client, server)) * 1_000 for _ in range(50)]
        table.add_row("nothing new", f"{statistics.median(nothing):.2f} ms", "", "", "")
    return table


def telling_table(server: Server, size: int) -> Table:
    heard: list[float] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(time.perf_counter())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    waits = []
    with server.client(0) as client, server.client(1) as other:
        made = other.post("/api/v1/subscriptions", json={"url": f"http://127.0.0.1:{receiver.server_port}/"}).json()
        for _ in range(100):
            before = len(heard)
            push(client, [making.account_pattern()])
            answered = time.perf_counter()
            while len(heard) == before and time.perf_counter() - answered < 10:
                time.sleep(0.0005)
            waits.append((heard[-1] - answered) * 1_000 if len(heard) > before else 10_000.0)
            time.sleep(0.03)
        other.delete(f"/api/v1/subscriptions/{made['id']}")
    receiver.shutdown()
    table = Table(
        title=f"Telling, {size:,} stored: from a push's answer to the webhook (100 pushes)", title_justify="left"
    )
    for column in ("p50 ms", "p99 ms", "longest ms"):
        table.add_column(column, justify="right")
    waits.sort()
    table.add_row(f"{statistics.median(waits):.1f}", f"{waits[98]:.1f}", f"{waits[-1]:.1f}")
    return table


def envelope(objects: list[dict[str, object]]) -> bytes:
    return orjson.dumps({"objects": objects})


def push(client: httpx.Client, objects: list[dict[str, object]]) -> None:
    push_body(client, envelope(objects))


def push_body(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/api/v1/batches", content=body, headers={"Content-Type": "application/json"})
    counts = answer.raise_for_status().json()["counts"]
    if counts["refused"] or counts["quarantined"] or counts["unchanged"]:
        raise RuntimeError(f"not all was accepted: {counts}")


def copy_in(database: psycopg.Connection[tuple[object, ...]], objects: list[dict[str, object]]) -> None:
    with database.cursor() as cursor, cursor.copy("COPY bench_copy (id, body) FROM STDIN") as copy:
        for one in objects:
            copy.write_row((one["id"], orjson.dumps(one).decode()))


def copy_out(database: psycopg.Connection[tuple[object, ...]]) -> int:
    written = io.BytesIO()
    with database.cursor() as cursor, cursor.copy("COPY (SELECT body FROM indicators_stixobject) TO STDOUT") as copy:
        for chunk in copy:
            written.write(chunk)
    return written.tell()


def pull_taxii(client: httpx.Client, server: Server) -> list[tuple[int, float]]:
    """How many objects each page had, and how long it took."""
    pages, after = [], None
    while True:
        began = time.perf_counter()
        parameters = {"limit": "1000"} | ({"next": after} if after else {})
        answer = client.get(
            server.everything, params=parameters, headers={"Accept": "application/taxii+json;version=2.1"}
        )
        page = orjson.loads(answer.raise_for_status().content)
        pages.append((len(page.get("objects", [])), time.perf_counter() - began))
        after = page.get("next")
        if not page.get("more"):
            return pages


def pull_changes(client: httpx.Client, server: Server) -> list[tuple[int, float]]:
    pages, cursor = [], ""
    while True:
        began = time.perf_counter()
        parameters = {"limit": "5000"} | ({"cursor": cursor} if cursor else {})
        page = orjson.loads(client.get("/api/v1/changes", params=parameters).raise_for_status().content)
        pages.append((len(page["changes"]), time.perf_counter() - began))
        cursor = page["cursor"]
        server.cursor = cursor
        if not page["more"]:
            return pages


def idle_poll(client: httpx.Client, server: Server) -> None:
    page = json.loads(client.get("/api/v1/changes", params={"cursor": server.cursor}).raise_for_status().content)
    if page["changes"]:
        raise RuntimeError("something was new")


def rate(count: int, work: Callable[[], object]) -> float:
    return count / timed(work)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f}"


def against(ours: list[float], limit: list[float]) -> str:
    """The limit, and our share of it."""
    theirs = statistics.median(limit)
    return f"{theirs:,.0f} (x {statistics.median(ours) / theirs:.3g})"


if __name__ == "__main__":
    main()
