"""What says RED without being marked so waits here, sealed, for its own partner to mend or delete it.

The only writer of Quarantined; `keep` and `mended` are called by `publishing`, in its transaction. One row for each
partner and id: what is sent again takes the place of what was sent before, and what enters ends its row.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from exchange import sealing
from exchange.errors import NotFound
from exchange.sql import Message, array_of
from indicators.models import Quarantined
from indicators.publishing import answering
from indicators.stix.drafts import Draft, Quarantine
from partners.log import audit
from partners.scopes import Scope
from partners.viewer import Viewer

_PURPOSE = "quarantine"
_AT_ONCE = 500


def keep(found: Iterable[tuple[Draft, Quarantine]], *, by: Viewer, batch_id: UUID) -> None:
    """Seal and keep these objects, byte for byte. Of several under one id, the last."""
    rows = {draft.stix_id: (draft, verdict) for draft, verdict in found}
    if not rows:
        return
    Quarantined.unrestricted.filter(partner=by.partner_id, stix_id__in=list(rows)).delete()
    Quarantined.unrestricted.bulk_create(
        _row(draft, verdict, by=by, batch_id=batch_id) for draft, verdict in rows.values()
    )


def mended(stix_ids: Sequence[str], *, by: Viewer, within: Message) -> None:
    """What enters waits no longer, once the message is sent."""
    if stix_ids:
        within.add(_MENDED, [by.partner_id, array_of(stix_ids)])


_MENDED = "DELETE FROM indicators_quarantined WHERE partner_id = %s AND stix_id = ANY(%s::text[])"


def page(viewer: Viewer, *, before: tuple[datetime, UUID] | None = None, limit: int) -> list[Quarantined]:
    """What waits for the viewer's own partner, newest first, from before a place on. Raises Forbidden."""
    viewer.require(Scope.PUBLISH)
    found = _of(viewer)
    if before is not None:
        at, entry = before
        found = found.filter(Q(at__lt=at) | Q(at=at, entry__lt=entry))
    return list(found.order_by("-at", "-entry")[:limit])


def find(viewer: Viewer, entry: UUID) -> Quarantined:
    """One that waits for the viewer's own partner. Raises Forbidden, NotFound."""
    viewer.require(Scope.PUBLISH)
    found = _of(viewer).filter(entry=entry).first()
    if found is None:
        raise NotFound
    return found


def delete(viewer: Viewer, entry: UUID) -> None:
    """Delete one for good. Raises Forbidden, NotFound."""
    found = find(viewer, entry)
    with transaction.atomic():
        if not Quarantined.unrestricted.filter(pk=found.pk).delete()[0]:
            raise NotFound
        audit.record(audit.Verb.QUARANTINE_DELETED, by=viewer, target=f"quarantine:{entry}", code=found.code)


def body(found: Quarantined) -> bytes:
    """The bytes as they were sent. Raises sealing.Broken where they were sealed under a key that is gone."""
    return sealing.unseal(bytes(found.sealed), purpose=_PURPOSE, bound=_bound(found))


def openers() -> Iterator[Callable[[], bytes]]:
    """For `exchange.proving`."""
    return (partial(body, row) for row in Quarantined.unrestricted.order_by("pk").iterator())


def reseal() -> int:
    """Seal everything anew with the present SECRET_KEY; how many rows were under another one."""
    after, count = 0, 0
    while rows := list(Quarantined.unrestricted.filter(pk__gt=after).order_by("pk")[:_AT_ONCE]):
        fresh = [(row, sealing.reseal(bytes(row.sealed), purpose=_PURPOSE, bound=_bound(row))) for row in rows]
        changed = [(row, sealed) for row, sealed in fresh if sealed != bytes(row.sealed)]
        for row, sealed in changed:
            row.sealed = sealed
        count += Quarantined.unrestricted.bulk_update([row for row, _ in changed], ["sealed"])
        after = rows[-1].pk
    return count


def _of(viewer: Viewer) -> QuerySet[Quarantined]:
    return answering.within(viewer, Quarantined.objects.of(viewer), path="batch__")


def _row(draft: Draft, verdict: Quarantine, *, by: Viewer, batch_id: UUID) -> Quarantined:
    row = Quarantined(
        entry=uuid.uuid4(),
        partner_id=by.partner_id,
        batch_id=batch_id,
        stix_id=draft.stix_id,
        code=verdict.code,
        field=verdict.field,
        message=verdict.message,
    )
    row.sealed = _sealed(row, draft.raw)
    return row


def _sealed(row: Quarantined, raw: bytes) -> bytes:
    return sealing.seal(raw, purpose=_PURPOSE, bound=_bound(row))


def _bound(row: Quarantined) -> tuple[bytes, bytes]:
    """To one partner and one row: what is sealed for one opens as nothing else."""
    return row.partner_id.bytes, row.entry.bytes
