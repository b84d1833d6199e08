"""Link indicators of different partners that carry the same token. The only writer of Match."""

from uuid import UUID

from django.db import connection

from exchange import hints
from exchange.celery import app
from exchange.lists.lines import COMPARED
from indicators import changes, following
from indicators.models import Match
from indicators.stix.drafts import MATCH_ONLY

_PAGE = 1_000


def find(*, after: int, limit: int = _PAGE) -> int:
    """Match the objects of the next `limit` changes after place `after`; yields the place reached.

    A new indicator is linked to the newest one of each other publisher that has the token, so that one
    publisher's many repetitions of a value cannot multiply links. A source is what readers are told: what a publisher
    says without its name is linked with what it says under its name, and what two say as the exchange is not linked.
    Were it otherwise, a link, or a missing one, would tell who it is.
    """
    end = changes.head()  # which may be the place of a change that nobody is told of
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"after": after, "end": end, "limit": limit})
        count, reached = cursor.fetchone()
    return int(reached) if count == limit else end


def _compared(domain: str) -> str:
    """What a value is compared as, by its domain (`exchange.lists`), as an SQL expression."""
    listed = " ".join(f"WHEN '{name}' THEN '{meaning}'" for name, meaning in sorted(COMPARED.items()))
    return f"CASE {domain} {listed} ELSE {domain} END"


#: Whom a statement is told to come from: what one source says twice is no match, and who hides must not show by it.
_SOURCE = """
CASE {a}.attribution WHEN 0 THEN {a}.publisher_id::text
     WHEN 1 THEN {a}.publisher_id::text || ':' || coalesce({a}.groups[1]::text, '') ELSE '' END
"""

# One row: how many changes there were, and the place of the last. Each value of the page is looked up once
# (`token_by_value`), and its newest statement of each source kept, before anything is paired: pairing first costs the
# square of a value's repetitions.
# Data-modifying parts of a WITH run to completion whether or not they are read.
_FIND = f"""
WITH page AS (
    SELECT c.seq, c.holding_id, c.version_id AS object_id, c.op FROM partners_channel own CROSS JOIN LATERAL (
        SELECT * FROM indicators_change c
        WHERE c.channel = own.id AND c.seq > %(after)s AND c.seq <= %(end)s ORDER BY c.seq LIMIT %(limit)s
    ) c WHERE own.reach = 'own' ORDER BY c.seq LIMIT %(limit)s
), mine AS MATERIALIZED (
    SELECT DISTINCT t.id, t.object_id, {_compared("t.domain")} AS domain, t.scheme, t.key_epoch, t.value,
           {_SOURCE.format(a="a")} AS source, t.suppressed_by = '{MATCH_ONLY}' AS aside
    FROM page
    JOIN indicators_holding h ON h.id = page.holding_id AND h.newest_id = page.object_id AND h.state <> 'revoked'
    JOIN partners_audience a ON a.id = h.audience_id
    JOIN indicators_token t ON t.object_id = page.object_id
    WHERE page.op = 'upsert'
), asked AS MATERIALIZED (
    SELECT DISTINCT domain, scheme, key_epoch, value FROM mine
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (asked.domain, asked.scheme, asked.key_epoch, asked.value, source, aside)
           asked.*, {_SOURCE.format(a="q")} AS source, t.suppressed_by = '{MATCH_ONLY}' AS aside, t.object_id
    FROM asked
    JOIN indicators_token t
      ON hashtextextended(t.value, 0) = hashtextextended(asked.value, 0) AND t.value = asked.value
     AND {_compared("t.domain")} = asked.domain AND t.scheme = asked.scheme AND t.key_epoch = asked.key_epoch
    JOIN indicators_stixobject p ON p.id = t.object_id
    JOIN indicators_holding g ON g.id = p.holding_id AND g.newest_id = p.id AND g.state <> 'revoked'
    JOIN partners_audience q ON q.id = g.audience_id
    ORDER BY asked.domain, asked.scheme, asked.key_epoch, asked.value, source, aside, t.object_id DESC
), pairs AS (
    SELECT mine.object_id AS one, newest.object_id AS other, mine.domain
    FROM mine JOIN newest USING (domain, scheme, key_epoch, value)
    WHERE newest.source <> mine.source AND newest.object_id <> mine.object_id AND NOT (newest.aside AND mine.aside)
), linked AS (
    INSERT INTO indicators_match (left_id, right_id, basis, domain)
    SELECT DISTINCT least(one, other), greatest(one, other), 'token', domain FROM pairs
    ON CONFLICT DO NOTHING
)
SELECT count(*), max(seq) FROM page
"""


def forget_own(publisher_id: UUID) -> None:
    """Unlink objects that have come into the same hands."""
    Match.unrestricted.filter(left__holding__publisher=publisher_id, right__holding__publisher=publisher_id).delete()


def hint() -> None:
    """Ask a worker to look at the log; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.matching.catch_up")
def catch_up() -> None:
    """Match everything that has not been matched yet."""
    following.follow("matching.tokens", lambda after: find(after=after))
