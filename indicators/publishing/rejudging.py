"""What becomes of holdings when the definition of one of their markings comes, or is corrected.

What waited for the definition goes where its own push asked, through the door of that place; nothing goes further than
that. What was judged by a definition before is only ever made stricter. Called by `publishing`, in its transaction and
behind the publisher's lock, so that a definition and an object that are pushed at the same moment meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection
from msgspec.structs import replace

from exchange.errors import Refused
from exchange.sql import Message
from indicators import stored
from indicators.publishing import markings, relaying, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.attributing import moves_pseudonym
from indicators.publishing.moving import Moving
from indicators.publishing.reach import Reach
from indicators.stix import parsing, tlp
from indicators.stix.drafts import Draft, Unreadable
from indicators.stored import Version
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.tlp import Tlp
from partners.viewer import Viewer

#: How many holdings are read at once, to bound memory.
_AT_ONCE = 1_000
#: Whether the door of a place with this policy lets a draft in.
Admits = Callable[[Draft, str], bool]


@dataclass(slots=True)
class Anew:
    """Holdings on their way to another audience, and those that stay where they are but wait no longer, by object.

    `said` is what the TLP of each marking is now, by marking, for older versions.
    """

    wider: list[Moving] = field(default_factory=list)
    stricter: list[Moving] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    said: dict[str, Tlp] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    stix_id: str
    body: str
    held: Version
    asked: Reach | None


def judged_anew(
    elements: Sequence[Draft | Unreadable],
    *,
    by: Viewer,
    audiences: BatchAudiences,
    again: Collection[int],
    apart: Collection[str],
    admits: Admits,
) -> Anew:
    """Judge what names the markings that `elements` define, and the objects `again`; those ids `apart` are left out.

    Two queries where nothing is found, five at most for each thousand holdings; none where there is nothing to ask.
    """
    anew = Anew()
    defined = sorted({one.stix_id.lower() for one in elements if isinstance(one, Draft) and defines(one)})
    if not defined and not again:
        return anew
    words = markings.defined(markings.held(by.partner_id, defined), elements).words
    anew.said = {marking: Tlp.from_word(words[marking]) for marking in defined if marking in words}
    for rows in _found(by, defined, again):
        drafts = [_read(row.body) for row in rows]
        named = markings.named(draft for draft in drafts if draft is not None)
        definitions = markings.defined(markings.held(by.partner_id, named), elements)
        others = relaying.others(by, [row.stix_id for row in rows])
        held = storing.versions(by.partner_id, others) if others else {}
        for row, draft in zip(rows, drafts, strict=True):
            if draft is not None and row.stix_id not in apart:
                known = markings.tighten(draft, definitions)
                _judge(
                    row, known, anew, audiences=audiences, admits=admits, held=held.get(row.stix_id, {}), others=others
                )
    return anew


def waiting(object_ids: Collection[int]) -> dict[int, Reach]:
    """Of these objects those that wait for a definition, with the audience that their push asked for. One query."""
    if not object_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT object_id, asked::text FROM indicators_marked WHERE object_id = ANY(%s) AND asked IS NOT NULL",
            [list(object_ids)],
        )
        return {object_id: Reach.from_json(orjson.loads(asked)) for object_id, asked in cursor.fetchall()}


def marked(object_id: int, draft: Draft, asked: Reach | None) -> list[storing.NewMarked]:
    """The rows that say which markings of its own an object names, and whether it waits for one of them."""
    kept = None if asked is None else orjson.dumps(asked.to_json()).decode()
    named = {ref.lower() for ref in draft.markings} - tlp.KNOWN_IDS
    return [storing.NewMarked(object_id, marking, kept) for marking in sorted(named)]


def ask_anew(object_id: int, asked: Reach) -> None:
    """Say where an object that waits is to go now; of one that does not wait, nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_marked SET asked = %s::jsonb WHERE object_id = %s AND asked IS NOT NULL",
            [orjson.dumps(asked.to_json()).decode(), object_id],
        )


def hide_history(said: Mapping[str, Tlp], *, by: Viewer, within: Message) -> None:
    """Leave to their publisher older versions that are shown more openly than their markings say by now.

    Done once the message is sent. The newest version of their holding may not name these markings any more, and stays
    where it is.
    """
    if said:
        within.add(_HIDE, [list(said), list(said.values()), by.partner_id])


_HIDE = """
INSERT INTO indicators_hidden (version_id, hidden_from)
SELECT DISTINCT o.id, 'others'
FROM unnest(%s::text[], %s::smallint[]) AS said(marking, tlp)
JOIN indicators_marked m ON m.partner_id = %s AND m.marking = said.marking
JOIN indicators_stixobject o ON o.id = m.object_id
JOIN indicators_holding h ON h.id = o.holding_id AND h.newest_id <> o.id
JOIN partners_audience a ON a.id = h.audience_id AND a.use = 'objects' AND a.tlp < said.tlp
ON CONFLICT DO NOTHING
"""


