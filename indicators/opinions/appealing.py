"""Appeals: a lab's support asks, by tokens, that what blocks somebody wrongly is looked at; publishers answer in time.

Each living indicator that carries one of the tokens gives its publisher a ticket with a clock. Those that the filer
does not see are found by a worker a moment later, so that neither the answer nor its time tells the filer of them. No
ticket says who filed. A publisher keeps the indicator or revokes it, which reaches every list; the filer may give its
own opinion at once. Tokens are not kept; until the worker has looked, their keys lie sealed in the queue of `mailing`.
The only writer of Appeal and Ticket.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from exchange import clock
from exchange.celery import app
from exchange.errors import Conflict, ExchangeError, NotFound, Refused, TooMany
from exchange.stix import words
from exchange.translating import later
from indicators import living, publishing
from indicators.ending import revoking
from indicators.models import Appeal, Holding, Opinion, Ticket
from indicators.opinions import giving
from indicators.stix import drafts
from indicators.values import carrying
from partners import mailing, sharing
from partners.keys import auth
from partners.log import audit
from partners.models import Partner, User
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.sources import Source, sources
from partners.viewer import Viewer

#: How long a publisher has.
CLOCK = timedelta(hours=72)
#: Tokens of one appeal; appeals of one partner within a day; its tickets of one appeal, and open, at one publisher.
MOST_TOKENS, MOST_A_DAY, MOST_TICKETS, MOST_OPEN = 16, 50, 20, 100
#: Objects that one appeal dissents from.
MOST_DISSENTS = 100
_DAY, _STATISTICS, _KEPT = timedelta(days=1), timedelta(days=90), timedelta(days=365)
#: How long it is tried to find what the filer does not see, and the pause while the filer is suspended.
_SOUGHT, _PAUSE = timedelta(days=30), timedelta(hours=1)
#: A worker that comes later than this has the clocks of an appeal begin anew: nobody was told of it before.
_LATE = timedelta(hours=1)
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """A ticket as one side reads it. `publisher` is who the filer is shown; None to the publisher itself."""

    id: UUID
    stix_id: str
    reason: str
    state: str
    due_at: datetime
    decided_at: datetime | None
    overdue: bool
    publisher: Source | None = None


@dataclass(frozen=True, slots=True)
class Dissents:
    """Of what the filer sees: on how many ids its dissent was given now, and on how many more it was not for room.

    `stays`: on so many a colleague of the filer says otherwise, and that stays.
    """

    given: int
    left: int
    stays: int


@dataclass(frozen=True, slots=True)
class Filed:
    """An appeal as its filer reads it: the tickets on what it sees; dissents in the answer to its filing alone."""

    appeal: Appeal
    tickets: tuple[Shown, ...]
    dissents: Dissents | None = None


def file(viewer: Viewer, tokens: Sequence[drafts.TokenValue], *, reason: str, dissent: bool = False) -> Filed:
    """Ask those who say one of these tokens to look again; with `dissent`, give the own opinion on what is seen, too.

    Raises Forbidden, Refused for a reason that there is not or no tokens, TooMany beyond the day's share.
    """
    viewer.require(Scope.REACT)
    viewer.require_all_groups()
    if reason not in words.REASONS_AGAINST:
        raise Refused(f"One of: {', '.join(words.REASONS_AGAINST)}.", code="bad-reason", at="/reason")
    if not 1 <= len(tokens) <= MOST_TOKENS:
        raise Refused(f"From 1 to {MOST_TOKENS} tokens.", code="bad-tokens", at="/tokens")
    now = clock.now()
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        today = Appeal.objects.of(viewer).filter(at__gt=now - _DAY)
        if today.count() >= MOST_A_DAY:
            raise TooMany("The day's appeals are used up.", code="too-many-appeals", retry_after_s=3_600)
        appeal = Appeal.unrestricted.create(
            partner_id=viewer.partner_id, actor=viewer.actor, reason=reason, tokens=len(tokens), at=now
        )
        keys = sorted({carrying.key_of(token) for token in tokens})
        shown = _unanswered().filter(seen=True, holding__in=Holding.objects.visible_to(viewer).values("pk"))
        _give(appeal, _carriers(viewer, keys, seen=True), waiting=shown, seen=True, due_at=now + CLOCK)
        asked = json.dumps([str(appeal.pk), [str(key) for key in keys], False])
        mailing.ask_later(_UNSEEN, asked, kept=_SOUGHT, partner_id=viewer.partner_id)
        audit.record(audit.Verb.APPEAL_FILED, by=viewer, target=f"appeal:{appeal.pk}", tokens=len(tokens))
    filed = _filed(viewer, [appeal])[0]
    return replace(filed, dissents=_dissent(viewer, keys, reason=reason)) if dissent else filed


def _dissent(viewer: Viewer, keys: Sequence[UUID], *, reason: str) -> Dissents:
    """Dissent from what carries these values and the viewer sees, whether or not its publisher got a ticket just now.

    What it dissents from already stays as it is; so who files again goes on where `MOST_DISSENTS` ended. So does what a
    colleague says otherwise: whoever sees that may judge the indicator itself.
    """
    seen = Holding.objects.visible_to(viewer).filter(pk__in=[pk for pk, _ in _carriers(viewer, keys, seen=True)])
    said = Opinion.unrestricted.filter(
        partner=viewer.partner_id, holding__in=seen, said_by__state=Holding.State.LIVE, said_by__newest__isnull=False
    )
    theirs = set(said.filter(says__gte=0).exclude(actor=viewer.actor).values_list("holding__stix_id", flat=True))
    owed = seen.exclude(pk__in=said.filter(says__lt=0).values("holding")).exclude(stix_id__in=theirs)
    ids = list(dict.fromkeys(owed.order_by("pk").values_list("stix_id", flat=True)))
    given = 0
    for stix_id in ids[:MOST_DISSENTS]:
        try:
            giving.give(viewer, stix_id, opinion="disagree", reason=reason)
        except ExchangeError:  # it has ended since, or may not be judged: a ticket stands
            continue
        given += 1
    return Dissents(given, len(ids[MOST_DISSENTS:]), len(theirs))


def ask_unseen(asked: str) -> None:
    """Give the tickets on what the filer of an appeal does not see, and mail the publishers of all that it gave.

    Asked twice, it gives none twice. What a filer does not see who is suspended nobody can say: those who got tickets
    are mailed, and the others are looked for once the filer is back.
    """
    appeal_id, keys, *told = json.loads(asked)
    appeal = Appeal.unrestricted.filter(pk=appeal_id).first()
    if appeal is None:
        return
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=appeal.partner_id)
        viewer = auth.viewer_of_partner(appeal.partner_id)
        anew = not any(told)
        due_at = _due(appeal, anew=anew)
        if viewer is not None:
            found = _carriers(viewer, [UUID(key) for key in keys], seen=False)
            _give(appeal, found, waiting=_unanswered().filter(seen=False), seen=False, due_at=due_at)
        elif (left := appeal.at + _SOUGHT - clock.now()) > _PAUSE:
            again = json.dumps([appeal_id, keys, True])
            mailing.ask_later(_UNSEEN, again, kept=left, partner_id=appeal.partner_id, pause=_PAUSE)
        if viewer is not None or anew:
            _tell_new(appeal, seen=anew)


def _due(appeal: Appeal, *, anew: bool) -> datetime:
    """When an answer is due, of those who are told of the appeal only now; `anew`: that is everybody.

    All tickets of one appeal are due at one time: two times would tell which of them its filer sees.
    """
    now = clock.now()
    if now - appeal.at < _LATE:
        return appeal.at + CLOCK
    if anew:
        Ticket.unrestricted.filter(appeal=appeal, outcome="").update(due_at=now + CLOCK, told=False)
    return now + CLOCK


def _tell_new(appeal: Appeal, *, seen: bool) -> None:
    """Mail each publisher that got a ticket; whoever was mailed of others within the day finds it beside them.

    Without `seen`, those alone that got one on what the filer does not see: the others were mailed before.
    """
    mailed = Ticket.unrestricted.filter(appeal__at__gt=appeal.at - _DAY, appeal__at__lt=appeal.at)
    got = Ticket.unrestricted.filter(appeal=appeal).exclude(publisher__in=mailed.values("publisher"))
    got = got if seen else got.filter(seen=False)
    for publisher in got.order_by("publisher").values_list("publisher", flat=True).distinct():
        _tell(publisher, gettext("An appeal waits for your answer"), _NEW)


_UNSEEN = "appeal"
mailing.writes(_UNSEEN, ask_unseen)


def _carriers(viewer: Viewer, keys: Sequence[UUID], *, seen: bool) -> list[tuple[int, UUID]]:
    """The living indicators of others that carry one of the values, those that the viewer sees or the others."""
    of_which: dict[str, Any] = {
        "keys": keys,
        "me": viewer.partner_id,
        "audiences": sharing.audience_ids(viewer),
        "seen": seen,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CARRIERS, of_which)
        return [(holding, publisher) for holding, publisher in cursor.fetchall()]


# A row for each holding, with its publisher; walks the index of what carries a value.
_CARRIERS = f"""
SELECT DISTINCT h.id, h.publisher_id
FROM indicators_carries k JOIN indicators_holding h ON h.id = k.holding_id
WHERE k.token_value_id = ANY(%(keys)s) AND {living.LIVES} AND h.publisher_id <> %(me)s
  AND (h.audience_id = ANY(%(audiences)s)) = %(seen)s
