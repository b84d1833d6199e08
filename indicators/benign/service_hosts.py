"""Hosts and ranges that members make known as their own: public, and never in a list. The only writer of ServiceHost.

Every push judges its values by what is known here. What was stored before is judged again by `suppressing`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from structlog import get_logger

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.tokens import normalising
from indicators.door import benign, snapshot
from indicators.door.benign import Known
from indicators.models import ServiceHost
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.viewer import Viewer

log = get_logger()

MOST = 200
#: How long a process goes by what it read. Pushes of that time are judged again (`suppressing`).
_REMEMBERED_S = 5.0


@dataclass(slots=True)
class _Remembered:
    known: Known
    until: float


_remembered: _Remembered | None = None


def known() -> Known:
    """What is benign because members say that it is theirs. One query in five seconds for each process."""
    global _remembered  # noqa: PLW0603 - per process, replaced as a whole
    held, moment = _remembered, time.monotonic()
    if held is None or held.until < moment:
        try:
            found = read()
        except (OSError, ValueError) as error:  # a file of lists that is not there, or is none
            if held is None:
                raise
            log.warning("benign-lists.unreadable", error=type(error).__name__)
            found = held.known
        held = _Remembered(found, moment + _REMEMBERED_S)
        _remembered = held
    return held.known


def read() -> Known:
    """The same, by the lists too, as it is now. One query. Raises OSError, ValueError for lists that cannot be read."""
    values = listed().values_list("value", flat=True)
    lists = snapshot.Lists.at(Path(settings.BENIGN_LISTS) if settings.BENIGN_LISTS else snapshot.BUNDLED)
    snapshot.read(lists)
    return Known.of(values, examples=settings.ALLOW_EXAMPLE_VALUES, lists=lists)


def forget() -> None:
    """Read again what members made known, at the next push of this process."""
    global _remembered  # noqa: PLW0603 - per process, replaced as a whole
    _remembered = None


def listed() -> QuerySet[ServiceHost]:
    """What is known now, by value. Of partners that have left nothing is."""
    return (
        ServiceHost.objects.filter(ended_at=None)
        .exclude(partner__state__in=[Partner.State.LEFT, Partner.State.INVITED])
        .select_related("partner")
        .order_by("value", "partner__slug")
    )


def add(viewer: Viewer, values: Sequence[str]) -> list[ServiceHost]:
    """Make hosts and ranges known as the viewer's partner's own; those that are, stay. Raises Refused, Conflict."""
    viewer.require(Scope.ADMIN)
    wanted = dict.fromkeys(normal(value, at=f"/values/{place}") for place, value in enumerate(values))
    if not wanted:
        raise Refused("Name at least one host or range.", code="bad-host", at="/values")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        own = ServiceHost.objects.filter(partner=viewer.partner_id, ended_at=None)
        new = [value for value in wanted if value not in set(own.values_list("value", flat=True))]
        if own.count() + len(new) > MOST:
            raise Conflict(f"A partner makes at most {MOST} hosts and ranges known.", code="too-many-hosts")
        ServiceHost.objects.bulk_create(
            ServiceHost(partner_id=viewer.partner_id, value=value, actor=viewer.actor) for value in new
        )
        if new:
            audit.record(audit.Verb.SERVICE_HOSTS_ADDED, by=viewer, target=f"partner:{viewer.partner_id}", values=new)
    forget()
    return list(listed().filter(partner=viewer.partner_id, value__in=list(wanted)))


@transaction.atomic
def end(viewer: Viewer, host_id: UUID) -> None:
    """Say that a host or range is the viewer's partner's own no more. Raises NotFound for anybody else's."""
    viewer.require(Scope.ADMIN)
    moment = clock.now()
    own = ServiceHost.objects.filter(pk=host_id, partner=viewer.partner_id, ended_at=None).first()
    if own is None:
        raise NotFound
    ServiceHost.objects.filter(pk=own.pk).update(ended_at=moment, changed_at=moment, applied_at=None)
    audit.record(audit.Verb.SERVICE_HOST_ENDED, by=viewer, target=f"partner:{viewer.partner_id}", values=[own.value])
    forget()


def normal(text: str, *, at: str) -> str:
    """A host or range as it is compared. Raises Refused for what is neither, and for what many share."""
    for normalise in (normalising.ip_network, normalising.host):
        try:
            value = normalise(text)
        except ValueError:
            continue
        if not benign.is_declarable(value):
            raise Refused(
                "Many share it: a public suffix, a freemail provider, a special-purpose or too broad range.",
                code="not-ones-own",
                at=at,
            )
        return value
    raise Refused("A host name such as api.lab.example, or a network in CIDR form.", code="bad-host", at=at)
