"""The units of deploy/systemd: systemd takes them, and what they start is what the wheels install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exchange import schedule

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()
INSTALLED = "/opt/exchange/bin/"


def lines(unit):
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_them(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "celery", "exchange-manage"):
        (programs / name).symlink_to(sys.executable)
    copies = []
    for unit in sorted([*UNITS.glob("*.service"), *UNITS.glob("*.timer"), *UNITS.glob("*.target")]):
        copy = tmp_path / unit.name.replace("@.", "@8000.")
        copy.write_text(unit.read_text().replace(INSTALLED, f"{programs}/"))
        copies.append(str(copy))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, check=False, env=os.environ
    )
    ours = [line for line in said.stderr.splitlines() if "exchange" in line]
    assert (said.returncode, ours) == (0, []), said.stderr


def test_each_is_started_as_the_wheels_install_it_and_by_its_own_user():
    commands = {path.stem for path in (ROOT / "exchange/management/commands").glob("*.py")}
    commands |= {path.stem for path in (ROOT / "partners/management/commands").glob("*.py")}
    for unit in UNITS.glob("*.service"):
        text = unit.read_text()
        assert re.search(r"^User=exchange(-keys)?$", text, re.MULTILINE), unit.name
        for wanted in ("NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077", "CapabilityBoundingSet=\n"):
            assert wanted in text, (unit.name, wanted)
        for line in lines(unit):
            program, *words = line.removeprefix(INSTALLED).split()
            assert line.startswith(INSTALLED), unit.name
            assert program in {"python", "celery", "exchange-manage"}
            assert program != "exchange-manage" or words[0] in commands, (unit.name, words)


def test_every_process_of_the_compose_file_has_a_unit():
    named = {unit.name for unit in UNITS.iterdir()}
    assert {"exchange-web@.service", "exchange-worker.service", "exchange-webhooks.service"} <= named
    assert {"exchange-beat.service", "exchange-keys.service", "exchange-prepare.service"} <= named
    assert {"exchange-archive.service", "exchange-backup.timer", "exchange-drill.timer", "exchange.target"} <= named
    assert {unit.with_suffix(".service").name for unit in UNITS.glob("*.timer")} <= named


def test_each_queue_has_a_worker_of_its_own_on_one_machine_and_by_compose():
    units = [line for unit in UNITS.glob("*.service") for line in lines(unit)]
    assert sorted(name for line in units for name in re.findall(r"--queues (\S+)", line)) == sorted(schedule.QUEUES)
    assert sorted(re.findall(r"--queues=(\S+)", COMPOSE)) == sorted(schedule.QUEUES)
    assert {route["queue"] for route in schedule.ROUTES.values()} < set(schedule.QUEUES)