ORDER BY h.id
"""


def _give(
    appeal: Appeal, found: Iterable[tuple[int, UUID]], *, waiting: QuerySet[Ticket], seen: bool, due_at: datetime
) -> None:
    """Give each publisher its tickets, one of an appeal on each indicator.

    What the filer sees and what it does not are counted apart, by what waits of each, so that neither moves the other.
    What it was shown and sees no more it is not told of: whether that waits still takes no room either.
    """
    open_ones = list(waiting.filter(appeal__partner=appeal.partner_id).values_list("publisher", "holding"))
    counted, asked = Counter(publisher for publisher, _ in open_ones), {holding for _, holding in open_ones}
    asked |= set(Ticket.unrestricted.filter(appeal=appeal).values_list("holding", flat=True))
    given: Counter[UUID] = Counter()
    tickets = []
    for holding, publisher in found:
        if holding in asked or given[publisher] >= min(MOST_TICKETS, MOST_OPEN - counted[publisher]):
            continue
        given[publisher] += 1
        tickets.append(Ticket(appeal=appeal, publisher_id=publisher, holding_id=holding, seen=seen, due_at=due_at))
    Ticket.unrestricted.bulk_create(tickets)


def _unanswered() -> QuerySet[Ticket]:
    """Those that wait for an answer. An indicator that was revoked for one and came back is to be answered again."""
    return Ticket.unrestricted.filter(holding__state=Holding.State.LIVE).exclude(outcome=Ticket.Outcome.KEPT)


def filed(viewer: Viewer) -> list[Filed]:
    """The newest appeals of the viewer's partner, with the tickets on what it sees."""
    viewer.require(Scope.REACT)
    viewer.require_all_groups()
    return _filed(viewer, list(Appeal.objects.of(viewer).order_by("-at", "-pk")[:_LISTED]))


