"""Schedules of report packages: a draft each week or month, which two people make a package of.

    a schedule that is due -> whoever made it still may -> what stands, or is new in its feed -> a draft -> due again

Nothing is ever released by a schedule: a draft is checked by one person and released by another (`reporting`). Its own
partner alone sees a schedule and its drafts. It ends with the rights of whoever made it, and rests while its partner
or the recipient is suspended. The only writer of ReportSchedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from structlog import get_logger

from exchange import clock
from exchange.celery import app
from exchange.errors import Conflict, ExchangeError, NotFound, Refused, Unauthenticated
from indicators.models import ReportPackage, ReportSchedule
from indicators.reading import newest, page
from indicators.reading.selecting import Selection
from indicators.reports import reporting
from indicators.telling import digesting, subscribing
from partners import keys
from partners.keys.auth import viewer_of_partner, viewer_of_user
from partners.log import audit
from partners.models import ApiKey, Partner, User
from partners.sayable import require_sayable
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.viewer import Viewer

log = get_logger()

MOST = 20
#: Days of the week, and those that every month has.
LAST_DAY = {ReportSchedule.Every.WEEK: 7, ReportSchedule.Every.MONTH: 28}
MAX_NAME_CHARS = 120
_TIMES = frozenset({"day", "every", "hour", "time_zone"})
#: So long one that ended by itself is still listed.
LISTED_AFTER = timedelta(days=28)
_AT_ONCE = 50
#: So many versions of a feed are read at a time.
_PAGE = 1_000
#: One after the other, so many keys that took another's place are followed at most.
_MOST_SUCCESSORS = 50
_MAKERS = frozenset({Scope.AUDIT, Scope.PUBLISH})


@dataclass(frozen=True, slots=True)
class Wish:
    """A schedule as it is asked for: of a root, or of a feed of the own partner's."""

    name: str
    recipient: str
    every: ReportSchedule.Every
    day: int
    hour: int
    time_zone: str = "UTC"
    root: str = ""
    feed_id: UUID | None = None
    forms: tuple[str, ...] = ()


def next_due(every: str, *, day: int, hour: int, time_zone: str, after: datetime) -> datetime:
    """The first moment after another at which it is `hour` on that day by the clock on the wall.

    `day` is 1 (Monday) to 7 of a week, 1 to 28 of a month. An hour that the clock leaves out is the one after it; of
    one that comes twice it is the first.
    """
    zone = ZoneInfo(time_zone)
    local = after.astimezone(zone).replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    if every == ReportSchedule.Every.WEEK:
        local += timedelta(days=day - local.isoweekday())
    else:
        local = local.replace(day=day)
    while (due := local.astimezone(after.tzinfo)) <= after:
        local = local + timedelta(days=7) if every == ReportSchedule.Every.WEEK else _next_month(local)
    return due


def _next_month(local: datetime) -> datetime:
    return (local.replace(day=1) + timedelta(days=32)).replace(day=local.day)


# --- Who has which


def make(viewer: Viewer, wish: Wish) -> ReportSchedule:
    """Have a draft put together from now on. Raises Refused naming the field, Forbidden, NotFound, Conflict."""
    _require(viewer)
    if bool(wish.root) == (wish.feed_id is not None):
        raise Refused("A root or a feed: one of them.", code="root-or-feed", at="/root")
    made = ReportSchedule(
        partner_id=viewer.partner_id,
        name=_named(wish.name),
        recipient=reporting.recipient_named(viewer, wish.recipient),
        root=wish.root.lower(),
        forms=list(wish.forms),
        actor=viewer.actor,
    )
    if wish.root:
        reporting.require_root(made.root)
        newest_of = newest(viewer, Selection(stix_ids=(made.root,)), limit=1)
        if not newest_of.statements:
            raise NotFound
    _set_times(made, every=wish.every, day=wish.day, hour=wish.hour, time_zone=wish.time_zone)
    reporting.agreed(made.recipient, made.forms)
    with transaction.atomic():
        if wish.feed_id is not None:
            made.feed = subscribing.own_feed(viewer, wish.feed_id)
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)  # one after the other
        if _living(viewer).count() >= MOST:
            raise Conflict(f"A partner has at most {MOST} schedules of reports.", code="too-many-report-schedules")
        _save(made)
        _tell(audit.Verb.REPORT_SCHEDULE_MADE, made, by=viewer)
    return made


