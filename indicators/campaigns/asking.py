"""Note which accounts are to be asked again what their rare tokens elect (`electing`): no more than may say otherwise.

What an account elects follows from its pure tokens that few accounts carry: on how many these are, and which of these
are members of which campaign. So when an account comes, goes, or changes its campaign, those that share such a token
with it are asked again, and nobody else: at most `joining.RARE` for each token, however many accounts a group has.
"""

from __future__ import annotations

from collections.abc import Sequence

from indicators.campaigns import joining
from indicators.campaigns.queueing import rows


def ask_those_near(suspects: Sequence[int]) -> None:
    """Accounts that came, or are in another campaign than before: ask who shares a rare token with them."""
    if suspects:
        # A token that these have made a common one voted until now.
        rows(_NEAR, suspects=list(suspects), most=joining.RARE + len(suspects))


def ask_who_carries(tokens: Sequence[int]) -> None:
    """Tokens that count now, count no more, or are on fewer accounts: ask who carries them."""
    if tokens:
        rows(_CARRYING, tokens=list(tokens), most=joining.RARE)


# Of each token the accounts that carry it, where they are few, by `carried_by_token`; then, once, their places by key:
# the CASE is the condition of `placed_to_be_elected`, said so that nobody walks all that are in it.
_ASK = """
UPDATE indicators_placed p SET looked_at = NULL
WHERE p.looked_at IS NOT NULL AND CASE WHEN p.elected THEN true ELSE p.campaign IS NULL END AND p.suspect = ANY (ARRAY(
    SELECT DISTINCT unnest(carrying.suspects) FROM sent CROSS JOIN LATERAL (
        SELECT array_agg(o.suspect) AS suspects FROM (
            SELECT c.suspect FROM indicators_carried c WHERE c.token = sent.token LIMIT %(most)s + 1
        ) o
    ) carrying
    WHERE cardinality(carrying.suspects) <= %(most)s
))
"""
_NEAR = (
    """
WITH sent AS MATERIALIZED (
    SELECT DISTINCT c.token FROM indicators_carried c JOIN indicators_puretoken u ON u.token = c.token
    WHERE c.suspect = ANY(%(suspects)s)
)
"""
    + _ASK
)
_CARRYING = "WITH sent AS MATERIALIZED (SELECT unnest(%(tokens)s::bigint[]) AS token)" + _ASK
