"""A real PgBouncer in transaction mode before the store: what an exchange needs of a session goes past it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from exchange.demo import ports
from tests.drills import test_replicas
from tests.drills.demo import ROOT
from tests.drills.test_proxy import listens
from tests.waiting import DEADLINE_S, until

room, primary = test_replicas.room, test_replicas.primary
PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path(PGBOUNCER).exists(), reason="pgbouncer is not installed"),
]
#: Connections to the server, for eight threads: each transaction may be on another one.
SERVERS = 3


@pytest.fixture
def database(primary):
    """A server of its own, for a backup copies all of it."""
    return {"dbname": "exchange", "user": primary["user"], "host": primary["host"]}


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


def test_an_exchange_works_through_a_pooler_in_transaction_mode_and_is_backed_up_past_it(database, pooler, room):
    user, name = database["user"], database["dbname"]
    direct = f"postgresql://{user}@/{name}?host={database['host']}"
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{pooler}/{name}",
        "DATABASE_DIRECT_URL": direct,
        "DATABASE_POOLER": "transaction",
        "BACKUP_DIR": str(room / "backups"),
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
    }

    def starts(*words):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, **pipes)

    def run(*words):
        with starts(*words) as process:
            said, error = process.communicate()
        assert process.returncode == 0, said + error
        return said

    run("manage.py", "prepare")
    said = json.loads(run("-m", "tests.drills.through_a_pooler").splitlines()[-1])
    assert said["made"] == 8 * 12 * 2
    assert said["followed"] is True, "each change once, in order"
    assert 2 <= said["servers"] <= SERVERS, "transactions share the pooler's connections"
    assert "7MB" not in said["kept"], "what was set for one query is no other's"
    assert said["woken"] is True, "LISTEN goes past the pooler"
    assert said["jit"] == ["off", "force_generic_plan"], "`prepare` made them the role's"

    with starts("manage.py", "archive") as receiver:
        try:
            until(lambda: list((room / "backups").glob("wal/*.partial")), of=receiver)
            run("manage.py", "backup")
            drilled = run("manage.py", "restore_drill")
        finally:
            receiver.terminate()
            receiver.communicate()
    assert receiver.returncode == 0
    assert "in the copy: The log verifies" in drilled
    assert "The drill went well" in drilled
    with psycopg.connect(direct) as living:
        (begun,) = living.execute("SELECT count(*) FROM exchange_incarnation").fetchone()
    assert begun == 0, "a drill has no reader of the living store start over"
