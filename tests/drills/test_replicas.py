"""Two real servers, one a streaming replica of the other: no reader is ever answered from before what they know."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exchange import embedded
from tests import templates
from tests.drills.demo import ROOT


@pytest.fixture
def room():
    """A directory with a short path, which the user of the servers may enter."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


@pytest.fixture
def primary(room, django_db_setup, django_db_blocker):
    """A server with a store that is ready; yields its address."""
    home = room / "primary"
    with django_db_blocker.unblock():
        template = templates.name()
    url = embedded.start(home, settings={"shared_buffers": "'64MB'"})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE exchange")
    here = conninfo_to_dict(url) | {"dbname": "exchange"}
    templates.restore(templates.address(template), make_conninfo(**here))
    yield here
    embedded.stop(home)


@pytest.fixture
def replica(primary, room):
    """The directory of its socket, and the words by which it is started and stopped."""
    owner = Path(primary["host"]).stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    data = room / "replica"
    programs = embedded.programs()
    copy = [programs / "pg_basebackup", "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast"]
    data.mkdir(mode=0o700)
    if who:
        os.chown(data, owner.st_uid, owner.st_gid)
    address = make_conninfo(host=primary["host"], user=primary["user"])
    subprocess.run([*copy, "--pgdata", data, "--dbname", address], check=True, cwd="/", **who)
    (data / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # the primary's, whose socket lies among its files
    options = f"-c unix_socket_directories={data} -c listen_addresses= -c hot_standby=on"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(data / "log"), "-o", options]
    if who:
        control = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", *control]
    subprocess.run([*control, "start"], check=True, cwd="/", stdout=subprocess.DEVNULL)
    yield data, control
    subprocess.run([*control, "stop", "-m", "immediate"], check=False, cwd="/", stdout=subprocess.DEVNULL)


@pytest.mark.long
def test_a_replica_that_keeps_up_stands_still_or_goes_away_costs_no_reader_a_change(primary, replica):
    data, control = replica
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{primary['user']}@/exchange?host={primary['host']}",
        "DATABASE_REPLICA_URL": f"postgresql://{primary['user']}@/exchange?host={data}",
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
    }
    words = [sys.executable, "-m", "tests.drills.through_a_replica", *control]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "each change once"
