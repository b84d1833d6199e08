"""What is disarmed comes back or is final: one of the partner undoes it, a second person confirms it, the hour ends.

What nobody has decided after the hour is final: its publisher has said that it ends, and a removal that came back by
silence would block accounts again that somebody had let go. Each decision holds the publisher still, so of two who
decide at once one finds it decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import BigIntegerField, F, Func, Q, QuerySet

from exchange import bodies, clock
from exchange.celery import app
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from exchange.sql import Message
from indicators import publishing
from indicators.log import changes
from indicators.models import Change, Disarmed, Ending, Holding, Marked, StixObject
from indicators.publishing import moving, rationing, rejudging, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element
from indicators.publishing.storing import Turned
from indicators.stix import parsing, revising
from indicators.stix.drafts import Revocation
from indicators.telling import notifying
from partners import keys, locks
from partners.keys import auth
from partners.log import audit
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.standing import standing
from partners.viewer import Viewer

_PAGE = 100
_KEPT = timedelta(days=2)
#: So many revoked versions are published at a time, or fewer where they are many bytes.
_REVOKED_AT_ONCE = 500


def waiting(viewer: Viewer) -> list[Ending]:
    """What of the viewer's partner is disarmed and can come back, oldest first."""
    return list(_open(viewer).order_by("at", "pk")[:_PAGE])


def ids_of(ending: Ending, *, at_most: int) -> list[str]:
    """The ids of what it disarmed and is disarmed still, in order."""
    still = Disarmed.unrestricted.filter(ending=ending, holding__state=Holding.State.DISARMED)
    return list(still.order_by("holding__stix_id").values_list("holding__stix_id", flat=True)[:at_most])


def may_confirm(by: Viewer, ending: Ending) -> bool:
    """Whether the viewer is a second person, or none is needed."""
    if ending.alone:
        return Scope.PUBLISH in by.scopes
    return by.is_person and Scope.PUBLISH in by.scopes and by.actor != keys.maker_of(ending.actor)


def undo(by: Viewer, ending_ids: Collection[UUID] | None = None) -> list[Ending]:
    """Bring back what was disarmed, by these acts or by all that can be undone; returns them as they are decided.

    What may not go any more where it was (a group that was left, or takes nothing new) stays ended. Raises Forbidden
    without the scope to publish and for a key for some groups, NotFound, Conflict where one is decided already.
    """
    by.require(Scope.PUBLISH)
    by.require_all_groups()
    with transaction.atomic():
        endings = _taken_up(by, ending_ids)
        told = []
        for ending in endings:
            back, gone = _sorted(by, ending)
            told += _brought_back(by, back)
            _finish(by, ending, gone)
            _decide(ending, Ending.State.UNDONE, by=by, back=len(back))
        if told:
            rationing.tell(by, told)
            transaction.on_commit(notifying.hint, robust=True)
    return endings


def confirm(by: Viewer, ending_id: UUID) -> Ending:
    """Make it final, as a second person where one is needed. Raises Forbidden, NotFound, Conflict."""
    by.require(Scope.PUBLISH)
    by.require_all_groups()
    with transaction.atomic():
        (ending,) = _taken_up(by, [ending_id])
        if not ending.alone and not by.is_person:
            raise Forbidden("A person does this, not a key.", code="needs-a-person")
        if not may_confirm(by, ending):
            raise Forbidden("Another person than the one who ended them makes it final.", code="needs-another-person")
        _finish(by, ending, list(_rows(ending)))
        _decide(ending, Ending.State.FINAL, by=by)
    return ending


def finish_due() -> int:
    """Make final what nobody decided within the hour; returns how many acts. May run in several places at once."""
    due = Ending.unrestricted.filter(state=Ending.State.DISARMED, until__lte=clock.now()).order_by("until", "pk")
    count = 0
    for ending_id, partner_id in due.values_list("pk", "partner_id")[:_PAGE]:
        with transaction.atomic():
            _hold_still(partner_id)
            ending = Ending.unrestricted.select_for_update().get(pk=ending_id)
            if ending.state == Ending.State.DISARMED:
                _finish(None, ending, list(_rows(ending)))
                _decide(ending, Ending.State.FINAL, by=None)
                count += 1
    return count


