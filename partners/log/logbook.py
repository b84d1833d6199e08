"""Read the log: a partner's own records, what they add up to, and the export that can be verified without us."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from tempfile import SpooledTemporaryFile
from typing import Any

import orjson
from django.db import connection
from django.db.models import Q, QuerySet

from exchange import clock
from exchange.client import statements
from exchange.errors import NotFound
from partners.log import audit, logkeys, transparency
from partners.models import AuditRecord, TreeHead
from partners.scopes import Scope
from partners.viewer import Viewer

FORMAT = "exchange-log-export/1"

_PAGE = 1_000
_IN_MEMORY = 1_048_576


@dataclass(frozen=True, slots=True)
class Asked:
    """Which records: of a period (days, both included), of a verb, with a group or a partner."""

    since: date | None = None
    until: date | None = None
    verb: str = ""
    group: str = ""
    partner: str = ""

    @property
    def scope(self) -> str:
        """What a cursor of these records is bound to."""
        return f"log;{self.since};{self.until};{self.verb};{self.group};{self.partner}"


@dataclass(frozen=True, slots=True)
class Total:
    """How many objects of a kind were shared with whom: `to` is group, partner, everyone or nobody."""

    to: str
    name: str
    kind: str
    objects: int


def records(viewer: Viewer, asked: Asked, *, before: int | None = None, limit: int) -> list[AuditRecord]:
    """The viewer's own partner's records, newest first, each with its `leaf`, if it has one. One query."""
    found = _own(viewer, asked).select_related("leaf")
    if before is not None:
        found = found.filter(pk__lt=before)
    return list(found.order_by("-pk")[:limit])


def one(viewer: Viewer, leaf_hash: bytes) -> AuditRecord:
    """A record of the viewer's own partner by the hash of its leaf. Raises NotFound for absent and for foreign ones."""
    found = _own(viewer, Asked()).select_related("leaf").filter(leaf_hash=leaf_hash).first()
    if found is None:
        raise NotFound
    return found


def records_of(viewer: Viewer, target: str) -> list[AuditRecord]:
    """The records of the viewer's own partner about one thing, the oldest first. One query."""
    return list(_own(viewer, Asked()).select_related("leaf").filter(target=target).order_by("pk"))


def index_of(record: AuditRecord, *, under: TreeHead | None) -> int | None:
    """The place of a record under a published head; None while none covers it, for places tell how busy others are."""
    leaf = getattr(record, "leaf", None)
    return leaf.index if leaf is not None and under is not None and leaf.index < under.size else None


def proof_of(record: AuditRecord, *, under: TreeHead) -> dict[str, Any]:
    """Entry, place and proof of one record, as exports and packages carry them. Raises NotFound if not covered."""
    index = index_of(record, under=under)
    if index is None:
        raise NotFound("No published head covers this record yet.")
    proof = transparency.inclusion_proofs([index], size=under.size)[index]
    return {"index": index, "entry": audit.canonical(record).decode(), "proof": proof}


def totals(viewer: Viewer, asked: Asked) -> list[Total]:
    """What the batches of the period shared, by whom it was shared with and kind. One query."""
    _require(viewer)
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, _bounds(viewer, asked) | {"group": asked.group, "name": asked.partner})
        return [Total(*row) for row in cursor.fetchall()]


def bases(viewer: Viewer, asked: Asked) -> list[dict[str, Any]]:
    """The legal bases, as they stood, under which the batches of the period went to groups. One query."""
    _require(viewer)
    with connection.cursor() as cursor:
        cursor.execute(_BASES, _bounds(viewer, asked) | {"group": asked.group})
        return [orjson.loads(text) for (text,) in cursor.fetchall()]


def export(viewer: Viewer, asked: Asked, *, first: int | None = None) -> Any:
    """The own records that the last published head covers, as signed JSON Lines in a file at its beginning.

    A header with head and keys, one line for each record with its proof, and a last line that signs all before it.
    `first` is the size of an earlier published head: the header then proves that this head extends it. Raises NotFound
    where no head was published, or none of that size.
    """
    _require(viewer)
    head = transparency.head()
    if head is None:
        raise NotFound("No head was published yet; try again in a minute.")
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the response closes it
    digest = hashlib.sha256()
    count = 0
    for line in _export_lines(viewer, asked, head=head, first=first):
        digest.update(line)
        file.write(line)
        count += 1
    records_ = count - 1
    text = statements.export_text(records=records_, sha256=digest.hexdigest())
    end = {
        "type": "end",
        "records": records_,
        "sha256": digest.hexdigest(),
        "key": logkeys.key_id(),
        "signature": logkeys.sign_text(text),
    }
    file.write(_line(end))
    file.seek(0)
    return file


