"""The demo as a process: one at a time on its data, and nothing lost by a kill, its own or PostgreSQL's."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from exchange.client import Client
from exchange.client.errors import Unreachable
from exchange.demo import ports
from indicators.stix import making
from tests.drills.demo import NOT_INHERITED, ROOT, Demo
from tests.waiting import DEADLINE_S, until


@pytest.fixture
def demo(data_dir):
    """Starts a demo on the same data each time it is called."""
    running = []

    def start(**how):
        running.append(Demo(data_dir, **how))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            assert one.stop() == 0


def test_its_files_are_its_users_and_each_line_of_its_logs_is_json(shared_demo):
    one = shared_demo
    Client(one.url, one.key(0)).me()
    httpx.get(f"{one.url}/nothing", timeout=DEADLINE_S)
    logs = sorted((one.data_dir / "logs").iterdir())
    assert {path.name for path in logs} >= {"web.log", "worker.log", "webhooks.log", "beat.log"}
    for path in [*logs, one.data_dir / "demo.json", one.data_dir / "secret_key", one.data_dir / "logs"]:
        assert not path.stat().st_mode & 0o077, path
    for path in logs:
        whole, _, _ = path.read_text().rpartition("\n")  # a line may just be under way
        for line in whole.splitlines():
            assert {"event", "level", "timestamp"} <= set(json.loads(line)), (path.name, line)
    until(lambda: (one.data_dir / "logs" / "web.log").read_text().count("\n") >= 2)


def test_the_health_check_of_the_image_tells_whether_a_web_process_answers(shared_demo):
    said = re.search(
        r"^HEALTHCHECK .*?CMD (\[.*?\])$", (ROOT / "deploy/Dockerfile").read_text(), re.DOTALL | re.MULTILINE
    )
    *shell, check = json.loads(said[1])

    def is_well(port, path="/livez"):
        asked = check.replace("8000", str(port)).replace("/livez", path)
        return subprocess.run([*shell, asked], capture_output=True, check=False).returncode == 0

    port = urlsplit(shared_demo.url).port
    assert is_well(port)
    assert not is_well(port, "/nothing")
    assert not is_well(ports.free())


def told(demo, number):
    """The ids of all that a partner may see, by the delta feed from the beginning."""
    client, ids, cursor = Client(demo.url, demo.key(number)), set(), ""
    while True:
        page = client.changes(cursor=cursor, limit=1_000)
        ids |= {change["id"] for change in page["changes"]}
        cursor = page["cursor"]
        if not page["more"]:
            return ids


@pytest.mark.long
def test_kills_in_the_middle_lose_nothing_that_was_acknowledged(demo):
    first = demo()
    acknowledged, stop = [], threading.Event()

    def keep_pushing(number):
        headers = {"Authorization": f"Bearer {first.key(number)}"}
        with httpx.Client(base_url=f"{first.url}/api/v1", headers=headers, timeout=DEADLINE_S) as client:
            while not stop.is_set():
                made = making.payment_fingerprint(tlp_word="amber")
                try:
                    answer = client.post("/batches", json={"objects": [made]})
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    acknowledged.append(made["id"])

    def kill(pid):
        before = len(acknowledged)
        os.kill(pid, signal.SIGKILL)
        return before

    with ThreadPoolExecutor(4) as pool:
        pushing = [pool.submit(keep_pushing, number) for number in (0, 1, 2, 0)]
        until(lambda: len(acknowledged) > 20)
        before = kill(int((first.data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0]))
        until(lambda: len(acknowledged) > before + 20)
        kill(first.process.pid)
        time.sleep(1)
        stop.set()
        for one in pushing:
            one.result()
    first.process.wait()
    until(lambda: not any("exchange.web" in command or "celery" in command for command in first.processes()))

    second = demo()
    assert [second.key(number) for number in range(4)] == [first.key(number) for number in range(4)]
    assert set(acknowledged) <= told(second, 1)
    with pytest.raises(Unreachable):
        Client(first.url, first.key(0), retries=0).me()


def test_a_second_demo_on_the_same_data_is_told_so(shared_demo):
    one = shared_demo
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    second = subprocess.run(
        [sys.executable, "-m", "exchange.demo"],
        cwd=ROOT,
        env=inherited | {"DATA_DIR": str(one.data_dir), "PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "Another demo" in second.stderr
    assert Client(one.url, one.key(0)).me()


@pytest.mark.long
def test_five_labs_run_exchange_lab_and_find_campaigns_that_grow(demo):
    one = demo(labs=True)
    aster, borealis = Client(one.url, one.key(0)), Client(one.url, one.key(1))

    def campaigns(client):
        return client.request("GET", "/api/v1/campaigns")["campaigns"]

    def own_accounts(client):
        return [
            one["account"]
            for each in campaigns(client)
            for one in client.request("GET", f"/api/v1/campaigns/{each['id']}/accounts", params={"limit": "500"})[
                "accounts"
            ]
        ]

    until(lambda: len(campaigns(aster)) >= 2, within_s=4 * DEADLINE_S)
    assert {each["group"] for each in campaigns(borealis)} == {"ring"}
    first = len(own_accounts(aster))
    until(lambda: len(own_accounts(aster)) > first, within_s=4 * DEADLINE_S)
    assert not set(own_accounts(aster)) & set(own_accounts(borealis))
    labs = sorted(path.parent.name for path in (one.data_dir / "labs").glob("*/suspects.jsonl"))
    assert labs == ["aster", "borealis", "cygnus", "dorado", "eridanus"]
    assert "flagged here" in (one.data_dir / "labs" / "aster" / "suspects.jsonl").read_text()
    assert one.stop() == 0
    assert one.processes() == []
