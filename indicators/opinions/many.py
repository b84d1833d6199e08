"""One opinion on many objects: frozen, counted, then given one by one by a worker, told as it goes, and taken back.

`prepare` keeps the ids and nothing else; `begin` says what is to be said of exactly these. A worker gives each opinion
as its person would (`giving`), as who they are by then: whoever loses the right loses it in the middle of their act,
too. What is refused is told by object. For an hour all of it can be taken back: what the partner had said before is
said again, and what somebody said anew since is left alone. What a colleague says otherwise stays, unless the person
who began the act saw it and chose that it gives way. The only writer of Judging and JudgingPart.

A part is marked in a transaction of its own before its opinion is given (GIVING, with what was said before): the
opinion's ends with the lock for which all publishers wait, so nothing is added to it. A worker that comes after one
that was ended finds by the mark what that one gave; whoever stops the act leaves what is marked to its worker, and the
act is done when none is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q

from exchange import clock, hints
from exchange.celery import app
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Refused, Unauthenticated
from exchange.stix import words
from indicators.models import Judging, JudgingPart, Opinion
from indicators.opinions import giving, recording
from indicators.stix import identifiers
from partners.keys.auth import viewer_of_partner, viewer_of_user
from partners.log import audit
from partners.models import Partner, User
from partners.scopes import Scope
from partners.viewer import Viewer

#: Objects of one act.
MOST = 5_000
#: Acts of one partner that are under way at a time.
MOST_RUNNING = 3
#: How long it can be taken back; how long one that was only prepared can be begun, and how long its answers are kept.
UNDO, PREPARED, KEPT = timedelta(hours=1), timedelta(hours=1), timedelta(days=7)
_MOST_PREPARED = 50
#: Parts of one act that one turn of a worker does; then it is the turn of the next act.
_AT_ONCE = 20
#: A worker that says nothing for so long was ended.
_CLAIM = timedelta(minutes=2)
_UNDER_WAY = (Judging.State.RUNNING, Judging.State.UNDOING)
_OPEN = (JudgingPart.State.DUE, JudgingPart.State.GIVING)
_STOPPED = "You stopped before it was its turn."
_WAITS = "It waits for a second person of your partner: see Waiting."
_A_COLLEAGUE = "A colleague of yours says otherwise of it: that stays."
_NO_RIGHT = "Whoever asked for it may not judge any more."


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an act is: parts by what became of them, and seconds that are left; None before that is known."""

    total: int
    due: int
    given: int
    same: int
    refused: int
    back: int
    kept: int
    left_s: int | None

    @property
    def over(self) -> int:
        """How many were dealt with, by the act that is under way or was last."""
        return self.total - self.due

    @property
    def percent(self) -> int:
        """The same of a hundred, rounded down: 100 only where nothing is left."""
        return 100 * self.over // self.total if self.total else 100


def prepare(by: Viewer, stix_ids: Sequence[str]) -> Judging:
    """Keep exactly these ids, in their order and each once; nothing is said yet.

    Raises Forbidden without the scope to judge, Refused where there is none or more than `MOST`.
    """
    by.require(Scope.REACT)
    ids = list(dict.fromkeys(identifiers.folded(one) for one in stix_ids))
    if not ids:
        raise Refused("Say of which objects.", code="nothing-named", at="/ids")
    if len(ids) > MOST:
        raise Refused(f"More than {MOST:,} at once: narrow the filter.", code="too-many-objects", at="/ids")
    own = Judging.objects.of(by).filter(state=Judging.State.PREPARED)
    old = list(own.order_by("-at").values_list("pk", flat=True)[_MOST_PREPARED - 1 :])
    Judging.unrestricted.filter(pk__in=old, state=Judging.State.PREPARED).delete()
    return Judging.unrestricted.create(partner_id=by.partner_id, actor=by.actor, ids=ids)


