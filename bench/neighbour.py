"""The hostile neighbour: one caller does what stopped the service before, and another's poll and push are measured.

Each attack runs in a process of its own, on loopback alone, with a bounded number of connections, and ends with its
row. The measured partner's 99th percentile stands beside the one of the moment before, when all was quiet. The attacks'
own process takes a tenth of a core at most: what is measured is the exchange.
"""

from __future__ import annotations

import contextlib
import gzip
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any
from urllib.parse import urlsplit

import orjson

from bench.measures import BATCHES, must, timed
from bench.server import Server
from bench.table import Row
from bench.wire import Wire
from indicators.stix import making

MOST_TIMES = 3.0
LIVE_S = 1.0
_MEASURED = ("poll", "push")
_PATTERNS = 2_000
_LEVELS, _COMPARISONS = 11, 60
#: Where classical STIX is taken.
_TO_CTI = f"{BATCHES}?groups=cti"
_EQUAL = 2_000


@dataclass(frozen=True, slots=True)
class Target:
    """What an attacker knows: the address, and the keys of two members of their own."""

    url: str
    keys: tuple[str, str]

    def open(self, request: str | bytes, *, receive_bytes: int = 0) -> socket.socket:
        """A connection over which `request` was sent, and nothing is read."""
        address = urlsplit(self.url)
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(5)
        sock.connect((address.hostname, address.port))
        sock.sendall(request if isinstance(request, bytes) else request.replace("\n", "\r\n").encode())
        sock.setblocking(False)
        return sock

    def head(self, method: str, path: str, *, key: int | None = None, more: str = "") -> str:
        """The head of a request, without its last line."""
        whose = "" if key is None else f"Authorization: Bearer {self.keys[key]}\n"
        return f"{method} {path} HTTP/1.1\nHost: {urlsplit(self.url).netloc}\n{whose}{more}"

    def wire(self, key: int) -> Wire:
        """A connection that reads what it is answered."""
        return Wire(self.url, key=self.keys[key])


def _held(made: Callable[[], socket.socket], count: int, stop: Event) -> None:
    """So many connections, opened again where the server ends them."""
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket | None] = [None] * count
        while not stop.is_set():
            for index, sock in enumerate(opened):
                if sock is None or _is_ended(sock):
                    with contextlib.suppress(OSError):
                        opened[index] = stack.enter_context(made())
            stop.wait(0.2)


def _is_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) == b"" or sock.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def slow_forms(target: Target, stop: Event) -> None:
    form = target.head("POST", "/account/login/", more="Content-Type: application/x-www-form-urlencoded\n")
    _held(lambda: target.open(f"{form}Content-Length: 500\n\nlogin="), 60, stop)


