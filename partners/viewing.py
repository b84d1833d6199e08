"""View as: who sees what is shared in a certain way, asked of the one rule for each partner in turn.

There is no inverse of the rule that could drift from it. An audience that is only being thought of is stored, asked for
and taken back in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.db import transaction

from exchange.errors import NotFound
from partners import sources
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.keys import auth
from partners.models import Audience, Partner
from partners.sharing import audience_ids, who_sees
from partners.sources import Source
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Reader:
    """A partner that sees it, and whom it is told that it comes from."""

    partner_name: str
    partner_slug: str
    source: Source


def would_see(by: Viewer, spec: AudienceSpec) -> list[Reader]:
    """The partners, besides the publisher itself, that would see what `by` shares like this."""
    drawn = sources.has_pseudonym(by.partner_id, spec)
    with transaction.atomic():
        found = readers(sources.intern(by, spec))
        transaction.set_rollback(True)
    if spec.attribution == Attribution.PSEUDONYM and not drawn:  # the one that was asked for is taken back, too
        return [replace(one, source=_to_come(one.source)) for one in found]
    return found


def _to_come(source: Source) -> Source:
    return replace(source, name="a pseudonym, to be drawn", slug="pseudonym")


def readers(audience_id: int) -> list[Reader]:
    """The partners, besides the publisher itself, that see what is shared with this audience; by name."""
    audience = Audience.objects.get(pk=audience_id)
    viewers = auth.viewers_of_partners()
    sees = who_sees([audience_id], viewers)[audience_id] - {audience.publisher_id}
    return [
        Reader(viewer.partner_name, viewer.partner_slug, sources.source_of(viewer, audience))
        for viewer in viewers
        if viewer.partner_id in sees
    ]


def sources_for(viewer: Viewer, audience_ids: Iterable[int]) -> dict[int, Source]:
    """Whom another partner is told that what has these audiences comes from, by audience."""
    said = list(Audience.objects.filter(pk__in=list(audience_ids)).values_list("publisher_id", "pk"))
    return {audience: source for (_, audience), source in sources.sources(viewer, said).items()}


def shown_to(by: Viewer, slug: str) -> tuple[Viewer, frozenset[int]]:
    """A partner as a viewer, and which audiences of `by` it sees. Raises NotFound for who is no active partner."""
    partner = Partner.objects.filter(slug=slug, state=Partner.State.ACTIVE).exclude(pk=by.partner_id).first()
    viewer = auth.viewer_of_partner(partner.pk) if partner else None
    if viewer is None:
        raise NotFound("There is no such partner.")
    return viewer, frozenset(_own(by)) & frozenset(audience_ids(viewer))


def _own(by: Viewer) -> Iterable[int]:
    return audience_ids(by, own=True)
