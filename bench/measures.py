"""The measurements, each interleaved with what it is measured against."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import psycopg

from bench import peer
from bench.server import Server
from bench.table import Row, at_most, faster, sooner
from bench.wire import Wire, volley
from indicators.stix import making

BATCHES = "/api/v1/batches"
_CONNECTIONS = 8
#: Objects that both sides take in untimed before ingest is measured.
_WARMING = 20_000
#: By the size of batches, our own median rate and the floor's.
Rates = dict[int, tuple[float, float]]


class Sides:
    """Who is measured: the exchange and the floor, with connections that are kept."""

    def __init__(
        self, server: Server, floor_url: str, floor_database: psycopg.Connection[Any], minimal_url: str
    ) -> None:
        from bench import floor

        self.server, self.floor_database = server, floor_database
        self.publisher, self.reader = server.wire(0), server.wire(1)
        self.taxii = server.wire(1, taxii=True)
        self.floor, self.floor_publisher = Wire(floor_url, key=floor.KEY), Wire(floor_url, key=floor.KEY)
        self.minimal_url = minimal_url
        self.database = server.database()
        self._salt = 0

    def close(self) -> None:
        for wire in (self.publisher, self.reader, self.taxii, self.floor, self.floor_publisher):
            wire.close()
        self.database.close()

    def settle(self) -> None:
        """What PostgreSQL does by itself within minutes of a fill, done now, and not while something is measured.

        Then ids at random, so that those who push later meet pages that are theirs already: as many for every size.
        """
        for database in (self.database, self.floor_database):
            database.execute("VACUUM (ANALYZE)")
        self.database.execute("CHECKPOINT")
        for _ in range(_WARMING // 500):
            body = envelope(500)
            push(self.publisher, body)
            self.floor_publisher.ask("POST", "/objects", body)
        self.server.rest()

    def fill_floor(self, count: int) -> None:
        """Objects of the same size as the exchange's."""
        body = orjson.dumps(making.account_pattern()).decode()
        held = self.floor_database.execute("SELECT count(*) FROM objects").fetchone()[0]
        self.floor_database.execute(
            "INSERT INTO objects (id, body) SELECT 'indicator--' || gen_random_uuid(), %s FROM generate_series(1, %s)",
            [body, max(0, count - held)],
        )


