"""The leaked-key drill: a key is revoked while every plane is using it, and each refuses it within a second."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import httpx

from exchange.client import Client
from tests.drills.demo import NOT_INHERITED, ROOT, Demo
from tests.waiting import DEADLINE_S, until

#: What is promised. Only what begins later is judged by the clock, so that a slow machine fails nothing.
WITHIN_S = 1.0
#: A wait that ended by itself took longer.
AT_MOST_S = 20.0
PLANES = {
    "rest": "/api/v1/me",
    "taxii": "/taxii2/exchange/collections/everything/objects/",
    "delta": "/api/v1/changes",
    "blocklist": "/api/v1/blocklists/all",
}


class Using(threading.Thread):
    """Asks one plane again and again until it is refused; notes when each request began and ended, and its answer."""

    def __init__(self, demo: Demo, key: str, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self._url, self._headers = demo.url, {"Authorization": f"Bearer {key}"}
        self.let_in, self.status = 0, 0
        self.answers: list[tuple[float, float, int]] = []
        self.start()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=DEADLINE_S) as client:
            while self.status != 401:
                began = time.monotonic()
                self.status = self._ask(client)
                self.answers.append((began, time.monotonic(), self.status))
                self.let_in += self.status == 200
                time.sleep(0.05)

    def _ask(self, client: httpx.Client) -> int:
        return client.get(PLANES[self.name]).status_code


class Waiting(Using):
    """A long poll that would last for 25 seconds."""

    def _ask(self, client: httpx.Client) -> int:
        if not self.let_in:
            self.cursor = client.get("/api/v1/changes").json()["cursor"]
            self.let_in = 1
        return client.get("/api/v1/changes", params={"cursor": self.cursor, "wait": "25"}).status_code


class Streaming(Using):
    """A stream of events; it ends and says why, and opening it again is refused."""

    ended = ""

    def _ask(self, client: httpx.Client) -> int:
        with client.stream("GET", "/api/v1/events") as answer:
            for line in answer.iter_lines():
                self.let_in += line == "event: open"
                self.ended = line or self.ended
            return answer.status_code if answer.status_code == 401 else 0


def run(demo: Demo, *command: str, **more: str) -> subprocess.CompletedProcess:
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return subprocess.run(command, cwd=ROOT, env=inherited | more, capture_output=True, text=True, check=False)


def manage(demo: Demo, *arguments: str) -> subprocess.CompletedProcess:
    from exchange import embedded

    return run(
        demo,
        sys.executable,
        "manage.py",
        *arguments,
        EXCHANGE_MODE="demo",
        SECRET_KEY=(demo.data_dir / "secret_key").read_text(),
        DATABASE_URL=embedded.start(demo.data_dir),
        DATA_DIR=str(demo.data_dir),
    )


def drill(demo: Demo, leaked: str, revoke) -> None:
    using = [Using(demo, leaked, name) for name in PLANES]
    using += [waiting := Waiting(demo, leaked, "long-poll"), stream := Streaming(demo, leaked, "events")]
    until(lambda: all(one.let_in for one in using))
    time.sleep(0.5)
    revoked_at = revoke()
    for one in using:
        one.join(timeout=DEADLINE_S)
        assert one.status == 401, one.name
        late = [status for began, _, status in one.answers if began - revoked_at > WITHIN_S]
        assert set(late) <= {401}, one.name
    for began, ended, status in waiting.answers:
        if began < revoked_at < ended and ended - began < AT_MOST_S:
            assert status == 401, "the wait that was under way is refused, and not only the next"
    assert '"invalid-key"' in stream.ended


ISSUE = """
from datetime import timedelta
from partners import keys
from partners.models import Partner
from partners.scopes import Scope
print(keys.issue(Partner.objects.get(slug="aster"), name="admin", scopes=[Scope.ADMIN, Scope.READ, Scope.PUBLISH],
                 expires_in=timedelta(hours=1))[1])
"""


def test_a_leaked_key_is_refused_on_every_plane_within_a_second(shared_demo):
    demo = shared_demo
    admin = manage(demo, "shell", "--verbosity", "0", "-c", ISSUE).stdout.strip().splitlines()[-1]
    with Client(demo.url, admin) as client:
        leaked = client.issue_key("leaked", scopes=["read"])
        by_command = client.issue_key("leaked too", scopes=["read"])

    def by_cli() -> float:
        done = run(
            demo,
            sys.executable,
            "-c",
            "from exchange.client.cli import main; main()",
            "keys",
            "revoke",
            leaked["secret"],
            EXCHANGE_URL=demo.url,
            EXCHANGE_API_KEY=admin,
        )
        assert done.returncode == 0, done.stderr
        assert leaked["secret"] not in done.stdout + done.stderr
        assert leaked["id"] in done.stdout
        with Client(demo.url, admin) as client:
            (at,) = [one["revoked_at"] for one in client.api_keys() if one["id"] == leaked["id"]]
        return moment(at)

    def by_manage() -> float:
        done = manage(demo, "revoke_key", by_command["secret"])
        assert done.returncode == 0, done.stderr
        assert by_command["secret"] not in done.stdout + done.stderr
        with Client(demo.url, admin) as client:
            (at,) = [one["revoked_at"] for one in client.api_keys() if one["id"] == by_command["id"]]
        return moment(at)

    drill(demo, leaked["secret"], by_cli)
    drill(demo, by_command["secret"], by_manage)
    assert Client(demo.url, admin).me(), "the key that is left goes on"
    logged = "".join(path.read_text() for path in (demo.data_dir / "logs").glob("*.log"))
    assert '"status":401' in logged
    assert not re.search(r"exk_[a-z2-7]{8}_", logged), "no log line holds a key"


def moment(rfc3339: str) -> float:
    """A moment of the exchange's clock on this process's."""
    from datetime import UTC, datetime

    ago = (datetime.now(tz=UTC) - datetime.fromisoformat(rfc3339)).total_seconds()
    return time.monotonic() - ago