def find(viewer: Viewer, appeal_id: UUID) -> Filed:
    """One of the viewer's partner's own. Raises NotFound."""
    appeal = Appeal.objects.of(viewer).filter(pk=appeal_id).first()
    if appeal is None:
        raise NotFound
    return _filed(viewer, [appeal])[0]


def _filed(viewer: Viewer, appeals: Sequence[Appeal]) -> list[Filed]:
    tickets = list(
        Ticket.unrestricted.filter(appeal__in=appeals, seen=True).select_related("holding").order_by("due_at", "pk")
    )
    asked = [one.holding_id for one in tickets]
    seen = {one.pk: one for one in Holding.objects.visible_to(viewer).filter(pk__in=asked)}
    shown = sources(viewer, {(one.publisher_id, one.audience_id) for one in seen.values()}) if seen else {}
    by_appeal: dict[UUID, list[Shown]] = {}
    for one in tickets:
        held = seen.get(one.holding_id)
        # What the filer sees no more it was told to remove: of what became of it since, it learns nothing.
        source = shown[held.publisher_id, held.audience_id] if held else None
        state = state_of(one, held) if held else "gone"
        by_appeal.setdefault(one.appeal_id, []).append(_shown(one, state, publisher=source))
    return [Filed(one, tuple(by_appeal.get(one.pk, ()))) for one in appeals]


