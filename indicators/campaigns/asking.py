"""Note which accounts are to be asked again what their rare tokens elect (`electing`): no more than may say otherwise.

What an account elects follows from its pure tokens that few accounts carry: on how many these are, and which of these
are members of which campaign. So when an account comes, goes, or changes its campaign, those that share such a token
with it are asked again, and nobody else: at most `joining.RARE` for each token, however many accounts a group has. A
token that becomes common votes no more; those that it was asked with are asked once (`PureToken.votes`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import connection, transaction

from exchange import clock
from indicators.campaigns import joining
from indicators.campaigns.queueing import rows

#: Of all, so many in a transaction; and how long to wait for those that a worker has just then, in seconds.
_PORTION = 5_000
_PAUSE_S = 0.1


def ask_everybody() -> None:
    """Ask all that may be elected and were asked before this moment. In portions; may be broken off and repeated."""
    before = clock.now()
    for (group_id,) in rows("SELECT DISTINCT group_id FROM indicators_campaign"):
        while rows(_ANY_OF_ALL, group=group_id, before=before):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_SOME_OF_ALL, {"group": group_id, "before": before, "limit": _PORTION})
                done = cursor.rowcount
            if not done:
                time.sleep(_PAUSE_S)


_ANY_OF_ALL = """
SELECT 1 FROM indicators_placed
WHERE group_id = %(group)s AND (campaign IS NULL OR elected) AND looked_at <= %(before)s LIMIT 1
"""
# Workers go on meanwhile: nobody waits here for a row, so that nobody can wait for each other.
_SOME_OF_ALL = """
UPDATE indicators_placed SET looked_at = NULL WHERE suspect = ANY (ARRAY(
    SELECT suspect FROM indicators_placed
    WHERE group_id = %(group)s AND (campaign IS NULL OR elected) AND looked_at <= %(before)s
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
))
"""


def ask_those_near(suspects: Sequence[int]) -> None:
    """Accounts that came, or are in another campaign than before: ask who shares a rare token with them."""
    if suspects:
        rows(_NEAR, suspects=list(suspects), most=joining.RARE)


def ask_who_carries(tokens: Sequence[int]) -> None:
    """Tokens that count now, count no more, or are on fewer accounts: ask who carries them."""
    if tokens:
        rows(_CARRYING, tokens=list(tokens), suspects=[], most=joining.RARE)


# Of each token the accounts that carry it, where they are few; then, once, their places by key: the CASE is the
# condition of `placed_to_be_asked`, said so that nobody walks all that are in it. Of a token that is common, few are
# read (`most` + 1); but once, where it voted until now: who was asked then is among all who carry it.
_ASK = """
, counted AS MATERIALIZED (
    SELECT sent.token, u.votes, carrying.suspects, cardinality(carrying.suspects) <= %(most)s AS few
    FROM sent LEFT JOIN indicators_puretoken u ON u.token = sent.token CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT c.suspect FROM indicators_carried c WHERE c.token = sent.token LIMIT %(most)s + 1
        ) AS suspects
    ) carrying
), noted AS (
    UPDATE indicators_puretoken u SET votes = counted.few FROM counted
    WHERE u.token = counted.token AND u.votes <> counted.few
)
UPDATE indicators_placed p SET looked_at = NULL
WHERE p.looked_at IS NOT NULL AND CASE WHEN p.elected THEN true ELSE p.campaign IS NULL END AND p.suspect = ANY (ARRAY(
    SELECT unnest(%(suspects)s::bigint[])
    UNION SELECT unnest(suspects) FROM counted WHERE few
    UNION SELECT c.suspect FROM counted JOIN indicators_carried c ON c.token = counted.token
    WHERE counted.votes AND NOT counted.few
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