def _export_lines(viewer: Viewer, asked: Asked, *, head: TreeHead, first: int | None) -> Iterator[bytes]:
    yield _line(
        {
            "type": "header",
            "format": FORMAT,
            "partner": {"id": viewer.partner_id, "slug": viewer.partner_slug, "name": viewer.partner_name},
            "since": asked.since,
            "until": asked.until,
            "verb": asked.verb,
            "group": asked.group,
            "with_partner": asked.partner,
            "made_at": clock.rfc3339(clock.now()),
            **head_with_keys(head, first=first),
        }
    )
    covered = _own(viewer, asked).filter(leaf__index__lt=head.size).select_related("leaf").order_by("leaf__index")
    after = -1
    while page := list(covered.filter(leaf__index__gt=after)[:_PAGE]):
        places = [record.leaf.index for record in page]
        proofs = transparency.inclusion_proofs(places, size=head.size)
        for record, index in zip(page, places, strict=True):
            entry = audit.canonical(record).decode()
            yield _line({"type": "record", "index": index, "entry": entry, "proof": proofs[index]})
        after = places[-1]


def head_with_keys(head: TreeHead, *, first: int | None = None) -> dict[str, Any]:
    """A head with the keys that check it and, for an earlier published size, the proof that it extends that one."""
    document: dict[str, Any] = {
        "head": transparency.head_document(head),
        "keys": transparency.key_documents(),
        "consistency": None,
    }
    if first is not None:
        earlier = transparency.head_of(first)
        proof = transparency.consistency_proof(earlier.size, head.size)
        document["consistency"] = {"first": earlier.size, "second": head.size, "proof": proof}
    return document


def verbs(viewer: Viewer) -> list[str]:
    """The verbs that the log of the viewer's partner holds."""
    return sorted(_own(viewer, Asked()).order_by().values_list("verb", flat=True).distinct())


def _require(viewer: Viewer) -> None:
    """Raise Forbidden for who may not audit, and for a key for some groups: records name the others, too."""
    viewer.require(Scope.AUDIT)
    viewer.require_all_groups()


def _own(viewer: Viewer, asked: Asked) -> QuerySet[AuditRecord]:
    _require(viewer)
    found = AuditRecord.objects.filter(partner_id=viewer.partner_id)
    start, end = _period(asked)
    if asked.since:
        found = found.filter(at__gte=start)
    if asked.until:
        found = found.filter(at__lte=end)
    if asked.verb:
        found = found.filter(verb=asked.verb)
    if asked.group:
        named = [{what: [{"groups": [asked.group]}]} for what in _BY_AUDIENCE]
        found = found.filter(_any([*named, {"bases": [{"group": asked.group}]}]) | Q(target=f"group:{asked.group}"))
    if asked.partner:
        named = [{what: [{"partners": [asked.partner]}]} for what in _BY_AUDIENCE]
        found = found.filter(_any([*named, {"recipient": asked.partner}]) | Q(target=f"partner:{asked.partner}"))
    return found


def _any(contents: Sequence[dict[str, Any]]) -> Q:
    found = Q()
    for content in contents:
        found |= Q(details__contains=content)
    return found


def _period(asked: Asked) -> tuple[datetime, datetime]:
    """The moments that bound the period: its first and its last."""
    since, until = asked.since or date.min, asked.until or date.max
    return datetime.combine(since, time.min, tzinfo=UTC), datetime.combine(until, time.max, tzinfo=UTC)


def _bounds(viewer: Viewer, asked: Asked) -> dict[str, Any]:
    start, end = _period(asked)
    return {"partner": viewer.partner_id, "start": start, "end": end}


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


_BY_AUDIENCE = ("shared", "withdrawn", "narrowed")

_OF_PERIOD = """
FROM partners_auditrecord r
CROSS JOIN LATERAL jsonb_array_elements(r.details->'{what}') part
WHERE r.partner_id = %(partner)s AND r.verb = 'batch.published' AND r.at BETWEEN %(start)s AND %(end)s
"""

_TOTALS = f"""
SELECT t.sort, t.name, k.key, sum(k.value::bigint)::bigint
FROM (SELECT part {_OF_PERIOD.format(what="shared")}) shared
CROSS JOIN LATERAL (
    SELECT 'group' AS sort, g AS name FROM jsonb_array_elements_text(part->'groups') g
    UNION ALL SELECT 'partner', p FROM jsonb_array_elements_text(part->'partners') p
    UNION ALL SELECT 'everyone', '' WHERE (part->>'everyone')::boolean
    UNION ALL SELECT 'nobody', '' WHERE NOT coalesce((part->>'everyone')::boolean, false)
        AND coalesce(part->'groups', '[]') = '[]' AND coalesce(part->'partners', '[]') = '[]'
) t
CROSS JOIN LATERAL jsonb_each_text(part->'objects') k
WHERE (%(group)s = '' OR (t.sort = 'group' AND t.name = %(group)s))
  AND (%(name)s = '' OR (t.sort = 'partner' AND t.name = %(name)s))
GROUP BY 1, 2, 3 ORDER BY array_position(ARRAY['group', 'partner', 'everyone', 'nobody'], t.sort), 2, 3
"""

_BASES = f"""
SELECT DISTINCT part::text {_OF_PERIOD.format(what="bases")}
  AND (%(group)s = '' OR part->>'group' = %(group)s) ORDER BY 1
"""