def settle(object_ids: Sequence[int]) -> None:
    """These objects wait no longer."""
    if object_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE indicators_marked SET asked = NULL WHERE object_id = ANY(%s) AND asked IS NOT NULL",
                [list(object_ids)],
            )


def defines(draft: Draft) -> bool:
    """Whether a draft defines a marking."""
    return draft.stix_type == "marking-definition"


def _judge(
    row: _Row,
    draft: Draft,
    anew: Anew,
    *,
    audiences: BatchAudiences,
    admits: Admits,
    held: stored.Versions,
    others: relaying.Others,
) -> None:
    if row.asked is None:
        _make_stricter(row, draft, anew, audiences=audiences)
        return
    if draft.unresolved:
        return
    spec = audiences.once_known(draft, row.asked)
    if isinstance(spec, Refused):  # what a second look would allow waits for it
        if spec.code == "red-needs-names":
            anew.settled.append(row.held.object_id)
        return
    if not admits(draft, audiences.policy_of(spec)) or moves_pseudonym(row.held, spec) is not None:
        return
    if relaying.below_source(draft, row.held.sha256, spec.tlp, held=held, others=others) is not None:
        return
    _move(row, draft, spec, anew.wider, anew.settled, audiences=audiences)


def _make_stricter(row: _Row, draft: Draft, anew: Anew, *, audiences: BatchAudiences) -> None:
    """Raise the marking of a holding to what its definitions say by now, where that is stricter."""
    said = Tlp.from_word(draft.tlp) if draft.tlp else Tlp.CLEAR
    if said <= row.held.tlp:
        return
    had, red = audiences.as_held(row.held.audience_id), said is Tlp.RED
    veiled = red and row.held.attribution == Attribution.PSEUDONYM  # outside its group a pseudonym is another one
    spec = AudienceSpec(
        said,
        everyone=had.everyone and not red,
        groups=() if red else had.groups,
        partners=() if veiled else had.partners,
    )
    _move(row, draft, spec, anew.stricter, anew.settled, audiences=audiences)


def _move(
    row: _Row, draft: Draft, spec: AudienceSpec, moves: list[Moving], settled: list[int], *, audiences: BatchAudiences
) -> None:
    audience_id = audiences.intern(spec, Attribution(row.held.attribution))
    if audience_id == row.held.audience_id:
        settled.append(row.held.object_id)
    else:
        light = replace(draft, raw=b"", data={})
        moves.append(Moving(row.stix_id, row.held, audience_id, spec.tlp, None, light, spec))


def _found(by: Viewer, defined: Sequence[str], again: Collection[int]) -> Iterator[list[_Row]]:
    """The newest versions that name these markings, and these objects, by key, so many at once."""
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                _NAMING,
                {"by": by.partner_id, "defined": list(defined), "again": list(again), "after": after, "most": _AT_ONCE},
            )
            rows = [_row(*found) for found in cursor.fetchall()]
        if rows:
            yield rows
            after = rows[-1].held.object_id
        if len(rows) < _AT_ONCE:
            return


def _row(stix_id: str, body: str, asked: str | None, sha256: bytes, *rest: Any) -> _Row:
    holding_id, object_id, state, audience_id, marking, attribution, groups, written = rest
    held = Version(
        holding_id,
        object_id,
        bytes(sha256),
        state,
        latest=True,
        revoked=False,
        audience_id=audience_id,
        tlp=marking,
        attribution=attribution,
        groups=groups,
        written=written,
    )
    return _Row(stix_id, body, held, None if asked is None else Reach.from_json(orjson.loads(asked)))


def _read(body: str) -> Draft | None:
    """As it would be read today; None for what entered by other rules."""
    read = parsing.read_batch(body.encode())[0]
    return read if isinstance(read, Draft) else None


# A row for each newest version that is not revoked or withdrawn and names one of the markings, or is one of the
# objects; walks marked_by_marking and the unique index by object.
_NAMING = """
SELECT h.stix_id, o.body, (SELECT x.asked::text FROM indicators_marked x WHERE x.object_id = o.id
                           AND x.asked IS NOT NULL LIMIT 1),
       o.sha256, h.id, o.id, h.state, h.audience_id, a.tlp, a.attribution,
       CASE WHEN a.attribution = 1 THEN a.groups END, o.version
FROM indicators_stixobject o
JOIN indicators_holding h ON h.id = o.holding_id AND h.newest_id = o.id
JOIN partners_audience a ON a.id = h.audience_id
WHERE o.id IN (
    SELECT m.object_id FROM indicators_marked m WHERE m.partner_id = %(by)s AND m.marking = ANY(%(defined)s)
    UNION
    SELECT unnest(%(again)s::bigint[])
) AND h.publisher_id = %(by)s AND h.state <> 'revoked' AND o.id > %(after)s
ORDER BY o.id
LIMIT %(most)s
"""
