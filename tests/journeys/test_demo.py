"""The demo as a program starts it: one JSON line, an orderly end, and nothing lost by a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from exchange import embedded
from indicators.stix import making

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent.parent


class Demo:
    """A running demo; what it says on standard output is one line."""

    def __init__(self, data_dir):
        own = (
            "DATABASE_URL",
            "CELERY_BROKER_URL",
            "EXCHANGE_MODE",
            "SECRET_KEY",
            "DJANGO_SETTINGS_MODULE",
            "LOG_LEVEL",
        )
        environment = {name: value for name, value in os.environ.items() if name not in own}
        environment |= {"DEMO_JSON": "1", "PORT": "0", "DATA_DIR": str(data_dir)}
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exchange.demo"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.said = json.loads(line)

    def client(self, username):
        partner = next(p for p in [*self.said["partners"], self.said["operator"]] if p["username"] == username)
        headers = {"Authorization": f"Bearer {partner['api_key']}"}
        return httpx.Client(base_url=f"{self.said['base_url']}/api/v1", headers=headers, timeout=30)

    def end(self, number=signal.SIGTERM):
        """The exit status and how long it took."""
        asked = time.monotonic()
        self.process.send_signal(number)
        self.process.communicate(timeout=40)
        return self.process.returncode, time.monotonic() - asked

    def left_over(self):
        """Processes that still work on this data."""
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        port = self.said["base_url"].rpartition(":")[2]
        return [line for line in listed.splitlines() if str(self.data_dir) in line or f"--port {port} " in line]


@pytest.fixture
def demo(tmp_path):
    running = []

    def start():
        running.append(Demo(tmp_path / "data"))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)
    embedded.stop(tmp_path / "data")


@pytest.fixture
def receiver():
    """A webhook receiver: what it was sent, in order."""
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((time.monotonic(), dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


def push(client, *objects):
    answer = client.post("/batches", json={"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects})
    answer.raise_for_status()
    assert answer.json()["counts"]["accepted"] == len(objects), answer.json()


def told(client):
    """The ids of all that its reader may see, by the delta feed from the beginning."""
    ids, cursor = set(), None
    while True:
        page = client.get("/changes", params={"limit": 1000} | ({"cursor": cursor} if cursor else {})).json()
        ids |= {change["id"] for change in page["changes"]}
        cursor = page["cursor"]
        if not page["more"]:
            return ids


def test_the_story_a_second_start_and_an_orderly_end(demo, receiver):
    url, received = receiver
    one = demo()
    assert [partner["name"] for partner in one.said["partners"]] == ["Aster", "Borealis", "Cygnus", "Dorado Agency"]
    aster, borealis, cygnus, dorado = (one.client(name) for name in ("aster", "borealis", "cygnus", "dorado"))
    secret = borealis.post("/subscriptions", json={"url": url}).json()["secret"]

    token = {"token": making.token(uuid.uuid4().hex * 2)}
    mine = making.account_pattern(carrier=token, tlp_word="amber")
    push(aster, mine)
    committed = time.monotonic()
    wait_until(lambda: received)
    at, headers, body = received[0]
    assert at - committed < 5
    assert Webhook(secret).verify(body, headers)["data"]["changes"][0]["id"] == mine["id"]

    push(borealis, making.account_pattern(carrier=token, tlp_word="amber"))
    wait_until(lambda: aster.get("/matches").json()["matches"])
    assert cygnus.get("/matches").json()["matches"]
    assert not dorado.get("/matches").json()["matches"]
    assert not told(dorado)

    environment = os.environ | {"DATA_DIR": str(one.data_dir), "PORT": "0"}
    second = subprocess.run(
        [sys.executable, "-m", "exchange.demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "Another demo" in second.stderr

    status, took_s = one.end()
    assert status == 0
    assert took_s < 15
    assert not one.left_over()


def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged(demo):
    first = demo()
    acknowledged, stop = [], threading.Event()

    def keep_pushing(name):
        with first.client(name) as client:
            while not stop.is_set():
                made = making.payment_fingerprint(tlp_word="amber")
                try:
                    push(client, made)
                except httpx.TransportError:
                    return
                acknowledged.append(made["id"])

    with ThreadPoolExecutor(4) as pool:
        pushing = [pool.submit(keep_pushing, name) for name in ("aster", "borealis", "cygnus", "aster")]
        time.sleep(2)
        first.end(signal.SIGKILL)
        stop.set()
        for one in pushing:
            one.result()
    assert len(acknowledged) > 10

    second = demo()
    assert {**second.said, "base_url": "", "taxii_discovery_url": "", "taxii_url": ""} == {
        **first.said,
        "base_url": "",
        "taxii_discovery_url": "",
        "taxii_url": "",
    }
    with second.client("borealis") as client:
        assert set(acknowledged) <= told(client)
    port = first.said["base_url"].rpartition(":")[2]
    assert not [line for line in first.left_over() if f"--port {port} " in line]


def wait_until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