def begin(by: Viewer, judging_id: UUID, *, opinion: str, reason: str, over_until: datetime | None = None) -> Judging:
    """Have this opinion given on all that was prepared, by a worker. For a person: keys judge by their own calls.

    What colleagues say otherwise stays, but for what they had said until `over_until`.

    Raises Forbidden, NotFound, Refused for words that are not of the vocabulary or where too many are under way,
    Conflict where it was begun before or prepared too long ago.
    """
    by.require(Scope.REACT)
    if not by.is_person:
        raise Forbidden("A person does this, not a key.", code="needs-a-person")
    if opinion not in recording.SAYS:
        raise Refused(f"One of: {', '.join(recording.SAYS)}.", code="bad-opinion", at="/opinion")
    if reason not in words.REASONS:
        raise Refused(f"One of: {', '.join(words.REASONS)}.", code="bad-reason", at="/reason")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=by.partner_id)  # nobody else of it begins one meanwhile
        one = find(by, judging_id, locked=True)
        if one.state != Judging.State.PREPARED:
            raise Conflict("This was begun already.", code="already-decided")
        if one.at < clock.now() - PREPARED:
            raise Conflict("This was prepared too long ago: choose anew.", code="too-old")
        if Judging.objects.of(by).filter(state__in=_UNDER_WAY).count() >= MOST_RUNNING:
            raise Refused(f"{MOST_RUNNING} are under way: wait for one of them.", code="too-many-running", at="")
        one.opinion, one.reason, one.actor, one.over_until = opinion, reason, by.actor, over_until
        one.state, one.begun_at = Judging.State.RUNNING, clock.now()
        one.save(update_fields=["opinion", "reason", "actor", "over_until", "state", "begun_at"])
        JudgingPart.unrestricted.bulk_create(
            JudgingPart(judging=one, position=place, stix_id=stix_id) for place, stix_id in enumerate(one.ids)
        )
        audit.record(
            audit.Verb.OPINIONS_BEGUN,
            by=by,
            target=f"judging:{one.pk}",
            objects=len(one.ids),
            opinion=opinion,
            why=reason,
        )
        _hint()
    return one


def stop(by: Viewer, judging_id: UUID) -> Judging:
    """Give no further opinion: what is due is left; where a worker is at one, the act is done after that.

    Raises Forbidden, NotFound, Conflict where it does not run.
    """
    by.require(Scope.REACT)
    with transaction.atomic():
        one = find(by, judging_id, locked=True)
        if one.state != Judging.State.RUNNING:
            raise Conflict("It does not run.", code="already-decided")
        parts = JudgingPart.unrestricted.filter(judging=one)
        parts.filter(state=JudgingPart.State.DUE).update(state=JudgingPart.State.REFUSED, detail=_STOPPED)
        if not parts.filter(state=JudgingPart.State.GIVING).update(detail=_STOPPED):
            _settle(one)
    return one


def undo(by: Viewer, judging_id: UUID) -> Judging:
    """Have a worker take back what was given. Raises Forbidden, NotFound, and Conflict where that is too late."""
    by.require(Scope.REACT)
    with transaction.atomic():
        one = find(by, judging_id, locked=True)
        if not can_undo(one):
            raise Conflict("This cannot be taken back any more: judge anew.", code="already-decided")
        one.state, one.undone_by, one.undone_at = Judging.State.UNDOING, by.actor, clock.now()
        one.save(update_fields=["state", "undone_by", "undone_at"])
        audit.record(audit.Verb.OPINIONS_UNDONE, by=by, target=f"judging:{one.pk}", objects=len(one.ids))
        _hint()
    return one


def can_undo(one: Judging) -> bool:
    """Whether its hour is not over. Pure."""
    return one.state == Judging.State.DONE and one.until is not None and one.until > clock.now()


def find(viewer: Viewer, judging_id: UUID, *, locked: bool = False) -> Judging:
    """One of the viewer's partner's own. Raises NotFound."""
    own = Judging.objects.of(viewer)
    found = (own.select_for_update() if locked else own).filter(pk=judging_id).first()
    if found is None:
        raise NotFound
    return found


def lately(viewer: Viewer) -> list[Judging]:
    """Those of the viewer's partner that are under way or can still be taken back, the newest first."""
    begun = Judging.objects.of(viewer).filter(at__gt=clock.now() - KEPT).exclude(state=Judging.State.PREPARED)
    live = begun.filter(Q(state__in=_UNDER_WAY) | Q(state=Judging.State.DONE, until__gt=clock.now()))
    return list(live.defer("ids").order_by("-at", "-pk")[:_MOST_PREPARED])


