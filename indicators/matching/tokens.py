"""Link indicators of different partners that carry the same token. The only writer of Match."""

from uuid import UUID

from django.db import connection

from exchange import hints
from exchange.celery import app
from exchange.lists.lines import COMPARED
from indicators import following
from indicators.models import Match

_PAGE = 1_000


def find(*, after: int, limit: int = _PAGE) -> int:
    """Match the objects of the next `limit` changes after place `after`; yields the place reached.

    A new indicator is linked to the newest one of each other publisher that has the token, so that one
    publisher's many repetitions of a value cannot multiply links. A source is what readers are told: what a publisher
    says without its name is linked with what it says under its name, and what two say as the exchange is not linked.
    Were it otherwise, a link, or a missing one, would tell who it is.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"after": after, "limit": limit})
        (reached,) = cursor.fetchone()
    return after if reached is None else int(reached)


def _compared(domain: str) -> str:
    """What a value is compared as, by its domain (`exchange.lists`), as an SQL expression."""
    listed = " ".join(f"WHEN '{name}' THEN '{meaning}'" for name, meaning in sorted(COMPARED.items()))
    return f"CASE {domain} {listed} ELSE {domain} END"


#: Whom a statement is told to come from: what one source says twice is no match, and who hides must not show by it.
_SOURCE = """
CASE {a}.attribution WHEN 0 THEN {t}.publisher_id::text
     WHEN 1 THEN {t}.publisher_id::text || ':' || coalesce({a}.groups[1]::text, '') ELSE '' END
"""

# Data-modifying parts of a WITH run to completion whether or not they are read.
_FIND = f"""
WITH page AS (
    SELECT seq, object_id, op FROM indicators_change WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s
), pairs AS (
    SELECT DISTINCT ON (mine.id, {_SOURCE.format(a="q", t="theirs")})
           mine.object_id AS one, theirs.object_id AS other, {_compared("mine.domain")} AS domain
    FROM page
    JOIN indicators_stixobject o ON o.id = page.object_id AND o.latest AND NOT o.revoked
    JOIN partners_audience a ON a.id = o.audience_id
    JOIN indicators_token mine ON mine.object_id = o.id
    JOIN indicators_token theirs
      ON hashtextextended(theirs.value, 0) = hashtextextended(mine.value, 0)
     AND {_compared("theirs.domain")} = {_compared("mine.domain")}
     AND theirs.value = mine.value AND theirs.scheme = mine.scheme AND theirs.key_epoch = mine.key_epoch
     AND theirs.object_id <> mine.object_id
    JOIN indicators_stixobject p ON p.id = theirs.object_id AND p.latest AND NOT p.revoked
    JOIN partners_audience q ON q.id = p.audience_id
    WHERE page.op = 'upsert' AND {_SOURCE.format(a="q", t="theirs")} <> {_SOURCE.format(a="a", t="mine")}
    ORDER BY mine.id, {_SOURCE.format(a="q", t="theirs")}, theirs.object_id DESC
), linked AS (
    INSERT INTO indicators_match (left_id, right_id, basis, domain)
    SELECT DISTINCT least(one, other), greatest(one, other), 'token', domain FROM pairs
    ON CONFLICT DO NOTHING
)
SELECT max(seq) FROM page
"""


def forget_own(publisher_id: UUID) -> None:
    """Unlink objects that have come into the same hands."""
    Match.unrestricted.filter(left__publisher=publisher_id, right__publisher=publisher_id).delete()


def hint() -> None:
    """Ask a worker to look at the log; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.matching.catch_up")
def catch_up() -> None:
    """Match everything that has not been matched yet."""
    following.follow("matching.tokens", lambda after: find(after=after))
