"""A publisher revokes what it holds, by id: a revoked version is made of the bytes that are held, and published.

It is dated after what is held, and goes where the object is. Where no such version can be made or kept, the object ends
all the same (`publishing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import BigIntegerField, F, Func, Sum
from msgspec.structs import replace

from exchange import bodies, clock
from exchange.errors import TooLarge
from indicators import publishing
from indicators.models import StixObject
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element
from indicators.stix import identifiers, parsing, revising
from indicators.stix.drafts import Draft, Revocation, Unreadable
from partners.scopes import Scope
from partners.viewer import Viewer


def revoke_each(viewer: Viewer, stix_ids: Sequence[str], *, request: publishing.Request) -> publishing.Answer:
    """Revoke what is held of these ids, and answer each as a push is answered: a retry is given the first answer.

    `accepted` is what has ended by that, `unchanged` what had ended before, `refused` what is not held or is beyond the
    key. Raises Forbidden without the scope to publish, TooLarge where the objects are too many bytes together, Conflict
    where the idempotency key was used for another request.
    """
    viewer.require(Scope.PUBLISH)
    ids = [identifiers.folded(stix_id) for stix_id in stix_ids]
    revised = _revised(viewer, ids)
    elements = [_element(index, stix_id, revised.pop(stix_id, None)) for index, stix_id in enumerate(ids)]
    return publishing.publish(elements, by=viewer, reach=Reach(), request=request)


def _revised(viewer: Viewer, stix_ids: Sequence[str]) -> dict[str, Draft | Unreadable]:
    """By id, the revoked version of each holding that is there and not revoked, as if it had been sent. Two queries."""
    held = StixObject.objects.visible_to(viewer).filter(
        holding__publisher=viewer.partner_id, holding__stix_id__in=set(stix_ids), holding__newest=F("pk"), revoked=False
    )
    octets = Func(F("body"), function="octet_length", output_field=BigIntegerField())
    size = held.aggregate(size=Sum(octets))["size"] or 0
    if size > bodies.MAX_BATCH_BYTES:
        raise TooLarge("These objects are too many bytes together: name fewer.", code="batch-too-large")
    now = clock.now()
    made: dict[str, str] = {}
    for stix_id, body, modified in held.values_list("holding__stix_id", "body", "modified"):
        version = revising.revoked(body, modified=revising.after(modified, now=now)) if modified else None
        if version is not None:
            made[stix_id] = version
    if not made:
        return {}
    read = parsing.read_batch(f'{{"objects":[{",".join(made.values())}]}}'.encode())
    return dict(zip(made, read, strict=True))


def _element(index: int, stix_id: str, version: Draft | Unreadable | None) -> Element:
    if version is None:
        return Revocation(index, stix_id)
    if isinstance(version, Draft):
        return replace(version, index=index)
    return Unreadable(index, stix_id, version.refusal, revoked=True)
