"""One journey on the machine that the documentation made: from nothing through loss and upgrade, with nothing missing.

Each line of "One machine, by systemd" is typed in its order, with the release before, until a partner reads another's
first push. Then it is filled and upgraded under load, its database is deleted and restored, and backed up again.

PostgreSQL is the wheel's and `python3` this test's, for those of the machine may be too old; all that the lines write lies
in a directory (`tests/drills/machine.py`). The rest is theirs: the wheels of two checkouts, the units' own commands, nginx with TLS.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
import sys
import tempfile
from pathlib import Path

import httpx
import psycopg
import pytest

from exchange import embedded
from tests.drills import test_upgrade
from tests.drills.machine import Machine, is_root, typed
from tests.drills.newcomer import OPERATING, ROOT, Newcomer, Portal
from tests.drills.test_proxy import NGINX
from tests.drills.test_upgrade import Load
from tests.waiting import DEADLINE_S, until

before = test_upgrade.before
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]
#: As the first push of the documentation.
TO = "?partners=birch&tlp=amber"
WORKERS = ("exchange-worker", "exchange-webhooks", "exchange-connections", "exchange-beat")


@pytest.fixture
def place():
    """Where PostgreSQL's own user may enter; pytest closes its directories to all but ours."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def test_what_the_documentation_makes_shares_and_survives_loss_and_upgrade_with_nothing_missing(place, before):
    database_url = embedded.start(place / "server")
    machine = Machine(place / "machine", programs=f"{sys.base_prefix}/bin:{embedded.programs()}")
    machine.root.mkdir(mode=0o711)
    newcomer = Newcomer(machine, database_url, checkout=before)
    try:
        for line in typed(OPERATING, "One machine, by systemd"):
            newcomer.types(line)
        assert "WRONG" not in newcomer.doctor
        assert newcomer.doctor.count("ok ") >= 10
        keys = _first_hour(newcomer, place)
        context = ssl.create_default_context(cafile=str(machine.root / "etc/nginx/tls/exchange.example.pem"))
        newcomer.checkout = ROOT
        acknowledged = _is_upgraded_under_load(newcomer, keys, context)
        _is_received(newcomer)
        _is_lost_and_restored(newcomer, place / "server")
        assert set(acknowledged) <= _read(newcomer, keys[1], context), "nothing acknowledged is missing"
        assert newcomer.ails() == []
    except BaseException as failed:
        failed.add_note(machine.said())
        raise
    finally:
        machine.stop()
        embedded.stop(place / "server")


def _first_hour(newcomer: Newcomer, home: Path) -> list[str]:
    """ "From there to the first push", word by word."""
    place = newcomer.machine.root / "etc/nginx/tls"
    context = ssl.create_default_context(cafile=str(place / "exchange.example.pem"))
    Portal(newcomer.base, context).enters(_link(newcomer.operator), "olga")
    text = OPERATING.read_text().partition("From there to the first push")[2]
    (invites,) = re.findall(r"`exchange-manage (invite aster [^`]+)`", text)
    keys = {}
    for slug, scopes in (("aster", ("read", "publish")), ("birch", ("read",))):
        line = invites.replace("aster", slug).replace("Aster", slug.title())
        portal = Portal(newcomer.base, context)
        portal.enters(_link(newcomer.manages(*shlex.split(line))), f"ana-{slug}")
        keys[f"{slug.upper()}_KEY"] = portal.key(*scopes)
    page = (ROOT / "exchange/docs/api.md").read_text()
    written = page.partition("\n## Push\n")[2].partition("```sh\n")[2].partition("curl ")[0]
    push = re.search(r"```\n\s*(curl .+?)\n\s*```", text, re.DOTALL)
    read = re.search(r"`(curl [^`]+BIRCH_KEY[^`]+)`", text)
    assert push
    assert read
    environment = newcomer.machine.environment() | keys | {"CURL_CA_BUNDLE": str(place / "exchange.example.pem")}
    folder = home / "home"
    folder.mkdir()

    def at_a_shell(line: str) -> str:
        line = line.replace("https://exchange.example", newcomer.base).replace("curl ", "curl --fail-with-body ")
        return newcomer.machine.run(["bash", "-euc", line], environment, cwd=folder)

    at_a_shell(written)
    counts = json.loads(at_a_shell(push[1]))["counts"]
    assert counts["accepted"] == 1, counts
    (one,) = json.loads(at_a_shell(read[1]))["objects"]
    assert json.dumps(one).count("indicator--5b0ff6f3-5ed3-4c4f-8d0a-8b9a3b9e6d10") >= 1
    assert "WRONG" not in newcomer.manages("doctor")
    return [keys["ASTER_KEY"], keys["BIRCH_KEY"], keys["ASTER_KEY"]]


