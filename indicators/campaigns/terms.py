"""Whether a group's terms allow evidence, and how far a lab is with it. The only writer of Pool and Submission."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused, TooMany
from indicators.campaigns.tables import EvidenceToken, Pool, Submission
from partners.models import Group, Membership, Partner
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.viewer import Viewer

#: What a lab may send into one group in a day, and hold there: law 11.
LINES_A_DAY = 5_000_000
ANSWERS_A_DAY = 50_000_000
MOST_SUSPECTS = 250_000
#: Different tokens that its evidence carries; every member reads each of them.
MOST_TOKENS = 1_000_000
_SECONDS_OF_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Contributor:
    """A member of a group whose terms allow evidence, as it sends evidence there."""

    group: Group
    partner_id: UUID

    @property
    def interval(self) -> timedelta:
        """A number that was told changes at most once in this time."""
        return interval_of(self.group)


def contributor(viewer: Viewer, slug: str) -> Contributor:
    """The viewer's place in a group. Raises Forbidden, NotFound, and Conflict where its terms do not allow evidence."""
    viewer.require(Scope.EVIDENCE)
    group = Group.objects.filter(pk__in=viewer.group_ids, slug=slug).first()
    if group is None:
        raise NotFound
    if not group.evidence:
        raise Conflict("The terms of this group do not allow evidence.", code="no-evidence-here")
    return Contributor(group, viewer.partner_id)


def require_open(contributor: Contributor) -> None:
    """Raise Refused where the group takes nothing new."""
    if (why := why_closed(contributor.group, on=clock.now().date())) is not None:
        raise Refused(why[1], code=why[0])


def interval_of(group: Group) -> timedelta:
    """A number that was told changes at most once in this time."""
    seconds = settings.PREVALENCE_INTERVAL_S if group.interval_s is None else group.interval_s
    return timedelta(seconds=seconds)


def submission(contributor: Contributor, *, locked: bool = False) -> Submission:
    """How far the lab is; with `locked`, its other calls wait. Who is new is told what is there.

    Raises NotFound for who left the group in this moment.
    """
    now = clock.now()
    made, new = Submission.objects.get_or_create(
        group=contributor.group, partner_id=contributor.partner_id, defaults={"day": now.date()}
    )
    if new:
        Pool.objects.get_or_create(group=contributor.group)
        lock(contributor.group.pk)
        EvidenceToken.objects.filter(group=contributor.group, asked=True).update(due=now)
    if locked:
        made = Submission.objects.select_for_update().get(pk=made.pk)
        here = Membership.objects.select_for_update(of=("self",), no_key=True)
        if not here.filter(group=contributor.group, partner=contributor.partner_id, until=None).exists():
            raise NotFound
        if made.day != now.date():
            made.day, made.lines, made.answers = now.date(), 0, 0
    return made


def spend(made: Submission, *, lines: int = 0, answers: int = 0) -> None:
    """Count what was sent against the day's quota. Raises TooMany."""
    made.lines, made.answers = made.lines + lines, made.answers + answers
    if made.lines > LINES_A_DAY or made.answers > ANSWERS_A_DAY:
        now = clock.now()
        left = _SECONDS_OF_DAY - (now.hour * 3_600 + now.minute * 60 + now.second)
        raise TooMany("The day's lines for this group are used up.", code="quota", retry_after_s=left)


def require_room_for_accounts(made: Submission, *, more: int, fewer: int) -> None:
    """Count accounts before they are written: so many more than are held, so many fewer. Raises Refused.

    The lab's row is locked, and saved by the caller. What it lets go is only found where it seems to hold too much:
    then all is counted, and seldom else.
    """
    known = made.most_accounts
    if known is None or known + more > MOST_SUSPECTS:
        known = _count(_ACCOUNTS, made) - fewer
    made.most_accounts = known + more
    if made.most_accounts > MOST_SUSPECTS:
        raise Refused(f"At most {MOST_SUSPECTS:,} accounts in a group.", code="too-many-accounts", at="/lines")


def require_room_for_tokens(made: Submission, *, more: int) -> None:
    """Count tokens that were written as `more` than are carried, as `require_room_for_accounts` does accounts."""
    known = made.most_tokens
    made.most_tokens = _count(_TOKENS, made) if known is None or known + more > MOST_TOKENS else known + more
    if made.most_tokens > MOST_TOKENS:
        raise Refused(f"At most {MOST_TOKENS:,} different tokens in a group.", code="too-many-held-tokens", at="/lines")


def _count(sql: str, made: Submission) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"group": made.group_id, "partner": made.partner_id})
        (count,) = cursor.fetchone()
    return int(count)


_ACCOUNTS = "SELECT count(*) FROM indicators_suspect WHERE group_id = %(group)s AND partner_id = %(partner)s"
_TOKENS = """
SELECT count(*) FROM indicators_prevalence
WHERE group_id = %(group)s AND partner_id = %(partner)s AND carried > 0
"""


def labs(group_id: UUID) -> list[UUID]:
    """The labs that take part: present members that are active."""
    present = Membership.objects.filter(group=group_id, until=None, partner__state=Partner.State.ACTIVE)
    return list(present.filter(partner__kind=Partner.Kind.LAB).order_by("partner").values_list("partner", flat=True))


def lock(group_id: UUID) -> None:
    """Until the transaction ends, nobody else is told anything new in this group."""
    next_places(group_id, 0)


def next_places(group_id: UUID, count: int) -> int:
    """The first of `count` new places; until the transaction ends, nobody else gets any in this group."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_pool SET place = place + %s WHERE group_id = %s RETURNING place", [count, group_id]
        )
        (last,) = cursor.fetchone()
    return int(last) - count + 1


def places() -> int:
    """How many places evidence was given so far, in all groups: it only grows."""
    return int(Pool.objects.aggregate(places=Sum("place"))["places"] or 0)
