"""A publisher recalls what it should not have published: by id, detector, time of its push, or campaign.

In two steps, so that nobody recalls more than they meant: `prepare` finds the living holdings and keeps their keys,
and says how many they are; `carry_out` disarms these and no others (`disarming`). Everybody is told `remove`,
`recalled`. For an hour one call brings them back; then, or when somebody says so, they end for good as revoked
(`deciding`). Above the partner's cap of ends a second person says so. The only writer of Recall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F, Func, IntegerField, JSONField, Q

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.sql import Message
from exchange.stix import words
from indicators.ending import deciding, disarming
from indicators.models import Disarmed, Ending, Holding, Recall, Reference, StixObject
from indicators.publishing import rationing, storing
from indicators.stix import identifiers
from indicators.stix.facets import facet
from indicators.telling import notifying
from partners.log import audit
from partners.scopes import Scope
from partners.viewer import Viewer

#: Objects of one recall: more are recalled in several.
MOST = 50_000
#: Recalls of one partner that are only prepared: the oldest give way.
MOST_PREPARED = 50
#: How long a prepared recall can be carried out, and how long one that was carried out is kept with its receipts.
PREPARED, KEPT = timedelta(hours=1), timedelta(days=90)
_LISTED = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be recalled; all that is said must be true of an object."""

    ids: tuple[str, ...] = ()
    detector: str = ""  # d-<8 hex>
    version: str = ""  # of that detector, as the object says it
    since: datetime | None = None  # a version of it was pushed from then on
    until: datetime | None = None  # and before then
    campaign: str = ""  # a STIX id: a relationship or grouping that the publisher sees joins them

    def require(self) -> None:
        """Raise Refused where it says nothing, or a version of no detector."""
        if not (self.ids or self.detector or self.since or self.until or self.campaign):
            raise Refused("Say what: ids, a detector, a time, or a campaign.", code="nothing-named", at="")
        if self.version and not self.detector:
            raise Refused("The version of which detector?", code="nothing-named", at="/detector")
        if self.since and self.until and self.since >= self.until:
            raise Refused("From an earlier time to a later one.", code="bad-time", at="/until")

    def to_json(self) -> dict[str, Any]:
        """To be kept: what was said."""
        said = {
            "ids": list(self.ids),
            "detector": self.detector,
            "version": self.version,
            "since": self.since and clock.rfc3339(self.since),
            "until": self.until and clock.rfc3339(self.until),
            "campaign": self.campaign,
        }
        return {name: value for name, value in said.items() if value}


def prepare(by: Viewer, wanted: Wanted) -> Recall:
    """Find what is to be recalled, and keep exactly that. Nobody is told, and nothing ends.

    Beyond `MOST_PREPARED` the oldest that was only prepared is forgotten.

    Raises Forbidden without the scope to publish and for a key for some groups, Refused where nothing is said, an id
    is not held, or there are more than `MOST`.
    """
    by.require(Scope.PUBLISH)
    by.require_all_groups()
    wanted.require()
    found = _found(by, wanted)
    if len(found) > MOST:
        raise Refused(f"More than {MOST:,} objects: recall them in parts, by time.", code="too-many-objects", at="")
    with transaction.atomic():
        only_prepared = Recall.objects.of(by).filter(ending=None)
        old = list(only_prepared.order_by("-at", "-pk").values_list("pk", flat=True)[MOST_PREPARED - 1 :])
        Recall.unrestricted.filter(pk__in=old, ending=None).delete()
        made = Recall.unrestricted.create(
            partner_id=by.partner_id, actor=by.actor, asked=wanted.to_json(), holdings=found
        )
        audit.record(
            audit.Verb.RECALL_PREPARED,
            by=by,
            target=f"recall:{made.pk}",
            objects=len(found),
            by_what=sorted(made.asked),
        )
    return made


def carry_out(by: Viewer, recall_id: UUID) -> Recall:
    """Disarm what was found; what has ended since is left as it is.

    Raises Forbidden, NotFound, and Conflict where it was carried out before or prepared too long ago.
    """
    by.require(Scope.PUBLISH)
    by.require_all_groups()
    with transaction.atomic():
        storing.lock_publisher(by.partner_id)
        recall = find(by, recall_id, locked=True)
        if recall.ending_id is not None:
            raise Conflict("This recall was carried out already.", code="already-decided")
        if recall.at < clock.now() - PREPARED:
            raise Conflict("This was prepared too long ago: prepare it anew.", code="too-old")
        ended = disarming.living_of(by, recall.holdings)
        alone = not disarming.is_mass(by, len(ended))
        ending = disarming.an_ending(by, len(ended), Ending.Verb.RECALL, alone=alone)
        if ended:
            last = Message()
            told = disarming.disarm_as(ending, ended, by=by, within=last)
            rationing.tell(by, told, within=last)
            last.send()
            transaction.on_commit(notifying.hint, robust=True)
        else:
            ending.state, ending.until, ending.decided_at = Ending.State.FINAL, None, clock.now()
            ending.save(force_insert=True)
        recall.ending = ending
        recall.save(update_fields=["ending"])
    return recall


@dataclass(frozen=True, slots=True)
class Listed:
    """A recall among others, without the keys of what it names; of the ids that were asked for the first."""

    recall: Recall
    objects: int
    asked: dict[str, Any]


