"""`python -m exchange.demo`: start everything, say when it is ready, watch over it, stop it in order.

Environment: PORT (8000; 0 takes any free one), DATA_DIR (.data), DEMO_JSON=1 (one JSON line instead of a screen),
DEMO_LABS=0 (no lab runs `exchange-lab`), DATABASE_URL and CELERY_BROKER_URL (servers of your own instead of the
embedded one).
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any
from urllib.parse import urlsplit

from rich.console import Console

from exchange import embedded, env
from exchange.demo import banner, ports, serving
from exchange.demo.children import Children
from exchange.demo.labs import Labs

_ROOT = Path(__file__).resolve().parent.parent.parent
#: A slow machine takes minutes; where a process ends, nobody waits for the rest of it.
_READY_S = 300.0
_NOT_FOR_THE_KEY_SERVICE = frozenset({"SECRET_KEY", "BASE_URL", "DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR"})
console = Console(stderr=True, highlight=False)


class Stop(Exception):
    """Somebody asked us to end."""


def main() -> int:
    """Run until asked to stop; the exit status is 0 then, and 1 if the demo could not start."""
    atexit.register(gc.freeze)  # who waits for the end of it does not wait for a search for rubbish
    data_dir = Path(env.text("DATA_DIR", str(_ROOT / ".data"))).resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    # Logs, mails and credentials are for this user alone. Root's PostgreSQL runs as another, and must find its own.
    data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    with _alone(data_dir):
        children: Children | None = None
        try:
            environment, port = _prepare(data_dir)
            children = Children(environment, say=lambda line: console.print(f"[yellow]{line}[/]"))
            labs = _labs(children, data_dir, port=port)
            _start(children, data_dir=data_dir, port=port)
            _announce(data_dir, port=port)
            while True:
                if not env.text("DATABASE_URL") and not embedded.is_running(data_dir):
                    console.print("[yellow]PostgreSQL ended; again now[/]")
                    embedded.start(data_dir)
                children.tend()
                if labs is not None:
                    labs.tend()
                time.sleep(0.5)
        except Stop:
            console.print("Stopping …")
            return 0
        except _CannotStart as problem:
            console.print(f"[red]{problem}[/]")
            return 1
        finally:
            _ignore_signals()
            if children is not None:
                children.stop()
            if not env.text("DATABASE_URL"):
                embedded.stop(data_dir)


class _CannotStart(Exception):
    """The demo cannot start; the message is for a person."""


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One demo per data directory. The kernel lets go of the lock when its holder dies, however it dies."""
    lock: IO[str]
    with (data_dir / "demo.lock").open("w") as lock:
        deadline = time.monotonic() + 5
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    console.print(f"[red]Another demo is using {data_dir}; set DATA_DIR to another directory.[/]")
                    raise SystemExit(1) from None
                time.sleep(0.2)
        yield


def _prepare(data_dir: Path) -> tuple[Mapping[str, str], int]:
    """Database, schema, cast, static files. Returns the children's environment and the port."""
    port = _port()
    database_url = env.text("DATABASE_URL")
    if not database_url:
        _step(1, "PostgreSQL")
        database_url = embedded.start(data_dir)
    environment = os.environ | {
        # Or each thread keeps what the largest page it ever made took.
        "MALLOC_ARENA_MAX": "2",
        # And a page's buffers are not made of new memory each time, which took a third of its processor time.
        "MALLOC_MMAP_THRESHOLD_": "4194304",
        "MALLOC_TRIM_THRESHOLD_": "8388608",
        "EXCHANGE_MODE": "demo",
        "DATABASE_URL": database_url,
        "SECRET_KEY": _secret(data_dir, "secret_key"),
        "BASE_URL": _address(port),
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
        "PYTHONUNBUFFERED": "1",
        "PROMETHEUS_MULTIPROC_DIR": _counts(data_dir),
        "KEY_SERVICE_URL": f"http://127.0.0.1:{ports.free()}",
        "KEY_SERVICE_TOKEN": _secret(data_dir, "key_service_token"),
    }
    _step(2, "Schema and static files")
    _manage(environment, "prepare")
    _step(3, "Partners and keys")
    _manage(environment, "seed", "--credentials", str(data_dir / "demo.json"))
    return environment, port


