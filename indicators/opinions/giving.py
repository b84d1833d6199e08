"""A partner gives its opinion of what somebody else published: a STIX `opinion`, published through the one way in.

Another opinion on the same object revises the first.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.db import transaction

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.stix import words
from indicators import living
from indicators.models import Holding, Opinion, StixObject
from indicators.opinions import about, recording, senders, standing
from indicators.opinions.standing import Standing
from indicators.stix import identifiers, revising
from partners import keys
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.sources import Source, sources
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Given:
    """One opinion as a viewer reads it."""

    partner: Source
    opinion: str
    reason: str
    modified: datetime
    stix_id: str
    suspended: bool  # its partner, for whose time it does not count
    counts_alone: bool  # told to its own partner only: others find it in the standing


@dataclass(frozen=True, slots=True)
class Judged:
    """A holding of an id, how it stands for the viewer, and the opinions that the viewer sees, newest first."""

    publisher: Source
    standing: Standing
    opinions: tuple[Given, ...]
    own: bool  # whether it is the viewer's own, which it does not judge


def give(viewer: Viewer, stix_id: str, *, opinion: str, reason: str) -> str:
    """Judge what the viewer reads under an id. Returns what became of the opinion, as a push is answered.

    Raises NotFound for what the viewer does not see, Refused for its own, for what has ended, for words that are not
    of the vocabulary, and for whatever the door refuses.
    """
    viewer.require(Scope.REACT)
    judged = about.others(viewer, stix_id)
    if opinion not in recording.SAYS:
        raise Refused(f"One of: {', '.join(recording.SAYS)}.", code="bad-opinion", at="/opinion")
    allowed = words.REASONS_OF_CAMPAIGNS if judged.stix_type == "campaign" else words.REASONS
    if reason not in allowed:
        raise Refused(f"Of this object, one of: {', '.join(allowed)}.", code="bad-reason", at="/reason")
    of_id = Opinion.unrestricted.filter(holding__stix_id=judged.stix_id, partner=viewer.partner_id)
    before = of_id.select_related("said_by__newest").order_by("-place", "pk")
    document = _document(viewer, judged, before.first(), opinion=opinion, reason=reason)
    status = about.publish(viewer, document, judged)
    if status == "accepted":
        said_by = Holding.unrestricted.get(publisher=viewer.partner_id, stix_id=document["id"])
        recording.recorded(said_by.pk, actor=viewer.actor)
    return status


def said(viewer: Viewer, stix_id: str) -> Opinion | None:
    """What the viewer's partner says of an id now, the last of it; None where nothing is in force. One query."""
    rows = Opinion.unrestricted.filter(
        partner=viewer.partner_id,
        holding__stix_id=identifiers.folded(stix_id),
        said_by__state=Holding.State.LIVE,
        said_by__newest__isnull=False,
    )
    return rows.select_related("said_by__newest__holding").order_by("-place").first()


def word_of(row: Opinion) -> str:
    """The word of an opinion, as it was written: `strongly-agree`."""
    newest = row.said_by.newest
    return "" if newest is None else word_in(newest)


def word_in(version: StixObject) -> str:
    """Empty where it says none: the version was revised, and what is recorded of it is still of the one before."""
    word = orjson.loads(version.body).get("opinion")
    return word if isinstance(word, str) and word in recording.SAYS else ""


def take_back(viewer: Viewer, stix_id: str) -> None:
    """Revoke what the viewer's partner says of an id. It is no end of an indicator, so no cap of ends counts it.

    Raises Forbidden without the scope to judge, NotFound where it says nothing, Refused for what the door refuses.
    """
    viewer.require(Scope.REACT)
    row = said(viewer, stix_id)
    newest = row.said_by.newest if row else None
    if row is None or newest is None or newest.modified is None:
        raise NotFound
    about.revoke(viewer, newest.body, modified=revising.after(newest.modified, now=clock.now()))
    recording.recorded(row.said_by_id, actor=viewer.actor)


