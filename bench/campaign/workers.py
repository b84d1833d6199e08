"""How much faster two workers place what two groups sent than one worker does, and whether they wait for anything.

A group is worked on by one worker at a time, so that two help where two groups have work. Measured on the store of an
exchange that has stopped: nobody else takes what is to be placed. Where others use the processors as well, time says
little; so of each worker and its connection is counted, too, how long they ran or stood in the kernel's queue for a
processor (`/proc/PID/schedstat`). The rest of the time they wait for a lock, a disk, or a message on its way. How busy
the whole machine was meanwhile is told beside it (`/proc/stat`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.table import Row

#: Accounts of each group; tokens of each account, half of which one other account carries, too.
_CARRIED = 6

# In a process of its own: work on these groups, then say what it and its connection have cost, in seconds.
_WORKER = """
import json, os, sys, time, django
django.setup()
from django.db import connection
from indicators.campaigns import proposing
def spent(*pids):
    ran = [[int(one) / 1e9 for one in open(f"/proc/{pid}/schedstat").read().split()[:2]] for pid in pids]
    return [sum(column) for column in zip(*ran)]
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
began, before = time.monotonic(), spent("self", pid)
for group in sys.argv[1:]:
    assert proposing.work(group)
cpu, queued = (now - then for now, then in zip(spent("self", pid), before))
print(json.dumps({"wall": time.monotonic() - began, "cpu": cpu, "queued": queued}))
"""

# In a process of its own: groups like the demo's, of all partners, until there are so many.
_GATHER = """
import sys, django
django.setup()
from datetime import date
from django.db import transaction
from partners.groups.registering import register_group
from partners.models import Group, Partner
with transaction.atomic():
    for number in range(Group.objects.count(), int(sys.argv[1])):
        register_group(name=f"Worked {number}", slug=f"worked-{number}", purpose="To measure.", legal_basis="None.",
                       basis_from=date(2026, 1, 1), policy="open-cti", partners=list(Partner.objects.order_by("pk")))
"""


def curve(
    environment: dict[str, str], database: psycopg.Connection[Any], steps: Sequence[int], *, accounts: int
) -> Iterator[Row]:
    """As much evidence by each number of workers, of as many groups as there are workers at most, shared evenly."""
    most = max(steps)
    subprocess.run([sys.executable, "-c", _GATHER, str(most)], env=os.environ | environment, check=True)
    rows = database.execute("SELECT id FROM partners_group ORDER BY slug LIMIT %s", [most]).fetchall()
    groups, first = [str(pk) for (pk,) in rows], 0.0
    for count in steps:
        for group in groups:
            _fill(database, group, accounts, salt=f"by {count}")
        began, idle = time.monotonic(), idle_s()
        done = _work(environment, *(groups[number::count] for number in range(count)))
        idle = (idle_s() - idle) / (time.monotonic() - began)
        took = max(one["wall"] for one in done)
        rate = most * accounts / took
        first = first or rate
        busy, wanted = _busy(done, took)
        cores = os.cpu_count() or 1
        said = f"{busy:.2f} of {cores} processors, {wanted:.2f} wanted ({idle:.2f} idle, starting included)"
        said += ": the machine is the limit" if wanted >= 0.85 * cores else ": not the machine"
        name = f"{most} groups' evidence placed (matching), worker processes: {count}"
        yield Row(name, 0, f"{rate:,.0f} accounts/s", said, f"{rate / first:.2f} x")


def row(environment: dict[str, str], database: psycopg.Connection[Any], *, accounts: int) -> Row:
    """Both groups by one worker, then as much again by two at once. `accounts`: of each group."""
    groups = [str(pk) for (pk,) in database.execute("SELECT id FROM partners_group ORDER BY slug LIMIT 2").fetchall()]
    for group in groups:
        _fill(database, group, accounts, salt="one")
    (alone,) = _work(environment, groups)
    for group in groups:
        _fill(database, group, accounts, salt="two")
    began, idle = time.monotonic(), idle_s()
    both = _work(environment, *([group] for group in groups))
    idle = idle_s() - idle
    started_s = time.monotonic() - began - max(one["wall"] for one in both)
    took = max(one["wall"] for one in both)
    ratio = alone["wall"] / took
    busy, wanted = _busy(both, took)
    alone_busy, alone_wanted = _busy([alone], alone["wall"])
    return Row(
        "two groups' evidence placed, workers 1 → 2",
        2 * accounts,
        f"{2 * accounts / took:,.0f} accounts/s, {busy:.2f} processors busy, {wanted:.2f} wanted;"
        f" of {os.cpu_count()} processors {idle / (time.monotonic() - began):.2f} idle",
        f"one: {2 * accounts / alone['wall']:,.0f}, {alone_busy:.2f} busy, {alone_wanted:.2f} wanted;"
        f" start {started_s:.1f} s",
        f"{ratio:.2f} x",
        "≥ 1.7 x, or both busy",
        ratio >= 1.7 or busy >= 1.7 or wanted >= 1.7 * alone_wanted,
    )


def idle_s() -> float:
    """Seconds for which the machine's processors had nothing to run, all together, since it started."""
    return int(Path("/proc/stat").read_text().split()[4]) / os.sysconf("SC_CLK_TCK")