def _start(children: Children, *, data_dir: Path, port: int) -> None:
    _step(4, "Key service, web, workers, beat")
    logs = data_dir / "logs"
    python = [sys.executable, "-m"]
    children.add(
        "keys",
        _key_service(children.environment),
        log=logs / "keys.log",
        environment=_key_service_only(children.environment, data_dir),
    )
    web = serving.command("exchange.wsgi:application", python=sys.executable, port=port)
    children.add("web", web, log=logs / "web.log")
    celery = [*python, "celery", "--quiet", "--app", "exchange.celery"]
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    # Threads: the work waits on PostgreSQL and on receivers. Webhooks have a worker of their own, so that
    # a receiver that hangs delays other webhooks at most, never what is retired or told.
    worker = [*celery, "worker", "--pool", "threads", *quiet]
    children.add("worker", [*worker, "-Q", "celery", "-c", "4", "-n", "worker@%h"], log=logs / "worker.log")
    children.add(
        "webhooks", [*worker, "-Q", "webhooks,connections", "-c", "16", "-n", "webhooks@%h"], log=logs / "webhooks.log"
    )
    children.add("beat", [*celery, "beat", "--loglevel", "WARNING"], log=logs / "beat.log")
    _wait_until_ready(children, f"http://127.0.0.1:{port}/readyz", logs=logs)


def _key_service(environment: Mapping[str, str]) -> list[str]:
    """The key service, where the web looks for it."""
    port = urlsplit(environment["KEY_SERVICE_URL"]).port
    return [sys.executable, "-m", "exchange.keyservice", "--port", str(port)]


def _key_service_only(environment: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """What the key service has, and no other process: its seal; it gets nothing of the exchange's."""
    seal = hashlib.sha256(_secret(data_dir, "key_service_secret").encode()).hexdigest()
    kept = {name: value for name, value in environment.items() if name not in _NOT_FOR_THE_KEY_SERVICE}
    return kept | {"KEY_SERVICE_SECRET": seal}


def _wait_until_ready(children: Children, url: str, *, logs: Path) -> None:
    """Wait as long as every process runs. Raises _CannotStart, with the place of the logs."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        for child, status in children.ended():
            raise _CannotStart(f"{child.name} ended with {status}: {child.log} says why. Then make demo again.")
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise _CannotStart(
        f"Not ready after {_READY_S:.0f} s, though every process runs; their logs are in {logs}. "
        "On a busy machine, make demo again: what is done is kept."
    )


def _announce(data_dir: Path, *, port: int) -> None:
    cast = _cast(data_dir)
    (data_dir / "url").write_text(f"{_address(port)}\n")
    write = banner.as_json if env.flag("DEMO_JSON", default=False) else banner.as_text
    print(write(_address(port), data_dir=data_dir, cast=cast), flush=True)  # noqa: T201


def _cast(data_dir: Path) -> dict[str, Any]:
    cast: dict[str, Any] = json.loads((data_dir / "demo.json").read_text())
    return cast


def _labs(children: Children, data_dir: Path, *, port: int) -> Labs | None:
    if not env.flag("DEMO_LABS", default=True):
        return None
    return Labs(children, data_dir=data_dir, url=_address(port), partners=_cast(data_dir)["partners"])


def _address(port: int) -> str:
    """By name: a browser makes no passkey for an address of numbers."""
    return f"http://localhost:{port}"


def _manage(environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [sys.executable, str(_ROOT / "manage.py"), *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        raise _CannotStart(f"'{arguments[0]}' failed:\n{done.stderr[-2000:]}")
    if done.stderr.strip() and arguments[0] == "seed":
        console.print(f"[yellow]{done.stderr.strip()}[/]")


def _port() -> int:
    wanted = env.number("PORT", 8000, least=0, most=65_535)
    if not wanted:
        return ports.free()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise _CannotStart(f"Port {wanted} is taken; set PORT to another one, or to 0 for any.") from None
        return int(probe.getsockname()[1])


def _secret(data_dir: Path, name: str) -> str:
    """Made once, kept beside the data that it seals."""
    path = data_dir / name
    if not path.exists():
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        beside.replace(path)
    return path.read_text()


def _counts(data_dir: Path) -> str:
    """Where the processes of this run count together; what those of the last run counted is forgotten."""
    place = data_dir / "counts"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return str(place)


def _step(number: int, name: str) -> None:
    console.print(f"[dim]\\[{number}/4][/] {name} …")


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stop


def _ignore_signals() -> None:
    """Once stopping, a second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