def received(viewer: Viewer, *, everything: bool = False) -> list[Shown]:
    """The tickets on what the viewer's partner publishes: open ones, the next due first; or all."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    own = Ticket.unrestricted.filter(publisher=viewer.partner_id).select_related("holding", "appeal")
    if not everything:
        own = own.filter(pk__in=_unanswered())
    return [_shown(one, state_of(one, one.holding)) for one in own.order_by("due_at", "pk")[:_LISTED]]


def decide(by: Viewer, ticket_id: UUID, *, outcome: str) -> Shown:
    """Answer a ticket: `keep` the indicator, or `revoke` it.

    Raises NotFound, Conflict where it is answered, and Refused where the revocation is: then the ticket waits still.
    """
    by.require(Scope.PUBLISH)
    by.require_all_groups()
    if outcome not in ("keep", "revoke"):
        raise Refused("keep or revoke.", code="bad-outcome", at="/outcome")
    with transaction.atomic():
        ticket = _own(by, ticket_id)
        if state_of(ticket, ticket.holding) != "open":
            raise Conflict("This ticket is answered, or its indicator has ended.", code="already-decided")
        same = _unanswered().filter(publisher=by.partner_id, holding=ticket.holding_id)
        word = Ticket.Outcome.KEPT if outcome == "keep" else Ticket.Outcome.REVOKED
        decided = {"outcome": word, "decided_at": clock.now(), "decided_by": by.actor}
        (same if outcome == "revoke" else same.filter(pk=ticket.pk)).update(**decided)
        audit.record(audit.Verb.APPEAL_DECIDED, by=by, target=f"object:{ticket.holding.stix_id}", outcome=word.value)
        if outcome == "revoke":
            _revoke(by, ticket)
    ticket = Ticket.unrestricted.select_related("holding", "appeal").get(pk=ticket.pk)
    return _shown(ticket, state_of(ticket, ticket.holding))


def _revoke(by: Viewer, ticket: Ticket) -> None:
    """End the indicator as any other revocation. Raises Refused where it is refused."""
    answer = revoking.revoke_each(by, [ticket.holding.stix_id], request=publishing.Request(ticket.pk.bytes * 2))
    (result,) = orjson.loads(answer.results)
    if result["status"] == "refused":
        raise Refused(result["message"], code=result["code"], at=result.get("field") or None)


def _own(viewer: Viewer, ticket_id: UUID) -> Ticket:
    found = Ticket.unrestricted.select_for_update(of=("self",)).select_related("holding", "appeal")
    ticket = found.filter(pk=ticket_id, publisher=viewer.partner_id).first()
    if ticket is None:
        raise NotFound
    return ticket


def state_of(ticket: Ticket, holding: Holding) -> str:
    """`open`, `kept`, or `ended`, whatever ended the indicator."""
    if not living.lives(holding.state):
        return "ended"
    return "kept" if ticket.outcome == Ticket.Outcome.KEPT else "open"


def _shown(one: Ticket, state: str, *, publisher: Source | None = None) -> Shown:
    overdue = state == "open" and _is_late(one, state)
    decided = one.decided_at if state == "kept" else None
    return Shown(one.pk, one.holding.stix_id, one.appeal.reason, state, one.due_at, decided, overdue, publisher)


def _is_late(one: Ticket, state: str) -> bool:
    """Whether it was answered too late, ended unanswered after it was told to be overdue, or waits for too long."""
    if state == "open":  # as is what came back, whatever was answered before
        return one.due_at < clock.now()
    return one.told if one.decided_at is None else one.decided_at > one.due_at


def statistics(partner_id: UUID) -> dict[str, Any]:
    """Of the tickets on what a partner published, over 90 days: shares and times. What it filed itself is not in it."""
    since = clock.now() - _STATISTICS
    tickets = list(
        Ticket.unrestricted.filter(publisher=partner_id, appeal__at__gt=since).select_related("holding", "appeal")
    )
    states = [state_of(one, one.holding) for one in tickets]
    hours = [
        (one.decided_at - one.appeal.at).total_seconds() / 3_600
        for one, state in zip(tickets, states, strict=True)
        if one.decided_at and state != "open"
    ]
    late = sum(_is_late(one, state) for one, state in zip(tickets, states, strict=True))
    return {
        "days": _STATISTICS.days,
        "received": len(tickets),
        "open": states.count("open"),
        "kept": states.count("kept"),
        "ended": states.count("ended"),
        "late": late,
        "median_hours": round(median(hours), 1) if hours else None,
    }


def tell_overdue() -> int:
    """Tell the publishers of tickets whose time is over, each once; returns of how many tickets."""
    with transaction.atomic():
        late = _unanswered().filter(told=False, due_at__lt=clock.now())
        due = late.select_for_update(skip_locked=True, of=("self",))
        found = list(due.order_by("due_at", "pk")[:_LISTED])
        Ticket.unrestricted.filter(pk__in=[one.pk for one in found]).update(told=True)
        for publisher in {one.publisher_id for one in found}:
            _tell(publisher, gettext("An appeal is overdue"), _OVERDUE)
    return len(found)


def forget() -> None:
    """Delete what was filed long ago."""
    old = Appeal.unrestricted.filter(at__lt=clock.now() - _KEPT)
    Ticket.unrestricted.filter(appeal__in=old).delete()
    old.delete()


_NEW = later(
    "Somebody's support says that an indicator of yours blocks one who should not be blocked. Look at it, and keep it"
    " or revoke it within {hours} hours."
)
_OVERDUE = later("The time for an answer to an appeal on an indicator of yours is over, and there is none yet.")


def _tell(publisher: UUID, subject: str, text: str) -> None:
    """Mail those who may answer."""
    publishes = [role for role in Role if Scope.PUBLISH in ROLE_SCOPES[role]]
    people = User.objects.filter(partner=publisher, role__in=publishes, is_active=True).exclude(email="")
    says = text.format(hours=int(CLOCK.total_seconds() // 3_600))
    body = f"{says}\n\n{settings.BASE_URL}/organisation/appeals/\nexchange appeals --received\n"
    for email in people.order_by("pk").values_list("email", flat=True):
        mailing.tell(email, subject=subject, text=body, partner_id=publisher)


@app.task(name="indicators.opinions.appealing.catch_up")
def catch_up() -> None:
    """Tell of what is overdue, and forget what is old."""
    while tell_overdue() > 0:
        pass
    forget()
