"""Which answers of its partner a viewer may read again: a key for some groups none that tell of other groups.

Every face asks here for batches, for what waits for a second person, and for what is in quarantine.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from exchange.errors import NotFound
from indicators.models import Batch
from indicators.publishing.addressing import Reach
from partners.viewer import Viewer


def batch(viewer: Viewer, batch_id: UUID) -> Batch:
    """One batch that the viewer may read. Raises NotFound."""
    found = within(viewer, Batch.objects.of(viewer), path="").filter(pk=batch_id).first()
    if found is None:
        raise NotFound
    return found


def within[M: Model](viewer: Viewer, rows: QuerySet[M], *, path: str) -> QuerySet[M]:
    """Of rows that a batch led to, those that the viewer may read; `path` leads to the batch, such as `batch__`."""
    if not viewer.limited:
        return rows
    return rows.filter(Q(**{f"{path}groups__contained_by": sorted(viewer.group_ids)}))


def groups_of(reach: Reach, *, by: Viewer) -> list[UUID]:
    """The groups that a batch may have gone to: those that it names, else all of its sender's."""
    return sorted(reach.groups if reach.named else by.group_ids)


def idempotency_key_of(by: Viewer, key: str | None) -> str | None:
    """Under what an Idempotency-Key is kept: keys for some groups have theirs for themselves.

    Else such a key would be given the answer to what another of its partner's keys has sent, or told that there is one.
    """
    if key is None or not by.limited:
        return key
    groups = ",".join(str(group) for group in sorted(by.group_ids))
    return f"limited-{hashlib.sha256(f'{groups} {key}'.encode()).hexdigest()}"
