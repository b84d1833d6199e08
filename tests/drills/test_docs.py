"""Every line that the documentation gives to type is typed, by a shell, against a running server."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from partners import keys
from partners.log import transparency
from partners.models import Group
from partners.scopes import KEY_SCOPES, Scope
from tests import build, forked, keyservice
from tests.indicators.api.caller import Caller
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *(f"exchange/docs/{path.name}" for path in sorted((ROOT / "exchange/docs").glob("*.md")))]
#: Those whose lines take longest, for who does more than publish and read: before a release.
OF_FEW = {f"exchange/docs/{name}.md" for name in ("connections", "formats", "judgement", "tokens")}
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
#: Blocks of these commands are for whoever runs the exchange, and are run by the journeys of the demo and of deploy/.
OPERATORS = (
    "make ",
    "python manage.py",
    "exchange-manage ",
    "sudo ",
    "/opt/exchange/bin/pip ",
    "python3 -m venv ",
    "pip install ",
    "set -a",
    "python -m exchange.web",
    "KEY_SERVICE_SECRET=",
    "granian ",
    "celery ",
    "docker ",
    "kubectl ",
    "helm ",
)
#: What does not run here, and why.
LEFT_OUT = {
    "exchange-lab ": "needs accounts and a group whose terms allow evidence: tests/exchange/lab/test_cli.py plays all of it",
    "exchange simulate": "needs the demo's credentials: tests/exchange/simulate plays it",
    "exchange-agent run ": "wants a file that the page writes out: tests/exchange/agent/test_lookup.py runs one",
    "--config … ": "the same",
    "exchange.agent.conformance": "wants another's client: tests/exchange/agent/test_conformance.py tries three",
    "--follow": "goes on until it is stopped; one pass is run above it",
    "exchange audit verify package.zip": "needs a package that two persons made: test_reporting.py verifies one",
    "keys revoke exk_4gx7k2mq": "names a key that nobody has",
    "exchange.backup restore": "puts a server's database in its place: tests/drills/test_key_backup.py does",
    "revoke_key -": "the operator's command, which reads a key from standard input",
    "$PROPOSAL": "another partner's answer, whose id only the line above tells a person",
}
#: The output of the line before it, from which a person would read the value.
READ_FROM_BEFORE = {"$GROUP": "slug"}


def units(page: str) -> list[str]:
    """What is typed at once: a line with those that continue it, or a here-document."""
    found: list[str] = []
    for block in BLOCK.findall((ROOT / page).read_text()):
        ends = ""
        for line in block.splitlines():
            continues = bool(ends) or (found and found[-1].endswith("\\"))
            if continues:
                found[-1] += f"\n{line}"
            elif line.strip() and not line.startswith("#"):
                found.append(line)
            begins = re.search(r"<<-?'?(\w+)'?", line)
            ends = "" if line == ends else begins[1] if begins else ends
    return found


def quick_commands(room: Path) -> Path:
    """A directory with the commands that the pages type most, as forks: to start each costs half a second else."""
    room.mkdir()
    for name in ("exchange", "exchange-agent"):
        words = shlex.join([*forked.python(), str(Path(sys.executable).parent / name)])
        (room / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (room / name).chmod(0o755)
    return room


class Shell:
    """A newcomer's terminal: what it exports stays, and each line is answered before the next."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        path = f"{quick_commands(folder / 'bin')}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"}
        self.environment |= {
            "EXCHANGE_URL": url,
            "EXCHANGE_API_KEY": key,
            "ADMIN_KEY": key,
            "STIX_ID": THEIRS["id"],
            "OWN_ID": OWN["id"],
        }  # most pages take them for set
        self.folder, self.url, self.key = folder, url, key
        self.kept: list[str] = []
        self.said = ""

    def type(self, unit: str) -> subprocess.CompletedProcess[str]:
        for written in ("https://exchange.example", "http://127.0.0.1:8000", "http://localhost:8000"):
            unit = unit.replace(written, self.url)
        unit = unit.replace("exk_…", self.key).replace(".venv/bin/", "").replace("/var/lib/exchange/", "")
        for name, field in READ_FROM_BEFORE.items():
            if name in unit:
                unit = unit.replace(name, json.loads(self.said)[field])
        if "<id of the answer>" in unit:
            unit = unit.replace("<id of the answer>", json.loads(self.said)["id"])
        unit = re.sub(r"^curl ", f"curl --fail-with-body --max-time {DEADLINE_S:.0f} ", unit)
        script = "\n".join([*self.kept, unit])
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE_S,
            check=False,
        )
        if re.match(r"(export )?[A-Z_]+=", unit):
            self.kept.append(unit)
        self.said = done.stdout
        return done


#: What the pages take for published, by the reader's own partner and by another.
OWN, THEIRS = build.an_indicator(), build.an_indicator()


@pytest.fixture
def key(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    cast = build.the_cast()
    Group.objects.filter(pk=cast.ring.pk).update(policy=Group.Policy.OPEN_CTI)
    build.a_ring(cast.aster, cast.borealis, slug="cti")
    key = keys.issue(cast.aster, name="docs", scopes=KEY_SCOPES, expires_in=timedelta(days=90))[1]
    Caller(key).push(OWN, query="?groups=ring")
    Caller(cast.keys["borealis"]).push(THEIRS, query="?groups=ring")
    yield key
    store.close()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.long) if page in OF_FEW else page
        for page in PAGES
        if BLOCK.search((ROOT / page).read_text())
    ],
)
def test_every_line_of_the_documentation_runs(live_server, tmp_path, key, page):
    shell = Shell(tmp_path, live_server.url, key)
    (tmp_path / "exchange").symlink_to(ROOT / "exchange")  # some lines are typed in a checkout
    (tmp_path / "indicators.json").write_bytes(b'{"objects":[%b]}' % orjson.dumps(OWN))
    for unit in units(page):
        if unit.startswith(OPERATORS) or any(words in unit for words in LEFT_OUT):
            continue
        if "audit export" in unit:  # beat does so at the turn of each minute
            transparency.seal(every=timedelta(microseconds=1))
            (public,) = transparency.key_documents()
            (tmp_path / "log.pub").write_text(public["public_key"])
        done = shell.type(unit)
        assert done.returncode == 0, f"{unit}\n{done.stdout}\n{done.stderr}"
        assert "/events" not in unit or "event: open" in done.stdout, "a stream, which ends soon in tests"


def test_what_is_left_out_is_still_there_and_its_reason_holds():
    typed = "\n".join(unit for page in PAGES for unit in units(page))
    assert {words for words in LEFT_OUT if words not in typed} == set()
    assert Scope.AUDIT not in KEY_SCOPES
