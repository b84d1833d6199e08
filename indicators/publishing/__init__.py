"""The one way in: a batch of drafts becomes objects, tokens, audience and changes in one transaction.

    look at each draft -> lock and read what is there -> decide -> act (rows, audit, last the log) -> hints

Two acts: `deciding` makes a plan of plain values and writes nothing; `acting` writes it. Every element of a batch gets
an answer. What was acknowledged is committed; a hint to whoever tells of it is sent after the commit and may be lost,
because telling follows the log by itself. Modules here import only modules below them; import-linter keeps the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from exchange import clock, counting
from exchange.errors import ExchangeError
from exchange.sql import Message
from indicators.publishing import acting, answering, deciding, markings, rationing, relaying, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.answering import Answer, Request
from indicators.publishing.attributing import Voice
from indicators.publishing.judging import Doors, Met, examine, partners_among
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element
from indicators.stix.drafts import Draft
from partners.audiences import Standing
from partners.proof import asked_again
from partners.scopes import Scope
from partners.standing import holding_still, remembered, standing
from partners.viewer import Viewer

__all__ = ["Answer", "Request", "publish"]


def publish(
    elements: Sequence[Element],
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
    confirmed: bool = False,
    wake: bool = False,
    for_good: bool = False,
) -> Answer:
    """Publish a batch on behalf of `by`; what one may not publish alone is held, unless it is `confirmed`.

    What is withdrawn comes back only with `wake`. More ends than the partner's cap are disarmed (`disarming`), unless
    that is decided: `for_good`.

    How the publisher stands is remembered, and asked for in the transaction: a group that was suspended since, or
    while the batch was still on its way, takes nothing of it. Then all is judged anew.

    Raises Forbidden or Refused where the batch as a whole may not be published (scope, audience), Conflict
    where its idempotency key was used for other content, proof.Changed where `by` is no longer who it was. All else is
    said per object.
    """
    by.require(Scope.PUBLISH)
    rationing.require_room(len(elements), reach, by=by)
    known = remembered(by)
    while True:
        try:
            stands = known or standing(by)
            how = deciding.How(confirmed=confirmed, wake=wake, for_good=for_good)
            done = _publish(elements, stands, how, by=by, reach=reach, request=request)
        except _Overtaken:
            known = None
        except ExchangeError:
            if known is None or (now := standing(by)).stamp == known.stamp:
                raise
            known = now
        else:
            if not done.replayed:
                counting.note_pushed(done.counts, refused=done.refusals)
            return done


class _Overtaken(Exception):
    """The publisher's groups, or its definitions of markings, are not as they were when the batch was judged."""


def _publish(
    elements: Sequence[Element],
    stands: Standing,
    how: deciding.How,
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
) -> Answer:
    identities = partners_among(elements, by=by)
    audiences = BatchAudiences(by, reach, stands=stands, withdrawing=any(each.revoked for each in elements))
    received_at = clock.now()
    known = markings.Known(by.partner_id, markings.named(elements))
    doors = Doors(received_at, identities, by=by, audiences=audiences, tlp=reach.tlp)
    asked, turned_away = examine(elements, known, audiences=audiences, doors=doors)
    voice = Voice(by, audiences.attribution, [each for each in asked if isinstance(each, Draft)])
    with transaction.atomic():
        begun = _begin(asked, voice, stands, known, by=by, request=request)
        if begun.earlier is not None:
            return begun.earlier
        plan = deciding.decide(asked, turned_away, begun.met, voice, how, audiences=audiences, doors=doors, by=by)
        return acting.act(
            plan, elements, how, by=by, reach=reach, request=request, received_at=received_at, keys=begun.keys
        )


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is found once the publisher's batches wait for this one: the answer it had before, or what it meets."""

    earlier: Answer | None
    met: Met
    keys: list[tuple[int, int]]  # of versions and holdings


def _begin(
    asked: Sequence[Element], voice: Voice, stands: Standing, known: markings.Known, *, by: Viewer, request: Request
) -> _Begun:
    """Hold still whom it concerns, and look at what is there. One query. Raises proof.Changed, _Overtaken."""
    message = Message()
    still_stands = holding_still(by, stands, message, alone=voice.first)
    storing.locking_publisher(by.partner_id, message)
    require_still = asked_again(by, message)
    require_share = rationing.left_within(message, by)
    earlier = answering.before(by, request, message)
    drafts = [each for each in asked if isinstance(each, Draft)]
    ids = {each.stix_id for each in asked if each.stix_id is not None}
    held = storing.versions_within(message, by.partner_id, ids | voice.references(drafts))
    voice.look_back(drafts, message)
    keys = storing.keys_within(message, len(drafts))
    still_defined = known.still(message)
    others = relaying.others_within(message, by, {draft.stix_id for draft in drafts})
    message.send()
    require_still()
    if not still_stands() or not still_defined():
        raise _Overtaken
    answered_before = earlier()
    if answered_before is None:
        require_share()
    return _Begun(answered_before, Met(held(), others()), keys.rows)
