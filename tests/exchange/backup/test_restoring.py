"""What a restore does beside the living exchange."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from exchange.backup import keeping, programs, restoring
from exchange.management.commands.restore import manage
from tests.exchange.backup.test_keeping import a_base

ASKS = "from django.conf import settings; print([one['HOST'] for one in settings.DATABASES.values()])"


@pytest.mark.parametrize("name", ["DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"])
def test_a_command_for_the_restored_store_asks_no_other_however_the_living_one_is_reached(monkeypatch, tmp_path, name):
    """A process of its own, as in a drill: `prepare --restored` at the living store has every reader start over."""
    living = "postgresql://exchange@db.internal/exchange"
    (tmp_path / "url").write_text(living)
    monkeypatch.setenv("DATABASE_POOLER", "transaction")
    monkeypatch.setenv(name, str(tmp_path / "url") if name.endswith("_FILE") else living)
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgresql://exchange@replica.internal/exchange")
    said = manage(f"postgresql://exchange@/exchange?host={tmp_path}", "shell", "--no-imports", "-c", ASKS)
    assert said == str([str(tmp_path)])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_copy_that_breaks_off_is_told_in_a_sentence_and_leaves_the_target_as_it_was(tmp_path, is_there):
    """What cannot be copied stands for a full disk: both are errors of the system, in the middle of the copying."""
    base = a_base(tmp_path, hours=0)
    (base / "data" / "PG_VERSION").write_text("18")
    os.mkfifo(base / "data" / "socket")
    to = tmp_path / "to"
    if is_there:
        to.mkdir()
    with (
        pytest.raises(programs.Failed, match="is a named pipe"),
        restoring.restored("postgresql:///exchange", tmp_path, to=to),
    ):
        raise AssertionError
    assert (to.exists(), list(to.glob("*"))) == (is_there, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone hands the log to another user")
def test_root_hands_the_log_to_the_servers_user_beside_the_target_and_takes_it_back(tmp_path):
    """Not in /tmp, which may be memory: a busy exchange writes more in a day."""
    a_base(tmp_path, hours=0)
    (base,), target = keeping.bases(tmp_path), tmp_path / "disk" / "main"
    target.mkdir(parents=True)
    archive = keeping.archive_of(tmp_path)
    archive.mkdir()
    for name in ("000000010000000000000001", "000000010000000000000002", "00000002.history"):
        (archive / name).write_text(name)
    owner = programs.user_to_be()
    with restoring.readable(archive, base, near=target, owner=owner) as place:
        assert place.parent == target.parent
        assert {path.name for path in place.iterdir()} == {"000000010000000000000002", "00000002.history"}
        assert {path.owner() for path in (place, *place.iterdir())} == {owner}
    assert list(target.parent.iterdir()) == [target]
    with restoring.readable(archive, base, near=target, owner=None) as place:
        assert place == archive


def test_a_moment_without_its_zone_is_refused_by_each_command_that_restores():
    line = [sys.executable, "-m", "exchange.backup", "restore", "/nowhere", "--at", "2026-11-29T02:15:00"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, "invalid moment value" in done.stderr) == (2, True), done.stderr
