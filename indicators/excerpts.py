"""Excerpts of attackers' prompts, for people alone. The only writer of Excerpt.

    sent -> schema - scan -> waits for a second person -> shown to people who see its indicator -> ends

An excerpt is no object of the store: it is in no list, feed, collection, bundle or search, and machines are never given
its text, not its publisher's either. People see it on the page of its indicator: those of partners that see the
indicator and receive AMBER+STRICT. After its end, 30 days at most, nothing of it is kept.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from exchange.stix import excerpts as stix
from exchange.stix import faults, words
from exchange.texts import rules
from indicators.door import scanning
from indicators.models import Excerpt, Holding
from partners import keys
from partners.attribution import Attribution
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

LONGEST = timedelta(days=30)
#: Of one partner, at the same time.
MOST = 1_000
KIND = "prompt-signature"


def send(viewer: Viewer, data: Mapping[str, Any], raw: bytes) -> Excerpt:
    """Take an excerpt, which waits for a second person; the same bytes again change nothing.

    Raises Forbidden, Conflict, and Refused naming the field: nothing of a refused one is kept.
    """
    viewer.require(Scope.PUBLISH)
    until = _checked(data, raw)
    sha256 = hashlib.sha256(raw).digest()
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        own = Excerpt.unrestricted.filter(partner=viewer.partner_id)
        if (held := own.filter(excerpt_id=data["id"]).first()) is not None:
            if bytes(held.sha256) != sha256:
                raise Conflict("You sent another excerpt under this id.", code="version-conflict")
            return held
        if own.count() >= MOST:
            raise Conflict(f"A partner has at most {MOST:,} excerpts at a time.", code="too-many-excerpts")
        made = Excerpt.unrestricted.create(
            partner_id=viewer.partner_id,
            holding=_indicator(viewer, data["indicator_ref"]),
            excerpt_id=data["id"],
            sha256=sha256,
            text=data["text"],
            actor=viewer.actor,
            valid_until=until,
        )
        _record(audit.Verb.EXCERPT_SENT, made, by=viewer)
    return made


def own(viewer: Viewer) -> list[Excerpt]:
    """Those of the viewer's partner that have not ended, oldest first."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    mine = Excerpt.unrestricted.filter(partner=viewer.partner_id, valid_until__gt=clock.now())
    return list(mine.select_related("holding").order_by("at", "pk"))


def waiting(viewer: Viewer) -> list[Excerpt]:
    """Those that wait for a second person of the viewer's partner, with their texts: for people alone."""
    return [one for one in own(viewer) if one.state == Excerpt.State.WAITING] if viewer.is_person else []


def shown(viewer: Viewer, stix_id: str) -> list[Excerpt]:
    """What people see under an id, oldest first; to machines nothing. One query."""
    if not viewer.is_person:
        return []
    cleared = Q() if viewer.clearance >= Tlp.AMBER_STRICT else Q(partner=viewer.partner_id)
    rows = Excerpt.objects.visible_to(viewer).filter(
        cleared,
        holding__stix_id=stix_id,
        holding__state=Holding.State.LIVE,
        state=Excerpt.State.SHOWN,
        valid_until__gt=clock.now(),
    )
    return list(rows.order_by("at", "pk"))


def made(indicator_id: str, text: str) -> dict[str, Any]:
    """The excerpt that a person types, as it is sent: from now on, for as long as may be."""
    now = clock.now()
    return {
        "type": stix.TYPE,
        "spec_version": "2.1",
        "id": f"{stix.TYPE}--{uuid.uuid4()}",
        "created": clock.rfc3339(now),
        "modified": clock.rfc3339(now),
        "valid_until": clock.rfc3339(now + LONGEST),
        "object_marking_refs": [stix.MARKING],
        "indicator_ref": indicator_id,
        "text": text,
        "extensions": {words.EXCERPT_EXTENSION_ID: {"extension_type": "new-sdo"}},
    }


def may_decide(by: Viewer, excerpt: Excerpt) -> bool:
    """Whether the viewer is a second person."""
    return by.is_person and Scope.PUBLISH in by.scopes and by.actor != keys.maker_of(excerpt.actor)


