"""What each lab is told of the others' answers about tokens, as rounded sums. The only writer of ToldSum.

The rules stand in `exchange.tokens.prevalence`: sums over two or more other labs, rounded down to powers of two; a new
one at once, a change at most once per interval and only when two labs' answers changed. Here they are asked for each
token that something happened to, under the group's lock, so that lists are in the order of commits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from exchange import clock
from exchange.celery import app
from exchange.tokens import prevalence as rules
from exchange.tokens.prevalence import Answer, Sums
from indicators.campaigns import purity, queueing, terms
from indicators.campaigns.tables import NOBODY, EvidenceToken, Stir
from partners.models import Group
from partners.viewer import Viewer

#: Tokens that are settled in one go.
_AT_ONCE = 5_000


@dataclass(slots=True)
class _Told:
    """What a lab was told of a token last, and when; `summed_at`: when the sums were made that it was told."""

    sums: Sums | None
    word: bool
    at: datetime
    summed_at: datetime
    ended: bool = False

    @property
    def nothing(self) -> bool:
        return self.ended or (self.sums is None and not self.word)


@dataclass(slots=True)
class _Row:
    partner: UUID
    carried: int
    answer: Answer
    changed_at: datetime


@dataclass(slots=True)
class _Outcome:
    """What becomes of some tokens: who is told what, which are asked about or no more, and when to look again."""

    told: list[tuple[UUID, int, _Told]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    ends: dict[int, datetime | None] = field(default_factory=dict)
    due: dict[int, datetime | None] = field(default_factory=dict)


def settle(group: Group, tokens: Collection[int], *, lab: UUID = NOBODY) -> None:
    """Tell each member what may be told of these tokens now. In a transaction that holds the group's lock.

    `lab`: whose call changed something of them.
    """
    labs = terms.labs(group.pk)
    interval = terms.interval_of(group)
    for some in batched(sorted(set(tokens)), _AT_ONCE):
        crossed = _settle(group.pk, list(some), labs, interval)
        queueing.stir(group.pk, Stir.Kind.TOKEN, crossed, lab=lab)


def _settle(group_id: UUID, tokens: list[int], labs: Sequence[UUID], interval: timedelta) -> list[int]:
    """Those that became pure by it, or are pure no more."""
    now, out = clock.now(), _Outcome()
    rows, told = _rows(tokens, labs), _told_before(tokens)
    totals: dict[int, tuple[int, int]] = {}
    crossed = []
    for state in EvidenceToken.objects.filter(pk__in=tokens).order_by("pk"):
        token, asked, ends_at = state.pk, state.asked, state.ended_at
        held = rows.get(token, [])
        is_carried = any(row.carried for row in held)
        if is_carried and not asked:
            out.asked.append(token)
        before = told.get(token, {})
        waits = [at for at in (_tell_one(out, token, held, each, before.get(each), now, interval, ends=not is_carried)
                               for each in labs) if at is not None]  # fmt: skip
        if asked and is_carried and ends_at is not None:
            out.ends[token] = None
        if asked and not is_carried:
            waits.append(_end(out, token, ends_at, now, interval))
        out.due[token] = min((at for at in waits if at > now), default=None)
        holders, suspects = purity.counted_answers([row.answer for row in held])
        totals[token] = (holders, suspects)
        was = purity.is_pure(state.subkind, holders=state.holders, suspects=state.suspects)
        if was != purity.is_pure(state.subkind, holders=holders, suspects=suspects):
            crossed.append(token)
    _write(group_id, out, totals, now)
    return crossed


def _tell_one(
    out: _Outcome,
    token: int,
    rows: Iterable[_Row],
    member: UUID,
    told: _Told | None,
    now: datetime,
    interval: timedelta,
    *,
    ends: bool,
) -> datetime | None:
    """Note what a member is told of a token, if anything; when to look again where it is only too early."""
    if ends:
        if told is None or told.nothing:
            return None
        target, at_once = replace(told, word=False, at=now, ended=True), False
    else:
        target = _target([row for row in rows if row.partner != member], told, now)
        at_once = told is None or told.nothing or (told.sums is None and target.sums is not None)
    is_as_told = target.nothing if told is None or told.nothing else _says_the_same(target, told)
    if is_as_told:
        return None
    if told is not None and not at_once and now - told.at < interval:
        return told.at + interval
    out.told.append((member, token, target))
    return None


def _says_the_same(target: _Told, told: _Told) -> bool:
    return (target.sums, target.word, target.ended) == (told.sums, told.word, told.ended)


def _target(others: Sequence[_Row], told: _Told | None, now: datetime) -> _Told:
    """What a member would be told now: the sums that it was told, also of what had ended, until two labs' changed."""
    word = sum(1 for row in others if row.carried) == 1
    if told is not None and told.sums is not None:
        changed = sum(1 for row in others if row.changed_at > told.summed_at)
        if changed < rules.LEAST_CHANGED:
            return _Told(told.sums, word, now, told.summed_at)
    return _Told(rules.sums(row.answer for row in others), word, now, now)


