"""Hosts with addresses of their own: the database, the web processes and the workers each run on one, and a lab asks.

Each host is a network namespace on one bridge, so nothing but those addresses leads from one to another: no socket of
the file system, no loopback. It needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from exchange import embedded
from exchange.client import Client
from indicators.stix import making
from tests.drills.demo import ROOT
from tests.drills.test_upgrade import Exchange
from tests.waiting import DEADLINE_S, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.allow_hosts(["127.0.0.1", "::1", "10.77.0.2"]),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 is not installed"),
]
HOSTS = {"db": "10.77.0.1", "web": "10.77.0.2", "work": "10.77.0.3", "lab": "10.77.0.4"}
PORT = 8000
_CLONE_NEWNET = 0x4000_0000


class Network:
    """The hosts, and the bridge between them, which is a namespace, too: nothing of it is in the machine's own."""

    def __init__(self) -> None:
        self.tag = f"x{os.getpid()}"
        self._ip("netns", "add", self.name("net"))
        self._ip("-n", self.name("net"), "link", "add", "bridge", "type", "bridge")
        self._ip("-n", self.name("net"), "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            self._join(host, address)

    def name(self, host: str) -> str:
        return f"{self.tag}{host}"

    def _join(self, host: str, address: str) -> None:
        space = self.name(host)
        self._ip("netns", "add", space)
        plug = ["-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", host, "netns", self.name("net")]
        self._ip(*plug)
        self._ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._ip("-n", space, "link", "set", device, "up")
        self._ip("-n", self.name("net"), "link", "set", host, "master", "bridge", "up")

    def cut(self, host: str, *, off: bool) -> None:
        self._ip("-n", self.name("net"), "link", "set", host, "down" if off else "up")

    def on(self, host: str, act):
        """What `act` returns, done in a thread of that host."""
        with ThreadPoolExecutor(1, initializer=self._enter, initargs=(host,)) as there:
            return there.submit(act).result()

    def _enter(self, host: str) -> None:
        with Path(f"/run/netns/{self.name(host)}").open("rb") as space:
            assert ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET) == 0

    def end(self) -> None:
        for host in (*HOSTS, "net"):
            subprocess.run(["ip", "netns", "del", self.name(host)], check=False)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True)


class Spread(Exchange):
    """An installation whose processes each run on a host."""

    def __init__(self, home: Path, url: str, network: Network) -> None:
        super().__init__(home, url, PORT)
        self.network, self.host = network, "web"
        self.environment |= {"BASE_URL": f"http://{HOSTS['web']}:{PORT}", "ALLOWED_HOSTS": HOSTS["web"]}

    def begin(self, code: Path, *words: str, **how) -> subprocess.Popen:
        environment = self.environment | {"PYTHONPATH": str(code)}
        line = ["ip", "netns", "exec", self.network.name(self.host), sys.executable, *words]
        return subprocess.Popen(line, cwd=code, env=environment, **how)

    def starts(self, host: str, name: str, *words: str) -> None:
        self.host = host
        with (self.home / f"{name}.log").open("ab") as log:
            self.running[name] = self.begin(ROOT, *words, stdout=log, stderr=log)


@pytest.fixture
def network():
    made = Network()
    yield made
    made.end()


@pytest.fixture
def room():
    """A directory with a short path, which the user of the server may enter."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


@pytest.fixture
def store(network, room):
    """PostgreSQL on the host of the database, for those who come over the network with a password."""
    url = embedded.start(room, settings=embedded.UNSAFE_SETTINGS)
    home = room / "postgres"
    again = ["-m", "fast", "-o", f"-h {HOSTS['db']} -k {home}", "-l", str(home / "log"), "restart"]
    network.on("db", lambda: embedded._pg_ctl(home, *again))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE exchange LOGIN SUPERUSER PASSWORD 'of-this-drill'")
        connection.execute("CREATE DATABASE exchange OWNER exchange")
        with (home / "pg_hba.conf").open("a") as rules:
            rules.write("host all exchange 10.77.0.0/24 scram-sha-256\n")
        connection.execute("SELECT pg_reload_conf()")
    yield f"postgresql://exchange:of-this-drill@{HOSTS['db']}/exchange", url
    embedded.stop(room)


def test_database_web_and_workers_on_hosts_of_their_own_serve_labs_and_outlive_a_cut(network, store, room):
    url, local = store
    exchange = Spread(room / "home", url, network)
    try:
        exchange.manage(ROOT, "prepare")
        exchange.manage(ROOT, "seed", "--credentials", str(exchange.home / "cast.json"))
        keys = [one["api_key"] for one in json.loads((exchange.home / "cast.json").read_text())["partners"]]
        address = exchange.environment["BASE_URL"]
        web = ["-m", "exchange.web", "--host", HOSTS["web"], "--port", str(PORT), "--workers", "2"]
        exchange.starts("web", "web", *web)
        worker = ["-m", "celery", "--quiet", "--app", "exchange.celery", "worker", "--pool", "threads", "-c", "4"]
        exchange.starts("work", "worker", *worker, "-Q", "celery,webhooks", "--without-gossip", "--without-mingle")
        exchange.starts("work", "beat", "-m", "celery", "--quiet", "--app", "exchange.celery", "beat")
        network.on("lab", lambda: until(lambda: _lives(address)))
        network.on("lab", lambda: _meet(address, keys))
        assert _callers(local) == {HOSTS["web"], HOSTS["work"]}
        network.cut("work", off=True)  # pushes go on, and what they match is found once the workers are back
        pushed = network.on("lab", lambda: _push_twice(address, keys))
        network.cut("work", off=False)
        network.on("lab", lambda: until(lambda: _has_met(address, keys, pushed), within_s=5 * DEADLINE_S))
        for name in ("beat", "worker", "web"):
            exchange.end(name)
    finally:
        exchange.kill()


def _lives(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez", timeout=DEADLINE_S).status_code == 200
    except httpx.TransportError:
        return False


def _callers(local: str) -> set[str]:
    """The addresses from which the exchange asks its database."""
    with psycopg.connect(local) as connection:
        said = "SELECT DISTINCT host(client_addr) FROM pg_stat_activity WHERE client_addr IS NOT NULL"
        return {address for (address,) in connection.execute(said)}


def _push_twice(address: str, keys: list[str]) -> set[str]:
    """Two labs publish one value; returns both ids."""
    carrier = {"token": making.token(os.urandom(32).hex())}
    made = [making.account_pattern(carrier=carrier) for _ in range(2)]
    for one, number in zip(made, (0, 2), strict=True):
        with Client(address, keys[number]) as lab:
            assert lab.publish([one]).counts["accepted"] == 1
    return {one["id"] for one in made}


def _has_met(address: str, keys: list[str], ids: set[str]) -> bool:
    with Client(address, keys[0]) as lab:
        return any({end["id"] for end in one["objects"]} == ids for one in lab.matches())


def _meet(address: str, keys: list[str]) -> None:
    """Somebody waits for what is new: a push wakes them, and the worker finds what two labs have in common."""
    with Client(address, keys[1]) as waiting:
        cursor = waiting.changes(limit=1_000)["cursor"]
        heard: list[dict] = []
        space = threading.Thread(target=lambda: heard.append(waiting.changes(cursor, wait_s=25)))
        space.start()
        ids = _push_twice(address, keys)
        space.join(DEADLINE_S)
        assert {one["id"] for one in heard[0]["changes"]} & ids
    until(lambda: _has_met(address, keys, ids))
