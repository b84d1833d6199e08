"""An upgrade as it is done: the release before on the new schema, then the new one, and back, under load through nginx."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exchange.demo import ports
from indicators.stix import making
from tests import postgres
from tests.drills import test_story
from tests.drills.demo import NOT_INHERITED, ROOT
from tests.drills.test_proxy import NGINX, listens, proxying, trusting
from tests.waiting import DEADLINE_S, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed"),
]
receiver = test_story.receiver
#: So many answers are waited for wherever the load is to be felt.
SOME = 12


def git(*words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the code of before is not in this checkout's history")
    return done.stdout


@pytest.fixture
def before(tmp_path) -> Path:
    """The code as it was before the newest migration was added."""
    added = git("log", "-1", "--diff-filter=A", "--format=%H", "--", "*/migrations/[0-9]*.py").decode().strip()
    if not added:
        pytest.skip("no migration was added in this checkout's history")
    place = tmp_path / "before"
    place.mkdir()
    subprocess.run(["tar", "-x", "-C", str(place)], input=git("archive", f"{added}^"), check=True)
    return place


@pytest.fixture
def database():
    """An empty database on the server of the tests; returns its address."""
    server = postgres.environment()["DATABASE_URL"]
    name = f"upgrade_{uuid.uuid4().hex[:8]}"
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        parameters = conninfo_to_dict(server) | {"dbname": name}
        yield f"postgresql://{parameters['user']}@/{name}?host={parameters['host']}", make_conninfo(**parameters)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Exchange:
    """One installation, whose processes run the code of one place or another."""

    def __init__(self, home: Path, url: str, port: int) -> None:
        home.mkdir()
        self.home = home
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.environment = inherited | {
            "EXCHANGE_MODE": "test",
            "DATABASE_URL": url,
            "SECRET_KEY": "of an installation that is upgraded",
            "BASE_URL": f"https://localhost:{port}",
            "DATA_DIR": str(home),
            "DJANGO_SETTINGS_MODULE": "exchange.settings",
            "PYTHONUNBUFFERED": "1",
        }
        self.running: dict[str, subprocess.Popen] = {}

    def begin(self, code: Path, *words: str, **how) -> subprocess.Popen:
        # Each release has its own files of the portal, as in its own image.
        environment = self.environment | {
            "PYTHONPATH": str(code),
            "STATIC_ROOT": str(self.home / f"{code.name}.static"),
        }
        return subprocess.Popen([sys.executable, *words], cwd=code, env=environment, **how)

    def manage(self, code: Path, *words: str) -> None:
        process = self.begin(code, "manage.py", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = process.communicate(timeout=10 * DEADLINE_S)
        assert process.returncode == 0, said

    def web(self, code: Path, port: int) -> None:
        with (self.home / f"web-{port}.log").open("ab") as log:
            line = ["-m", "exchange.web", "--port", str(port), "--workers", "1"]
            self.running[f"web-{port}"] = self.begin(code, *line, stdout=log, stderr=log)
        until(lambda: listens(port))

    def worker(self, code: Path) -> None:
        line = ["-m", "celery", "--quiet", "--app", "exchange.celery", "worker", "--pool", "threads", "-c", "4"]
        line += ["-Q", "celery,webhooks", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        with (self.home / "worker.log").open("ab") as log:
            self.running["worker"] = self.begin(code, *line, stdout=log, stderr=log)

    def end(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE_S) == 0, (self.home / f"{name}.log").read_text()[-4000:]

    def exchange_web(self, code: Path, port: int, load: Load) -> None:
        """One process ends, and one of this code begins beside those that run."""
        self.end(f"web-{port}")
        load.is_felt()
        self.web(code, port)
        load.is_felt()

    def exchange_worker(self, code: Path) -> None:
        self.end("worker")
        self.worker(code)

    def kill(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


class Load:
    """Partners who push (`to` whom, as a query), follow and ask; each answer is one of 2xx, or the load ends with it."""

    def __init__(self, url: str, keys: list[str], context, *, to: str = "") -> None:
        self.url, self.keys, self.context, self.to = url, keys, context, to
        self.over = threading.Event()
        self.answered = {"push": 0, "changes": 0, "taxii": 0}
        self.acknowledged: list[str] = []
        self.followed: list[str] = []
        self.cursor: dict[str, str] = {}
        self.pool = ThreadPoolExecutor(4)
        self.all = [
            self.pool.submit(self._run, *each)
            for each in ((self._push, 0), (self._push, 2), (self._follow, 1), (self._poll, 1))
        ]

    def is_felt(self) -> None:
        """Some requests of each kind were answered since."""
        was = dict(self.answered)
        until(
            lambda: (
                all(self.answered[kind] >= was[kind] + SOME for kind in was) or any(each.done() for each in self.all)
            )
        )
        assert not any(each.done() for each in self.all), [each.result() for each in self.all if each.done()]

    def end(self) -> None:
        self.over.set()
        for each in self.all:
            each.result()

    def read_on(self) -> None:
        """One push more, whose hint stands for what a worker that ended had heard; and read on from where one stands."""
        with self._client(0) as client:
            self._push(client, {})
        with self._client(1) as client:
            while self._follow(client, self.cursor):
                pass

    def _client(self, number: int) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[number]}"}
        return httpx.Client(verify=self.context, base_url=self.url, timeout=DEADLINE_S, headers=headers)

    def _run(self, once, number: int) -> None:
        kept = self.cursor if once == self._follow else {}
        with self._client(number) as client:
            while not self.over.is_set():
                once(client, kept)

    def _asked(self, kind: str, answer: httpx.Response) -> dict:
        assert answer.status_code // 100 == 2, (kind, answer.status_code, answer.text)
        self.answered[kind] += 1
        return answer.json()

    def _push(self, client: httpx.Client, kept: dict) -> None:
        made = [making.account_pattern() for _ in range(2)]
        body = json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": made})
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        said = self._asked("push", client.post(f"/api/v1/batches{self.to}", content=body, headers=headers))
        assert said["counts"]["accepted"] == 2, said
        self.acknowledged += [each["id"] for each in made]

    def _follow(self, client: httpx.Client, kept: dict) -> bool:
        said = self._asked("changes", client.get("/api/v1/changes", params=kept))
        self.followed += [change["id"] for change in said["changes"]]
        kept["cursor"] = said["cursor"]
        return bool(said["more"] or said["changes"])

    def _poll(self, client: httpx.Client, kept: dict) -> None:
        said = self._asked("taxii", client.get("/taxii2/"))
        assert said["api_roots"]


def test_the_code_before_serves_on_the_new_schema_and_processes_go_there_and_back_without_a_failed_request(
    before, database, receiver, tmp_path
):
    url, conninfo = database
    behind = ports.free(), ports.free()
    with proxying(tmp_path, *behind) as port:
        exchange = Exchange(tmp_path / "home", url, port)
        exchange.manage(before, "prepare")
        exchange.manage(before, "seed", "--credentials", str(exchange.home / "cast.json"))
        keys = [each["api_key"] for each in json.loads((exchange.home / "cast.json").read_text())["partners"]]
        try:
            exchange.worker(before)
            for one in behind:
                exchange.web(before, one)
            address, context = f"https://localhost:{port}", trusting(tmp_path)
            subscribed = httpx.post(
                f"{address}/api/v1/subscriptions",
                json={"url": receiver.url},
                headers={"Authorization": f"Bearer {keys[1]}"},
                verify=context,
                timeout=DEADLINE_S,
            )
            assert subscribed.status_code == 201, subscribed.text
            load = Load(address, keys, context)
            try:
                load.is_felt()
                _migrate_beside_an_open_transaction(exchange, conninfo, load)
                load.is_felt()  # the code of before, on the new schema
                exchange.exchange_web(ROOT, behind[0], load)  # beside a web process and a worker of before
                _is_told_on(receiver, load)
                exchange.exchange_worker(ROOT)
                _is_told_on(receiver, load)
                exchange.exchange_web(ROOT, behind[1], load)
                exchange.exchange_worker(before)  # and back: an old worker beside new web processes
                _is_told_on(receiver, load)
                exchange.exchange_web(before, behind[0], load)
            finally:
                load.end()
            load.read_on()
            told = set(load.acknowledged)
            assert sorted(load.followed) == sorted(told), (
                "each change exactly once, by one cursor, across both releases"
            )
            last = load.acknowledged[-1]
            until(lambda: last in _ids(receiver))  # a message names a hundred, and says whether there are more
            for name in list(exchange.running):
                exchange.end(name)
        finally:
            exchange.kill()


def _migrate_beside_an_open_transaction(exchange: Exchange, conninfo: str, load: Load) -> None:
    """`prepare` of the new release meets somebody's transaction: it gives way, comes back, and then goes through."""
    with psycopg.connect(conninfo) as other:
        other.execute("LOCK TABLE django_migrations IN SHARE MODE")
        other.execute("LOCK TABLE partners_partner, indicators_holding, indicators_change IN ROW EXCLUSIVE MODE")
        prepare = exchange.begin(ROOT, "manage.py", "prepare", stdout=subprocess.PIPE, text=True)
        lines = iter(prepare.stdout.readline, "")
        assert any("A table is in use" in line for line in lines)
        load.is_felt()
        other.rollback()
    said, _ = prepare.communicate(timeout=10 * DEADLINE_S)
    assert prepare.returncode == 0, said


def _is_told_on(receiver, load: Load) -> None:
    """What is pushed from now on is told: a message that was made afterwards arrives, and goes beyond those before."""
    load.is_felt()
    heard, count = _ids(receiver), len(receiver.heard)
    until(lambda: len(receiver.heard) > count and _ids(receiver) - heard)


def _ids(receiver) -> set[str]:
    return {change["id"] for _, body in list(receiver.heard) for change in json.loads(body)["data"].get("changes", ())}
