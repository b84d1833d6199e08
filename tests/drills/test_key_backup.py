"""The key service's database, kept by `python -m exchange.backup`: lost and restored, it holds every key that was made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import psycopg

from exchange import embedded
from exchange.keyservice.keeping import SealedKeys
from exchange.keyservice.store import Store
from tests.drills.demo import NOT_INHERITED, ROOT
from tests.waiting import DEADLINE_S, until

SECRET = b"\1" * 32
UNITS = ROOT / "deploy" / "systemd"


class Keeper:
    """Types the lines of the units, with the settings that the key service's machine has."""

    def __init__(self, url: str, directory) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.environment = inherited | {"KEY_SERVICE_DATABASE_URL": url, "BACKUP_DIR": str(directory)}

    def starts(self, *line: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([sys.executable, *line], cwd=ROOT, env=self.environment, **pipes)

    def types(self, *line: str, ends: int = 0) -> str:
        with self.starts(*line) as process:
            said, _ = process.communicate(timeout=4 * DEADLINE_S)
        assert process.returncode == ends, said
        return said


def line_of(unit: str) -> list[str]:
    """What it starts, after the interpreter."""
    return re.search(r"^ExecStart=/opt/exchange/bin/python (.+)$", (UNITS / unit).read_text(), re.MULTILINE)[1].split()


def public_key(url: str, epoch: str) -> bytes:
    with closing(Store(url)) as store:
        return SealedKeys(store, secret=SECRET).public_key("account-pattern", epoch)


def is_received(url: str) -> bool:
    asked = "SELECT restart_lsn >= pg_current_wal_flush_lsn() FROM pg_replication_slots WHERE slot_name = 'key_service_backup'"
    with psycopg.connect(url, autocommit=True) as server:
        return server.execute(asked).fetchone() == (True,)


@contextmanager
def archiving(keeper: Keeper):
    process = keeper.starts(*line_of("exchange-keys-archive.service"))
    try:
        yield process
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, said


def test_each_key_that_was_made_is_there_after_the_database_was_lost_and_restored(data_dir):
    data_dir.parent.chmod(0o711)
    place, again, early = (data_dir.parent / name for name in ("server", "again", "early"))
    url = embedded.start(place)
    try:
        keeper = Keeper(url, data_dir.parent / "backups")
        with archiving(keeper) as archive:
            until(lambda: list((data_dir.parent / "backups" / "wal").glob("*.partial")), of=archive)
            before = public_key(url, "2026q3")
            assert "KEY_SERVICE_SECRET is not in it" in keeper.types(*line_of("exchange-keys-backup.service"))
            moment = datetime.now(UTC)
            after = public_key(url, "2026q4")
            until(lambda: is_received(url), of=archive)
        owner = ["--user", (place / "postgres").owner()] if os.geteuid() == 0 else []
        embedded.stop(place)
        shutil.rmtree(place)

        restore = ("-m", "exchange.backup", "restore")
        for to in (again, early):
            to.mkdir(mode=0o711)
            (to / "postgres.configured").touch()  # or `embedded` would make a server of its own there
        refused = keeper.types(*restore, str(early / "postgres"), "--at", "2026-11-29T02:15:00", ends=2)
        assert "invalid moment value" in refused
        keeper.types(*restore, str(early / "postgres"), "--at", moment.isoformat(), *owner)
        assert "answers after" in keeper.types(*restore, str(again / "postgres"), *owner)
        url = embedded.start(again)
        assert (public_key(url, "2026q3"), public_key(url, "2026q4")) == (before, after)
        url = embedded.start(early)
        assert public_key(url, "2026q3") == before
        assert public_key(url, "2026q4") != after, "it was made after that moment"
    finally:
        for server in (place, again, early):
            embedded.stop(server)