def _end(out: _Outcome, token: int, ends_at: datetime | None, now: datetime, interval: timedelta) -> datetime:
    """Nobody's evidence carries a token any more: after an interval it is told that nobody asks."""
    if ends_at is None:
        ends_at = out.ends[token] = now + interval
    if ends_at <= now:
        out.ended.append(token)
    return ends_at


def _write(group_id: UUID, out: _Outcome, totals: Mapping[int, tuple[int, int]], now: datetime) -> None:
    """In two lists each change has a place; places of a page are read by value, so their order here tells nothing."""
    moved = out.asked + out.ended
    first = terms.next_places(group_id, len(moved) + len(out.told)) if moved or out.told else 0
    with connection.cursor() as cursor:
        if moved:
            cursor.execute(
                _ASK,
                [moved, [True] * len(out.asked) + [False] * len(out.ended), list(range(first, first + len(moved)))],
            )
        if out.ends:
            cursor.execute(_END, [list(out.ends), list(out.ends.values())])
        if out.told:
            start = first + len(moved)
            cursor.execute(_TELL, _columns_told(out.told) | {
                "group": group_id, "now": now, "places": list(range(start, start + len(out.told))),
            })  # fmt: skip
        tokens = list(totals)
        cursor.execute(
            _TOTAL,
            [tokens, [totals[token][0] for token in tokens], [totals[token][1] for token in tokens],
             [out.due.get(token) for token in tokens]],
        )  # fmt: skip


_ASK = """
UPDATE indicators_evidencetoken t
SET asked = m.asked, place = m.place, ended_at = CASE WHEN m.asked THEN NULL ELSE t.ended_at END
FROM unnest(%s::bigint[], %s::bool[], %s::bigint[]) AS m (id, asked, place) WHERE t.id = m.id
"""
_END = """
UPDATE indicators_evidencetoken t SET ended_at = m.ended_at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS m (id, ended_at) WHERE t.id = m.id
"""
_TOTAL = """
UPDATE indicators_evidencetoken t SET holders = m.holders, suspects = m.suspects, due = m.due
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[]) AS m (id, holders, suspects, due)
WHERE t.id = m.id AND (t.holders, t.suspects, t.due) IS DISTINCT FROM (m.holders, m.suspects, m.due)
"""
_TELL = """
INSERT INTO indicators_toldsum
    (partner_id, group_id, token, holders, suspects, holders_less, suspects_less, word, ended, summed_at, told_at,
     place)
SELECT partner, %(group)s, token, holders, suspects, holders_less, suspects_less, word, ended, summed_at, %(now)s,
       place
FROM unnest(%(partners)s::uuid[], %(tokens)s::bigint[], %(holders)s::bigint[], %(suspects)s::bigint[],
            %(holders_less)s::bigint[], %(suspects_less)s::bigint[], %(words)s::bool[], %(ended)s::bool[],
            %(summed_at)s::timestamptz[], %(places)s::bigint[])
     AS m (partner, token, holders, suspects, holders_less, suspects_less, word, ended, summed_at, place)
ON CONFLICT (token, partner_id) DO UPDATE
    SET holders = excluded.holders, suspects = excluded.suspects, holders_less = excluded.holders_less,
        suspects_less = excluded.suspects_less, word = excluded.word, ended = excluded.ended,
        summed_at = excluded.summed_at, told_at = excluded.told_at, place = excluded.place
"""