def ingest(sides: Sides, size: int, *, rounds: int, per_round: int) -> tuple[list[Row], Rates]:
    """Batches one after the other over one connection; the second value is our own rate, and the floor's, by size."""
    rates: Rates = {}
    rows, floor = [], sides.floor_publisher
    for batch in (100, 500):
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            bodies = [envelope(batch) for _ in range(per_round // batch)]
            ours.append(per_round / timed(lambda bodies=bodies: [push(sides.publisher, body) for body in bodies]))
            sides.server.rest()
            theirs.append(
                per_round / timed(lambda bodies=bodies: [floor.ask("POST", "/objects", body) for body in bodies])
            )
        rates[batch] = statistics.median(ours), statistics.median(theirs)
        name = f"ingest over HTTP, durable, batches of {batch}"
        rows.append(faster(name, size, ours, theirs, name="floor", unit="objects/s", least=1 / 5))
    return rows, rates


def growth(then: Rates, now: Rates, *, size: int, least: float | None) -> list[Row]:
    """What became of the rates with what is stored: our own, and the floor's, which the machine alone slows down."""
    rows = []
    for batch, (ours, floors) in now.items():
        share, its_share = ours / then[batch][0], floors / then[batch][1]
        rows.append(
            Row(
                f"own ingest, batches of {batch}, against that at the first size",
                size,
                f"{ours:,.0f} objects/s",
                f"then: {then[batch][0]:,.0f} (the floor: {its_share:.2f} x its own)",
                f"{share:.2f} x",
                f"≥ {least} x" if least else "",
                share >= least if least else None,
            )
        )
    return rows


def full_pull(sides: Sides, size: int, *, rounds: int) -> list[Row]:
    ours: list[float] = []
    theirs: list[float] = []
    firsts: list[float] = []
    lasts: list[float] = []
    for _ in range(rounds):
        pages = list(pull_taxii(sides.taxii, sides.server.everything))
        ours.append(sum(count for count, _ in pages) / sum(seconds for _, seconds in pages))
        full = [seconds for count, seconds in pages if count == 1_000]
        firsts += full[:5]
        lasts += full[-5:]
        pages = list(pull_floor(sides.floor))
        theirs.append(sum(count for count, _ in pages) / sum(seconds for _, seconds in pages))
    rows = [
        faster("full pull by TAXII, pages of 1,000", size, ours, theirs, name="floor", unit="objects/s", least=1 / 3)
    ]
    rows.append(sooner("  its last pages against its first", size, lasts, firsts, name="first", most=1.2))
    return rows


def polls(sides: Sides, size: int, *, rounds: int) -> list[Row]:
    """Nothing new, one new, and from a push until a poller has seen it: TAXII and the delta feed."""
    place = _end_of_floor(sides)
    cursor = drain_changes(sides.reader)
    after = _end_of_taxii(sides)
    sides.server.rest()
    nothing: dict[str, list[float]] = {"floor": [], "changes": [], "taxii": []}
    one: dict[str, list[float]] = {"floor": [], "changes": [], "taxii": []}
    seen: dict[str, list[float]] = {"floor": [], "changes": [], "taxii": []}
    for _ in range(rounds):
        for _ in range(5):
            nothing["floor"].append(_asked(sides.floor, f"/objects?after={place}&limit=1000"))
            nothing["changes"].append(_asked(sides.reader, f"/api/v1/changes?cursor={cursor}"))
            nothing["taxii"].append(_asked(sides.taxii, f"{sides.server.everything}?added_after={after}"))
        body = envelope(1)
        began = time.perf_counter()
        sides.floor_publisher.ask("POST", "/objects", body)
        asked = time.perf_counter()
        page = sides.floor.ask("GET", f"/objects?after={place}&limit=1000").json()
        ended = time.perf_counter()
        one["floor"].append(ended - asked)
        seen["floor"].append(ended - began)
        place = page["last"]
        began = time.perf_counter()
        push(sides.publisher, body)
        asked = time.perf_counter()
        page = sides.reader.ask("GET", f"/api/v1/changes?cursor={cursor}").json()
        ended = time.perf_counter()
        must(len(page["changes"]) == 1, "one new change was to be seen")
        one["changes"].append(ended - asked)
        seen["changes"].append(ended - began)
        cursor = page["cursor"]
        asked = time.perf_counter()
        answer = sides.taxii.ask("GET", f"{sides.server.everything}?added_after={after}")
        one["taxii"].append(time.perf_counter() - asked)
        must(len(answer.json()["objects"]) == 1, "one new object was to be seen")
        after = answer.headers["x-taxii-date-added-last"]
        sides.server.rest()
    return [
        sooner("poll with nothing new, delta feed", size, nothing["changes"], nothing["floor"], name="floor", most=3),
        sooner("poll with nothing new, TAXII", size, nothing["taxii"], nothing["floor"], name="floor", most=3),
        sooner("poll with one new, delta feed", size, one["changes"], one["floor"], name="floor", most=3),
        sooner("poll with one new, TAXII", size, one["taxii"], one["floor"], name="floor", most=3),
        sooner("POST until a poller has it", size, seen["changes"], seen["floor"], name="floor", most=3),
    ]


def lookups(sides: Sides, size: int, *, rounds: int, requests: int) -> list[Row]:
    """Single ids over several connections against a view that does nothing; 200 ids against `= ANY`."""
    with sides.database.cursor() as cursor:
        cursor.execute("SELECT stix_id FROM indicators_holding TABLESAMPLE SYSTEM (20) LIMIT 5000")
        ids = [row[0] for row in cursor.fetchall()]
    turn = itertools.cycle(ids)
    ours: list[float] = []
    theirs: list[float] = []
    bulk: list[float] = []
    raw: list[float] = []
    for _ in range(rounds):
        asked = [next(turn) for _ in range(requests)]
        with ExitStack() as stack:  # new connections each round: how they fall to the processes is chance
            mine = [stack.enter_context(sides.server.wire(1)) for _ in range(_CONNECTIONS)]
            other = [stack.enter_context(Wire(sides.minimal_url)) for _ in range(_CONNECTIONS)]
            single = [mine[0].request("GET", f"/api/v1/objects/{stix_id}") for stix_id in asked]
            ours.append(requests / timed(lambda mine=mine, single=single: volley(mine, single)))
            single = [other[0].request("GET", f"/objects/{stix_id}") for stix_id in asked]
            theirs.append(requests / timed(lambda other=other, single=single: volley(other, single)))
        for _ in range(5):
            some = [next(turn) for _ in range(200)]
            body = orjson.dumps({"ids": some})
            bulk.append(200 / timed(lambda body=body: _found(sides.reader.ask("POST", "/api/v1/objects/lookup", body))))
            raw.append(200 / timed(lambda some=some: _fetch(sides.database, some)))
    return [
        faster(
            "look-up of one id, 8 connections", size, ours, theirs, name="empty view", unit="requests/s", least=1 / 8
        ),
        faster("look-up of 200 ids", size, bulk, raw, name="= ANY", unit="ids/s", least=1 / 4),
    ]


def beside_peer(sides: Sides, url: str, *, size: int) -> list[Row]:
    """medallion, in the same run: no target, a comparison. Our own figures are taken anew, interleaved with its.

    It has no more than `peer.STORED` objects, we have `size`.
    """
    ours: dict[str, list[float]] = {"ingest": [], "pull": [], "idle": []}
    theirs: dict[str, list[float]] = {"ingest": [], "pull": [], "idle": []}
    with Wire(url, headers=peer.HEADERS) as wire:
        after = _end_of_taxii(sides)
        for _ in range(3):
            body = envelope(100)
            ours["ingest"].append(100 / timed(lambda body=body: push(sides.publisher, body)))
            theirs["ingest"].append(
                100 / timed(lambda body=body: wire.ask("POST", peer.OBJECTS, body, media=peer.MEDIA))
            )
            sides.server.rest()
            for pulled, (its, path) in (
                (ours, (sides.taxii, sides.server.everything)),
                (theirs, (wire, peer.OBJECTS)),
            ):
                pages = list(pull_taxii(its, path, at_most=2))
                pulled["pull"].append(sum(count for count, _ in pages) / sum(seconds for _, seconds in pages))
                latest = after if its is sides.taxii else "2030-01-01T00:00:00.000000Z"
                pulled["idle"].append(
                    1 / timed(lambda its=its, path=path, latest=latest: its.ask("GET", f"{path}?added_after={latest}"))
                )
    names = {
        "ingest": ("ingest, batches of 100", "objects/s"),
        "pull": ("first two pages of a pull", "objects/s"),
        "idle": ("polls with added_after", "polls/s"),
    }
    return [
        Row(
            f"peer: {name}",
            size,
            f"{statistics.median(ours[key]):,.0f} {unit}",
            f"medallion, {peer.STORED:,} stored: {statistics.median(theirs[key]):,.0f}",
            f"{statistics.median(ours[key]) / statistics.median(theirs[key]):,.1f} x",
        )
        for key, (name, unit) in names.items()
    ]


def memory(sides: Sides, size: int, *, pushed: int) -> list[Row]:
    """The peak of the fattest web process, during a pull of all and during a push in batches of 500."""
    rows = []
    for name, work in (
        ("full pull", lambda: list(pull_taxii(sides.taxii, sides.server.everything))),
        (f"push of {pushed:,} objects", lambda: [push(sides.publisher, envelope(500)) for _ in range(pushed // 500)]),
    ):
        processes = sides.server.web_processes()
        for pid in processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
        work()
        rows.append(
            at_most(f"memory of a web process: {name}", size, max(map(_peak_mb, processes)), unit="MB", most=250)
        )
    return rows


def telling(sides: Sides, size: int, *, pushes: int) -> list[Row]:
    """From the answer to a push until a webhook arrives."""
    import http.server

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
    made = sides.reader.ask(
        "POST", "/api/v1/subscriptions", orjson.dumps({"url": f"http://127.0.0.1:{receiver.server_port}/"})
    ).json()
    waits = []
    for _ in range(pushes):
        before = len(heard)
        push(sides.publisher, envelope(1))
        answered = time.perf_counter()
        while len(heard) == before and time.perf_counter() - answered < 10:
            time.sleep(0.0005)
        waits.append((heard[-1] - answered) * 1_000 if len(heard) > before else 10_000.0)
        time.sleep(0.03)
    sides.reader.ask("DELETE", f"/api/v1/subscriptions/{made['id']}")
    receiver.shutdown()
    waits.sort()
    p99 = waits[max(0, int(len(waits) * 0.99) - 1)]
    return [
        Row("from a push's answer to the webhook", size, f"p50 {statistics.median(waits):.0f} ms, p99 {p99:.0f} ms")
    ]


def envelope(count: int) -> bytes:
    return orjson.dumps({"objects": [making.account_pattern() for _ in range(count)]})


def push(wire: Wire, body: bytes) -> None:
    counts = wire.ask("POST", BATCHES, body).json()["counts"]
    if counts["refused"] or counts["quarantined"] or counts["unchanged"]:
        raise RuntimeError(f"not all was accepted: {counts}")


def pull_taxii(wire: Wire, path: str, *, at_most: int = 1_000_000) -> Iterator[tuple[int, float]]:
    """How many objects each page had, and how long it took. Objects are counted by their ids, not parsed."""
    following = ""
    for _ in range(at_most):
        began = time.perf_counter()
        answer = wire.ask("GET", f"{path}?limit=1000{following}")
        seconds = time.perf_counter() - began
        page = answer.json()
        yield len(page.get("objects", ())), seconds
        if not page.get("more"):
            return
        following = f"&next={page['next']}"


def pull_floor(wire: Wire) -> Iterator[tuple[int, float]]:
    place = 0
    while True:
        began = time.perf_counter()
        answer = wire.ask("GET", f"/objects?after={place}&limit=1000")
        seconds = time.perf_counter() - began
        page = answer.json()
        if not page["objects"]:
            return
        yield len(page["objects"]), seconds
        place = page["last"]


def drain_changes(wire: Wire) -> str:
    cursor = ""
    while True:
        page = wire.ask("GET", f"/api/v1/changes?limit=5000{f'&cursor={cursor}' if cursor else ''}").json()
        cursor = page["cursor"]
        if not page["more"]:
            return str(cursor)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _end_of_floor(sides: Sides) -> int:
    return int(sides.floor_database.execute("SELECT max(seq) FROM objects").fetchone()[0])


def _end_of_taxii(sides: Sides) -> str:
    return last_date(sides.taxii, sides.server)


def last_date(wire: Wire, server: Server) -> str:
    """The date of the newest object, as a client would have it: found from the database to spare a pull of all."""
    with server.database() as database:
        found = database.execute("SELECT max(date_added) FROM indicators_commit").fetchone()[0]
    return str(found.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _asked(wire: Wire, path: str) -> float:
    """Seconds that one answer takes."""
    return timed(lambda: wire.ask("GET", path))


def _found(answer: Any) -> None:
    must(answer.body.count(b'"publisher":') >= 200, "all ids were to be found")


def _fetch(database: psycopg.Connection[Any], ids: Sequence[str]) -> None:
    database.execute(
        "SELECT h.stix_id, o.body FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id"
        " WHERE h.stix_id = ANY(%s)",
        [ids],
    ).fetchall()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024


def must(holds: bool, why: str) -> None:  # noqa: FBT001
    """Raise RuntimeError unless it holds: a figure of what went wrong is none."""
    if not holds:
        raise RuntimeError(why)
