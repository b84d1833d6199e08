"""The change log: appended to in commit order, read forward by cursor.

Writing: `append` takes a short advisory lock as the last step before commit. `seq` and `date_added` are
assigned under it, so no reader that has seen one row can later find a row before it. The lock is released
after the commit is visible (PostgreSQL releases locks last), hence a later writer always numbers after us.
A change becomes a row in each channel of the audience that it concerns (ADR 0031).

Reading: `walking` reads the channels of one reader. The log says where to look; whether a reader is told of a change,
its holding says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from exchange import incarnation
from exchange.errors import Gone
from exchange.sql import Message
from indicators import living, matching
from indicators.feeds.filters import Filter
from indicators.log import traits, walking
from indicators.matching import Match
from indicators.models import Change
from indicators.opinions import standing
from indicators.stored import Version
from indicators.values import carrying, overlapping
from partners.sources import hides, known_as
from partners.viewer import Viewer

#: Key of the advisory lock that orders the log: "chgs".
ORDER_LOCK = 0x63686773
#: So many rows of its own log a reader's request looks at, at most, for what a filter picks.
_MOST_LOOKED_AT = 50_000
#: So many objects the matches of one page name, at most; a change with more has a page of its own.
_MOST_ENDS = 10_000


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change before it has its place in the log: told to an audience, but for those whom another reaches as well."""

    holding_id: int
    version_id: int
    audience_id: int
    op: Change.Op
    reason: Change.Reason
    again: bool = False
    but: int | None = None


def remove(held: Version, reason: Change.Reason, *, but: int | None = None) -> list[NewChange]:
    """What tells those who see a holding, by its newest version, that they do not any more; nothing if it has ended."""
    if not living.lives(held.state):
        return []
    return [NewChange(held.holding_id, held.object_id, held.audience_id, Change.Op.REMOVE, reason, but=but)]


def removes(holdings: Iterable[Version | None], reason: Change.Reason) -> list[NewChange]:
    """The same of several holdings; where there is none, of none."""
    return [change for held in holdings if held is not None for change in remove(held, reason)]


class Entry(NamedTuple):
    """One value of a blocklist."""

    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str


class Told(NamedTuple):
    """One change as its reader sees it; `body` is None for a remove."""

    seq: int
    date_added: datetime
    op: str
    reason: str
    stix_id: str
    stix_type: str
    kind: str | None
    publisher_id: UUID
    publisher_name: str
    tlp: int
    confidence: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    group_id: UUID | None  # through which it is or was seen, and how its publisher is shown there
    attribution: int
    version_id: int
    linked: bool  # whether it may be the later object of a match
    entries: tuple[Entry, ...]
    body: str | None
    matches: tuple[Match, ...] = ()  # of which it is the later object


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the log as one viewer sees it. `reached` is where the next one starts."""

    changes: list[Told]
    reached: int
    more: bool


def append(changes: Sequence[NewChange], *, within: Message | None = None) -> None:
    """Give each change its place in the log, with `within` when that message is sent.

    Last in the transaction: the lock is held until commit.
    """
    if not changes:
        return
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a change is appended in the transaction that makes it")
    message = within or Message()
    carrying.note_sources([one.holding_id for one in changes if one.op == Change.Op.UPSERT], within=message)
    message.add(_LOCK, [ORDER_LOCK])
    message.add(
        _APPEND_GIVEN,
        {
            "holdings": [change.holding_id for change in changes],
            "versions": [change.version_id for change in changes],
            "audiences": [change.audience_id for change in changes],
            "buts": [change.but or 0 for change in changes],
            "ops": [change.op.value for change in changes],
            "reasons": [change.reason.value for change in changes],
            "agains": [change.again for change in changes],
        },
    )
    if within is None:
        message.send()


def append_found(query: str, parameters: Mapping[str, Any]) -> int:
    """Give each change that `query` finds its place in the log; returns how many. To be called as `append` is.

    The query selects `holding, version, channels, tlp, op, reason, again, place`, places from 1 on without gaps; it
    begins after the lock is held.
    """
    lock()
    with connection.cursor() as cursor:
        cursor.execute(_append(query), parameters)
        return int(cursor.fetchone()[0])


def lock() -> None:
    """Let nobody append until this transaction ends: what is asked from now on is what the next change will find."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [ORDER_LOCK])