def change(viewer: Viewer, schedule_id: UUID, wanted: Mapping[str, Any]) -> ReportSchedule:
    """Change what `wanted` names of name, state, forms, every, day, hour and time_zone; it is the viewer's then.

    Raises NotFound, Forbidden, Refused naming the field, Conflict.
    """
    _require(viewer)
    with transaction.atomic():
        one = _locked(viewer, schedule_id)
        resumes = False
        if "name" in wanted:
            one.name = _named(wanted["name"])
        if "forms" in wanted:
            reporting.agreed(one.recipient, wanted["forms"])
            one.forms = list(wanted["forms"])
        if "state" in wanted:
            if wanted["state"] not in (ReportSchedule.State.ACTIVE, ReportSchedule.State.PAUSED):
                raise Refused("Only active and paused can be chosen.", code="bad-state", at="/state")
            resumes = one.state == ReportSchedule.State.PAUSED and wanted["state"] == ReportSchedule.State.ACTIVE
            one.state = wanted["state"]
        if resumes or not _TIMES.isdisjoint(wanted):  # else one that is due stays so
            _set_times(one, **{name: wanted.get(name, getattr(one, name)) for name in _TIMES})
        one.actor = viewer.actor
        _save(one)
        _tell(audit.Verb.REPORT_SCHEDULE_CHANGED, one, by=viewer, changed=sorted(wanted))
    return one


def end(viewer: Viewer, schedule_id: UUID) -> None:
    """No draft comes of it any more; those that are there stay, to be checked or discarded. Raises NotFound."""
    _require(viewer)
    with transaction.atomic():
        _end(_locked(viewer, schedule_id), by=viewer, why="")


def listed(viewer: Viewer) -> list[ReportSchedule]:
    """The schedules of the viewer's partner, by name, with those that ended by themselves of late. Raises Forbidden."""
    _require(viewer)
    told = ~Q(state=ReportSchedule.State.ENDED) | Q(gave_up_at__gt=clock.now() - LISTED_AFTER)
    mine = ReportSchedule.objects.of(viewer).filter(told)
    return list(mine.select_related("recipient", "feed").order_by("name", "pk"))


def own(viewer: Viewer, schedule_id: UUID) -> ReportSchedule:
    """One of them. Raises NotFound, Forbidden."""
    _require(viewer)
    found = _living(viewer).filter(pk=schedule_id).first()
    if found is None:
        raise NotFound
    return found


def _require(viewer: Viewer) -> None:
    reporting.require_preparer(viewer)
    viewer.require_all_groups()


def _living(viewer: Viewer) -> QuerySet[ReportSchedule]:
    mine = ReportSchedule.objects.of(viewer).exclude(state=ReportSchedule.State.ENDED)
    return mine.select_related("recipient", "feed")


def _locked(viewer: Viewer, schedule_id: UUID) -> ReportSchedule:
    found = _living(viewer).select_for_update(of=("self",), no_key=True).filter(pk=schedule_id).first()
    if found is None:
        raise NotFound
    return found


def _save(one: ReportSchedule) -> None:
    try:
        with transaction.atomic():
            one.save()
    except IntegrityError:
        raise Conflict("You have a schedule of this name.", code="name-taken", at="/name") from None


def _named(name: str) -> str:
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise Refused(f"A name of 1 to {MAX_NAME_CHARS} characters.", code="bad-name", at="/name")
    require_sayable(name, at="/name")  # it is the title that the recipient reads
    return name.strip()


def _set_times(one: ReportSchedule, *, every: str, day: int, hour: int, time_zone: str) -> None:
    if every not in ReportSchedule.Every.values:
        raise Refused("week or month.", code="bad-interval", at="/every")
    last = LAST_DAY[ReportSchedule.Every(every)]
    if not 1 <= day <= last:
        raise Refused(f"A day from 1 to {last}.", code="bad-day", at="/day")
    if not 0 <= hour <= 23:
        raise Refused("An hour from 0 to 23.", code="bad-hour", at="/hour")
    if time_zone not in digesting.zones():
        raise Refused("The name of a time zone, such as Europe/Berlin.", code="bad-time-zone", at="/time_zone")
    one.every, one.day, one.hour, one.time_zone = every, day, hour, time_zone
    one.due_at = next_due(every, day=day, hour=hour, time_zone=time_zone, after=clock.now())


def _end(one: ReportSchedule, *, by: Viewer | None, why: str) -> None:
    one.state, one.feed, one.outcome = ReportSchedule.State.ENDED, None, why or one.outcome
    if by is None:
        one.gave_up_at = one.last_at = clock.now()
    one.save(update_fields=["state", "feed", "outcome", "gave_up_at", "last_at"])
    more = {"why": why} if why else {}
    _tell(audit.Verb.REPORT_SCHEDULE_ENDED, one, by=by, **more)


def _tell(verb: audit.Verb, one: ReportSchedule, *, by: Viewer | None, **details: Any) -> None:
    audit.record(
        verb,
        by=by,
        target=f"report-schedule:{one.pk}",
        about=one.partner_id,
        recipient=one.recipient.slug,
        every=one.every,
        state=one.state,
        **details,
    )


# --- Running


def run_due(*, at: datetime) -> int:
    """Draft what is due; how many drafts were made. May run twice: the row is locked, and due again when it is done."""
    due = ReportSchedule.unrestricted.filter(state=ReportSchedule.State.ACTIVE, due_at__lte=at)
    made = 0
    for pk in due.order_by("due_at", "pk").values_list("pk", flat=True)[:_AT_ONCE]:
        try:
            with transaction.atomic():
                made += _run(pk, at=at)
        except Exception:  # one schedule that cannot be run must not keep others from being run
            log.exception("report-schedule.failed", schedule=str(pk))
            ReportSchedule.unrestricted.filter(pk=pk).update(
                due_at=at + timedelta(hours=1), last_at=at, outcome="It failed here; the operator's log says why."
            )
    return made


