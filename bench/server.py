"""What is measured, as running processes: the exchange, and bare applications on the same web server.

The exchange is the demo's processes on an embedded PostgreSQL of their own, with fsync on; the floor uses another
database of the same server.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import conninfo

from bench import floor
from bench.wire import Wire
from exchange import embedded
from exchange.demo import serving

_ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
TAXII = "application/taxii+json;version=2.1"


class Server:
    """A running exchange; `wire(n)` speaks with the key of partner n."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __enter__(self) -> Self:
        environment = os.environ | {"PORT": "0", "DATA_DIR": str(self._data_dir), "DEMO_JSON": "1"}
        environment["DEMO_LABS"] = "0"  # five labs at work beside it would be measured, too
        for name in ("DATABASE_URL", "EXCHANGE_MODE", "SECRET_KEY", "BASE_URL"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchange.demo"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The exchange did not start.")
        self.info = json.loads(line)
        self.database_url = embedded.start(self._data_dir)
        self.everything = "/taxii2/exchange/collections/everything/objects/"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)

    def wire(self, number: int, *, taxii: bool = False) -> Wire:
        headers = {"Accept": TAXII} if taxii else {}
        return Wire(self.info["base_url"], key=self.info["partners"][number]["api_key"], headers=headers)

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)

    def environment(self) -> dict[str, str]:
        """What a command that works on this exchange needs to be told."""
        return {
            "EXCHANGE_MODE": "demo",
            "DATABASE_URL": self.database_url,
            "DATA_DIR": str(self._data_dir),
            "SECRET_KEY": (self._data_dir / "secret_key").read_text().strip(),
            "BASE_URL": self.info["base_url"],
            "DJANGO_SETTINGS_MODULE": "exchange.settings",
        }

    @property
    def folder(self) -> Path:
        """Where all that it keeps lives."""
        return self._data_dir

    def snapshots(self) -> Path:
        """Where the exchange keeps the files of feeds."""
        return self._data_dir / "snapshots"

    def stored(self) -> int:
        with self.database() as database:
            return int(database.execute("SELECT count(*) FROM indicators_stixobject").fetchone()[0])

    def rest(self, *, log_too: bool = False, within_s: float | None = None) -> None:
        """Until the workers have nothing left to do, so that they do not disturb what is measured next.

        `log_too`: also until the log has taken in all that was done, which takes a minute or two.
        """
        deadline = time.monotonic() + (within_s or (180 if log_too else 30))
        busy = f"{_BUSY} OR ({_UNTOLD})" if log_too else _BUSY
        with self.database() as database:
            while time.monotonic() < deadline:
                if not database.execute(busy).fetchone()[0]:
                    return
                time.sleep(0.02)
        raise RuntimeError("the workers do not come to rest")

    @property
    def process_id(self) -> int:
        """The one below which web and workers run."""
        return self._process.pid

    def postgres_id(self) -> int:
        """The one below which PostgreSQL runs."""
        return int(next(self._data_dir.rglob("postmaster.pid")).read_text().split("\n", 1)[0])

    def web_processes(self) -> list[int]:
        """The processes that answer requests: the children of the server's."""
        parents = {pid: parent for pid, parent, _ in _processes()}
        web = [pid for pid, _, command in _processes() if "exchange.web" in command and self._descends(pid, parents)]
        return [pid for pid in web if parents[pid] in web]

    def _descends(self, pid: int, parents: Mapping[int, int]) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == self._process.pid:
                return True
        return False


# Tasks that are waiting or under way.
_BUSY = "SELECT EXISTS (SELECT FROM pgmq.q_celery) OR EXISTS (SELECT FROM pgmq.q_webhooks)"
# Acts that are not in the log yet, which a task takes in by and by.
_UNTOLD = "SELECT EXISTS (SELECT FROM partners_auditwaiting)"


@contextlib.contextmanager
def served(target: str, *, python: Path | str = sys.executable, workers: int = 2, **variables: str) -> Iterator[str]:
    """A WSGI application on the web server, or, with an interpreter of its own, under granian; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if python == sys.executable:
        command = serving.command(target, python=python, port=port, workers=workers)
    else:  # an environment without the exchange
        command = [
            *(str(python), "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
            *("--no-ws", "--workers", str(workers), "--blocking-threads", "24", "--no-access-log", target),
        ]
    process = subprocess.Popen(
        command, env=os.environ | variables, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def floor_beside(server: Server) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """The floor on the same PostgreSQL server; yields its address and a connection to its database."""
    with server.database() as database:
        database.execute("DROP DATABASE IF EXISTS floor")
        database.execute("CREATE DATABASE floor")
    url = conninfo.make_conninfo(server.database_url, dbname="floor")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(floor.SCHEMA)
        with served("bench.floor:application", FLOOR_URL=url) as address:
            yield address, database


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("it did not start")


def _processes() -> Iterator[tuple[int, int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                yield int(entry.name), parent, (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def spent_s(roots: Collection[int]) -> float:
    """Seconds of the processor that these processes and those below them have taken, with those that ended."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                spent[int(entry.name)] = sum(map(int, fields[11:15])) / _TICK
    return sum(taken for pid, taken in spent.items() if _descends(pid, roots, parents))


def _descends(pid: int, roots: Collection[int], parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid in roots:
            return True
        pid = parents[pid]
    return False
