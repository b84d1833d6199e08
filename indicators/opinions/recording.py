"""Follow the log for opinions: keep one of each partner on each holding, and tell those who hear it that it was judged.

An opinion is published, revised, readdressed and withdrawn like every object; what it does follows from what it is now.
Only this module writes Opinion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from exchange import clock, hints
from exchange.celery import app
from exchange.stix import words
from indicators.log import changes, following
from indicators.models import Change, Holding, Opinion, Reference
from indicators.opinions import about
from indicators.telling import notifying
from partners.keys import auth

_PAGE = 1_000
#: Places that a step looks at, in times of what it takes at most.
_STRETCH = 8
#: Lone dissents of a partner on holdings of one publisher that count within a day.
MOST_ALONE = 20
_DAY = timedelta(days=1)
SAYS = {"strongly-agree": 1, "agree": 1, "neutral": 0, "disagree": -1, "strongly-disagree": -1}


@dataclass(frozen=True, slots=True)
class _Said:
    """What an opinion says now, of which holdings; of nothing where it has ended."""

    says: int
    reason: str
    place: int
    judged: tuple[Holding, ...]
    named: tuple[str, ...] = ()  # the ids that it names


def record(said_by: int, *, actor: str = "") -> None:
    """Bring what is kept of an opinion, by the key of its holding, to what it says now. Last in a transaction."""
    _tell(_brought([said_by], actor=actor))


def _brought(said_by: Collection[int], *, actor: str = "") -> set[tuple[int, int]]:
    """The same of several, before anybody is told; returns what is to be told, to whom: holdings and audiences.

    Locks are taken in one order by all: first all rows of opinions, then all shares of dissents, last the log's.
    """
    rows = Holding.unrestricted.select_for_update(no_key=True, of=("self",)).select_related("audience", "newest")
    found = [(opinion, _said(opinion)) for opinion in rows.filter(pk__in=said_by).order_by("pk")]
    _take_shares(found)
    return {told for opinion, said in found for told in _kept(opinion, said, actor=actor)}


def _kept(opinion: Holding, said: _Said, *, actor: str) -> set[tuple[int, int]]:
    """Keep what one opinion says; returns what is to be told, to whom."""
    before = {row.holding_id: row for row in Opinion.unrestricted.filter(said_by=opinion)}
    judged = {holding.pk: holding for holding in said.judged}
    told: set[tuple[int, int]] = set()
    # What is taken back was right or wrong all the same, and its publisher may bring it back.
    kept = Holding.unrestricted.filter(pk__in=set(before) - set(judged), newest=None, stix_id__in=said.named)
    gone = set(before) - set(judged) - set(kept.values_list("pk", flat=True))
    for holding_id in gone:
        told.add((holding_id, before[holding_id].audience_id))
    Opinion.unrestricted.filter(said_by=opinion, holding__in=gone).delete()
    for holding in judged.values():
        row = before.get(holding.pk)
        if row is not None and _is_same(row, said):
            told |= _moved(row, opinion)
            continue
        if row is None and _says_newer(holding, opinion, said):
            continue
        told |= {(holding.pk, opinion.audience_id)} | ({(holding.pk, row.audience_id)} if row else set())
        _keep(holding, opinion, said, actor=actor)
    return told


def _says_newer(holding: Holding, opinion: Holding, said: _Said) -> bool:
    """Whether its partner says something newer of the holding by another opinion: recorded anew is not said anew."""
    newer = Opinion.unrestricted.filter(holding=holding, partner=opinion.publisher_id, place__gt=said.place)
    return newer.filter(said_by__state=Holding.State.LIVE, said_by__newest__isnull=False).exists()


def _moved(row: Opinion, opinion: Holding) -> set[tuple[int, int]]:
    """Keep who hears it now, where that changed: when it was given, by whom, and whether it counts alone stays."""
    before = row.audience_id
    if before == opinion.audience_id:
        return set()
    Opinion.unrestricted.filter(pk=row.pk).update(audience=opinion.audience_id)
    return {(row.holding_id, before), (row.holding_id, opinion.audience_id)}


def _keep(holding: Holding, opinion: Holding, said: _Said, *, actor: str) -> None:
    """One of each partner on each holding: what it said before gives way."""
    alone = said.says >= 0 or _lone_today(opinion.publisher_id, holding) < MOST_ALONE
    Opinion.unrestricted.update_or_create(
        holding=holding,
        partner_id=opinion.publisher_id,
        defaults={
            "said_by": opinion,
            "audience_id": opinion.audience_id,
            "says": said.says,
            "reason": said.reason,
            "place": said.place,
            "alone": alone,
            "actor": actor,
            "at": clock.now(),
        },
    )


def _take_shares(found: Iterable[tuple[Holding, _Said]]) -> None:
    """Of one partner's dissents against one publisher, whose day's share is counted, one counts at a time."""
    shares = {(opinion, holding) for opinion, said in found if said.says < 0 for holding in said.judged}
    words = sorted({f"dissents {opinion.publisher_id} {holding.publisher_id}" for opinion, holding in shares})
    if words:
        with connection.cursor() as cursor:
            cursor.execute(_ONE_AT_A_TIME, [words])


# A lock for each of these words, in their order.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(word, 0)) FROM unnest(%s::text[]) AS word"


def _lone_today(partner_id: UUID, holding: Holding) -> int:
    """How many of the publisher's other holdings the partner dissents from since a day, by itself where need be."""
    return (
        Opinion.unrestricted.filter(
            partner=partner_id,
            says__lt=0,
            alone=True,
            holding__publisher=holding.publisher_id,
            at__gt=clock.now() - _DAY,
        )
        .exclude(holding=holding)
        .count()
    )


