"""Accounts that are in no cluster's campaign: their rare tokens elect one, by the rules of `joining`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from exchange import clock
from indicators.campaigns import joining, purity
from indicators.campaigns.counting import renew
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign

#: What came meanwhile waits for so many.
_ELECTED_AT_ONCE = 50


def elect_some(group_id: UUID) -> bool:
    """Ask the rare tokens of some accounts that are in no campaign; whether there were any to ask."""
    if not Campaign.objects.filter(group=group_id).exists():
        return False
    due = rows(_TO_BE_ASKED, group=group_id, limit=_ELECTED_AT_ONCE)
    if not due:
        return False
    suspects = {suspect: partner for suspect, partner, _ in due}
    was = {suspect: campaign for suspect, _, campaign in due}
    ballots = _ballots(list(suspects))
    elected = {each: joining.elect(lab, ballots.get(each, [])) for each, lab in suspects.items()}
    rows(
        _ELECT,
        now=clock.now(),
        suspects=list(elected),
        campaigns=[one[0] if one else None for one in elected.values()],
        grades=[str(one[1]) if one else "" for one in elected.values()],
    )
    changed = {one[0] if one else None for each, one in elected.items() if (one[0] if one else None) != was[each]}
    changed |= {was[each] for each, one in elected.items() if (one[0] if one else None) != was[each]}
    for campaign in sorted(filter(None, changed), key=str):
        renew(campaign)
    return True


# Any of those that `asking` noted, of each lab one, then of each a second one, and so on: from lab to lab by
# `placed_to_be_asked`, in the order of which `looked_at` stands, though it is NULL throughout.
_TO_BE_ASKED = """
WITH RECURSIVE labs AS (
    (SELECT partner_id FROM indicators_placed
     WHERE group_id = %(group)s AND (campaign IS NULL OR elected) AND looked_at IS NULL
     ORDER BY looked_at, partner_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT p.partner_id FROM indicators_placed p
        WHERE p.group_id = %(group)s AND (p.campaign IS NULL OR p.elected) AND p.looked_at IS NULL
          AND p.partner_id > labs.partner_id
        ORDER BY p.looked_at, p.partner_id LIMIT 1
    ) FROM labs WHERE labs.partner_id IS NOT NULL
)
SELECT next.suspect, labs.partner_id, next.campaign FROM labs CROSS JOIN LATERAL (
    SELECT few.*, row_number() OVER () AS turn FROM (
        SELECT p.suspect, CASE WHEN p.elected THEN p.campaign END AS campaign FROM indicators_placed p
        WHERE p.group_id = %(group)s AND (p.campaign IS NULL OR p.elected) AND p.looked_at IS NULL
          AND p.partner_id = labs.partner_id
        LIMIT %(limit)s
    ) few
) next ORDER BY next.turn LIMIT %(limit)s
"""
_ELECT = """
UPDATE indicators_placed p
SET looked_at = %(now)s, campaign = m.campaign, grade = m.grade, elected = m.campaign IS NOT NULL,
    since = CASE WHEN p.campaign IS DISTINCT FROM m.campaign THEN %(now)s ELSE p.since END
FROM unnest(%(suspects)s::bigint[], %(campaigns)s::uuid[], %(grades)s::text[]) AS m (suspect, campaign, grade)
WHERE p.suspect = m.suspect
"""


def _ballots(suspects: Sequence[int]) -> dict[int, list[joining.Ballot]]:
    """By account, what its rare pure tokens say."""
    tokens_of: dict[int, list[int]] = defaultdict(list)
    carried: dict[int, int] = {}
    joins: dict[int, bool] = {}
    for suspect, token, count, subkind, wide in rows(_RARE, suspects=list(suspects), rare=joining.RARE):
        tokens_of[suspect].append(token)
        carried[token] = count
        joins[token] = purity.role_of(subkind, wide=wide) is not purity.Role.VOTE
    members: dict[int, dict[tuple[UUID, UUID], int]] = defaultdict(dict)
    for token, campaign, partner, count in rows(_MEMBERS, tokens=list(carried)):
        members[token][campaign, partner] = count
    return {
        suspect: [joining.Ballot(carried[token], members[token], joins[token]) for token in tokens if token in members]
        for suspect, tokens in tokens_of.items()
    }


# A row for each account and rare pure token that it carries; on how many accounts that is, is counted once a token.
_RARE = """
WITH held AS MATERIALIZED (
    SELECT c.suspect, c.token FROM indicators_carried c JOIN indicators_puretoken u ON u.token = c.token
    WHERE c.suspect = ANY(%(suspects)s)
), counted AS MATERIALIZED (
    SELECT d.token, n.count FROM (SELECT DISTINCT token FROM held) d CROSS JOIN LATERAL (
        SELECT count(*) FROM (SELECT 1 FROM indicators_carried o WHERE o.token = d.token LIMIT %(rare)s + 1) few
    ) n
)
SELECT held.suspect, held.token, counted.count, t.subkind, t.wide
FROM held JOIN counted ON counted.token = held.token JOIN indicators_evidencetoken t ON t.id = held.token
WHERE counted.count <= %(rare)s
"""
_MEMBERS = """
SELECT c.token, p.campaign, p.partner_id, count(*)
FROM indicators_carried c JOIN indicators_placed p ON p.suspect = c.suspect
WHERE c.token = ANY(%(tokens)s) AND p.campaign IS NOT NULL AND NOT p.elected
GROUP BY c.token, p.campaign, p.partner_id
"""
