"""A real PgBouncer in transaction mode before the store: what an exchange needs of a session goes past it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from exchange.demo import ports
from tests import postgres, templates
from tests.drills.demo import ROOT
from tests.drills.test_proxy import listens
from tests.waiting import DEADLINE_S, until

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = [
    pytest.mark.skipif(not Path(PGBOUNCER).exists(), reason="pgbouncer is not installed"),
]
#: Connections to the server, for eight threads: each transaction may be on another one.
SERVERS = 3


@pytest.fixture
def database(django_db_setup, django_db_blocker):
    """A store of its own, with its schema; returns a function that says its address."""
    with django_db_blocker.unblock():
        template = templates.name()
    server = postgres.environment()["DATABASE_URL"]
    name = f"pooled_{uuid.uuid4().hex[:8]}"
    parameters = conninfo_to_dict(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield {"dbname": name, "user": parameters["user"], "host": parameters["host"]}
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        connection.execute(f'ALTER ROLE "{parameters["user"]}" RESET ALL')


@pytest.fixture
def place():
    """A directory that others may read: pytest's own are closed to whoever PgBouncer runs as."""
    with tempfile.TemporaryDirectory(prefix="pooler-") as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


@pytest.fixture
def pooler(database, place):
    """Its port on loopback. PgBouncer refuses to be root, and the server's socket is its owner's."""
    owner, port = Path(database["host"]).stat(), ports.free()
    (place / "ini").write_text(
        "[databases]\n"
        f"{database['dbname']} = host={database['host']} user={database['user']}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {SERVERS}\nmax_client_conn = 200\n"
    )
    (place / "ini").chmod(0o644)
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with (place / "said").open("wb") as said:
        process = subprocess.Popen([PGBOUNCER, str(place / "ini")], stdout=said, stderr=said, cwd="/", **who)
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (place / "said").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE_S)


def test_an_exchange_works_through_a_pooler_in_transaction_mode(database, pooler):
    user, name = database["user"], database["dbname"]
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{pooler}/{name}",
        "DATABASE_DIRECT_URL": f"postgresql://{user}@/{name}?host={database['host']}",
        "DATABASE_POOLER": "transaction",
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
    }

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("manage.py", "prepare")
    said = json.loads(run("-m", "tests.drills.through_a_pooler").splitlines()[-1])
    assert said["made"] == 8 * 12 * 2
    assert said["followed"] is True, "each change once, in order"
    assert 2 <= said["servers"] <= SERVERS, "transactions share the pooler's connections"
    assert "7MB" not in said["kept"], "what was set for one query is no other's"
    assert said["woken"] is True, "LISTEN goes past the pooler"
    assert said["jit"] == ["off", "force_generic_plan"], "`prepare` made them the role's"