def slow_heads(target: Target, stop: Event) -> None:
    threads = [
        threading.Thread(target=_held, args=(lambda: target.open(target.head("GET", "/")), 200, stop)),
        threading.Thread(target=_held, args=(lambda: target.open(b""), 800, stop)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def stalled_pushes(target: Target, stop: Event) -> None:
    push = target.head("POST", BATCHES, key=0, more="Content-Type: application/json\nContent-Length: 50000\n\n{")
    _held(lambda: target.open(push), 40, stop)


def announced(target: Target, stop: Event) -> None:
    length = 32 * 1024 * 1024
    push = target.head("POST", BATCHES, key=0, more=f"Content-Type: application/json\nContent-Length: {length}\n\n{{")
    _held(lambda: target.open(push), 2, stop)


def unread(target: Target, stop: Event) -> None:
    asked = target.head("GET", "/api/v1/bundle", key=0, more="\n")
    opened = []
    while not stop.is_set() and len(opened) < 50:
        opened.append(target.open(asked, receive_bytes=4_096))
    stop.wait()


def streams(target: Target, stop: Event) -> None:
    def all_of(key: int) -> None:
        _held(lambda: target.open(target.head("GET", "/api/v1/events", key=key, more="\n")), 40, stop)

    threads = [threading.Thread(target=all_of, args=(key,)) for key in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def waits(target: Target, stop: Event) -> None:
    with target.wire(0) as wire:
        cursor = _end_of(wire)
    _held(
        lambda: target.open(target.head("GET", f"/api/v1/changes?cursor={cursor}&wait=25", key=0, more="\n")), 60, stop
    )


def _pushed(target: Target, body: bytes, stop: Event, *, count: int = 2, more: str = "", path: str = BATCHES) -> None:
    """The same push over and over, by so many at once."""

    def push() -> None:
        address = urlsplit(target.url)
        head = target.head("POST", path, key=0, more=f"{more}Content-Type: application/json\n")
        request = f"{head}Content-Length: {len(body)}\n\n".replace("\n", "\r\n").encode() + body
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), 60) as sock:
                sock.sendall(request)
                sock.recv(65_536)

    threads = [threading.Thread(target=push, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    stop.wait()


def gzip_members(target: Target, stop: Event) -> None:
    _pushed(target, gzip.compress(b"", mtime=0) * 200_000, stop, more="Content-Encoding: gzip\n")


def _classical(pattern: str) -> dict[str, Any]:
    """An indicator without our extension, whose pattern is its publisher's own."""
    made = making.account_pattern()
    kept = ("type", "spec_version", "id", "created", "modified", "valid_from")
    return {name: made[name] for name in kept} | {"pattern": pattern, "pattern_type": "stix"}


def patterns(target: Target, stop: Event) -> None:
    body = orjson.dumps({"objects": [_classical(_as_complex_as_admitted(number)) for number in range(_PATTERNS)]})
    _accepted(target, 0, body, path=_TO_CTI)
    _pushed(target, body, stop, path=_TO_CTI)


def _as_complex_as_admitted(number: int) -> str:
    """Eleven levels of parentheses in brackets, and sixty comparisons; more is refused before it is read."""
    each = [f"ipv4-addr:value = '198.51.100.{place}'" for place in range(5)]
    nested = f"domain-name:value = 'd{number}.example'"
    for level in range(_LEVELS):
        nested = f"({nested} {('AND', 'OR')[level % 2]} {each[level % 5]})"
    joined = [nested, *each * 9]
    return f"[{' OR '.join(joined[: _COMPARISONS - _LEVELS])}]"


def _accepted(target: Target, key: int, body: bytes, *, path: str = BATCHES) -> None:
    """Push once: an attack whose objects are refused would show nothing."""
    with target.wire(key) as wire:
        wire.send(wire.request("POST", path, body))
        answer = wire.receive().json()
    must(bool(answer.get("counts", {}).get("accepted")), f"nothing was accepted: {answer!r:.900}")


def equal_values(target: Target, stop: Event) -> None:
    for key in (0, 1):
        made = [making.account_pattern("net", carrier={"value": "185.220.101.99/32"}) for _ in range(_EQUAL)]
        _accepted(target, key, orjson.dumps({"objects": made}))
    stop.wait()


def tested_subscriptions(target: Target, stop: Event) -> None:
    """A receiver that takes connections and says nothing, asked to be tested again and again."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent, target.wire(0) as wire:
        asked = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        wire.send(wire.request("POST", "/api/v1/subscriptions", orjson.dumps(asked)))
        made = wire.receive()
        must(made.status == 201, repr(made.body[:200]))
        path = f"/api/v1/subscriptions/{made.json()['id']}/test"

        def test() -> None:
            with target.wire(0) as one:
                while not stop.is_set():
                    one.send(one.request("POST", path))
                    one.receive()
                    time.sleep(0.02)

        threads = [threading.Thread(target=test, daemon=True) for _ in range(16)]
        for thread in threads:
            thread.start()
        stop.wait()


def full_speed(target: Target, stop: Event) -> None:
    """Sixteen connections on which one member asks for what is new, again and again, without a pause."""

    def ask() -> None:
        with target.wire(0) as one:
            while not stop.is_set():
                one.send(one.request("GET", "/api/v1/changes?limit=1"))
                one.receive()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    stop.wait()


#: What it is called in the table; every one but the first needs a key.
ATTACKS: dict[str, Callable[[Target, Event], None]] = {
    "60 strangers' slow forms": slow_forms,
    "1,000 slow heads and idle sockets": slow_heads,
    "40 stalled pushes": stalled_pushes,
    "2 pushes that announce 32 MiB": announced,
    "50 unread bundles": unread,
    "two members' 80 streams": streams,
    "60 long polls": waits,
    "200,000 gzip members, twice at once": gzip_members,
    "2,000 nested patterns, twice at once": patterns,
    "twice 2,000 equal values": equal_values,
    "16 who test a silent receiver": tested_subscriptions,
    "16 who read without a pause": full_speed,
}


@dataclass(frozen=True, slots=True)
class Under:
    """Seconds that polls and pushes took, when all was quiet and under an attack, and that `/livez` took at most."""

    name: str
    quiet: dict[str, list[float]]
    under: dict[str, list[float]]
    slowest_s: float

    def times(self, what: str) -> float:
        """The 99th percentile against the quiet one."""
        return _p99(self.under[what]) / _p99(self.quiet[what])


def hostile_neighbour(server: Server, *, stored: int, seconds: float, named: str = "") -> Iterator[Row]:
    """Two rows for each attack, and one for `/livez`; then what was worst. The second partner is measured, the first
    and third attack. Quiet is measured anew before each attack: the machine does not stay the same. `named`: of the
    attacks with this in their names alone.
    """
    partners = server.info["partners"]
    target = Target(server.info["base_url"], (partners[0]["api_key"], partners[2]["api_key"]))
    with server.wire(1) as wire:
        _sampled(wire, seconds / 2)  # warm
        measured = []
        for name, attack in ((name, attack) for name, attack in ATTACKS.items() if named in name):
            quiet = _sampled(wire, seconds)
            with _running(attack, target), _alive(target) as lives:
                time.sleep(1.0)
                under = _sampled(wire, seconds)
            server.rest()
            measured.append(Under(name, quiet, under, max(lives)))
            yield from _rows(measured[-1], stored)
    yield from _worst(measured, stored)


@contextlib.contextmanager
def _running(attack: Callable[[Target, Event], None], target: Target) -> Iterator[None]:
    spawning = multiprocessing.get_context("spawn")
    stop = spawning.Event()
    process = spawning.Process(target=attack, args=(target, stop), daemon=True)
    process.start()
    try:
        yield
    finally:
        must(process.is_alive(), "the attack ended by itself")
        stop.set()
        process.join(timeout=5)
        process.kill()


@contextlib.contextmanager
def _alive(target: Target) -> Iterator[list[float]]:
    """Seconds that `/livez` takes on a connection of its own, asked ten times a second."""
    took: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.1):
            took.append(timed(lambda: Wire(target.url).ask("GET", "/livez")))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def _end_of(wire: Wire) -> str:
    cursor = ""
    while True:
        page = wire.ask("GET", f"/api/v1/changes?limit=5000{f'&cursor={cursor}' if cursor else ''}").json()
        cursor = page["cursor"]
        if not page["more"]:
            return str(cursor)


def _sampled(wire: Wire, seconds: float) -> dict[str, list[float]]:
    """Seconds of polls with nothing new, and of pushes of one object."""
    took: dict[str, list[float]] = {"poll": [], "push": []}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        cursor = _end_of(wire)
        for _ in range(8):
            began = time.perf_counter()
            answer = wire.ask("GET", f"/api/v1/changes?cursor={cursor}")
            seconds_taken = time.perf_counter() - began
            page = answer.json()
            if page["changes"]:  # of the attacker's own: what is read then is as long as it is
                cursor = page["cursor"]
            else:
                took["poll"].append(seconds_taken)
        body = orjson.dumps({"objects": [making.account_pattern(tlp_word="green")]})
        took["push"].append(timed(lambda: wire.ask("POST", BATCHES, body)))  # noqa: B023
    return took


def _rows(one: Under, stored: int) -> Iterator[Row]:
    for what in _MEASURED:
        yield Row(
            f"{one.name}: another's {what}, p99",
            stored,
            f"{_p99(one.under[what]) * 1_000:.1f} ms",
            f"quiet: {_p99(one.quiet[what]) * 1_000:.1f}",
            f"{one.times(what):.1f} x",
            f"≤ {MOST_TIMES:g} x",
            one.times(what) <= MOST_TIMES,
            detail=True,
        )
    yield Row(
        f"{one.name}: /livez, slowest",
        stored,
        f"{one.slowest_s:.3f} s",
        target=f"< {LIVE_S:g} s",
        met=one.slowest_s < LIVE_S,
        detail=True,
    )


def _worst(measured: list[Under], stored: int) -> Iterator[Row]:
    """What the README's table says of all of them."""
    worst = {what: max(measured, key=lambda one, what=what: one.times(what)) for what in _MEASURED}
    slowest = max(measured, key=lambda one: one.slowest_s)
    yield Row(
        f"under the worst of {len(measured)} attacks by a neighbour: another's poll / push, p99 against quiet",
        stored,
        " / ".join(f"{_p99(worst[what].under[what]) * 1_000:.1f} ms" for what in _MEASURED),
        " / ".join(worst[what].name for what in _MEASURED),
        " / ".join(f"{worst[what].times(what):.1f} x" for what in _MEASURED),
        f"≤ {MOST_TIMES:g} x",
        all(worst[what].times(what) <= MOST_TIMES for what in _MEASURED),
    )
    yield Row(
        "under the worst of these attacks: /livez, slowest",
        stored,
        f"{slowest.slowest_s:.3f} s",
        slowest.name,
        target=f"< {LIVE_S:g} s",
        met=slowest.slowest_s < LIVE_S,
    )


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[98]