def forget() -> None:
    """Delete what was counted, and decided, long ago: the log tells of it."""
    old = Ending.unrestricted.exclude(state=Ending.State.DISARMED).filter(at__lt=clock.now() - _KEPT)
    old.filter(recall=None).delete()


def find(viewer: Viewer, ending_id: UUID) -> Ending:
    """One of the viewer's partner's own, decided or not. Raises NotFound."""
    found = Ending.objects.of(viewer).filter(pk=ending_id).first()
    if found is None:
        raise NotFound
    return found


def _open(viewer: Viewer) -> QuerySet[Ending]:
    return Ending.objects.of(viewer).filter(_undecided())


def _undecided() -> Q:
    """What can still be decided: what the flood breaker did at any time, all else until its hour is over."""
    return Q(state=Ending.State.DISARMED) & (Q(verb=Ending.Verb.FLOOD) | Q(until__gt=clock.now()))


def _taken_up(by: Viewer, ending_ids: Collection[UUID] | None) -> list[Ending]:
    """The rows, locked until they are decided, with the publisher; what is due is decided, whoever has not said so."""
    _hold_still(by.partner_id)
    acts = Ending.objects.of(by).filter(Q(verb=Ending.Verb.FLOOD) | Q(until__isnull=False))
    endings = acts.select_for_update().order_by("at", "pk")
    if ending_ids is None:
        return list(endings.filter(_undecided()))
    found = list(endings.filter(pk__in=list(ending_ids)))
    if len(found) != len(set(ending_ids)):
        raise NotFound
    if any(one.state != Ending.State.DISARMED or (one.until and one.until <= clock.now()) for one in found):
        raise Conflict("This is decided already.", code="already-decided")
    return found


def _hold_still(partner_id: UUID) -> None:
    """As a push does: what is decided here may be published again."""
    message = Message()
    locks.share(partner_id, message)
    storing.locking_publisher(partner_id, message)
    message.send()


def _rows(ending: Ending) -> QuerySet[Disarmed]:
    """What is disarmed still: what was woken or revoked since is decided by that."""
    rows = Disarmed.unrestricted.filter(ending=ending, holding__state=Holding.State.DISARMED)
    return rows.select_related("holding", "audience").order_by("pk")


def _sorted(by: Viewer, ending: Ending) -> tuple[list[Disarmed], list[Disarmed]]:
    """What may go back where it was, and what may not."""
    today = clock.now().date()
    taking = {pk for pk, group in standing(by).groups.items() if why_closed(group, on=today) is None}
    rows = list(_rows(ending))
    back = [row for row in rows if taking.issuperset(row.audience.groups)]
    return back, [row for row in rows if row not in back]


def _brought_back(by: Viewer, rows: Sequence[Disarmed]) -> list[changes.NewChange]:
    """Show holdings again, in the version and to the audience that they had; where a marking is stricter now, to that.

    Returns what is to be told.
    """
    storing.turn([Turned(row.holding_id, row.audience_id, Holding.State.LIVE, row.newest_id) for row in rows])
    goes_to = {row.holding_id: row.audience_id for row in rows}
    newest = [row.newest_id for row in rows]
    if marked := list(Marked.unrestricted.filter(object__in=newest).values_list("object_id", flat=True).distinct()):
        audiences = BatchAudiences(by, Reach(), stands=standing(by), withdrawing=True)
        anew = rejudging.judged_anew([], by=by, audiences=audiences, again=marked, apart=(), admits=lambda *_: False)
        moving.rewrite(anew.stricter)
        goes_to |= {move.held.holding_id: move.audience_id for move in anew.stricter}
    return [
        changes.NewChange(
            holding_id=row.holding_id,
            version_id=row.newest_id,
            audience_id=goes_to[row.holding_id],
            op=Change.Op.UPSERT,
            reason=Change.Reason.PUBLISHED,
            again=True,
        )
        for row in rows
    ]


