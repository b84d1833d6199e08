"""What the viewer's partner says and said of an id, by whom and when: told to its own people, and to nobody else.

A partner has one opinion on an object, so that of one person takes the place of a colleague's. A page asks before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.db.models import QuerySet

from indicators.models import Holding, Opinion, StixObject
from indicators.opinions import about, giving, recording, senders
from indicators.stix import identifiers
from partners.scopes import Scope
from partners.viewer import Viewer

#: So many that were said before are listed.
MOST = 10


@dataclass(frozen=True, slots=True)
class Stated:
    """One version of an opinion; an empty word: it was taken back then.

    `actor` is empty where it is known no more who said it. `version` names it among those of its id.
    """

    opinion: str
    reason: str
    at: datetime
    actor: str
    version: str


def now(viewer: Viewer, stix_id: str) -> Stated | None:
    """What is in force, the last of it. One query, and a second where it was pushed as an object."""
    row = giving.said(viewer, stix_id)
    newest = row.said_by.newest if row else None
    if row is None or newest is None:
        return None
    actor = row.actor or senders.of_versions([newest]).get(newest.pk, "")
    return Stated(giving.word_in(newest), row.reason, newest.modified or row.at, actor, newest.version or "")


def before(viewer: Viewer, stix_id: str, current: Stated | None) -> list[Stated]:
    """What was said before `current` is, the newest first. Two queries."""
    versions = list(
        StixObject.unrestricted.filter(
            holding__publisher=viewer.partner_id,
            holding__stix_type="opinion",
            references__target_id=identifiers.folded(stix_id),
            references__path__startswith="/object_refs/",
        )
        .select_related("holding")
        .order_by("-pk")[: MOST + 1]
    )
    if current is not None:
        versions = [one for one in versions if one.version != current.version]
    sent = senders.of_versions(versions[:MOST])
    return [_said(one, sent.get(one.pk, "")) for one in versions[:MOST]]


def _said(version: StixObject, actor: str) -> Stated:
    reason = recording.reason_in(orjson.loads(version.body))
    word = "" if version.revoked else giving.word_in(version)
    return Stated(word, reason, version.modified or version.stored_at, actor, version.version or "")


def of_a_colleague(viewer: Viewer, stix_id: str, *, opinion: str, reason: str) -> Stated | None:
    """What another person or key of the viewer's partner says that this opinion would take the place of.

    None where it is the viewer's own, or says the same. Raises Forbidden, NotFound and Refused as giving does.
    """
    viewer.require(Scope.REACT)
    about.others(viewer, stix_id)
    said = now(viewer, stix_id)
    if said is None or said.actor == viewer.actor or (said.opinion, said.reason) == (opinion, reason):
        return None
    return said


def of_colleagues(viewer: Viewer, ids: Sequence[str]) -> dict[str, int]:
    """How many opinions on these ids each other person or key of the viewer's partner gave. One query."""
    found: dict[str, int] = {}
    rows = _in_force(viewer).filter(holding__stix_id__in=ids).exclude(actor=viewer.actor)
    for _, actor in set(rows.values_list("holding__stix_id", "actor")):
        found[actor] = found.get(actor, 0) + 1
    return found


def _in_force(viewer: Viewer) -> QuerySet[Opinion]:
    return Opinion.unrestricted.filter(
        partner=viewer.partner_id, said_by__state=Holding.State.LIVE, said_by__newest__isnull=False
    )
