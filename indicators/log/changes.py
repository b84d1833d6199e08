"""The change log, read forward by cursor; it is appended to in commit order (`appending`).

Reading: `walking` reads the channels of one reader. The log says where to look; whether a reader is told of a change,
its holding says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from exchange import incarnation
from exchange.errors import Gone
from indicators import living, matching
from indicators.feeds.filters import Filter
from indicators.log import walking
from indicators.log.appending import ORDER_LOCK, NewChange, append, append_found, lock, remove, removes
from indicators.matching import Match
from indicators.models import Change
from indicators.opinions import standing
from indicators.values import carrying
from partners.attribution import Attribution
from partners.sources import hides, known_as
from partners.viewer import Viewer

__all__ = [
    "ORDER_LOCK",
    "NewChange",
    "Span",
    "Told",
    "append",
    "append_found",
    "head",
    "hint_of",
    "is_urgent",
    "lock",
    "own_end",
    "remove",
    "removes",
    "since",
]
#: So many rows of its own log a reader's request looks at, at most, for what a filter picks.
_MOST_LOOKED_AT = 50_000
#: So many objects the matches of one page name, at most; a change with more has a page of its own.
_MOST_ENDS = 10_000


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
    group_id: UUID | None  # to which it is or was addressed, and how its publisher is shown there
    attribution: int
    version_id: int
    linked: bool  # whether it may be the later object of a match
    entries: str  # of lists, as JSON: kind, subkind, scheme, key_epoch and value of each
    body: str | None
    matches: tuple[Match, ...] = ()  # of which it is the later object


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the log as one viewer sees it. `reached` is where the next one starts."""

    changes: list[Told]
    reached: int
    more: bool


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
    all_disarmed: bool = False,
) -> Span:
    """The changes that `viewer` should apply, in order, at most `limit`, after place `after`.

    An upsert is told if it is what the holding says now: its newest version, living, and visible. A remove is told if
    the viewer does not see the holding live now, and as an upsert (`granted`) if they do, and see it otherwise than
    before; but for those up to `fresh_until`, the end of its log when a reader that holds nothing began: what they
    remove was never told to it. `max_bytes` bounds the sum of the bodies: the span ends with the object that reaches
    it. What may have been told before and no longer fits, or is disarmed for the viewer, is told as a remove; with
    `all_disarmed` whatever is disarmed is, also up to `fresh_until`: for who asks what it is by another filter. One
    query, and more where a filter leaves out many; up to four more for the matches of the upserts (`matched`), whose
    objects bound the span, too.

    `reached` is a place of the viewer's own, whatever others publish: where there was nothing, it is `after`. Raises
    Gone (`start-over`) where the log ends before `after`, or a remove that was to be told was pruned, Refused where the
    filter cannot be followed.
    """
    conditions, parameters = wanted.followable().sql(viewer)
    found = walking.walk(
        viewer,
        _BEGINNING,
        _text(conditions, by_standing=not wanted.says_standing),
        {**parameters, "fresh": fresh_until, "all_disarmed": all_disarmed},
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
    told = _sourced(viewer, [Told(*row) for row in found.page])
    told = _matched(viewer, told) if matched else told
    fits = _fitting(told)
    if fits < len(told):
        return Span(told[:fits], reached=told[fits - 1].seq, more=True)
    return Span(told, reached=reached, more=found.more)


@lru_cache(maxsize=64)
def _text(conditions: str, *, by_standing: bool) -> str:
    """The statement that reads what is told. Kept, for to make it at each poll costs a tenth of one without news."""
    hears = walking.SEES.format(audience="s.audience_id")
    disarmed = standing.is_disarmed(by_standing=by_standing, hears=hears)
    told = _TOLD.format(conditions=conditions, disarmed=disarmed)
    return walking.statement(_CHANNELS, _STRETCH, told, columns=_COLUMNS)


def _fitting(told: Sequence[Told]) -> int:
    """How many of these fit on one page by what their matches name; the first does in any case."""
    if not any(one.matches for one in told):
        return len(told)
    named = accumulate(sum(len(match.ends) for match in one.matches) for one in told)
    return max(1, sum(so_far <= _MOST_ENDS for so_far in named))


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
_BEGINNING = walking.beginning(_CHANNELS, which="TRUE", closed=True)
_STRETCH = walking.stretch(which=walking.ALL_OF_IT)

# The group of what is under a pseudonym and was taken back, whose audience names none any more: it stays in one, so any
# channel of a group in which the version was told says which. A reader who was named beside the group is in none of it.
_GROUP_ONCE = f"""CASE WHEN h.attribution = {int(Attribution.PSEUDONYM)} THEN (
           SELECT k.group_id FROM indicators_change t JOIN partners_channel k ON k.id = t.channel
           WHERE t.version_id = c.version_id AND k.group_id IS NOT NULL LIMIT 1) END"""
# Whether the reader may have been told of the holding before the change `c`, in whatever version, while it had the
# channel open. OFFSET 0 leads to the few rows of the versions (`change_by_version`), not to those of a channel.
_WHILE_OPEN = "{seq} > mine.since AND (mine.until IS NULL OR {seq} <= mine.until)"
_TOLD_BEFORE = f"""
EXISTS (SELECT FROM (SELECT e.channel, e.seq FROM indicators_stixobject v
                     JOIN indicators_change e ON e.version_id = v.id AND e.seq < c.seq
                     WHERE v.holding_id = c.holding_id OFFSET 0) e
        JOIN mine ON mine.channel = e.channel AND {_WHILE_OPEN.format(seq="e.seq")})
"""
# Whether the change `c` is a remove of what its reader still sees, but otherwise than before: one of the groups where
# they see it is gone, or it is their own and goes to others. What only others lost is not told, as in a group that
# the reader has left. By its key, in each of the reader's channels.
_KEEPS = f"""
CASE WHEN c.op = 'remove' AND c.reason = 'narrowed' AND h.seen
     THEN h.publisher_id = %(viewer)s
          OR EXISTS (SELECT FROM mine JOIN indicators_change r ON r.channel = mine.channel AND r.seq = c.seq
                     WHERE mine.group_id IS NOT NULL AND {_WHILE_OPEN.format(seq="c.seq")})
     ELSE FALSE END
"""
# A row for each change of the stretch that is told, as `Told` has it. Both holding and version are found by their keys.
# What was told before and does not fit any more is removed: what was told may have fitted.
# `judged.disarmed` is false of removes.
_TOLD = f"""
SELECT c.seq, c.date_added, CASE WHEN o.fits THEN told.op ELSE 'remove' END,
       CASE WHEN o.fits THEN told.reason WHEN o.disarmed THEN 'disputed' ELSE 'filtered' END,
       h.stix_id, h.stix_type, o.kind, h.publisher_id, p.name,
       CASE WHEN told.op = 'upsert' THEN h.tlp ELSE c.tlp END, o.confidence, o.valid_from, o.valid_until,
       coalesce(h.groups[1], c.via, {_GROUP_ONCE}), h.attribution, c.version_id, c.linked,
       CASE WHEN told.op = 'upsert' AND o.fits THEN o.entries ELSE '[]' END AS entries,
       CASE WHEN told.op = 'upsert' AND o.fits THEN o.body END AS body
FROM raw c
CROSS JOIN LATERAL (
    SELECT h.*, a.tlp, a.groups, a.attribution,
           {living.LIVES} AND {walking.STILL_SEES.format(channels="a.channels")} AS seen
    FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
    WHERE h.id = c.holding_id LIMIT 1
) h
CROSS JOIN LATERAL (
    SELECT CASE WHEN k.keeps THEN 'upsert' ELSE c.op END AS op,
           CASE WHEN k.keeps THEN 'granted' ELSE c.reason END AS reason
    FROM (SELECT {_KEEPS} AS keeps OFFSET 0) k
) told
CROSS JOIN LATERAL (
    SELECT o.kind, o.confidence, o.valid_from, o.valid_until, o.body, judged.disarmed,
           filtered.fits AND NOT judged.disarmed AS fits,
           coalesce(CASE WHEN {carrying.LISTS_ALL} THEN o.listed END,
                    {carrying.LISTED.format(kind="coalesce(o.kind, h.stix_type)", holding="c.holding_id")}) AS entries
    FROM indicators_stixobject o
    CROSS JOIN LATERAL (SELECT TRUE {{conditions}} AS fits OFFSET 0) filtered
    CROSS JOIN LATERAL (SELECT told.op = 'upsert' AND {{disarmed}} AS disarmed OFFSET 0) judged
    WHERE o.id = c.version_id
      AND CASE WHEN told.op = 'upsert' THEN h.seen AND h.newest_id = o.id AND {walking.LAST}
               ELSE NOT h.seen END
      AND (c.op = 'upsert' OR c.seq > %(fresh)s)
      AND (filtered.fits AND NOT judged.disarmed
           OR judged.disarmed AND %(all_disarmed)s
           OR told.op = 'upsert' AND c.seq > %(fresh)s AND (c.reason IN ('revised', 'judged') OR {_TOLD_BEFORE}))
    LIMIT 1
) o
JOIN partners_partner p ON p.id = h.publisher_id
ORDER BY c.seq LIMIT %(limit)s
"""
# All of `Told` but its matches.
_COLUMNS = len(Told._fields) - 1
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
    columns=2,
)