def _busy(workers: list[dict[str, float]], took: float) -> tuple[float, float]:
    """How many processors they had, and how many they would have had alone on the machine."""
    cpu, queued = (sum(one[name] for one in workers) for name in ("cpu", "queued"))
    return cpu / took, (cpu + queued) / took


def _work(environment: dict[str, str], *shares: list[str]) -> list[dict[str, float]]:
    """A worker for each share of the groups, all at once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, *share], env=os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        for share in shares
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


def _fill(database: psycopg.Connection[Any], group: str, accounts: int, *, salt: str) -> None:
    for statement in _FILL:
        database.execute(statement, {"group": group, "accounts": accounts, "tokens": accounts * _CARRIED, "salt": salt})
    database.execute("ANALYZE")


# Pure tokens; accounts of all partners, to be placed; of each token one account, and of every other one its neighbour.
_FILL = (
    """
    INSERT INTO indicators_evidencetoken (group_id, subkind, scheme, epoch, psp_scope, value, wide, asked, place,
                                          holders, suspects)
    SELECT %(group)s, 'device', 'oprf-ristretto255-sha512', %(salt)s, '', sha256(n::text::bytea), false, true, -n, 2, 2
    FROM generate_series(1, %(tokens)s) n
    """,
    """
    INSERT INTO indicators_puretoken
    SELECT id FROM indicators_evidencetoken WHERE group_id = %(group)s AND epoch = %(salt)s
    """,
    """
    INSERT INTO indicators_suspect (group_id, partner_id, account, basis, publisher_action, until, round, digest, since)
    SELECT %(group)s, labs.ids[1 + n / 2 %% cardinality(labs.ids)], gen_random_uuid(), 'own_flag', %(salt)s,
           now() + interval '30 days', 1, decode('00', 'hex'), now()
    FROM generate_series(1, %(accounts)s) n, (SELECT array_agg(id ORDER BY id) AS ids FROM partners_partner) labs
    """,
    """
    INSERT INTO indicators_carried (suspect, token)
    SELECT DISTINCT s.id, t.id
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM indicators_evidencetoken
          WHERE group_id = %(group)s AND epoch = %(salt)s) t
    CROSS JOIN LATERAL (VALUES (t.n %% %(accounts)s), ((t.n - t.n %% 2) %% %(accounts)s)) held (place)
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM indicators_suspect
          WHERE group_id = %(group)s AND publisher_action = %(salt)s) s ON s.n = held.place
    """,
    """
    INSERT INTO indicators_stir (group_id, kind, key)
    SELECT group_id, 'place', id FROM indicators_suspect WHERE group_id = %(group)s AND publisher_action = %(salt)s
    """,
)