def _document(
    viewer: Viewer, judged: Holding, before: Opinion | None, *, opinion: str, reason: str
) -> dict[str, object]:
    """A new opinion, or the next version of the one that the partner gave before, as long as that is in force."""
    now = clock.now()
    former = _of_it_alone(before, judged.stix_id)
    modified = revising.after(former.modified, now=now) if former and former.modified else clock.rfc3339(now)
    made = former.created if former and former.created else None
    return {
        "type": "opinion",
        "spec_version": "2.1",
        "id": former.stix_id if former else f"opinion--{uuid.uuid4()}",
        "created_by_ref": viewer.identity_id,
        "created": clock.rfc3339(made) if made else modified,
        "modified": modified,
        "object_marking_refs": about.markings(judged),
        "opinion": opinion,
        "object_refs": [judged.stix_id],
        "extensions": {words.OPINION_EXTENSION_ID: {"extension_type": "property-extension", "reason": reason}},
    }


def _of_it_alone(before: Opinion | None, stix_id: str) -> StixObject | None:
    """The version in force, of an opinion on nothing else: one on several, as it may be pushed, stands for the rest."""
    newest = before.said_by.newest if before and living.lives(before.said_by.state) else None
    refs = orjson.loads(newest.body).get("object_refs") if newest else None
    alone = isinstance(refs, list) and {identifiers.folded(str(ref)) for ref in refs} == {stix_id}
    return newest if alone else None


def read(viewer: Viewer, stix_id: str) -> list[Judged]:
    """The holdings of an id that the viewer sees, as they stand. Raises NotFound where there is none."""
    wanted = identifiers.folded(stix_id)
    seen = Holding.objects.visible_to(viewer).filter(stix_id=wanted, newest__isnull=False)
    holdings = list(seen.order_by("pk"))
    if not holdings:
        raise NotFound
    stands = standing.of(viewer, [holding.pk for holding in holdings])
    heard = (
        Opinion.objects.visible_to(viewer)
        .filter(holding__in=holdings, said_by__state=Holding.State.LIVE)
        .select_related("said_by__newest", "said_by__audience", "partner")
        .order_by("-place")
    )
    shown = sources(viewer, {(holding.publisher_id, holding.audience_id) for holding in holdings})
    given: dict[int, list[Given]] = {}
    for row in heard:
        newest = row.said_by.newest
        if newest is not None and word_in(newest) and row.partner_id != _publisher(holdings, row.holding_id):
            given.setdefault(row.holding_id, []).append(_given(viewer, row, newest))
    return [
        Judged(
            shown[holding.publisher_id, holding.audience_id],
            stands[holding.pk],
            tuple(given.get(holding.pk, ())),
            own=holding.publisher_id == viewer.partner_id,
        )
        for holding in holdings
    ]


def _publisher(holdings: list[Holding], holding_id: int) -> uuid.UUID:
    return next(holding.publisher_id for holding in holdings if holding.pk == holding_id)


def _given(viewer: Viewer, row: Opinion, newest: StixObject) -> Given:
    own = row.partner_id == viewer.partner_id
    source = Source(row.partner_id, row.partner.name, row.partner.slug)
    made = newest.modified or newest.stored_at
    return Given(
        source,
        word_in(newest),
        row.reason,
        made,
        row.said_by.stix_id,
        suspended=row.partner.state == Partner.State.SUSPENDED,
        counts_alone=row.alone if own else True,
    )


def confirm(viewer: Viewer, stix_id: str) -> None:
    """Have a dissent beyond the day's cap count by itself: said by a second person of the partner that gave it.

    Raises NotFound where there is none, Conflict for whoever gave it, also by a key that they made.
    """
    viewer.require(Scope.REACT)
    seen = Holding.objects.visible_to(viewer).filter(stix_id=identifiers.folded(stix_id))
    waiting = Opinion.unrestricted.filter(
        holding__in=list(seen.values_list("pk", flat=True)), partner=viewer.partner_id, says__lt=0, alone=False
    )
    said = waiting.select_related("said_by").order_by("pk").first()
    if said is None:
        raise NotFound
    sender = keys.maker_of(said.actor or senders.of(said))
    if not viewer.is_person or sender in ("", viewer.actor):
        raise Conflict("A second person of your partner confirms it.", code="second-person-needed")
    with transaction.atomic():
        row = waiting.select_for_update(no_key=True).filter(pk=said.pk, place=said.place).first()
        if row is None:  # it says something else by now, of which nobody has read
            raise NotFound
        recording.count_alone(row)
        audit.record(audit.Verb.OPINION_CONFIRMED, by=viewer, target=f"object:{identifiers.folded(stix_id)}")
