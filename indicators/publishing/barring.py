"""What a key for some of its partner's groups may not touch, though its partner published it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exchange.errors import Forbidden
from indicators.publishing import storing
from partners.models import Audience
from partners.viewer import Viewer


def beyond_the_key(held: Mapping[str, storing.Versions], *, by: Viewer) -> set[str]:
    """Ids that such a key may not revise: what its partner shares with other groups is not its to change."""
    if not by.limited:
        return set()
    shared = Audience.objects.filter(publisher=by.partner_id).exclude(groups__contained_by=sorted(by.group_ids))
    other = set(shared.values_list("pk", flat=True))
    return {
        stix_id
        for stix_id, versions in held.items()
        if any(version.latest and version.audience_id in other for version in versions.values())
    }


def require_within(held: Mapping[str, storing.Versions], *, by: Viewer, ids: Iterable[str]) -> None:
    """Raise Forbidden unless the key may touch all of these holdings."""
    if beyond_the_key(held, by=by) & set(ids):
        raise Forbidden("This key is for other groups than the object is shared with.", code="key-limited-to-groups")