def head() -> int:
    """The last place of the log; 0 when it is empty. Not for readers: it tells how much others publish."""
    with connection.cursor() as cursor:
        cursor.execute(walking.END)
        return int(cursor.fetchone()[0])


def own_end(viewer: Viewer, *, up_to: int = walking.NOWHERE) -> int:
    """The last place of the log as the viewer sees it, up to a place of the whole log; 0 where there is nothing.

    A beginner holds nothing up to it.
    """
    found = walking.at_once(viewer, _OWN_END, {"up_to": up_to}, limit=1).page
    return int(found[0][0])


def since(
    viewer: Viewer,
    wanted: Filter,
    *,
    after: int,
    limit: int,
    fresh_until: int = 0,
    max_bytes: int | None = None,
    matched: bool = True,
) -> Span:
    """The changes that `viewer` should apply, in order, at most `limit`, after place `after`.

    An upsert is told if it is what the holding says now: its newest version, living, and visible. A remove is told if
    the viewer does not see the holding live now; but for those up to `fresh_until`, the end of its log when a reader
    that holds nothing began: what they remove was never told to it. `max_bytes` bounds the sum of the bodies: the
    span ends with the object that reaches it. What was revised or judged and no longer fits, or is disarmed for the
    viewer, is told as a remove. One query, and more where a filter leaves out many; up to four more for the matches of
    the upserts (`matched`), whose objects bound the span, too.

    `reached` is a place of the viewer's own, whatever others publish: where there was nothing, it is `after`. Raises
    Gone (`start-over`) where the log ends before `after`, or a remove that was to be told was pruned, Refused where the
    filter cannot be followed.
    """
    conditions, parameters = wanted.followable().sql(viewer)
    hears = walking.SEES.format(audience="s.audience_id")
    disarmed = standing.is_disarmed(by_standing=not wanted.says_standing, hears=hears)
    sql = walking.statement(_CHANNELS, _STRETCH, _TOLD.format(conditions=conditions, disarmed=disarmed))
    found = walking.walk(
        viewer,
        sql,
        {**parameters, "fresh": fresh_until},
        after=after,
        limit=limit,
        max_bytes=max_bytes,
        most=_MOST_LOOKED_AT,
    )
    if max(after, fresh_until) > found.head:  # restored to an earlier point, and nobody said so
        raise incarnation.start_over()
    if found.lost > max(after, fresh_until):
        raise Gone("You were away too long. Start over without a cursor.", code="start-over")
    reached = after if found.reached is None else found.reached
    told = _sourced(viewer, [_told(row) for row in found.page])
    told = _matched(viewer, told) if matched else told
    fits = _fitting(told)
    if fits < len(told):
        return Span(told[:fits], reached=told[fits - 1].seq, more=True)
    return Span(told, reached=reached, more=found.more)


def _fitting(told: Sequence[Told]) -> int:
    """How many of these fit on one page by what their matches name; the first does in any case."""
    named = accumulate(sum(len(match.ends) for match in one.matches) for one in told)
    return max(1, sum(so_far <= _MOST_ENDS for so_far in named)) if told else 0


def is_urgent(told: Iterable[Told]) -> bool:
    """Whether a subscriber should look at once: something that it may enforce is not to be enforced any more."""
    return any(change.op == Change.Op.REMOVE for change in told)


def hint_of(told: Told) -> dict[str, Any]:
    """What webhooks and events say of a change: what happened to which id, and with what it has something in common."""
    hint: dict[str, Any] = {
        "op": told.op,
        "reason": told.reason,
        "id": told.stix_id,
        "type": told.stix_type,
        "kind": told.kind,
    }
    if told.matches:
        hint["matches"] = [
            {"domain": found.domain, "ids": sorted({end.stix_id for end in found.ends})} for found in told.matches
        ]
    return hint