def progress(one: Judging) -> Progress:
    """How far it is. One query."""
    rows = JudgingPart.unrestricted.filter(judging=one).values_list("state").annotate(count=Count("pk"))
    by_state: dict[str, int] = dict(rows.order_by("state"))
    undoing = one.state == Judging.State.UNDOING
    wanted = (JudgingPart.State.GIVEN,) if undoing else _OPEN
    total, due = sum(by_state.values()), sum(by_state.get(state, 0) for state in wanted)
    if undoing:
        total = due + by_state.get("back", 0) + by_state.get("kept", 0)
    since = one.undone_at if undoing else one.begun_at
    return Progress(
        total=total or (0 if undoing else len(one.ids)),
        due=due,
        left_s=_left_s(since, over=total - due, due=due),
        **{name: by_state.get(name, 0) for name in ("given", "same", "refused", "back", "kept")},
    )


def _left_s(since: datetime | None, *, over: int, due: int) -> int | None:
    if since is None or not over or not due:
        return None
    return round((clock.now() - since).total_seconds() * due / over)


def failures(one: Judging, *, at_most: int) -> list[JudgingPart]:
    """What was not judged, or not taken back, each with its reason, in order."""
    told = (JudgingPart.State.REFUSED, JudgingPart.State.KEPT)
    return list(JudgingPart.unrestricted.filter(judging=one, state__in=told).order_by("position")[:at_most])


