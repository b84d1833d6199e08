"""`python -m bench.portal`: what the portal's lists, filters and searches take, of much, among fifty partners.

Fills an exchange of its own (`bench.crowd`: 50 partners in 200 groups), signs in as a person of a partner of 40
groups, and asks each question many times. Milliseconds from the request to the last byte; the portal aims at 300 for 95
of 100. Beside them the processor's time of the web processes and PostgreSQL, which says more where others use the
machine. `--keep FOLDER` fills a store once and asks it again. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg

from bench import filling
from bench.server import Server
from exchange import embedded

TARGET_MS = 300
_WHO, _PASSWORD = "crowd-analyst", "correct horse battery staple"
#: Name, path, form; without a form it is a GET.
QUESTIONS: tuple[tuple[str, str, dict[str, str] | None], ...] = (
    ("home", "/", None),
    ("list", "/indicators", None),
    ("how many are in the list, asked once it is there", "/indicators", {"do": "count"}),
    ("list, ended too", "/indicators?view=all", None),
    ("list, all STIX objects", "/indicators?view=objects", None),
    ("older page", "/indicators", {"cursor": "next"}),
    *((f"sorted by {column}", "/indicators", {"sort": f"-{column}"}) for column in ("severity", "confidence", "left")),
    *(
        (f"filter {text}", "/indicators", {"filter": text})
        for text in (
            "kind:account-pattern",
            "severity:critical",
            "publishers:>=2",
            "standing:disputed",
            "matched:true",
            "until:<7d",
            "from:mine",
            "subkind:par severity:critical",
            "kind:payment-fingerprint publishers:>=2 -control:compromised_victim until:<180d",
            "words:nothing-is-called-so",
            "words:account",
        )
    ),
    ("search a value", "/indicators", {"search": "value"}),
    ("search a value that is not there", "/indicators", {"search": "f" * 64}),
    ("search an id", "/indicators", {"search": "id"}),
    ("search a part of an id", "/indicators", {"search": "part"}),
    ("search a word", "/indicators", {"search": "email"}),
    ("search what is written in part", "/indicators", {"search": "fingerp"}),
    ("find while typing", "/find", {"search": "value"}),
    ("find a word while typing", "/find", {"search": "email"}),
    ("how many in each view", "/indicators/tallies", None),
    ("matches", "/matches", None),
    ("one indicator", "one", None),
)


class Person:
    """Somebody who is signed in, on one connection."""

    def __init__(self, url: str) -> None:
        self._wire = HTTPConnection(urlsplit(url).netloc, timeout=300)
        self._url, self._cookies = url, dict[str, str]()
        token = _token(self.ask("/account/login/"))
        self.ask("/account/login/", {"csrfmiddlewaretoken": token, "login": _WHO, "password": _PASSWORD})
        self.token = _token(self.ask("/indicators"))

    def ask(self, path: str, form: dict[str, str] | None = None) -> str:
        """The page; a form is posted."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        body = None
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Referer": self._url, "Origin": self._url}
            body = urlencode({"csrfmiddlewaretoken": getattr(self, "token", "")} | form)
        try:
            answer = self._answered(path, body, headers)
        except (RemoteDisconnected, BrokenPipeError):  # an idle connection ended
            self._wire.close()
            answer = self._answered(path, body, headers)
        text = answer.read().decode()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        if 300 <= answer.status < 400:
            return self.ask(answer.getheader("Location") or "/")
        if answer.status >= 400:
            raise SystemExit(f"{path}: {answer.status} {text[:300]}")
        return text

    def _answered(self, path: str, body: str | None, headers: dict[str, str]) -> HTTPResponse:
        self._wire.request("GET" if body is None else "POST", path, body=body, headers=headers)
        return self._wire.getresponse()


def _token(text: str) -> str:
    return re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)[0]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--stored", type=int, default=1_000_000)
    asked.add_argument("--rounds", type=int, default=20)
    asked.add_argument("--keep", type=Path, help="a folder for the store, filled once and asked again")
    asked.add_argument("only", nargs="*", help="words of the questions; none: all")
    said = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as made:
        folder = said.keep or Path(made)
        try:
            _fill(folder, said.stored)
            _ask(folder, said)
        finally:
            embedded.stop(folder)


