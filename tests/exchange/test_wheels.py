"""What a partner installs holds the client alone; the two wheels together hold the house, and no file twice."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Stands before all that is imported: whatever a client may not need is not to be had.
BLOCK = """
import sys
class No:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "rest_framework", "celery", "psycopg", "partners", "indicators"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, No())
sys.path.insert(0, sys.argv[1])
import exchange.agent.cli, exchange.client.cli, exchange.lab.cli
assert exchange.client.__file__.startswith(sys.argv[1]), exchange.client.__file__
from typer.testing import CliRunner
for app in (exchange.client.cli.app, exchange.agent.cli.app, exchange.lab.cli.app):
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    into = tmp_path_factory.mktemp("wheels")
    for place in (ROOT, ROOT / "deploy" / "server"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
            cwd=place,
            check=True,
            capture_output=True,
        )
    return {path.name.partition("-")[0]: path for path in into.iterdir()}


def names(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_clients_wheel_works_alone(wheels, tmp_path):
    zipfile.ZipFile(wheels["exchange"]).extractall(tmp_path)
    subprocess.run([sys.executable, "-P", "-c", BLOCK, str(tmp_path)], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_it_holds_no_package_of_the_server(wheels):
    rooms = {name.split("/")[1] for name in names(wheels["exchange"])}
    assert rooms <= {"__init__.py", "client", "agent", "lab", "simulate", "stix", "tokens", "lists", "formats"}


def test_together_they_hold_every_file_once(wheels):
    client, server = names(wheels["exchange"]), names(wheels["exchange_server"])
    assert not client & server
    tracked = subprocess.run(
        ["git", "ls-files", "exchange", "partners", "indicators"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(tracked) <= client | server
