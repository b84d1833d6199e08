"""What clustering is to look at: rows (Stir) that are deleted by the transaction that has looked.

A task that dies leaves them for the next. One worker is at one group at a time; others do other groups. Within a group
labs take turns: of what is taken at once, each lab that has something waiting has an equal share.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from indicators.campaigns.tables import NOBODY, Stir

#: A cluster is built anew, and its campaigns looked at, after so long for each of its accounts: large ones seldom.
PAUSE = timedelta(milliseconds=1)
#: Key of the advisory locks under which a group is worked on: "camp".
_LOCK = 0x63616D70


def rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a statement returns, if anything."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def alone(group_id: UUID) -> bool:
    """Whether nobody else works on this group, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(group_id)])
        (got,) = cursor.fetchone()
    return bool(got)


def stir(group_id: UUID, kind: Stir.Kind, keys: Iterable[int], *, lab: UUID = NOBODY) -> None:
    """Have something looked at, in the transaction in which it happened. `lab`: whose call did it."""
    held = list(keys)
    if held:
        rows(_STIR, group=group_id, kind=kind, lab=lab, keys=held)


_STIR = """
INSERT INTO indicators_stir (group_id, kind, lab, key)
SELECT %(group)s, %(kind)s, %(lab)s, unnest(%(keys)s::bigint[])
"""


def taken(group_id: UUID, kind: Stir.Kind, limit: int, *, after: Stir.Kind | None = None) -> list[int]:
    """The next of the queue, taken from it: the labs' first ones, then their second ones, and so on.

    `after`: a lab is passed over while it has something of this kind waiting.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"group": group_id, "kind": kind, "limit": limit, "after": after})
        return list(dict.fromkeys(key for (key,) in cursor.fetchall()))


# Walks `stir_by_group_and_lab` from lab to lab, then the first rows of each. Nobody else deletes of them (`alone`).
_TAKE = """
WITH RECURSIVE labs AS (
    (SELECT lab FROM indicators_stir WHERE group_id = %(group)s AND kind = %(kind)s ORDER BY lab LIMIT 1)
    UNION ALL
    SELECT (
        SELECT s.lab FROM indicators_stir s
        WHERE s.group_id = %(group)s AND s.kind = %(kind)s AND s.lab > labs.lab ORDER BY s.lab LIMIT 1
    ) FROM labs WHERE labs.lab IS NOT NULL
)
DELETE FROM indicators_stir WHERE id = ANY (ARRAY(
    SELECT next.id FROM labs CROSS JOIN LATERAL (
        SELECT s.id, row_number() OVER (ORDER BY s.id) AS turn FROM indicators_stir s
        WHERE s.group_id = %(group)s AND s.kind = %(kind)s AND s.lab = labs.lab ORDER BY s.id LIMIT %(limit)s
    ) next
    WHERE NOT EXISTS (
        SELECT FROM indicators_stir s WHERE s.group_id = %(group)s AND s.kind = %(after)s AND s.lab = labs.lab
    )
    ORDER BY next.turn, next.id LIMIT %(limit)s
)) RETURNING key
"""


def groups() -> list[UUID]:
    """Those that there is something to do for."""
    found = rows(
        """
        SELECT group_id FROM (
            SELECT DISTINCT group_id FROM indicators_stir
            UNION SELECT DISTINCT group_id FROM indicators_cluster WHERE dirty OR due IS NOT NULL
            UNION SELECT group_id FROM (SELECT DISTINCT group_id FROM indicators_campaign) k WHERE EXISTS (
                SELECT 1 FROM indicators_placed p
                WHERE p.group_id = k.group_id AND p.looked_at IS NULL AND (p.campaign IS NULL OR p.elected)
            )
        ) busy ORDER BY group_id
        """
    )
    return [group for (group,) in found]


def waiting(group_id: UUID) -> set[str]:
    """The kinds of what is in a group's queue."""
    return {kind for (kind,) in rows(_WAITING, group=group_id, kinds=Stir.Kind.values)}


_WAITING = """
SELECT k.kind FROM unnest(%(kinds)s::text[]) AS k (kind)
WHERE EXISTS (SELECT FROM indicators_stir s WHERE s.group_id = %(group)s AND s.kind = k.kind)
"""


def is_busy(group_id: UUID) -> bool:
    """Whether anything waits in a group's queue."""
    return bool(rows("SELECT 1 FROM indicators_stir WHERE group_id = %(group)s LIMIT 1", group=group_id))
