"""Warn the admins of a group's members before its legal basis ends: 60, 30 and 7 days. The only writer of Notice.

A notice is a row: it stands on the overview of its partner, and is mailed to the partner's admins once. The task may
run as often as it likes, in several places at once.
"""

from __future__ import annotations

from datetime import date, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from exchange import clock
from exchange.celery import app
from partners import mailing
from partners.log import audit
from partners.models import Group, Membership, Notice, Partner, User
from partners.scopes import Role
from partners.viewer import Viewer

#: How many days before the end.
DAYS = (60, 30, 7)


def due(basis_until: date, *, on: date) -> int | None:
    """Which warning is due on a day: the last one that has come, or None while none has, or after the end."""
    left = (basis_until - on).days
    return min((days for days in DAYS if left <= days), default=None) if left >= 0 else None


def write_notices(*, on: date) -> int:
    """Make the notices that are due and not yet there; returns how many are new."""
    ending = Group.objects.filter(closed_at=None, basis_until__range=(on, on + timedelta(days=max(DAYS))))
    made = 0
    for group in ending.order_by("pk"):
        if group.basis_until is not None and (days := due(group.basis_until, on=on)) is not None:
            made += _notify(group, basis_until=group.basis_until, days=days)
    return made


def send_mails() -> int:
    """Queue the mails of notices that were not mailed; returns of how many."""
    sent = 0
    for notice_id in Notice.objects.filter(mailed_at=None).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            if Notice.objects.filter(pk=notice_id, mailed_at=None).update(mailed_at=clock.now()):
                _mail(Notice.objects.select_related("partner", "group").get(pk=notice_id))
                sent += 1
    return sent


def notices_of(viewer: Viewer) -> list[Notice]:
    """What the viewer's partner is warned of: the last notice for each of its groups whose basis still ends so."""
    found = Notice.objects.filter(
        partner=viewer.partner_id, group__in=viewer.group_ids, basis_until__gte=clock.now().date()
    )
    last = {
        notice.group_id: notice
        for notice in found.select_related("group").order_by("-days", "pk")
        if notice.basis_until == notice.group.basis_until
    }
    return sorted(last.values(), key=lambda notice: (notice.basis_until, notice.pk))


@transaction.atomic
def _notify(group: Group, *, basis_until: date, days: int) -> int:
    members = Membership.objects.filter(group=group, until=None, partner__state=Partner.State.ACTIVE)
    made = 0
    for partner_id in members.order_by("pk").values_list("partner_id", flat=True):
        _, new = Notice.objects.get_or_create(partner_id=partner_id, group=group, basis_until=basis_until, days=days)
        made += new
    if made:
        until = str(basis_until)
        audit.record(
            audit.Verb.GROUP_WARNED, by=None, target=f"group:{group.slug}", days=days, until=until, partners=made
        )
    return made


def _mail(notice: Notice) -> None:
    admins = User.objects.filter(partner=notice.partner, role=Role.ADMIN, is_active=True).exclude(email="")
    named = {"group": notice.group.name, "day": notice.basis_until}
    subject = gettext("The legal basis of {group} ends on {day}").format(**named)
    body = gettext(
        "The legal basis of the group {group} ends on {day}.\n\n"
        "From the next day on nothing new can be published into the group; what is there stays readable.\n"
        "An admin of any member can propose to renew the basis, and every member agrees:\n{page}\n"
    ).format(page=f"{settings.BASE_URL}/organisation/groups/{notice.group.slug}", **named)
    for email in admins.order_by("pk").values_list("email", flat=True):  # apart, so that none sees the others
        mailing.tell(email, subject=" ".join(subject.split()), text=body, partner_id=notice.partner_id)


@app.task(name="partners.groups.warning.warn")
def warn() -> None:
    """Make and mail the notices that are due."""
    write_notices(on=clock.now().date())
    send_mails()