def _is_same(row: Opinion, said: _Said) -> bool:
    return (row.says, row.reason, row.place) == (said.says, said.reason, said.place)


def _said(opinion: Holding) -> _Said:
    """Of one that has ended, or is given without a name, nothing."""
    nothing = _Said(0, "", 0, ())
    newest = opinion.newest
    if newest is None or opinion.state != Holding.State.LIVE or opinion.audience.attribution:
        return nothing
    said: Mapping[str, Any] = orjson.loads(newest.body)
    word = said.get("opinion")
    if not isinstance(word, str) or word not in SAYS:
        return nothing
    refs = Reference.unrestricted.filter(version=newest.pk, path__startswith="/object_refs/")
    named = sorted(set(refs.values_list("target_id", flat=True)))
    return _Said(SAYS[word], reason_in(said), newest.pk, _judged(opinion, named), tuple(named))


def reason_in(said: Mapping[str, Any]) -> str:
    """The reason of an opinion, by its object; empty where it has none of ours."""
    extensions = said.get("extensions")
    extension = extensions.get(words.OPINION_EXTENSION_ID) if isinstance(extensions, dict) else None
    reason = extension.get("reason") if isinstance(extension, dict) else None
    known = (*words.REASONS, *words.REASONS_OF_CAMPAIGNS)
    return reason if isinstance(reason, str) and reason in known else ""


def _judged(opinion: Holding, named: Sequence[str]) -> tuple[Holding, ...]:
    """The holdings that it names, as its giver sees them, or would, were it not suspended: then it counts again."""
    giver = auth.viewer_whatever_state(opinion.publisher_id)
    return about.meant(giver, named)


def _tell(judged: set[tuple[int, int]]) -> None:
    """Tell those who hear an opinion, and see what it judges, to look at it anew. Last in the transaction."""
    holdings = Holding.unrestricted.in_bulk({holding for holding, _ in judged})
    news = [
        changes.NewChange(
            holding_id,
            newest,
            audience_id,
            Change.Op.UPSERT,
            Change.Reason.JUDGED,
            again=True,
        )
        for holding_id, audience_id in sorted(judged)
        if (newest := holdings[holding_id].newest_id) is not None and holdings[holding_id].state == Holding.State.LIVE
    ]
    changes.append(news)
    if news:
        transaction.on_commit(notifying.hint, robust=True)


