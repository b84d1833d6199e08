"""The closed loop: idle streams, how soon an agent has applied, and snapshots beside nginx."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from bench import filling
from bench.measures import must, push
from bench.server import Server, served, spent_s
from bench.table import Row, at_most
from bench.wire import Wire
from exchange.lists import pages
from indicators.stix import making

_ROOT = Path(__file__).resolve().parent.parent
_IDLE_S = 10.0
_LABS = 5
#: Seconds after which what has not come counts as lost.
_LATEST_S = 120.0
_TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _open_files(count: int) -> Iterator[None]:
    """Meanwhile this process, and those that it starts, may have so many connections beside their files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 512
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def streams(server: Server, *, count: int) -> Iterator[Row]:
    """Streams of five labs in one process, while nothing happens, and one push to them all."""
    keys = [one["api_key"] for one in server.info["partners"][:_LABS]]
    bounds = {"STREAMS_PER_PROCESS": str(2 * count)}  # one caller alone gets half
    with (
        _open_files(count),
        served("exchange.wsgi:application", workers=1, **(server.environment() | bounds)) as url,
        server.wire(0) as publisher,
    ):
        pid = _listening(url)
        for key in keys:  # what the first request of a process brings with it is not a stream's
            with Wire(url, key=key) as wire:
                wire.ask("GET", "/api/v1/me")
        before = _memory_kb(pid)
        chosen = selectors.DefaultSelector()
        for number in range(count):
            chosen.register(_stream(url, keys[number % len(keys)]), selectors.EVENT_READ)
        _heard(chosen, b"event: open", count)
        grown = (_memory_kb(pid) - before) / count
        spent, began = _cpu_s(pid), time.perf_counter()
        _heard(chosen, b"event: never", count, for_s=_IDLE_S)
        idle_ms = (_cpu_s(pid) - spent) / (time.perf_counter() - began) / count * 1_000
        spent, began = _cpu_s(pid), time.perf_counter()
        push(publisher, orjson.dumps({"objects": [making.account_pattern()]}))
        _heard(chosen, b"event: change", count)
        took = time.perf_counter() - began
        told_ms = (_cpu_s(pid) - spent) / count * 1_000
        for key in list(chosen.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    yield at_most(f"{count:,} idle streams in one process: memory of each", 0, grown, unit="KiB", most=32, digits=1)
    yield at_most(
        f"{count:,} idle streams in one process: processor, all together", 0, idle_ms * count / 10, unit="%", most=15
    )
    yield Row(
        f"{count:,} streams in one process: one push until the last was told",
        0,
        f"{took:.2f} s, {told_ms:.2f} ms of processor each",
        target="< 1 s",
        met=took < 1,
    )


def _stream(url: str, key: str) -> socket.socket:
    address = urlsplit(url)
    opened = socket.create_connection((address.hostname or "", address.port or 80), timeout=60)
    host = f"{address.hostname}:{address.port}"
    opened.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    opened.setblocking(False)
    return opened


def _heard(chosen: selectors.BaseSelector, what: bytes, count: int, *, for_s: float = _LATEST_S) -> None:
    """Read until so many streams said this, or the time is up. Raises RuntimeError for a stream that ended."""
    heard: set[int] = set()
    until = time.perf_counter() + for_s
    while len(heard) < count and (left := until - time.perf_counter()) > 0:
        for key, _ in chosen.select(left):
            piece = key.fileobj.recv(65_536)  # type: ignore[union-attr]
            must(bool(piece) and b"event: end" not in piece, f"a stream ended: {piece[:300]!r}")
            if what in piece:
                heard.add(key.fd)
    must(for_s != _LATEST_S or len(heard) == count, f"{len(heard)} of {count} streams said {what!r}")


def applied(server: Server, *, subscribers: int, rounds: int) -> Iterator[Row]:
    """From a push until each of many subscribers has verified the page that tells of it; and a revocation the same.

    The subscribers are of five labs, each with a connection of its own that waits at the delta, in one process; each
    page is verified as an agent does. An agent of the command line follows beside them: when its list has changed.
    """
    keys = [one["api_key"] for one in server.info["partners"][:_LABS]]
    with _open_files(subscribers), contextlib.ExitStack() as opened, server.wire(0) as publisher:
        crowd = _Crowd(server.info["base_url"], [keys[number % len(keys)] for number in range(subscribers)])
        opened.callback(crowd.close)
        agent = opened.enter_context(_agent(server))
        crowd.catch_up()
        server.rest()
        roots = [server.process_id, server.postgres_id()]
        spent: list[float] = []
        times: dict[str, list[float]] = {"applied": [], "removed": []}
        listed: dict[str, list[float]] = {"applied": [], "removed": []}
        for _ in range(rounds):
            made = making.account_pattern()
            value = _value(made)
            for what, sent, is_there in (
                ("applied", made, True),
                ("removed", made | {"revoked": True, "modified": _later(made)}, False),
            ):
                taken, began, began_at = spent_s(roots), time.perf_counter(), time.time()
                push(publisher, orjson.dumps({"objects": [sent]}))
                times[what] += [at - began for at in crowd.until_told(made["id"])]
                spent.append((spent_s(roots) - taken) / subscribers * 1_000)
                listed[what].append(_listed_at(agent, value, is_there=is_there) - began_at)
    for what, name in (("applied", "commit until applied"), ("removed", "revocation until dropped")):
        yield _soon(f"{name}, {subscribers} subscribers, p50 · p99", times[what])
        yield _soon(f"{name} in the list of an agent beside them, p50 · p99", listed[what])
    each = statistics.median(spent)
    yield Row(f"{subscribers} subscribers told: processor of the exchange and PostgreSQL for each", 0, f"{each:.1f} ms")


def _soon(name: str, times: Sequence[float]) -> Row:
    found = sorted(times)
    half, most = statistics.median(found), found[min(len(found) - 1, int(len(found) * 0.99))]
    return Row(name, 0, f"{half * 1_000:,.0f} · {most * 1_000:,.0f} ms", target="< 1 · 3 s", met=half < 1 and most < 3)


def _later(made: dict[str, Any]) -> str:
    return str(made["modified"]).replace("Z", "9Z") if "." in made["modified"] else made["modified"][:-1] + ".001Z"


def _value(made: dict[str, Any]) -> str:
    return str(made["pattern"]).rsplit("'", 2)[1]


class _Crowd:
    """Subscribers that wait at the delta, each on a connection of its own."""

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        self._url, self._keys = url, keys
        self._wires: dict[int, Wire] = {}
        self._cursors: dict[int, str] = {}
        self._resting: dict[int, float] = {}
        self._chosen = selectors.DefaultSelector()

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()

    def catch_up(self) -> None:
        """Each connects, goes to the end of its log, and waits there."""
        for key in self._keys:
            wire = Wire(self._url, key=key)
            number = wire.fileno()
            self._wires[number], self._cursors[number] = wire, ""
            while self._read(number, wire.ask("GET", self._path(number, wait=False)).body).trailer.more:
                pass
            self._ask(number)
            self._chosen.register(number, selectors.EVENT_READ)

    def until_told(self, stix_id: str) -> list[float]:
        """When each had verified a page that names this object."""
        told: dict[int, float] = {}
        until = time.perf_counter() + _LATEST_S
        while len(told) < len(self._wires) and time.perf_counter() < until:
            for key, _ in self._chosen.select(0.05):
                answer = self._wires[key.fd].receive()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
                page = self._read(key.fd, answer.body)
                if any(row["id"] == stix_id for row in page.rows):
                    told[key.fd] = time.perf_counter()
                if page.rows:
                    self._ask(key.fd)
                else:  # an exchange with no room to wait in answers at once: the agent leaves it alone for a moment
                    self._resting[key.fd] = time.perf_counter() + page.trailer.min_wait_s
            now = time.perf_counter()
            for number in [one for one, at in self._resting.items() if at <= now]:
                del self._resting[number]
                self._ask(number)
        must(len(told) == len(self._wires), f"{len(told)} of {len(self._wires)} were told")
        return list(told.values())

    def _ask(self, number: int) -> None:
        wire = self._wires[number]
        wire.send(wire.request("GET", self._path(number, wait=True)))

    def _path(self, number: int, *, wait: bool) -> str:
        cursor = self._cursors[number]
        asked = "?limit=5000" + ("&wait=25" if wait else "") + (f"&cursor={cursor}" if cursor else "")
        return f"/api/v1/feeds/all/delta{asked}"

    def _read(self, number: int, body: bytes) -> pages.Page:
        page = pages.read([body])
        self._cursors[number] = page.trailer.next_cursor
        return page


@contextlib.contextmanager
def _agent(server: Server) -> Iterator[Path]:
    """An agent of the second lab that follows; where its list is."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        path = Path(directory) / "list.txt"
        known = {"EXCHANGE_URL": server.info["base_url"], "EXCHANGE_API_KEY": server.info["partners"][1]["api_key"]}
        command = "from exchange.agent.cli import main; main()"
        following = ["sync", "--follow", "-o", str(path), "--without-floor", "two-publishers"]
        process = subprocess.Popen(
            [sys.executable, "-c", command, *following],
            env=os.environ | known,
            cwd=_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until = time.perf_counter() + _LATEST_S
            while not path.exists() and time.perf_counter() < until:
                time.sleep(0.05)
            must(path.exists(), "the agent wrote no list")
            yield path
        finally:
            process.terminate()
            process.wait(timeout=30)


def _listed_at(path: Path, value: str, *, is_there: bool) -> float:
    """When the list that says so was put in its place, by the file's own time: whoever looks later sees the same."""
    until = time.perf_counter() + _LATEST_S
    while time.perf_counter() < until:
        with path.open() as file:
            if (value in file.read()) == is_there:
                return os.fstat(file.fileno()).st_ctime
        time.sleep(0.005)
    raise RuntimeError("the agent's list did not change")


def snapshot(server: Server, *, entries: int, rounds: int = 5) -> Iterator[Row]:
    """A feed's whole set as a file, by the exchange and by nginx with the same file; and until its first byte."""
    with server.wire(0) as publisher, server.wire(1) as reader, server.database() as database:
        template = making.account_pattern()
        push(publisher, orjson.dumps({"objects": [template]}))
        server.rest()
        filling.fill(database, [template["id"]], max(1, entries - server.stored()), salt="snapshot")
        database.execute("VACUUM (ANALYZE)")
        request = reader.request("GET", "/api/v1/feeds/all/snapshot")
        began = time.perf_counter()
        while reader.finish(request).status == 202:
            time.sleep(0.5)
        made_s = time.perf_counter() - began
        path = max(server.snapshots().glob("*.ndjson.gz"), key=lambda one: one.stat().st_mtime)
        size = path.stat().st_size
        digest = _digest(path)
        with _nginx(path) as beside:
            ours: list[tuple[float, float]] = []
            theirs: list[tuple[float, float]] = []
            base, key = server.info["base_url"], server.info["partners"][1]["api_key"]
            for _ in range(rounds):
                ours.append(_fetched(base, "/api/v1/feeds/all/snapshot", key=key, size=size, digest=digest))
                theirs.append(_fetched(beside, f"/{path.name}", key="", size=size, digest=digest))
    first = statistics.median(each[0] for each in ours) * 1_000
    mine, other = (statistics.median(size / each[1] for each in times) for times in (ours, theirs))
    yield Row(f"snapshot of {entries:,}: made", entries, f"{made_s:.1f} s, {size / 2**20:.0f} MiB")
    yield at_most(f"snapshot of {entries:,}: first byte", entries, first, unit="ms", most=100, digits=1)
    yield Row(
        f"snapshot of {entries:,}: whole",
        entries,
        f"{mine / 2**20:,.0f} MiB/s",
        f"nginx: {other / 2**20:,.0f}",
        f"{mine / other:.2f}",
        "≥ 0.5",
        mine / other >= 0.5,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched(base: str, path: str, *, key: str, size: int, digest: str) -> tuple[float, float]:
    """Seconds until the first byte of the answer, and until the last of its body, which is this one."""
    address = urlsplit(base)
    head = f"GET {path} HTTP/1.1\r\nHost: {address.hostname}:{address.port}\r\nAccept-Encoding: gzip\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    found = hashlib.sha256()
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=300) as opened:
        began = time.perf_counter()
        opened.sendall(f"{head}Connection: close\r\n\r\n".encode())
        piece = opened.recv(262_144)
        first = time.perf_counter() - began
        while b"\r\n\r\n" not in piece:
            piece += opened.recv(262_144)
        pieces = [piece.partition(b"\r\n\r\n")[2]]
        left = size - len(pieces[0])
        while left > 0 and (piece := opened.recv(1_048_576)):
            pieces.append(piece)
            left -= len(piece)
        whole = time.perf_counter() - began
    for piece in pieces:
        found.update(piece)
    must(found.hexdigest() == digest, "another file came")
    return first, whole


@contextlib.contextmanager
def _nginx(path: Path) -> Iterator[str]:
    """nginx that serves the folder of a file; its address. Raises RuntimeError where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    must(program is not None, "there is no nginx: install it to measure beside it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        Path(directory).chmod(0o755)
        places = " ".join(
            f"{name}_temp_path {directory};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = Path(directory) / "nginx.conf"
        configuration.write_text(
            f"daemon off; user root; pid {directory}/pid; error_log {directory}/error.log; events {{}}"
            f" http {{ access_log off; sendfile on; tcp_nopush on; {places}"
            f" server {{ listen 127.0.0.1:{port}; root {path.parent}; }} }}"
        )
        process = subprocess.Popen([str(program), "-c", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            until = time.perf_counter() + 30
            while time.perf_counter() < until:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _listening(url: str) -> int:
    """The process that answers at an address: the child of the one that was started with its port."""
    port = str(urlsplit(url).port)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"exchange.web" in words and port.encode() in words:
                    found.append(int(entry.name))
    return max(found, key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))


def _memory_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
