"""Backups of a running exchange: restored to a moment, it holds all that was acknowledged, and its readers are told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest

from exchange.client import Client
from exchange.client.errors import ApiError
from indicators.stix import making
from tests.drills.demo import NOT_INHERITED, ROOT, Demo
from tests.drills.test_demo import told
from tests.waiting import DEADLINE_S, until

#: What a demo keeps beside its database, as an operator keeps it beside their backups.
KEPT_APART = ("secret_key", "key_service_token", "key_service_secret", "demo.json")


class Operator:
    """Types the commands on the machine of a demo."""

    def __init__(self, demo: Demo, directory) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        socket = (demo.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[4]
        self.environment = inherited | {
            "EXCHANGE_MODE": "demo",
            "DATA_DIR": str(demo.data_dir),
            "SECRET_KEY": (demo.data_dir / "secret_key").read_text(),
            "DATABASE_URL": f"postgresql://postgres:@/postgres?host={socket}",
            "BACKUP_DIR": str(directory),
        }

    def starts(self, *line: str) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", *line]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, **pipes)

    def types(self, *line: str) -> str:
        with self.starts(*line) as process:
            said, _ = process.communicate()
        assert process.returncode == 0, said
        return said


@pytest.fixture
def demo(data_dir):
    data_dir.parent.chmod(0o711)
    running = Demo(data_dir)
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.mark.long
def test_what_was_acknowledged_before_the_point_is_restored_and_readers_start_over(demo, data_dir):
    backups, elsewhere = data_dir.parent / "backups", data_dir.parent / "elsewhere"
    operator = Operator(demo, backups)
    receiver = operator.starts("archive")
    try:
        until(lambda: list((backups / "wal").glob("*.partial")))
        kept = operator.types("backup")
        assert "SECRET_KEY" in kept
        assert (data_dir / "secret_key").read_text() not in kept
        for path in [backups / "base", backups / "wal", *(backups / "base").glob("*/backup.json")]:
            assert not path.stat().st_mode & 0o077, path

        known, borealis = Client(demo.url, demo.key(0)).me(), Client(demo.url, demo.key(1))
        headers = {"Authorization": f"Bearer {demo.key(0)}"}
        before, after = (making.payment_fingerprint(tlp_word="amber") for _ in range(2))
        with httpx.Client(base_url=f"{demo.url}/api/v1", headers=headers, timeout=DEADLINE_S) as api:
            assert api.post("/subscriptions", json={"url": "http://127.0.0.1:9/hook"}).status_code == 201
            assert api.post("/batches", json={"objects": [before]}).status_code == 200
            cursor = borealis.changes(limit=1_000)["cursor"]
            moment = datetime.now(UTC)
            assert api.post("/batches", json={"objects": [after]}).status_code == 200
        assert before["id"] in told(demo, 1)

        (backups / "drill-that-was-killed").mkdir()
        drilled = operator.types("restore_drill")
        assert "The log verifies" in drilled
        assert "1 webhook secrets" in drilled
        assert not list(backups.glob("drill-*"))
        age = httpx.get(f"{demo.url}/metrics", timeout=DEADLINE_S).text
        assert "exchange_backup_age_seconds" in age
        assert "exchange_restore_drill_age_seconds" in age
        assert "exchange_archive_behind_bytes" in age
    finally:
        receiver.terminate()
        receiver.communicate()
    with operator.starts("restore_drill") as alone:
        assert "Nobody receives the log" in alone.communicate()[0]
    with operator.starts("restore", str(elsewhere / "late"), "--at", "2999-01-01T00:00:00Z") as late:
        assert "The log ends before that moment" in late.communicate()[0]

        assert not (elsewhere / "late").exists()
    elsewhere.chmod(0o711)
    owner = ["--user", (data_dir / "postgres").owner()] if os.geteuid() == 0 else []
    operator.types("restore", str(elsewhere / "postgres"), "--at", moment.isoformat(), *owner)
    assert demo.stop() == 0
    for name in KEPT_APART:
        shutil.copy2(data_dir / name, elsewhere)
    (elsewhere / "postgres.configured").touch()
    restored = Demo(elsewhere)
    try:
        there = told(restored, 1)
        assert before["id"] in there
        assert after["id"] not in there
        with pytest.raises(ApiError) as gone:
            Client(restored.url, restored.key(1)).changes(cursor=cursor)
        assert (gone.value.status, gone.value.code) == (410, "start-over")
        checks = httpx.get(f"{restored.url}/readyz", timeout=DEADLINE_S).json()["checks"]
        assert checks["key_service"] == "ok"  # it opened each of its keys
        assert Client(restored.url, restored.key(0)).me() == known
    finally:
        restored.stop()