def hand_over(became: Mapping[int, int], *, heir_id: UUID) -> None:
    """Have opinions on holdings be on those of the heir that took their place, by key; but for the heir's own."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, [list(became), list(became.values()), heir_id])


_HAND_OVER = """
UPDATE indicators_opinion j SET holding_id = new.heirs
FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, heirs) WHERE j.holding_id = new.id AND j.partner_id <> %s
"""


def tell(rows: Iterable[Opinion]) -> None:
    """Have those who hear these opinions look at what they judge anew. Last in the transaction."""
    _tell({(row.holding_id, row.audience_id) for row in rows})


def count_alone(row: Opinion) -> None:
    """Have a dissent count by itself, and tell of it. Last in the transaction."""
    Opinion.unrestricted.filter(pk=row.pk).update(alone=True)
    tell([row])


def find(*, after: int, limit: int = _PAGE) -> int:
    """Record the opinions among the next `limit` changes after place `after`; returns the place reached.

    Whoever comes to hear an opinion, or hears it no more, is told to look at what it judges.
    """
    # The head may be the place of a change that nobody is told of. After a backlog each step looks at a stretch alone.
    end = min(changes.head(), after + _STRETCH * limit)
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"after": after, "end": end, "limit": limit})
        count, last, found = cursor.fetchone()
    reached = int(last) if count == limit else end
    _tell(_brought(found or ()))
    where = {"after": after, "end": reached}
    with connection.cursor() as cursor:
        cursor.execute(_ANY_TOLD, where)
        told_anew = cursor.fetchone()[0]
    if told_anew:  # as a rule nobody's sight changed, and all who publish would wait for the lock
        changes.append_found(_HEARD_ANEW, where)
        transaction.on_commit(notifying.hint, robust=True)
    return reached


# One row: how many rows of changes there were, the place of the last, and the holdings of opinions among them. A change
# has a row in each channel where it is told: what goes to other readers without new bytes is told to those alone.
_FIND = """
SELECT count(*), max(c.seq), array_agg(DISTINCT h.id) FILTER (WHERE h.stix_type = 'opinion')
FROM (
    SELECT c.seq, c.holding_id FROM partners_channel k CROSS JOIN LATERAL (
        SELECT * FROM indicators_change c
        WHERE c.channel = k.id AND c.seq > %(after)s AND c.seq <= %(end)s ORDER BY c.seq LIMIT %(limit)s
    ) c WHERE k.reach <> 'told' ORDER BY c.seq LIMIT %(limit)s
) c JOIN indicators_holding h ON h.id = c.holding_id
"""
# One row: whether anything was told to one partner alone.
_ANY_TOLD = """
SELECT EXISTS (
    SELECT FROM partners_channel told CROSS JOIN LATERAL (
        SELECT FROM indicators_change c
        WHERE c.channel = told.id AND c.seq > %(after)s AND c.seq <= %(end)s LIMIT 1) c
    WHERE told.reach = 'told')
"""
# A new change for each holding that is judged by an opinion of which one partner's sight changed, in the channel where
# that partner was told so.
_HEARD_ANEW = """
SELECT found.*, row_number() OVER (ORDER BY found.holding) AS place
FROM (
    SELECT DISTINCT j.holding_id AS holding, h.newest_id AS version, ARRAY[told.id] AS channels, a.tlp,
           'upsert' AS op, 'judged' AS reason, TRUE AS again
    FROM partners_channel told CROSS JOIN LATERAL (
        SELECT c.holding_id FROM indicators_change c
        WHERE c.channel = told.id AND c.seq > %(after)s AND c.seq <= %(end)s
    ) c
    JOIN indicators_opinion j ON j.said_by_id = c.holding_id
    JOIN indicators_holding h ON h.id = j.holding_id AND h.state = 'live'
    JOIN partners_audience a ON a.id = h.audience_id
    WHERE told.reach = 'told'
) found
"""


def hint() -> None:
    """Ask a worker to look at the log; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.opinions.recording.catch_up")
def catch_up() -> None:
    """Record every opinion that has not been recorded yet."""
    if following.follow("opinions", lambda after: find(after=after)):
        hints.SENDER.send_soon(catch_up)


def recorded(said_by: int, *, actor: str) -> None:
    """The same for one opinion, at once, so that whoever gave it finds it done."""
    with transaction.atomic():
        record(said_by, actor=actor)
