"""The main story on the real processes: push, match, tell, sync, withdraw."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading

import pytest

from exchange.client import Client
from exchange.client.webhooks import verify
from indicators.stix import making
from tests.drills.demo import ROOT
from tests.waiting import until


@pytest.fixture
def receiver():
    """A receiver of webhooks."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.heard.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.heard = []
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


#: One publisher is enough for a list here.
FLOORLESS = ("--without-floor", "two-publishers")


def agent(demo, number, *arguments):
    environment = {"EXCHANGE_URL": demo.url, "EXCHANGE_API_KEY": demo.key(number), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", "from exchange.agent.cli import main; main()", "sync", *arguments, *FLOORLESS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_story_from_push_to_blocklist(shared_demo, receiver, tmp_path):
    """A lab pushes; another lab's equal token matches; a webhook comes; a list is kept; a revocation is dropped."""
    demo = shared_demo
    labs = ["aster", "borealis", "cygnus", "dorado", "eridanus"]
    assert [(group["slug"], group["policy"], group["members"]) for group in demo.info["groups"]] == [
        ("ring", "closed-facts", labs),
        ("cti", "open-cti", labs[:2]),
    ]
    aster, borealis, cygnus = (Client(demo.url, demo.key(number)) for number in range(3))
    recipient = Client(demo.url, demo.key(5))
    subscription = borealis.subscribe(receiver.url)
    token = "ab" * 32
    first = making.account_pattern(carrier={"token": making.token(token)})
    second = making.account_pattern(carrier={"token": making.token(token)})
    assert aster.publish([first]).counts["accepted"] == 1
    heard = until(lambda: receiver.heard)
    headers, body = heard[0]
    told = json.loads(body)
    assert [change["id"] for change in told["data"]["changes"]] == [first["id"]]
    assert verify(
        subscription["secret"],
        headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        signature=headers["webhook-signature"],
        body=body,
    )
    assert cygnus.publish([second]).ok
    found = until(lambda: list(aster.matches()))
    assert {end["id"] for end in found[0]["objects"]} == {first["id"], second["id"]}
    assert list(recipient.matches()) == []
    blocklist = tmp_path / "list.txt"
    assert agent(demo, 1, "--once", "--output", str(blocklist)).returncode == 0
    assert blocklist.read_text() == f"{token}\n"
    aster.revoke(first["id"])
    agent(demo, 1, "--once", "--output", str(blocklist))
    assert blocklist.read_text() == f"{token}\n", "Cygnus still carries it"
    cygnus.revoke(second["id"])
    agent(demo, 1, "--once", "--output", str(blocklist))
    assert blocklist.read_text() == ""
    assert recipient.changes()["changes"] == []