def _is_received(newcomer: Newcomer) -> None:
    """The archive has what is written so far."""
    with psycopg.connect(newcomer.database_url, autocommit=True) as database:
        (end,) = database.execute("SELECT pg_current_wal_lsn()").fetchone()
        received = "SELECT restart_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = 'exchange_backup'"
        until(lambda: database.execute(received, [end]).fetchone()[0])


def _is_lost_and_restored(newcomer: Newcomer, server: Path) -> None:
    """ "A restore", word by word, of a database that is gone."""
    owner = ["--user", (server / "postgres").owner()] if is_root() else []
    newcomer.machine.stop()
    embedded.stop(server)
    shutil.rmtree(server / "postgres")
    newcomer.manages("restore", str(server / "postgres"), *owner)
    newcomer.database_url = embedded.start(server)
    newcomer.machine.start("exchange.target")
    newcomer.begins_nginx()
    newcomer.machine.start("exchange-backup")
    newcomer.machine.start("exchange-drill")  # what follows the restore is received, and could be restored, too


def _read(newcomer: Newcomer, key: str, context: ssl.SSLContext) -> set[str]:
    """The ids of all that a partner sees, page by page."""
    headers, found, cursor = {"Authorization": f"Bearer {key}"}, set(), {}
    with httpx.Client(base_url=newcomer.base, verify=context, headers=headers, timeout=DEADLINE_S) as client:
        while cursor is not None:
            page = client.get("/api/v1/objects", params={"limit": 200} | cursor).raise_for_status().json()
            found |= {one["object"]["id"] for one in page["objects"]}
            cursor = {"cursor": page["next"]} if page["next"] else None
    return found


def _is_upgraded_under_load(newcomer: Newcomer, keys: list[str], context: ssl.SSLContext) -> list[str]:
    """ "An upgrade", word by word: no request fails, and a reader by one cursor is told each change once.

    Returns the ids that were acknowledged, before, meanwhile and after.
    """
    machine = newcomer.machine
    load = Load(newcomer.base, keys, context, to=TO)
    try:
        load.is_felt()
        newcomer.types(
            "/opt/exchange/bin/pip install --require-hashes -r deploy/requirements.lock -r deploy/build.lock"
        )
        newcomer.types(
            "/opt/exchange/bin/pip install --force-reinstall --no-deps --no-build-isolation . ./deploy/server"
        )
        newcomer.copies_units()
        for name in ("exchange-prepare", *newcomer.came_since):
            machine.start(name)
        for name in ("exchange-web@8000", "exchange-web@8001", "exchange-web@8010", *WORKERS):
            machine.restart(name)
            load.is_felt()
    finally:
        load.end()
    load.read_on()
    told = [stix_id for stix_id in load.followed if stix_id in set(load.acknowledged)]
    assert sorted(told) == sorted(set(load.acknowledged))
    assert newcomer.ails() == []
    return load.acknowledged


def _link(said: str) -> str:
    (link,) = re.findall(r"https://\S+/account/invitation/\S+", said)
    return link