def _columns_told(told: Sequence[tuple[UUID, int, _Told]]) -> dict[str, Any]:
    said = [one.sums or (None,) * 4 for _, _, one in told]
    return {
        "partners": [partner for partner, _, _ in told],
        "tokens": [token for _, token, _ in told],
        "words": [one.word for _, _, one in told],
        "ended": [one.ended for _, _, one in told],
        "summed_at": [one.summed_at for _, _, one in told],
        **{name: [one[place] for one in said] for place, name in enumerate(Sums._fields)},
    }


def _rows(tokens: list[int], labs: Sequence[UUID]) -> dict[int, list[_Row]]:
    """By token, what the labs that take part carry and answer."""
    found: dict[int, list[_Row]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, partner_id, carried, holders, suspects, changed_at FROM indicators_prevalence"
            " WHERE token = ANY(%s) AND partner_id = ANY(%s)",
            [tokens, list(labs)],
        )
        for token, partner, carried, holders, suspects, changed_at in cursor.fetchall():
            found[token].append(_Row(partner, carried, Answer(holders, suspects), changed_at))
    return found


def _told_before(tokens: list[int]) -> dict[int, dict[UUID, _Told]]:
    found: dict[int, dict[UUID, _Told]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, partner_id, holders, suspects, holders_less, suspects_less, word, told_at,"
            " coalesce(summed_at, told_at), ended FROM indicators_toldsum WHERE token = ANY(%s)",
            [tokens],
        )
        for token, partner, *numbers, word, told_at, summed_at, ended in cursor.fetchall():
            sums = None if numbers[0] is None else Sums(*numbers)
            found[token][partner] = _Told(sums, word, told_at, summed_at, ended)
    return found


def told_page(viewer: Viewer, slug: str, *, after: int, limit: int) -> list[tuple[Any, ...]]:
    """The next of what the viewer's lab is told: the place, what is told, and the token. Raises as `asked_page`."""
    contributor = terms.contributor(viewer, slug)
    with transaction.atomic():
        terms.submission(contributor)
    with connection.cursor() as cursor:
        cursor.execute(
            _TOLD, {"group": contributor.group.pk, "partner": contributor.partner_id, "after": after, "limit": limit}
        )
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


# A row for each told sum after a place, by `told_by_place`; of what has ended, without numbers.
_TOLD = """
SELECT s.place, CASE WHEN NOT s.ended THEN s.holders END, s.suspects, s.holders_less, s.suspects_less, s.word,
       t.subkind, t.scheme, t.epoch, t.psp_scope, t.value, t.wide
FROM indicators_toldsum s JOIN indicators_evidencetoken t ON t.id = s.token
WHERE s.group_id = %(group)s AND s.partner_id = %(partner)s AND s.place > %(after)s
  AND (%(after)s > 0 OR s.word OR (s.holders IS NOT NULL AND NOT s.ended))
ORDER BY s.place LIMIT %(limit)s
"""


def _due(limit: int = _AT_ONCE) -> dict[UUID, list[int]]:
    due: dict[UUID, list[int]] = defaultdict(list)
    found = EvidenceToken.objects.filter(due__lte=clock.now()).order_by("due", "pk").values_list("group", "pk")
    for group, token in found[:limit]:
        due[group].append(token)
    return due


@app.task(name="indicators.campaigns.sums.tell_due")
def tell_due() -> None:
    """Tell what was too early to be told before. What is looked at gets a later time or none, so this ends."""
    while found := _due():
        for group_id, tokens in found.items():
            with transaction.atomic():
                terms.lock(group_id)
                settle(Group.objects.get(pk=group_id), tokens)
