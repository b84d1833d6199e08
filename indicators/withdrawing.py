"""A publisher takes a holding back: whoever held it is told to drop it, and nobody sees it any more.

Nothing is deleted, for the log and the audit record stand. The rows go to an audience that the rule shows to nobody;
the same bytes, pushed again, wake them (`versions`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from django.db import transaction

from exchange.errors import NotFound
from indicators import changes, notifying, storing
from indicators.barring import require_within
from indicators.models import Change
from indicators.stix import identifiers
from partners import audit
from partners.scopes import Scope
from partners.sharing import Viewer, intern_withdrawn

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def withdraw(viewer: Viewer, stix_ids: Sequence[str]) -> None:
    """Take back all versions of the viewer's own holdings of these ids.

    Raises Forbidden without the scope to publish, NotFound if one of the ids is not held: then none is taken back.
    """
    viewer.require(Scope.PUBLISH)
    _take_back(viewer, stix_ids, only=None)


def withdraw_on_behalf(viewer: Viewer, stix_ids: Sequence[str]) -> None:
    """The same where it is not the publisher who decides: for a partner that leaves."""
    _take_back(viewer, stix_ids, only=None)


def withdraw_versions(viewer: Viewer, stix_id: str, object_ids: Collection[int]) -> None:
    """Take back some versions of a holding, by their keys; the newest that is left takes the place of the newest.

    A revocation is not taken back alone, for revoked is final: with it goes the whole holding. Raises as `withdraw`.
    """
    viewer.require(Scope.PUBLISH)
    _take_back(viewer, [stix_id], only=frozenset(object_ids))


@transaction.atomic
def _take_back(viewer: Viewer, stix_ids: Sequence[str], *, only: frozenset[int] | None) -> None:
    wanted = identifiers.canonical(stix_ids)
    storing.lock_publisher(viewer.partner_id)
    found = storing.holdings(viewer.partner_id, wanted)
    require_within(found, by=viewer, ids=wanted)
    parts = [_part(found.get(stix_id, {}), only=only) for stix_id in wanted]
    gone = [held for taken, _ in parts for held in taken]
    heirs = [heir for _, heir in parts if heir is not None]
    kinds = {held.attribution for held in gone}
    nobody = {kind: intern_withdrawn(viewer.partner_id, attribution=kind) for kind in kinds}
    storing.settle(
        [
            *((held.object_id, nobody[held.attribution], False) for held in gone),
            *((heir.object_id, heir.audience_id, True) for heir in heirs),
        ]
    )
    audit.record(audit.Verb.OBJECTS_WITHDRAWN, by=viewer, target=f"objects:{len(wanted)}", ids=wanted)
    changes.append(
        [
            *(
                _change(viewer, held, Change.Op.REMOVE, Change.Reason.WITHDRAWN)
                for held in gone
                if held.latest and not held.revoked
            ),
            *(_change(viewer, heir, Change.Op.UPSERT, Change.Reason.REVISED) for heir in heirs),
        ]
    )
    transaction.on_commit(notifying.hint, robust=True)


def _part(holding: storing.Holding, *, only: frozenset[int] | None) -> tuple[list[storing.Held], storing.Held | None]:
    """What is taken of a holding, and the version that becomes its newest, if that changes. Raises NotFound."""
    awake = sorted(
        ((modified or _EARLIEST, held) for modified, held in holding.items() if not held.withdrawn),
        key=lambda version: version[0],
    )
    taken = [held for _, held in awake if only is None or held.object_id in only]
    if not taken:
        raise NotFound
    if any(held.latest and held.revoked for held in taken):
        taken = [held for _, held in awake]
    left = [held for _, held in awake if held not in taken]
    loses_newest = any(held.latest for held in taken)
    return taken, left[-1] if left and loses_newest else None


def _change(viewer: Viewer, held: storing.Held, op: Change.Op, reason: Change.Reason) -> changes.NewChange:
    return changes.NewChange(
        object_id=held.object_id,
        publisher_id=viewer.partner_id,
        audience_id=held.audience_id,
        op=op,
        reason=reason,
        again=op == Change.Op.UPSERT,
    )