def decide(by: Viewer, excerpt_id: UUID, *, show: bool) -> None:
    """Show an excerpt, or drop it with its text, as a second person. Raises Forbidden, NotFound, Conflict."""
    by.require(Scope.PUBLISH)
    with transaction.atomic():
        held = _locked(by, excerpt_id)
        if not by.is_person:
            raise Forbidden("A person does this, not a key.", code="needs-a-person")
        if not may_decide(by, held):
            raise Forbidden("Another person than the one who sent it decides.", code="needs-another-person")
        if held.state != Excerpt.State.WAITING:
            raise Conflict("This is decided already.", code="already-decided")
        if not show:
            held.delete()
            _record(audit.Verb.EXCERPT_DECLINED, held, by=by)
            return
        if held.holding.state != Holding.State.LIVE:
            raise Conflict("Its indicator has ended.", code="indicator-ended")
        Excerpt.unrestricted.filter(pk=held.pk).update(state=Excerpt.State.SHOWN, decided_by=by.actor)
        _record(audit.Verb.EXCERPT_SHOWN, held, by=by)


def end(viewer: Viewer, excerpt_id: UUID) -> None:
    """Delete one of the viewer's partner's own. Raises Forbidden, NotFound."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    with transaction.atomic():
        held = _locked(viewer, excerpt_id)
        held.delete()
        _record(audit.Verb.EXCERPT_ENDED, held, by=viewer)


def forget_ended() -> int:
    """Delete what has ended; returns how many."""
    ended = Excerpt.unrestricted.filter(valid_until__lte=clock.now())
    with transaction.atomic():
        gone = list(ended.select_for_update(skip_locked=True))
        Excerpt.unrestricted.filter(pk__in=[one.pk for one in gone]).delete()
        for one in gone:
            _record(audit.Verb.EXCERPT_ENDED, one, by=None)
    return len(gone)


def find(viewer: Viewer, excerpt_id: UUID) -> Excerpt:
    """One of the viewer's partner's own. Raises NotFound."""
    found = Excerpt.unrestricted.filter(partner=viewer.partner_id, pk=excerpt_id).first()
    if found is None:
        raise NotFound
    return found


def _locked(by: Viewer, excerpt_id: UUID) -> Excerpt:
    mine = Excerpt.unrestricted.filter(partner=by.partner_id, pk=excerpt_id)
    held = mine.select_for_update(of=["self"]).select_related("holding").first()
    if held is None:
        raise NotFound
    return held


def _indicator(viewer: Viewer, stix_id: str) -> Holding:
    """The viewer's own living prompt signature under an id; in the same words for what is absent and what is not."""
    mine = Holding.objects.visible_to(viewer).filter(publisher=viewer.partner_id, stix_id=stix_id)
    named = mine.filter(audience__attribution=Attribution.NAMED)  # a text would tell who hides
    found = named.filter(state=Holding.State.LIVE, kind=KIND).first()
    if found is None:
        raise Refused(
            "A prompt signature of yours, live and under your name.", code="unknown-indicator", at="/indicator_ref"
        )
    return found


def _checked(data: Mapping[str, Any], raw: bytes) -> datetime:
    """When it ends. Raises Refused."""
    if not _validator().is_valid(data):
        fault = faults.first_unlisted(data, _validator())
        raise Refused(fault.message, code=fault.code, at=fault.field)
    if any(unicodedata.category(one).startswith("C") and one not in "\n\t" for one in data["text"]):
        raise Refused("Characters that can be seen, blanks and ends of lines.", code="bad-text", at="/text")
    # The marking's name alone would have the text looked at: what is scanned is all of it, whatever its letters.
    if (found := scanning.found(data, raw)) is not None:
        raise Refused(rules.WORDS[found.code], code=found.code, at=found.at)
    try:
        until = datetime.fromisoformat(data["valid_until"])
    except ValueError:
        raise Refused("A UTC timestamp.", code="bad-timestamp", at="/valid_until") from None
    if until <= clock.now():
        raise Refused("The end has passed.", code="expired", at="/valid_until")
    if until > clock.now() + LONGEST + timedelta(hours=1):
        raise Refused(f"At most {LONGEST.days} days.", code="too-long-lived", at="/valid_until")
    return until


@cache
def _validator() -> Any:
    return faults.compiled(stix.schema())


def _record(verb: audit.Verb, excerpt: Excerpt, *, by: Viewer | None) -> None:
    """Its id, and never its text."""
    audit.record(verb, by=by, target=excerpt.excerpt_id, about=excerpt.partner_id)
