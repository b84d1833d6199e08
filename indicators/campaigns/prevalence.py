"""What labs answer about tokens, and how many accounts of their evidence carry them. The only writer of Prevalence.

What each lab is told of the others' answers follows from them in the same transaction (`sums`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from exchange import clock
from exchange.tokens.prevalence import Answer
from indicators.campaigns import sums, terms
from indicators.campaigns.lines import TokenKey, answers
from indicators.campaigns.tables import EvidenceToken
from partners.log import audit
from partners.models import Group
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call of answers did."""

    answers: int
    changed: int
    not_asked: int


def take(viewer: Viewer, slug: str, body: bytes) -> Answered:
    """Take a lab's answers. Raises Forbidden, NotFound, Conflict, Malformed, Refused, TooMany."""
    contributor = terms.contributor(viewer, slug)
    terms.require_open(contributor)
    sent = answers(body)
    with transaction.atomic():
        made = terms.submission(contributor, locked=True)
        terms.spend(made, answers=len(sent))
        made.save()
        terms.lock(contributor.group.pk)
        found = _asked(contributor.group.pk, list(sent))
        changed = _answer(contributor, {found[key]: said for key, said in sent.items() if key in found})
        sums.settle(contributor.group, changed, lab=contributor.partner_id)
        audit.record(
            audit.Verb.PREVALENCE_SENT,
            by=viewer,
            target=f"group:{contributor.group.slug}",
            answers=_bucket(len(sent)),
            changed=_bucket(len(changed)),
        )
    return Answered(len(sent), len(changed), len(sent) - len(found))


def intern(group_id: UUID, keys: Mapping[TokenKey, bool]) -> dict[TokenKey, int]:
    """The rows that stand for tokens in a group, made where they are new; the value says whether it is `wide`."""
    ordered = sorted(keys, key=lambda one: (one.value, one.subkind, one.epoch, one.psp_scope))
    columns = _columns(ordered) | {"wide": [keys[key] for key in ordered], "group": group_id}
    with connection.cursor() as cursor:
        cursor.execute(_INTERN, columns)
    return _found(group_id, ordered)


# In the order of their values, so that two labs who bring the same tokens do not wait for each other in a ring.
_INTERN = """
INSERT INTO indicators_evidencetoken
    (group_id, subkind, scheme, epoch, psp_scope, value, wide, asked, place, holders, suspects)
SELECT %(group)s, subkind, scheme, epoch, psp_scope, value, wide, false, 0, 0, 0
FROM unnest(%(subkinds)s::text[], %(schemes)s::text[], %(epochs)s::text[], %(scopes)s::text[], %(values)s::bytea[],
            %(wide)s::bool[]) AS sent (subkind, scheme, epoch, psp_scope, value, wide)
ON CONFLICT DO NOTHING
"""


def carry(group_id: UUID, partner_id: UUID, deltas: Mapping[int, int]) -> int:
    """Count how many accounts of a lab's evidence carry tokens, and settle what follows; within a transaction.

    Returns how many tokens it carries only now.
    """
    changed = {token: delta for token, delta in sorted(deltas.items()) if delta}
    if not changed:
        return 0
    with connection.cursor() as cursor:
        sent = {"tokens": list(changed), "deltas": list(changed.values())}
        cursor.execute(_CARRY, sent | {"partner": partner_id, "group": group_id})
        found = cursor.fetchall()
    crossed = [token for token, carried, delta in found if carried in {0, delta}]
    if crossed:
        terms.lock(group_id)
        sums.settle(Group.objects.get(pk=group_id), crossed, lab=partner_id)
    return sum(1 for _, carried, delta in found if carried == delta)