def work() -> bool:
    """Do a few parts of each act that is under way and that nobody works on. Whether there is more to do."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=clock.now())
    due = Judging.unrestricted.filter(free, state__in=_UNDER_WAY).order_by("at", "pk")
    more = False
    for judging_id in list(due.values_list("pk", flat=True)):
        claimed = Judging.unrestricted.filter(free, pk=judging_id, state__in=_UNDER_WAY)
        until = clock.now() + _CLAIM
        if claimed.update(claimed_until=until):
            more |= _turn(judging_id, until)
    return more


def _turn(judging_id: UUID, until: datetime) -> bool:
    """A few parts of one act, as long as it is claimed and in the state in which it was found. Whether it has more."""
    one = Judging.unrestricted.get(pk=judging_id)
    found, undoing = one.state, one.state == Judging.State.UNDOING
    wanted = (JudgingPart.State.GIVEN,) if undoing else _OPEN
    parts = JudgingPart.unrestricted.filter(judging=one, state__in=wanted).order_by("position")
    by = _who(one.undone_by if undoing else one.actor)
    for part in list(parts[:_AT_ONCE]):
        if undoing:
            _take_back(by, one, part)
        else:
            _give(by, one, part.pk)
        claim = Judging.unrestricted.filter(pk=judging_id, claimed_until=until)
        until = clock.now() + _CLAIM
        if not claim.update(claimed_until=until):
            return False  # this took so long that another worker claimed it
    with transaction.atomic():
        one = Judging.unrestricted.select_for_update().get(pk=judging_id)
        if one.state == found and not parts.exists():
            _settle(one)
        one.claimed_until = None
        one.save(update_fields=["claimed_until"])
    return one.state in _UNDER_WAY


def _settle(one: Judging) -> None:
    if one.state == Judging.State.RUNNING:
        one.state, one.until = Judging.State.DONE, clock.now() + UNDO
    elif one.state == Judging.State.UNDOING:
        one.state = Judging.State.UNDONE
    one.save(update_fields=["state", "until"])


def _who(actor: str) -> Viewer | None:
    """The person who asked for it, as they are now; None where they may not judge any more."""
    user = User.objects.filter(pk=actor.removeprefix("user:")).first() if actor.startswith("user:") else None
    try:
        viewer = viewer_of_user(user) if user else None
    except Unauthenticated:
        return None
    return viewer if viewer and Scope.REACT in viewer.scopes else None


def _give(by: Viewer | None, one: Judging, part_id: int) -> None:
    """Give it; what the partner says already is not said again, so that a turn that was ended can begin anew."""
    part = _marked(by, one, part_id)
    if by is None or part is None:
        return None
    try:
        status = giving.give(by, part.stix_id, opinion=one.opinion, reason=one.reason)
    except ExchangeError as refused:
        return _became(part, JudgingPart.State.REFUSED, detail=refused.detail)
    now = giving.said(by, part.stix_id)
    if status != "accepted" or now is None:
        return _became(part, JudgingPart.State.REFUSED, detail=_WAITS)
    return _became(part, JudgingPart.State.GIVEN, place=now.place)


def _marked(by: Viewer | None, one: Judging, part_id: int) -> JudgingPart | None:
    """Mark a part as one that is being given, with what was said before; None where it is not to be given any more."""
    with transaction.atomic():
        part = JudgingPart.unrestricted.select_for_update().filter(pk=part_id, state__in=_OPEN).first()
        if part is None:
            return None
        speaks = by or viewer_of_partner(one.partner_id)
        before = giving.said(speaks, part.stix_id) if speaks else None
        if before is not None and _words_of(before) == (one.opinion, one.reason):
            # It said something else when it was marked: a worker gave it, and was ended before its part said so.
            ours = part.state == JudgingPart.State.GIVING and _is_of(before, one.actor, one.begun_at)
            _became(part, JudgingPart.State.GIVEN if ours else JudgingPart.State.SAME, place=before.place)
            return None
        if by is None or part.detail:
            _became(part, JudgingPart.State.REFUSED, detail=_NO_RIGHT if by is None else part.detail)
            return None
        if before is not None and _stays(before, one):
            _became(part, JudgingPart.State.REFUSED, detail=_A_COLLEAGUE)
            return None
        part.before_opinion, part.before_reason = _words_of(before) if before else ("", "")
        _became(part, JudgingPart.State.GIVING)
        return part


def _stays(before: Opinion, one: Judging) -> bool:
    """Whether it is another person's or key's, and whoever began the act did not choose that it gives way."""
    return before.actor != one.actor and (one.over_until is None or before.at > one.over_until)


def _take_back(by: Viewer | None, one: Judging, part: JudgingPart) -> None:
    """Say what was said before, or nothing; what was said anew since stays."""
    if by is None:
        return _became(part, JudgingPart.State.KEPT, detail=_NO_RIGHT)
    now = giving.said(by, part.stix_id)
    if now is None:
        return _became(part, JudgingPart.State.BACK)
    before = (part.before_opinion, part.before_reason)
    if now.place != part.place and _words_of(now) == before and _is_of(now, one.undone_by, one.undone_at):
        return _became(part, JudgingPart.State.BACK)  # a worker said it again, and was ended before its part said so
    if now.place != part.place:
        return _became(part, JudgingPart.State.KEPT, detail="Somebody of your partner has judged it anew since.")
    try:
        if part.before_opinion:
            giving.give(by, part.stix_id, opinion=part.before_opinion, reason=part.before_reason)
        else:
            giving.take_back(by, part.stix_id)
    except ExchangeError as refused:
        return _became(part, JudgingPart.State.KEPT, detail=refused.detail)
    return _became(part, JudgingPart.State.BACK)


def _became(part: JudgingPart, state: JudgingPart.State, *, detail: str = "", place: int | None = None) -> None:
    part.state, part.detail = state, detail
    part.place = place if place is not None else part.place
    part.save(update_fields=["state", "detail", "place", "before_opinion", "before_reason"])


def _is_of(row: Opinion, actor: str, since: datetime | None) -> bool:
    """Whether somebody said it since then, as far as is known: of what the log's reader recorded, nobody is."""
    return since is not None and row.at >= since and row.actor in ("", actor)


def _words_of(row: Opinion) -> tuple[str, str]:
    """The opinion and its reason, as they were written."""
    return giving.word_of(row), row.reason


def forget() -> None:
    """Delete what was only prepared, and what is over for long."""
    now = clock.now()
    Judging.unrestricted.filter(state=Judging.State.PREPARED, at__lt=now - 2 * PREPARED).delete()
    Judging.unrestricted.filter(at__lt=now - KEPT).exclude(state__in=_UNDER_WAY).delete()


def _hint() -> None:
    transaction.on_commit(lambda: hints.SENDER.send_soon(catch_up), robust=True)


@app.task(name="indicators.opinions.many.catch_up")
def catch_up() -> None:
    """Do a turn of each act that is under way, and come again while there is more: others have their turn between."""
    if work():
        hints.SENDER.send_soon(catch_up)
    else:
        forget()