def _ask(folder: Path, said: argparse.Namespace) -> None:
    with Server(folder) as server:
        server.rest(within_s=600)  # much came in at once
        person = Person(server.info["base_url"])
        sys.stdout.write(f"{'question, of ' + f'{server.stored():,}':<86} median    p95 ms  cpu ms\n")
        late = []
        for name, path, form in QUESTIONS:
            if said.only and not any(word in name for word in said.only):
                continue
            *times, used = _times(server, person, path, form, rounds=said.rounds)
            late += [name] if times[1] > TARGET_MS else []
            told = f"{times[0]:>6.0f} {times[1]:>6.0f} {used:>10.0f}"
            sys.stdout.write(f"{name:<86} {told}{'  late' if name in late else ''}\n")
            sys.stdout.flush()
        sys.stdout.write(f"{len(late)} take longer than {TARGET_MS} ms in more than 5 of 100.\n")


def _times(
    server: Server, person: Person, path: str, form: dict[str, str] | None, *, rounds: int
) -> tuple[float, float, float]:
    """Median, the 95th of a hundred, and the processor's time of one."""
    first = person.ask("/indicators?filter=from:others")
    link = re.findall(r'href="(/indicators/(indicator--[^"]+))" title="([^"&]+)', first)[0]
    known = {"value": link[2], "id": link[1], "part": link[1][11:19]}
    known["next"] = (re.findall(r'name="cursor" value="([^"]+)"', first) or [""])[0]
    path = link[0] if path == "one" else path
    form = form and {key: known.get(value, value) for key, value in form.items()}
    took, before = [], _used_ms(server)
    for _ in range(rounds):
        began = time.perf_counter()
        person.ask(path, form)
        took.append(1_000 * (time.perf_counter() - began))
    return median(took), quantiles(took, n=20)[-1], (_used_ms(server) - before) / rounds


def _used_ms(server: Server) -> float:
    """The processor's time of the web processes and of PostgreSQL until now, without beat and workers."""
    names = (b"exchange.web\0--port", b"postgres: ")
    ticks = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            said, told = (place / "cmdline").read_bytes(), (place / "stat").read_text()
            home = (place / "cwd").readlink()
        except OSError:
            continue
        if any(name in said for name in names) and _is_of(server, place, home):
            ticks += sum(map(int, told.rpartition(")")[2].split()[11:13]))
    return 1_000 * ticks / os.sysconf("SC_CLK_TCK")


def _is_of(server: Server, place: Path, home: Path) -> bool:
    """Whether a process is of this exchange: its database lives there, or its environment says so."""
    if home.is_relative_to(server.folder.resolve()):
        return True
    try:
        return f"DATA_DIR={server.folder}".encode() in (place / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _fill(folder: Path, stored: int) -> None:
    """Fill a store up to so many objects: without workers, who would read tables whole that have no index meanwhile."""
    if (folder / "postgres.configured").exists() and _count(embedded.start(folder)) >= stored:
        return
    with Server(folder) as server:
        told = subprocess.run(
            [sys.executable, "-m", "bench.crowd", "--person", _PASSWORD],
            env=os.environ | server.environment(),
            cwd=Path(__file__).resolve().parent.parent,
            stdout=subprocess.PIPE,
            check=True,
        )
        server.rest(within_s=120)
    templates = json.loads(told.stdout)["templates"]
    with psycopg.connect(embedded.start(folder), autocommit=True) as database, _unsafely(database):
        with filling.without_indexes(database):
            filling.fill(database, templates, stored - stored // 50, salt="portal")
            for place in range(2):  # what is said twice, by partners of two groups
                some = templates[place :: len(templates) // 10]
                filling.fill(database, some, stored // 100, salt=f"twice{place}", values="twice")
        database.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _unsafely(database: psycopg.Connection[Any]) -> Iterator[None]:
    """Meanwhile nothing waits for the disk: a store whose filling is interrupted is worth nothing anyway."""
    for name in embedded.UNSAFE_SETTINGS:
        database.execute(f"ALTER SYSTEM SET {name} TO off")
    database.execute("SELECT pg_reload_conf()")
    yield
    for name in embedded.UNSAFE_SETTINGS:
        database.execute(f"ALTER SYSTEM RESET {name}")
    database.execute("SELECT pg_reload_conf()")
    database.execute("CHECKPOINT")


def _count(url: str) -> int:
    with psycopg.connect(url) as database:
        return int(database.execute("SELECT count(*) FROM indicators_stixobject").fetchone()[0])


if __name__ == "__main__":
    main()