def _told(row: tuple[Any, ...]) -> Told:
    return Told._make((*row[:-2], tuple(map(Entry._make, row[-2] or ())), row[-1], ()))


def _matched(viewer: Viewer, told: list[Told]) -> list[Told]:
    """The same, each with the matches of which it is the later object. No query where none may be."""
    found = matching.beside(viewer, [(one.seq, one.date_added, one.version_id) for one in told if one.linked])
    return [one._replace(matches=tuple(found[one.seq])) if one.seq in found else one for one in told]


def _sourced(viewer: Viewer, told: list[Told]) -> list[Told]:
    """The same, each with the source that the viewer is told."""
    veiled = [one for one in told if hides(viewer, publisher_id=one.publisher_id, attribution=one.attribution)]
    if not veiled:
        return told
    known = known_as({(one.publisher_id, one.attribution, one.group_id) for one in veiled})
    shown = {one.seq: known[one.publisher_id, one.attribution, one.group_id] for one in veiled}
    return [
        one._replace(publisher_id=shown[one.seq].id, publisher_name=shown[one.seq].name) if one.seq in shown else one
        for one in told
    ]


_CHANNELS = walking.channels(closed=True)
_STRETCH = walking.stretch(which=walking.ALL_OF_IT)

# A row for each change of the stretch that is told, as `Told` has it. Both holding and version are found by their keys.
# What was revised or judged and does not fit any more is removed: an earlier version may have fitted.
_TOLD = f"""
SELECT c.seq, c.date_added, CASE WHEN o.fits THEN c.op ELSE 'remove' END,
       CASE WHEN o.fits THEN c.reason WHEN o.disarmed THEN 'disputed' ELSE 'filtered' END,
       h.stix_id, h.stix_type, o.kind, h.publisher_id, p.name,
       CASE WHEN c.op = 'upsert' THEN h.tlp ELSE c.tlp END, o.confidence, o.valid_from, o.valid_until,
       CASE WHEN c.op = 'upsert' THEN h.groups[1] ELSE c.via END, h.attribution, c.version_id, c.linked,
       CASE WHEN c.op = 'upsert' AND o.fits THEN o.entries END AS entries,
       CASE WHEN c.op = 'upsert' AND o.fits THEN o.body END AS body
FROM raw c
CROSS JOIN LATERAL (
    SELECT h.*, a.tlp, a.groups, a.attribution,
           {living.LIVES} AND a.channels && (SELECT array_agg(mine.channel) FROM mine WHERE mine.until IS NULL) AS seen
    FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
    WHERE h.id = c.holding_id LIMIT 1
) h
CROSS JOIN LATERAL (
    SELECT o.kind, o.confidence, o.valid_from, o.valid_until, o.body, judged.disarmed,
           filtered.fits AND NOT judged.disarmed AS fits,
           (SELECT array_agg(ARRAY[coalesce(o.kind, h.stix_type), k.subkind, v.scheme, coalesce(e.name, ''), v.value]
                             ORDER BY k.place)
            FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
            LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
            WHERE k.holding_id = c.holding_id AND {carrying.IS_LISTED}) AS entries
    FROM indicators_stixobject o
    CROSS JOIN LATERAL (SELECT TRUE {{conditions}} AS fits OFFSET 0) filtered
    CROSS JOIN LATERAL (SELECT c.op = 'upsert' AND {{disarmed}} AS disarmed OFFSET 0) judged
    WHERE o.id = c.version_id
      AND CASE WHEN c.op = 'upsert' THEN h.seen AND h.newest_id = o.id AND {walking.LAST}
               ELSE c.seq > %(fresh)s AND NOT h.seen END
      AND (filtered.fits AND NOT judged.disarmed
           OR c.op = 'upsert' AND c.reason IN ('revised', 'judged') AND c.seq > %(fresh)s)
    LIMIT 1
) o
JOIN partners_partner p ON p.id = h.publisher_id
ORDER BY c.seq LIMIT %(limit)s
"""
_OWN_END = walking.statement(
    _CHANNELS,
    None,
    f"""
SELECT coalesce(greatest(max(last.seq), least(max(mine.lost), %(up_to)s)), 0) AS seq, ''::text AS body
FROM mine LEFT JOIN LATERAL (
    SELECT c.seq FROM indicators_change c
    WHERE c.channel = mine.channel AND c.seq > mine.since AND c.seq <= least(mine.until, %(up_to)s)
      AND {walking.ALL_OF_IT}
    ORDER BY c.seq DESC LIMIT 1
) last ON true
""",
)

