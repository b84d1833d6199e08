"""A publisher shows a holding to others than before, without new bytes.

Whoever comes to see less is left out without any question: what is no longer allowed may still be narrowed. Where
somebody comes to see it, the object goes through the door as if it were pushed again: the gates, the policy of the
groups, what its own marking allows. A marking stays as it is where none is named, and so does the audience.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import orjson
from django.db import transaction

from exchange.errors import NotFound, Refused
from indicators import publishing, reading
from indicators.publishing import accounting, awaiting, moving, rationing, rejudging, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.attributing import moves_pseudonym
from indicators.publishing.barring import require_within
from indicators.publishing.reach import Reach
from indicators.stix import parsing
from indicators.stix.drafts import Draft, Unreadable
from indicators.telling import notifying
from partners.attribution import Attribution
from partners.log import audit
from partners.models import Audience
from partners.scopes import Scope
from partners.standing import standing
from partners.tlp import Tlp
from partners.viewer import Viewer


def readdress(viewer: Viewer, stix_id: str, reach: Reach) -> publishing.Answer | None:
    """Give the newest version of the viewer's own holding the audience that `reach` names.

    Returns the answer of the batch that waits for a second person to confirm it, the same one however often the same
    is asked for; None where it is done.

    Raises Forbidden without the scope to publish, NotFound for what is not held, Refused where the audience is not
    allowed or the object may not enter there.
    """
    viewer.require(Scope.PUBLISH)
    said = reading.own_object(viewer, stix_id)
    draft = _read(said)
    if not reach.named and reach.tlp is None:
        raise Refused("Say who may see it, or how it is marked.", code="no-audience", at="")
    waits = rejudging.waiting([said.object_id]).get(said.object_id)
    if not reach.named:
        reach = _marked_anew(viewer, said, waits, reach)
    elif reach.tlp is None and waits is None:
        reach = replace(reach, tlp=Tlp(said.tlp))
    audiences = BatchAudiences(viewer, reach, stands=standing(viewer), withdrawing=True)
    if _narrow(viewer, draft, reach, audiences, shown=said.audience_id):
        return None
    request = publishing.Request(hashlib.sha256(repr(reach).encode() + draft.raw).digest())
    with transaction.atomic():
        if (before := awaiting.waits_already(request, by=viewer)) is not None:
            return before
        answer = publishing.publish([draft], by=viewer, reach=reach, request=request)
    result = orjson.loads(answer.results)[0]
    if result["status"] not in ("accepted", "unchanged", "waiting"):
        raise Refused(result["message"], code=result["code"], at=result["field"])
    return answer if result["status"] == "waiting" else None


def _marked_anew(viewer: Viewer, said: reading.Statement, waits: Reach | None, wanted: Reach) -> Reach:
    """Where an object goes whose publisher names another marking alone: where it is, never to the default audience.

    What waits for a definition goes then where its push asked. RED keeps the named partners, and a group that the
    publisher has left is left out.
    """
    if waits is None:
        held = Audience.objects.get(pk=said.audience_id)
        waits = Reach(named=True, everyone=held.everyone, groups=tuple(held.groups), partners=tuple(held.partners))
    if waits.default:
        return replace(waits, tlp=wanted.tlp)
    red = wanted.tlp is Tlp.RED
    groups = () if red else tuple(group for group in waits.groups if group in viewer.group_ids)
    return replace(waits, tlp=wanted.tlp, everyone=waits.everyone and not red, groups=groups)


def _read(said: reading.Statement) -> Draft:
    read = parsing.read_batch(said.body.encode())[0]
    if isinstance(read, Unreadable):  # it was let in by other rules than today's
        raise Refused(read.refusal.message, code=read.refusal.code, at=read.refusal.field)
    return read


@transaction.atomic
def _narrow(viewer: Viewer, draft: Draft, reach: Reach, audiences: BatchAudiences, *, shown: int) -> bool:
    """Move the holding if nobody comes to see it by that; returns whether it is there now.

    `shown`: the audience that was read. Raises NotFound if it is held under another by now: what was asked for was
    asked of that one.
    """
    storing.lock_publisher(viewer.partner_id)
    found = storing.versions(viewer.partner_id, [draft.stix_id])
    require_within(found, by=viewer, ids=[draft.stix_id])
    holding = found.get(draft.stix_id, {})
    held = next((one for one in holding.values() if one.latest), None)
    if held is None or held.sha256 != hashlib.sha256(draft.raw).digest() or held.audience_id != shown:
        raise NotFound  # it was changed meanwhile
    tlp = audiences.marking(draft)
    spec = audiences.named(tlp) if reach.named else audiences.spec(tlp)
    if not spec.within(audiences.as_held(held.audience_id)):
        return False
    if (refusal := moves_pseudonym(held, spec)) is not None:
        raise Refused(refusal.message, code=refusal.code, at="/groups")
    move = moving.Moving(draft.stix_id, held, audiences.intern(spec, Attribution(held.attribution)), tlp, None, draft)
    rejudging.ask_anew(held.object_id, reach)
    if move.stays:
        return True
    moving.rewrite([move])
    told = accounting.shared([], [move])
    audit.record(audit.Verb.OBJECTS_READDRESSED, by=viewer, target="objects:1", ids=[draft.stix_id], **told)
    rationing.tell(viewer, moving.told([move]))
    transaction.on_commit(notifying.hint, robust=True)
    return True
