"""How soon an account whose evidence was sent is in its campaign: beside next to nothing, and beside a million tokens.

`python -m bench --evidence`. Three labs of the demo's group tell of one operator. Then tokens, accounts that carry them
and their places are filled in as if other operators' evidence had come; their rare tokens are asked, too.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg

from bench.campaign import workers
from bench.server import Server
from bench.table import Row
from bench.wire import Wire
from exchange import clock, embedded
from exchange.tokens import epochs

_GROUP = "/api/v1/groups/ring/"
_LABS = 3
_POOL = 6
#: Tokens of an account that is filled in.
_CARRIED = 20
_DEADLINE_S = 120


def rows(directory: Path, *, tokens: int, accounts: int) -> Iterator[Row]:
    """The time from the request until the lab reads the account among the campaign's members; before and after."""
    os.environ["DEMO_LABS"] = "0"
    with Server(directory) as server:
        labs = [server.wire(number) for number in range(_LABS)]
        campaign = _begun(labs)
        before = _times(labs, campaign, accounts)
        began = time.perf_counter()
        _fill(server, tokens)
        filled_s = time.perf_counter() - began
        after = _times(labs, campaign, accounts)
        for lab in labs:
            lab.close()
        environment = server.environment()
    yield _row("next to nothing", 0, before, beside="")
    yield _row(f"{tokens:,} tokens, filled in {filled_s:.0f} s", tokens, after, beside=_said(before))
    environment["DATABASE_URL"] = embedded.start(directory)
    try:
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
            yield workers.row(environment, database, accounts=tokens // 400)
    finally:
        embedded.stop(directory)


def _begun(labs: list[Wire]) -> str:
    """The campaign of one operator at all labs."""
    for lab in labs:
        _send(lab, "evidence?round=1", *(_account(number) for number in range(12)))
    for lab in labs:
        known = [{"token": one, "holders": 16, "suspects": 16} for kind in ("par", "device") for one in _pool(kind)]
        _send(lab, "prevalence", *known)
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        found = labs[0].ask("GET", "/api/v1/campaigns").json()["campaigns"]
        if found:
            return str(found[0]["id"])
        time.sleep(0.05)
    raise RuntimeError("no campaign was found")


def _times(labs: list[Wire], campaign: str, accounts: int) -> list[float]:
    times = []
    for number in range(accounts):
        lab, line = labs[number % len(labs)], _account(number)
        began = time.perf_counter()
        _send(lab, "evidence?round=1", line)
        while line["account"] not in _members(lab, campaign):
            if time.perf_counter() - began > _DEADLINE_S:
                raise RuntimeError("an account did not come to its campaign")
            time.sleep(0.005)
        times.append(time.perf_counter() - began)
    return times


def _members(lab: Wire, campaign: str) -> set[str]:
    found: set[str] = set()
    path = f"/api/v1/campaigns/{campaign}/accounts?limit=500"
    following = path
    while following:
        page = lab.ask("GET", following).json()
        found |= {one["account"] for one in page["accounts"]}
        following = f"{path}&cursor={page['next']}" if page["next"] else ""
    return found


def _send(lab: Wire, path: str, *lines: dict[str, Any]) -> None:
    body = b"\n".join(orjson.dumps(line) for line in lines)
    lab.ask("POST", _GROUP + path, body, media="application/x-ndjson")


def _pool(subkind: str) -> list[dict[str, Any]]:
    return [
        {
            "subkind": subkind,
            "scheme": "oprf-ristretto255-sha512",
            "key_epoch": epochs.quarter_of(clock.now()),
            "value": hashlib.sha256(f"{subkind} {number}".encode()).hexdigest(),
        }
        for number in range(_POOL)
    ]


def _account(number: int) -> dict[str, Any]:
    return {
        "account": str(uuid.uuid4()),
        "tokens": [_pool("par")[number % _POOL], _pool("device")[(number + number // _POOL) % _POOL]],
        "basis": "own_flag",
        "publisher_action": "suspended",
        "until": clock.rfc3339(clock.now() + timedelta(days=30)),
    }


def _fill(server: Server, tokens: int) -> None:
    """So many tokens, and accounts of all labs that carry them, in no campaign."""
    with server.database() as database:
        for statement in _FILL:
            database.execute(statement, {"tokens": tokens, "accounts": tokens // _CARRIED})
        database.execute("ANALYZE")


# Each account carries twenty tokens of its own, and is a core and a cluster by itself. What one statement inserts has
# keys in succession, so that few joins are needed.
_FILL = (
    """
    INSERT INTO indicators_evidencetoken (group_id, subkind, scheme, epoch, psp_scope, value, wide, asked, place,
                                          holders, suspects)
    SELECT g.id, 'device', 'oprf-ristretto255-sha512', 'filled', '', sha256(n::text::bytea), false, true, -n, 0, 0
    FROM partners_group g, generate_series(1, %(tokens)s) n WHERE g.slug = 'ring'
    """,
    """
    INSERT INTO indicators_suspect (group_id, partner_id, account, basis, publisher_action, until, round, digest, since)
    SELECT g.id, labs.ids[1 + n %% cardinality(labs.ids)], gen_random_uuid(), 'own_flag', 'observed',
           now() + interval '30 days', 1, decode('00', 'hex'), now()
    FROM partners_group g, generate_series(1, %(accounts)s) n,
         (SELECT array_agg(DISTINCT partner_id) AS ids FROM indicators_suspect) labs
    WHERE g.slug = 'ring'
    """,
    """
    INSERT INTO indicators_carried (suspect, token)
    SELECT (SELECT min(id) FROM indicators_suspect WHERE publisher_action = 'observed') + t.id %% %(accounts)s, t.id
    FROM indicators_evidencetoken t WHERE t.epoch = 'filled'
    """,
    """
    INSERT INTO indicators_prevalence (token, partner_id, group_id, carried, holders, suspects, changed_at)
    SELECT c.token, s.partner_id, s.group_id, 1, 0, 0, 'epoch'
    FROM indicators_suspect s JOIN indicators_carried c ON c.suspect = s.id WHERE s.publisher_action = 'observed'
    """,
    """
    INSERT INTO indicators_cluster (group_id, accounts, dirty, causes, looked_at)
    SELECT s.group_id, 1, false, '[]', now() FROM indicators_suspect s WHERE s.publisher_action = 'observed'
    """,
    """
    INSERT INTO indicators_core (partner_id, cluster, accounts)
    SELECT s.partner_id, (SELECT max(id) FROM indicators_cluster) - (SELECT max(id) FROM indicators_suspect) + s.id, 1
    FROM indicators_suspect s WHERE s.publisher_action = 'observed' ORDER BY s.id
    """,
    """
    INSERT INTO indicators_placed (suspect, group_id, partner_id, core, grade, elected, since)
    SELECT s.id, s.group_id, s.partner_id,
           (SELECT max(id) FROM indicators_core) - (SELECT max(id) FROM indicators_suspect) + s.id, '', false, now()
    FROM indicators_suspect s WHERE s.publisher_action = 'observed'
    """,
)


def _row(name: str, stored: int, times: list[float], *, beside: str) -> Row:
    last = sorted(times)[int(len(times) * 0.99)]
    return Row(
        f"evidence sent until in its campaign, {name}",
        stored,
        _said(times),
        beside,
        target="p99 < 1 s" if stored else "",
        met=last < 1 if stored else None,
    )


def _said(times: list[float]) -> str:
    ordered = sorted(times)
    return f"median {statistics.median(times) * 1000:.0f} ms, p99 {ordered[int(len(times) * 0.99)] * 1000:.0f} ms"