_LOCK = "SELECT pg_advisory_xact_lock(%s)"

# One row: how many changes there were; who waits is woken at the commit. The end of the log is the last commit; under
# the order lock nobody makes another.
_APPEND = """
WITH found AS MATERIALIZED ({new}), shared AS MATERIALIZED (
    SELECT found.*, found.op = 'upsert' AND {linked} AS linked FROM found
), new AS MATERIALIZED (
    SELECT shared.*, CASE WHEN shared.op = 'upsert' OR shared.reason = 'revoked' THEN (
        SELECT {words} FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id
        JOIN partners_audience a ON a.id = h.audience_id WHERE o.id = shared.version) END AS words
    FROM shared
), last AS MATERIALIZED (
    SELECT coalesce(end_.last_seq, 0) AS seq, greatest(clock_timestamp(), end_.date_added) AS moment
    FROM (SELECT) one LEFT JOIN LATERAL (
        SELECT last_seq, date_added FROM indicators_commit ORDER BY last_seq DESC LIMIT 1) end_ ON true
), ended AS (
    INSERT INTO indicators_commit (last_seq, date_added)
    SELECT last.seq + max(new.place), last.moment + max(new.place) * interval '1 microsecond'
    FROM new CROSS JOIN last GROUP BY last.seq, last.moment
), told AS (
    INSERT INTO indicators_change (channel, seq, date_added, holding_id, version_id, op, reason, tlp, again, linked,
                                   traits)
    SELECT told_in.channel, last.seq + new.place, last.moment + new.place * interval '1 microsecond',
           new.holding, new.version, new.op, new.reason, new.tlp, new.again, new.linked,
           CASE WHEN new.words IS NOT NULL THEN {numbers} END
    FROM new CROSS JOIN last CROSS JOIN LATERAL unnest(new.channels) told_in(channel)
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('exchange_changes', '')::text END FROM new
"""

# Each audience is found by its key: another plan would read all that there are, under the lock.
_GIVEN = """
SELECT given.holding, given.version, a.tlp, given.op, given.reason, given.again, given.place,
       CASE WHEN given.but = 0 THEN a.channels
            ELSE ARRAY(SELECT unnest(a.channels)
                       EXCEPT SELECT unnest(b.channels) FROM partners_audience b WHERE b.id = given.but) END AS channels
FROM unnest(%(holdings)s::bigint[], %(versions)s::bigint[], %(audiences)s::bigint[], %(buts)s::bigint[],
            %(ops)s::text[], %(reasons)s::text[], %(agains)s::boolean[])
     WITH ORDINALITY AS given(holding, version, audience, but, op, reason, again, place)
CROSS JOIN LATERAL (SELECT a.tlp, a.channels FROM partners_audience a WHERE a.id = given.audience LIMIT 1) a
"""


def _append(new: str) -> str:
    return _APPEND.format(
        new=new,
        linked=f"({carrying.IS_SHARED} OR {overlapping.IS_OVERLAPPED})",
        words=traits.words_of(matched=f"shared.linked OR {traits.MAY_OVERLAP}"),
        numbers=traits.of_row("new.words", "told_in.channel", "(last.seq + new.place)"),
    )


_APPEND_GIVEN = _append(_GIVEN)