def listed(viewer: Viewer) -> list[Listed]:
    """The newest recalls of the viewer's partner. One names up to `MOST`, so a hundred are told in short."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    own = Recall.objects.of(viewer).select_related("ending").defer("asked", "holdings")
    size = Func(F("holdings"), function="cardinality", output_field=IntegerField())
    brief = Func(F("asked"), template=_IN_BRIEF, output_field=JSONField())
    found = own.annotate(size=size, brief=brief).order_by("-at", "-pk")[:_LISTED]
    return [Listed(one, objects=one.size, asked=one.brief) for one in found]


# What was asked for, with the first hundred of its ids. `expressions` is the column, and nothing that somebody said.
_IN_BRIEF = """
CASE WHEN jsonb_array_length(%(expressions)s -> 'ids') > 100
     THEN jsonb_set(%(expressions)s, '{ids}', jsonb_path_query_array(%(expressions)s, '$.ids[0 to 99]'))
     ELSE %(expressions)s END
"""


def find(viewer: Viewer, recall_id: UUID, *, locked: bool = False) -> Recall:
    """One of the viewer's partner's own. Raises NotFound."""
    own = Recall.objects.of(viewer)
    found = (own.select_for_update() if locked else own.select_related("ending")).filter(pk=recall_id).first()
    if found is None:
        raise NotFound
    return found


def ids_of(recall: Recall, *, at_most: int) -> list[str]:
    """The ids of what it names, in order."""
    held = Holding.unrestricted.filter(pk__in=recall.holdings)
    return list(held.order_by("stix_id").values_list("stix_id", flat=True)[:at_most])


def gone_before(recall: Recall, *, at_most: int) -> list[str]:
    """The ids of what it names that had ended before it was carried out, in order. One query at most.

    Known while what it disarmed is kept, and where it disarmed nothing; empty otherwise.
    """
    ending = recall.ending
    if ending is None or ending.objects_ended == len(recall.holdings):
        return []
    if ending.objects_ended and ending.state != Ending.State.DISARMED:
        return []
    ended = Disarmed.unrestricted.filter(ending=ending).values("holding")
    gone = Holding.unrestricted.filter(pk__in=recall.holdings).exclude(pk__in=ended)
    return list(gone.order_by("stix_id").values_list("stix_id", flat=True)[:at_most])


def undo(by: Viewer, recall_id: UUID) -> Recall:
    """Bring all of it back. Raises as `deciding.undo`, and Conflict where it was not carried out."""
    deciding.undo(by, [_ending_of(by, recall_id)])
    return find(by, recall_id)


def finish(by: Viewer, recall_id: UUID) -> Recall:
    """Make it final. Raises as `deciding.confirm`, and Conflict where it was not carried out."""
    deciding.confirm(by, _ending_of(by, recall_id))
    return find(by, recall_id)


def forget() -> None:
    """Delete what was only prepared, and what is over for long."""
    now = clock.now()
    Recall.unrestricted.filter(ending=None, at__lt=now - 2 * PREPARED).delete()
    Recall.unrestricted.filter(at__lt=now - KEPT).exclude(ending__state=Ending.State.DISARMED).delete()


def _ending_of(by: Viewer, recall_id: UUID) -> UUID:
    recall = find(by, recall_id)
    if recall.ending_id is None:
        raise Conflict("This recall is only prepared.", code="not-carried-out")
    return recall.ending_id


def _found(by: Viewer, wanted: Wanted) -> list[int]:
    """The keys of the publisher's own living holdings that it says, in order; at most one more than `MOST`."""
    live = Holding.objects.visible_to(by).filter(publisher=by.partner_id, state=Holding.State.LIVE)
    if wanted.ids:
        ids = [identifiers.folded(stix_id) for stix_id in wanted.ids]
        held = set(
            Holding.objects.visible_to(by).filter(publisher=by.partner_id, stix_id__in=ids).values_list("stix_id")
        )
        for place, stix_id in enumerate(ids):
            if (stix_id,) not in held:
                raise Refused("You hold nothing under this id.", code="not-held", at=f"/ids/{place}")
        live = live.filter(stix_id__in=ids)
    if wanted.detector:
        live = live.filter(newest__facets__contains=[facet("detector", wanted.detector)])
    if wanted.since or wanted.until:
        pushed = StixObject.unrestricted.filter(
            *([Q(stored_at__gte=wanted.since)] if wanted.since else []),
            *([Q(stored_at__lt=wanted.until)] if wanted.until else []),
        )
        live = live.filter(pk__in=pushed.values("holding"))
    if wanted.campaign:
        live = live.filter(stix_id__in=_of_campaign(by, wanted.campaign))
    if not wanted.version:
        return list(live.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
    bodies = live.order_by("pk").values_list("pk", "newest__body").iterator(chunk_size=1_000)
    return list(_of_version(bodies, wanted.version))[: MOST + 1]


def _of_version(bodies: Iterator[tuple[int, str | None]], version: str) -> Iterator[int]:
    """Those of which the newest version names this version of its detector."""
    for pk, body in bodies:
        extensions = orjson.loads(body or "{}").get("extensions")
        extension = extensions.get(words.EXTENSION_ID) if isinstance(extensions, dict) else None
        detector = extension.get("detector") if isinstance(extension, dict) else None
        if isinstance(detector, dict) and detector.get("version") == version:
            yield pk


def _of_campaign(by: Viewer, campaign: str) -> list[str]:
    """The ids that relationships and groupings which the publisher sees join with a campaign."""
    wanted = identifiers.folded(campaign)
    joined = Reference.objects.visible_to(by).filter(
        target_id=wanted,
        version__holding__stix_type__in=["relationship", "grouping"],
        version__holding__state=Holding.State.LIVE,
    )
    versions = list(joined.values_list("version", flat=True))
    ends = Reference.objects.visible_to(by).filter(version__in=versions).exclude(target_id=wanted)
    return list(ends.values_list("target_id", flat=True).distinct())