def _run(pk: UUID, *, at: datetime) -> int:
    of_it = ("partner", "recipient", "feed")
    one = (
        ReportSchedule.unrestricted.select_for_update(of=("self",), no_key=True, skip_locked=True)
        .select_related(*of_it)
        .filter(pk=pk, state=ReportSchedule.State.ACTIVE, due_at__lte=at)
        .first()
    )
    if one is None:
        return 0
    if one.partner.state == Partner.State.LEFT or not _still_may(one):
        _end(one, by=None, why="Who made it takes part no more, or may prepare no packages.")
        return 0
    drafted, outcome = _drafted(one)
    one.due_at = next_due(one.every, day=one.day, hour=one.hour, time_zone=one.time_zone, after=at)
    one.last_at, one.outcome = at, outcome[:300]
    one.save(update_fields=["actor", "due_at", "last_at", "outcome"])
    log.info("report-schedule.ran", schedule=str(pk), drafted=drafted, partner=one.partner.slug)
    return drafted


def _drafted(one: ReportSchedule) -> tuple[int, str]:
    """Whether a draft was made, and what the partner is told of the run."""
    viewer = viewer_of_partner(one.partner_id)
    if viewer is None:
        return 0, "Nothing is drafted while your partner is suspended."
    before = _packages(one, ReportPackage.State.PREPARED).first()
    if before is not None:
        return 0, "Nothing was drafted: the package before waits for its release."
    listed: Iterable[tuple[int, int]] = ()
    if not one.root:
        new = _new_in_feed(viewer, one)
        if (first := next(new, None)) is None:
            return 0, "There was nothing to report."
        listed = chain([first], new)
    wish = reporting.Wish(one.recipient.slug, one.root, listed, "" if one.root else one.name, one.forms)
    try:
        with transaction.atomic():
            reporting.forget_drafts(one)
            package = reporting.draft(viewer, wish, schedule=one)
    except NotFound:
        return 0, "Nothing was drafted: what it begins with is gone."
    except ExchangeError as refused:
        return 0, f"Nothing was drafted: {refused.detail} ({refused.code})"
    more = " More came than one package holds: once it is released, the next draft goes on from there."
    return 1, f"Drafted {len(package.object_ids)} objects.{more if package.cut and not one.root else ''}"


def _packages(one: ReportSchedule, state: ReportPackage.State) -> QuerySet[ReportPackage]:
    return ReportPackage.unrestricted.filter(schedule=one, state=state)


def _new_in_feed(viewer: Viewer, one: ReportSchedule) -> Iterator[tuple[int, int]]:
    """What lives in its feed and came or changed since the last package of it that was released, oldest first.

    Each as its place in the log and the key of its version. Before the first release it is what came since a period
    before the schedule was made, whatever became of its drafts.
    """
    released = _packages(one, ReportPackage.State.RELEASED).order_by("-gathered_at").first()
    after, since = 0, one.created_at - timedelta(days=7 if one.every == ReportSchedule.Every.WEEK else 31)
    if released is not None and released.reached is not None:
        after = released.reached
    elif released is not None and released.gathered_at is not None:  # from before places were kept
        since = released.gathered_at - timedelta(minutes=1)
    wanted = Selection(filter=subscribing.filter_of(one.feed), added_after=None if after else since, living=True)
    more = True
    while more:
        found = page(viewer, wanted, after=after, limit=_PAGE, with_bodies=False)
        yield from ((said.seq, said.object_id) for said in found.statements)
        after, more = found.reached, found.more


def _still_may(one: ReportSchedule) -> bool:
    """Whether whoever made it, or changed it last, may still prepare packages for the partner."""
    kind, _, name = one.actor.partition(":")
    if kind == "user":
        user = User.objects.filter(pk=name, partner=one.partner_id, is_active=True).first()
        if user is None or not ROLE_SCOPES[Role(user.role)] & _MAKERS:
            return False
        try:
            return one.partner.state != Partner.State.ACTIVE or bool(viewer_of_user(user).scopes & _MAKERS)
        except Unauthenticated:
            return False
    return _follow_key(one, name)


def _follow_key(one: ReportSchedule, name: str) -> bool:
    """The same of a key; where another took its place, the schedule is that one's from now on."""
    for _ in range(_MOST_SUCCESSORS):
        key = ApiKey.objects.filter(
            public_id=name, partner=one.partner_id, revoked_at=None, expires_at__gt=clock.now(), groups=None
        ).first()
        if key is not None:
            one.actor = f"key:{name}"
            return bool(_MAKERS & {Scope(word) for word in key.scopes})
        if not (name := keys.successor(name, partner_id=one.partner_id)):
            return False
    return False


@app.task(name="indicators.reports.scheduling.catch_up")
def catch_up() -> None:
    """Draft what is due."""
    run_due(at=clock.now())