def _finish(by: Viewer | None, ending: Ending, rows: Sequence[Disarmed]) -> None:
    """Let holdings end for good, as their publisher asked: withdrawn, or with the revoked versions that it sent."""
    if ending.verb == Ending.Verb.WITHDRAW:
        gone = Holding.State.WITHDRAWN
        storing.turn([Turned(row.holding_id, row.holding.audience_id, gone, None) for row in rows])
        return
    if not rows:
        return
    storing.turn([Turned(row.holding_id, row.audience_id, Holding.State.LIVE, row.newest_id) for row in rows])
    publisher = by or _of_the_clock(ending.partner_id)
    if publisher is not None:
        for portion in _portions(rows):
            try:
                with transaction.atomic():
                    _revoke(publisher, ending, portion)
            except ExchangeError:  # its end stands; of its bytes nothing is kept
                pass
    unsaid = Holding.unrestricted.filter(pk__in=[row.holding_id for row in rows], state=Holding.State.LIVE)
    asleep = {row.holding_id: row.holding.audience_id for row in rows}
    revoked = Holding.State.REVOKED
    storing.turn([Turned(pk, asleep[pk], revoked, None) for pk in unsaid.order_by("pk").values_list("pk", flat=True)])


def _portions(rows: Sequence[Disarmed]) -> Iterator[list[Disarmed]]:
    """All of them in their order, as many at a time as are published together: no more bytes than one push may have."""
    octets = Func(F("body"), function="octet_length", output_field=BigIntegerField())
    for start in range(0, len(rows), _REVOKED_AT_ONCE):
        some = rows[start : start + _REVOKED_AT_ONCE]
        held = StixObject.unrestricted.filter(pk__in=[row.newest_id for row in some])
        sizes: dict[int, int | None] = dict(held.values_list("pk", octets))
        portion: list[Disarmed] = []
        left = bodies.MAX_BATCH_BYTES
        for row in some:
            size = sizes.get(row.newest_id) or 0
            if portion and size > left:
                yield portion
                portion, left = [], bodies.MAX_BATCH_BYTES
            portion.append(row)
            left -= size
        yield portion


def _revoke(by: Viewer, ending: Ending, rows: Sequence[Disarmed]) -> None:
    """Publish the revoked versions: they go where the objects are, and readers of TAXII find them."""
    versions = [row.body for row in rows if row.body] if ending.verb == Ending.Verb.REVOKE else _revoked_versions(rows)
    raw = [body.encode() for body in versions]
    body = b'{"objects":[' + b",".join(raw) + b"]}"
    elements: list[Element] = list(parsing.read_batch(body)) if raw else []
    elements += [Revocation(len(elements) + place, row.holding.stix_id) for place, row in enumerate(rows)]
    publishing.publish(
        elements,
        by=by,
        reach=Reach.from_json(ending.reach) if ending.reach is not None else Reach(),
        request=publishing.Request(hashlib.sha256(body).digest()),
        confirmed=True,
        for_good=True,
    )


def _revoked_versions(rows: Sequence[Disarmed]) -> list[str]:
    """Of what was recalled, which came without its end: the versions that end it, made of what was published."""
    now = clock.now()
    held = StixObject.unrestricted.filter(pk__in=[row.newest_id for row in rows], modified__isnull=False, revoked=False)
    made = [
        revising.revoked(body, modified=revising.after(modified, now=now))
        for body, modified in held.order_by("pk").values_list("body", "modified")
        if modified is not None
    ]
    return [one for one in made if one is not None]


def _of_the_clock(partner_id: UUID) -> Viewer | None:
    """The publisher, where nobody of it decides; None while it takes no part."""
    viewer = auth.viewer_of_partner(partner_id)
    return None if viewer is None else replace(viewer, scopes=frozenset({Scope.READ, Scope.PUBLISH}))


def _decide(ending: Ending, state: Ending.State, *, by: Viewer | None, back: int = 0) -> None:
    Disarmed.unrestricted.filter(ending=ending).delete()
    ending.state, ending.decided_at, ending.brought_back = state, clock.now(), back
    ending.decided_by = "system" if by is None else by.actor
    ending.save(update_fields=["state", "decided_at", "decided_by", "brought_back"])
    audit.record(
        audit.Verb.ENDING_UNDONE if state == Ending.State.UNDONE else audit.Verb.ENDING_FINAL,
        by=by,
        target=f"ending:{ending.pk}",
        about=ending.partner_id,
        ended_by=ending.verb,
        objects=ending.objects_ended,
        brought_back=back,
        sent_by=ending.actor,
    )


@app.task(name="indicators.ending.deciding.catch_up")
def catch_up() -> None:
    """Make final what is due, and forget what was counted long ago."""
    while finish_due() > 0:
        pass
    forget()
