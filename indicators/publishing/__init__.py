"""The one way in: a batch of drafts becomes objects, tokens, audience and changes in one transaction.

    look at each draft -> lock and gather what is there -> decide -> act (rows, audit, last the log) -> hints

`gathering` reads, once, what is to be known; `deciding` makes a plan of plain values of it; `acting` writes the plan.
Every element of a batch gets an answer. What was acknowledged is committed; a hint to
whoever tells of it is sent after the commit and may be lost, because telling follows the log by itself. Modules here
import only modules below them; import-linter keeps the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction

from exchange import clock, counting
from exchange.errors import ExchangeError
from indicators.publishing import acting, conflicting, deciding, gathering, markings, rationing, versions
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.answering import Answer, Request
from indicators.publishing.attributing import Voice
from indicators.publishing.judging import Doors, examine, partners_among
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element, How
from indicators.stix.drafts import Draft
from partners.audiences import Standing
from partners.scopes import Scope
from partners.standing import remembered, standing
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
            how = How(confirmed=confirmed, wake=wake, for_good=for_good)
            done = _publish(elements, stands, how, by=by, reach=reach, request=request)
        except gathering.Overtaken:
            known = None
        except ExchangeError:
            if known is None or (now := standing(by)).stamp == known.stamp:
                raise
            known = now
        else:
            if not done.replayed:
                counting.note_pushed(done.counts, refused=done.refusals)
            return done


def _publish(
    elements: Sequence[Element],
    stands: Standing,
    how: How,
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
        begun = gathering.begin(asked, voice, stands, known, how, by=by, request=request)
        if begun.earlier is not None:
            return begun.earlier
        plan = deciding.decide(asked, turned_away, begun.met, voice, how, audiences=audiences, doors=doors, by=by)
        plan = replace(plan, results=conflicting.reworded(plan.results, asked, begun.met.held))
        done = acting.act(
            plan, elements, how, by=by, reach=reach, request=request, received_at=received_at, keys=begun.keys
        )
    versions.let_go(plan.entering)
    return done
