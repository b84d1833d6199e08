"""Which campaigns of a lab's other groups are joined with one by tokens of the lab's own accounts.

Equal tokens of two groups are made under one key, the exchange's. What is compared is what accounts carried when each
of the two campaigns was told last: so a number moves when its group is told, and never by what others do meanwhile. The
only writer of ToldToken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign, ToldToken

#: Of each lab in a campaign so many tokens are kept, and so many campaigns are named.
MOST_TOKENS = 2_000
MOST_NAMED = 20


class Overlap(NamedTuple):
    """Another campaign, and how many tokens of the lab's own accounts stand in both."""

    campaign: UUID
    own_tokens: int


def keep(one: Campaign) -> bool:
    """Keep what each lab's accounts in a campaign carry now, as it is told; whether that is anything new."""
    if one.state == Campaign.State.ENDED:
        return bool(ToldToken.objects.filter(campaign=one.pk).delete()[0])
    ((came, gone),) = rows(_KEEP, campaign=one.pk, group=one.group_id, most=MOST_TOKENS)
    return bool(came or gone)


# The labs' cores that have accounts in the campaign, by `placed_by_campaign`; of each lab the tokens with the least
# keys, so that of two campaigns the same are kept. Then what is no longer there, and what is new. A value looks random
# and depends on the token's key and subkind, not on its scope.
_KEEP = """
WITH held AS MATERIALIZED (
    SELECT DISTINCT p.partner_id, p.core FROM indicators_placed p WHERE p.campaign = %(campaign)s
), carried AS (
    SELECT DISTINCT held.partner_id,
           ('x' || encode(substr(
               CASE t.psp_scope WHEN '' THEN t.value ELSE sha256(t.value || t.psp_scope::bytea) END, 1, 8
           ), 'hex'))::bit(64)::bigint AS key
    FROM held JOIN indicators_coretoken k ON k.core = held.core JOIN indicators_evidencetoken t ON t.id = k.token
), now AS MATERIALIZED (
    SELECT partner_id, key FROM (
        SELECT partner_id, key, row_number() OVER (PARTITION BY partner_id ORDER BY key) AS place FROM carried
    ) ranked WHERE place <= %(most)s
), gone AS (
    DELETE FROM indicators_toldtoken o WHERE o.campaign = %(campaign)s
        AND NOT EXISTS (SELECT FROM now WHERE now.partner_id = o.partner_id AND now.key = o.key)
    RETURNING 1
), came AS (
    INSERT INTO indicators_toldtoken (campaign, group_id, partner_id, key)
    SELECT %(campaign)s, %(group)s, partner_id, key FROM now ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM came), (SELECT count(*) FROM gone)
"""


def of(partner_id: UUID, campaign: UUID, groups: Sequence[UUID]) -> tuple[list[Overlap], int]:
    """Campaigns of these groups in which tokens of the lab's accounts in a campaign stand, too; how many more are."""
    found = rows(_OVERLAPS, campaign=campaign, partner=partner_id, groups=list(groups), most=MOST_NAMED)
    return [Overlap(pk, count) for pk, count, _ in found], max((more for _, _, more in found), default=0)


# A row for each other campaign, with the number of tokens in both, and of the rows that are left out: the lab's tokens
# in the campaign by their key, then by `told_token_by_lab`.
_OVERLAPS = """
SELECT there.campaign, count(*), greatest(count(*) OVER () - %(most)s, 0)
FROM indicators_toldtoken here
JOIN indicators_toldtoken there
    ON there.partner_id = here.partner_id AND there.key = here.key AND there.group_id = ANY(%(groups)s)
WHERE here.campaign = %(campaign)s AND here.partner_id = %(partner)s
GROUP BY there.campaign ORDER BY count(*) DESC, there.campaign LIMIT %(most)s
"""