# A row for each token: how many carry it now, and the change. Locks the lab's own rows alone.
_CARRY = """
WITH sent AS (
    SELECT token, %(partner)s::uuid AS partner, %(group)s::uuid AS pool, delta
    FROM unnest(%(tokens)s::bigint[], %(deltas)s::int[]) AS s (token, delta)
), put AS (
    INSERT INTO indicators_prevalence (token, partner_id, group_id, carried, holders, suspects, changed_at)
    SELECT token, partner, pool, delta, 0, 0, 'epoch' FROM sent
    ON CONFLICT (token, partner_id) DO UPDATE SET carried = indicators_prevalence.carried + excluded.carried
    RETURNING token, carried
)
SELECT put.token, put.carried, sent.delta FROM put JOIN sent USING (token)
"""


def _answer(contributor: terms.Contributor, said: Mapping[int, Answer]) -> list[int]:
    """Write what differs from the lab's answers before; the tokens whose answer changed."""
    tokens = sorted(said)
    with connection.cursor() as cursor:
        cursor.execute(
            _ANSWER,
            {
                "partner": contributor.partner_id,
                "group": contributor.group.pk,
                "now": clock.now(),
                "tokens": tokens,
                "holders": [said[token].holders for token in tokens],
                "suspects": [said[token].suspects for token in tokens],
            },
        )
        return [token for (token,) in cursor.fetchall()]


_ANSWER = """
INSERT INTO indicators_prevalence (token, partner_id, group_id, carried, holders, suspects, changed_at)
SELECT m.token, %(partner)s, %(group)s, 0, m.holders, m.suspects, %(now)s
FROM unnest(%(tokens)s::bigint[], %(holders)s::bigint[], %(suspects)s::bigint[]) AS m (token, holders, suspects)
LEFT JOIN indicators_prevalence p ON p.token = m.token AND p.partner_id = %(partner)s
WHERE (coalesce(p.holders, 0), coalesce(p.suspects, 0)) IS DISTINCT FROM (m.holders, m.suspects)
ON CONFLICT (token, partner_id) DO UPDATE
    SET holders = excluded.holders, suspects = excluded.suspects, changed_at = excluded.changed_at
RETURNING token
"""


def _found(group_id: UUID, keys: Sequence[TokenKey], *, asked: bool = False) -> dict[TokenKey, int]:
    with connection.cursor() as cursor:
        cursor.execute(_FIND + (" AND t.asked" if asked else ""), _columns(keys) | {"group": group_id})
        return {keys[place - 1]: token for place, token in cursor.fetchall()}


def _asked(group_id: UUID, keys: Sequence[TokenKey]) -> dict[TokenKey, int]:
    return _found(group_id, keys, asked=True)


# A row for each token that is there: its place among those asked for, and its key. Walks `one_row_per_token_and_group`.
_FIND = """
SELECT sent.place, t.id
FROM unnest(%(subkinds)s::text[], %(schemes)s::text[], %(epochs)s::text[], %(scopes)s::text[], %(values)s::bytea[])
     WITH ORDINALITY AS sent (subkind, scheme, epoch, psp_scope, value, place)
JOIN indicators_evidencetoken t
  ON t.group_id = %(group)s AND t.value = sent.value AND t.subkind = sent.subkind AND t.epoch = sent.epoch
 AND t.scheme = sent.scheme AND t.psp_scope = sent.psp_scope
"""


def _columns(keys: Sequence[TokenKey]) -> dict[str, Any]:
    return {
        "subkinds": [key.subkind for key in keys],
        "schemes": [key.scheme for key in keys],
        "epochs": [key.epoch for key in keys],
        "scopes": [key.psp_scope for key in keys],
        "values": [key.value for key in keys],
    }


def _bucket(count: int) -> str:
    return f"10^{len(str(count)) - 1}" if count else "0"


def asked_page(viewer: Viewer, slug: str, *, after: int, limit: int) -> list[EvidenceToken]:
    """The next of what is asked about, and of what is no more, in order. Raises Forbidden, NotFound, Conflict."""
    contributor = terms.contributor(viewer, slug)
    page = EvidenceToken.objects.filter(group=contributor.group, place__gt=after)
    if after == 0:
        page = page.filter(asked=True)
    return list(page.order_by("place")[:limit])
