"""Read stored objects again by the rules of this release, where an older one read them otherwise.

What was stored under an older normal form does not meet what comes now, and would stand in lists beside it. The bytes
stay; what was read from them (title, confidence, facets, references, values and what keeps these out of lists) is
written anew where it differs. A holding that an older release left alive although its publisher had revoked an earlier
version of it ends.
Called by `exchange-manage prepare`, page by page, each in a transaction of its own: it may be broken off at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from exchange.sql import Message, array_of
from indicators import stored
from indicators.benign import service_hosts, suppressing
from indicators.door import corpus, entries
from indicators.door.benign import Known
from indicators.log import changes, traits
from indicators.models import Change, Hidden, Holding, Progress
from indicators.publishing import storing
from indicators.stix import parsing, references
from indicators.stix.drafts import Draft, Ref, TokenValue
from indicators.stix.facets import BENIGN_HITS, facet
from indicators.telling import notifying
from indicators.values import carrying
from partners.log import audit
from partners.sharing import intern_withdrawn

#: To be raised by whoever changes how values, titles, confidences or facets are read: everything is read again then,
#: as it is where other prompts are bundled, by which texts are measured.
FORM = 6
_DONE = "rereading"
_PAGE = 1_000
_PAGE_BYTES = 8_388_608
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reread:
    """How many objects were read, written anew, and not readable by today's rules; how many holdings were ended."""

    read: int = 0
    changed: int = 0
    unreadable: int = 0
    ended: int = 0

    def __add__(self, other: Reread) -> Reread:
        return Reread(
            self.read + other.read,
            self.changed + other.changed,
            self.unreadable + other.unreadable,
            self.ended + other.ended,
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of one object, and was read from its bytes."""

    object_id: int
    holding_id: int
    audience_id: int
    publisher_id: UUID
    body: str
    title: str
    confidence: int | None
    is_newest: bool
    tokens: frozenset[TokenValue]  # of the newest version; no other one's are stored
    references: tuple[Ref, ...]
    facets: tuple[str, ...]

    def says_other(self, draft: Draft) -> bool:
        """Whether other values are read from it than are stored."""
        return self.is_newest and self.tokens != frozenset(draft.tokens)

    def is_measured_otherwise(self, draft: Draft) -> bool:
        """Whether ordinary prompts were tried on it before, and it matches more or fewer of them now."""
        before = _measured(self.facets)
        return bool(before) and before != _measured(draft.facets)


def reread(*, anyway: bool = False, on_page: Callable[[Reread], None] = lambda _: None) -> Reread:
    """Read all that was not read in this form yet; one query where nothing is to be done.

    With `anyway`, also what was stored since it was done last: processes of an older release may have gone on.
    """
    if not anyway and Progress.objects.filter(name=_DONE, seq=_by()).exists():
        return Reread()
    Progress.objects.get_or_create(name=_place())
    known = service_hosts.read()
    whole = Reread()
    while (page := _page(known)) is not None:
        whole += page
        on_page(whole)
    Progress.objects.update_or_create(name=_DONE, defaults={"seq": _by()})
    if whole.changed or whole.ended:
        notifying.hint()
    return whole


def _measured(said: Sequence[str]) -> list[str]:
    return [one for one in said if one.startswith(facet(BENIGN_HITS, ""))]


def _place() -> str:
    """The name under which it stands how far this form has come."""
    return f"{_DONE}.{_by()}"


def _by() -> int:
    """By what all is read: the form, and which prompts are bundled."""
    return FORM << 32 | corpus.digest()


@transaction.atomic
def _page(known: Known) -> Reread | None:
    """The next objects by key; None where there are none. Those who come at the same time wait for each other."""
    place = Progress.objects.select_for_update().get(name=_place())
    stored = _stored(place.seq)
    if not stored:
        return None
    drafts = [(one, _read(one.body, known)) for one in stored]
    anew = [(one, draft) for one, draft in drafts if draft is not None and _differs(one, draft)]
    last = stored[-1].object_id
    outlived = _outlived(place.seq, last)
    for publisher_id in sorted({*outlived, *(one.publisher_id for one, _ in anew)}):
        storing.lock_publisher(publisher_id)  # as a push does, before it locks any row
    told = [change for publisher_id in sorted(outlived) for change in _end_each(publisher_id, outlived[publisher_id])]
    listed = _write(anew) if anew else []
    _refer(drafts)
    Progress.objects.filter(pk=place.pk).update(seq=last)
    changes.append(told)
    if listed:
        suppressing.enter_again(listed)
    unreadable = sum(draft is None for _, draft in drafts)
    ended = sum(map(len, outlived.values()))
    return Reread(read=len(stored), changed=len(anew), unreadable=unreadable, ended=ended)


def _stored(after: int) -> list[_Stored]:
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTS, {"after": after, "most": _PAGE, "max_bytes": _PAGE_BYTES})
        rows = cursor.fetchall()
    stored = []
    for *read, tokens, refs, facets in rows:
        object_id, holding_id, audience_id, publisher_id, body, title, confidence, is_newest = read
        of_holding = object_id, holding_id, audience_id, publisher_id
        of_version = frozenset(TokenValue(*each) for each in tokens or ()), tuple(Ref(*each) for each in refs or ())
        stored.append(_Stored(*of_holding, body, title, confidence, is_newest, *of_version, tuple(facets or ())))
    return stored


def _read(body: str, known: Known) -> Draft | None:
    """As it would be read today; None for what entered by other rules: it stays as it was read."""
    read = parsing.read_batch(body.encode())
    return entries.judged(read[0], known) if read and isinstance(read[0], Draft) else None


def _differs(stored: _Stored, draft: Draft) -> bool:
    same = (stored.title, stored.confidence, stored.facets) == (draft.title, draft.confidence, draft.facets)
    return not same or stored.says_other(draft)


def _write(anew: Sequence[tuple[_Stored, Draft]]) -> list[int]:
    """Write what differs; returns the holdings whose values do, or confidence, or what is measured: lists show it."""
    said = [(stored, draft) for stored, draft in anew if stored.says_other(draft)]
    confident = [stored for stored, draft in anew if stored.is_newest and stored.confidence != draft.confidence]
    measured = [stored for stored, draft in anew if stored.is_newest and stored.is_measured_otherwise(draft)]
    message = Message()
    columns = zip(
        *(
            (stored.object_id, draft.title, draft.confidence, array_of(draft.facets), carrying.listed(draft))
            for stored, draft in anew
        ),
        strict=True,
    )
    message.add(_REWRITE, [list(column) for column in columns])
    carrying.write(
        [carrying.Carrying(stored.holding_id, stored.audience_id, draft.tokens, anew=True) for stored, draft in said],
        within=message,
    )
    carrying.note_sources([stored.holding_id for stored, _ in said], within=message)
    message.add(traits.REWRITE, [[stored.object_id for stored, _ in anew]])
    message.add(traits.INDEX)
    message.send()
    return sorted({stored.holding_id for stored in (*confident, *measured, *(stored for stored, _ in said))})


def _refer(drafts: Sequence[tuple[_Stored, Draft | None]]) -> None:
    """Write what each object points to, where it does not stand there so already; whatever rules it entered by."""
    found = [(one, draft.references if draft else references.refs(_json(one.body))) for one, draft in drafts]
    anew = {one.object_id: refs for one, refs in found if refs != one.references}
    if anew:
        message = Message()
        message.add("DELETE FROM indicators_reference WHERE version_id = ANY(%s)", [list(anew)])
        storing.refer(anew.items(), within=message)
        message.send()


def _json(body: str) -> dict[str, Any]:
    """A stored object that is no draft by today's rules; nothing where it is not even read as JSON."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _outlived(after: int, last: int) -> dict[UUID, list[str]]:
    """By publisher, the ids whose newest version has one of these keys and is dated after a revocation."""
    with connection.cursor() as cursor:
        cursor.execute(_OUTLIVED, [after, last])
        found = cursor.fetchall()
    held_by: defaultdict[UUID, list[str]] = defaultdict(list)
    for publisher_id, stix_id in found:
        held_by[publisher_id].append(stix_id)
    return held_by


def _end_each(publisher_id: UUID, stix_ids: Sequence[str]) -> list[changes.NewChange]:
    """End these holdings; returns what is told.

    As if the revocation had come by today's rules (`versions`), but that no door is asked: a revoked version goes to
    nobody who did not see it.
    """
    held = storing.versions(publisher_id, stix_ids)
    told = [change for holding in held.values() for change in _end(publisher_id, holding)]
    audit.record(audit.Verb.OBJECTS_ENDED, by=None, target=f"objects:{len(held)}", about=publisher_id, ids=sorted(held))
    return told


def _end(publisher_id: UUID, holding: Mapping[datetime | None, stored.Version]) -> list[changes.NewChange]:
    """Have the newest revoked version stand for the holding, if its readers see it; else it ends without one."""
    aged = sorted(((modified or _EARLIEST, held) for modified, held in holding.items()), key=lambda pair: pair[0])
    newest = next(held for _, held in aged if held.latest)
    ends_at = next(age for age, held in aged if held.revoked)
    heir = next((held for _, held in reversed(aged) if held.revoked and not held.withdrawn), None)
    if heir is not None and not heir.alone:
        over = [held for age, held in aged if age >= ends_at and not held.revoked and not held.withdrawn]
        storing.hide(dict.fromkeys((held.object_id for held in over), Hidden.From.ALL))
        ended = storing.Turned(heir.holding_id, heir.audience_id, Holding.State.REVOKED, heir.object_id)
    else:
        nobody = intern_withdrawn(publisher_id, attribution=newest.attribution)
        ended = storing.Turned(newest.holding_id, nobody, Holding.State.REVOKED, None)
    storing.turn([ended])
    return changes.removes([newest], Change.Reason.REVOKED)


# One row a version, as `_Stored` has it. Walks the primary key, and ends with the version that reaches the bound of
# bytes (lengths cost nothing to read).
_OBJECTS = """
SELECT o.id, h.id, h.audience_id, h.publisher_id, o.body, o.title, o.confidence, h.newest_id IS NOT DISTINCT FROM o.id,
       (SELECT array_agg(ARRAY[k.subkind, v.scheme, coalesce(e.name, ''), v.value, k.suppressed_by, v.psp_scope])
        FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
        LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
        WHERE k.holding_id = h.id AND h.newest_id = o.id),
       (SELECT array_agg(ARRAY[r.path, r.target_id] ORDER BY r.place)
        FROM indicators_reference r WHERE r.version_id = o.id), o.facets
FROM (
    SELECT id, coalesce(sum(octet_length(body))
                        OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM (SELECT id, body FROM indicators_stixobject WHERE id > %(after)s ORDER BY id LIMIT %(most)s) page
) sized
JOIN indicators_stixobject o ON o.id = sized.id
JOIN indicators_holding h ON h.id = o.holding_id
WHERE sized.before < %(max_bytes)s
ORDER BY o.id
"""
# A row for each holding of which the newest version has one of these keys and is dated after a revoked one. Walks the
# primary key, then the versions of each id.
_OUTLIVED = """
SELECT h.publisher_id, h.stix_id
FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id AND h.newest_id = o.id
WHERE o.id > %s AND o.id <= %s AND NOT o.revoked AND EXISTS (
    SELECT FROM indicators_stixobject r
    WHERE r.holding_id = h.id AND r.revoked
      AND coalesce(r.modified, '-infinity') <= coalesce(o.modified, '-infinity'))
ORDER BY o.id
"""
# What a value's judge has made null since it was read stays null, which asks `Carries`.
_REWRITE = """
UPDATE indicators_stixobject o
SET title = new.title, confidence = new.confidence, facets = nullif(new.facets::text[], '{}'),
    listed = CASE WHEN o.listed IS NOT NULL THEN new.listed END
FROM unnest(%s::bigint[], %s::text[], %s::smallint[], %s::text[], %s::text[])
     AS new(id, title, confidence, facets, listed)
WHERE o.id = new.id
"""
