"""Hosts and ranges that members name as their own. With `proofs` and `suppressing` the writer of ServiceHost.

What is named is public. At once the lists of its own member leave it out; those of others once it is proven: a host by
a challenge in its DNS (`proofs`), or by the operator; a range by the operator, or, up to /20, by two other partners.
What lies below a host that its member has proven needs no proof of its own. So no member takes another's host, or an
attacker's, out of everybody's lists by its word alone, and no two by theirs.

Every push judges its values by what is known here. What was stored before is judged again by `suppressing`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from structlog import get_logger

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.tokens import normalising
from indicators.door import benign, plain, snapshot
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
    unproven: dict[UUID, Known] = field(default_factory=dict)


_remembered: _Remembered | None = None


def known() -> Known:
    """What is benign because it is proven to be a member's. Two queries in five seconds for each process."""
    return _known().known


def unproven() -> Mapping[UUID, Known]:
    """By partner what it names as its own and has not proven; remembered as `known` is."""
    return _known().unproven


def _known() -> _Remembered:
    global _remembered  # noqa: PLW0603 - per process, replaced as a whole
    held, moment = _remembered, time.monotonic()
    if held is None or held.until < moment:
        try:
            found, pending = read(), unproven_of()
        except (OSError, ValueError) as error:  # a file of lists that is not there, or is none
            if held is None:
                raise
            log.warning("benign-lists.unreadable", error=type(error).__name__)
            found, pending = held.known, held.unproven
        held = _Remembered(found, moment + _REMEMBERED_S, pending)
        _remembered = held
    return held


def read() -> Known:
    """The same, by the lists too, as it is now. One query. Raises OSError, ValueError for lists that cannot be read."""
    values = listed().exclude(proven_at=None).values_list("value", flat=True)
    lists = snapshot.Lists.at(Path(settings.BENIGN_LISTS) if settings.BENIGN_LISTS else snapshot.BUNDLED)
    snapshot.read(lists)
    return Known.of(values, examples=settings.ALLOW_EXAMPLE_VALUES, lists=lists)


def unproven_of(*partner_ids: UUID) -> dict[UUID, Known]:
    """By partner what it names as its own and has not proven, as it is now: of these, or of all. One query."""
    rows = listed().filter(proven_at=None)
    rows = rows.filter(partner__in=partner_ids) if partner_ids else rows
    named: dict[UUID, list[str]] = {}
    for partner_id, value in rows.values_list("partner_id", "value"):
        named.setdefault(partner_id, []).append(value)
    return {partner_id: Known.of(values, examples=True) for partner_id, values in named.items()}


def forget() -> None:
    """Read again what members made known, at the next push of this process."""
    global _remembered  # noqa: PLW0603 - per process, replaced as a whole
    _remembered = None


def listed() -> QuerySet[ServiceHost]:
    """What is known now, by value. Of partners that have left nothing is."""
    return (
        ServiceHost.objects.filter(ended_at=None)
        .exclude(partner__state__in=[Partner.State.LEFT, Partner.State.INVITED])
        .select_related("partner", "confirmed_by")
        .order_by("value", "partner__slug")
    )


def add(viewer: Viewer, values: Sequence[str]) -> list[ServiceHost]:
    """Name hosts and ranges as the viewer's partner's own; those that are, stay. Raises Refused, Conflict.

    What the operator names is proven, and so is what lies below a host that the partner has proven.
    """
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
        proven = set(own.exclude(proven_at=None).values_list("value", flat=True))
        ServiceHost.objects.bulk_create(_named(viewer, value, proven) for value in new)
        if new:
            audit.record(audit.Verb.SERVICE_HOSTS_ADDED, by=viewer, target=f"partner:{viewer.partner_id}", values=new)
    forget()
    return list(listed().filter(partner=viewer.partner_id, value__in=list(wanted)))


def _named(viewer: Viewer, value: str, proven: Collection[str]) -> ServiceHost:
    moment = clock.now()
    host = ServiceHost(partner_id=viewer.partner_id, value=value, actor=viewer.actor, since=moment)
    host.challenge = secrets.token_hex(16)
    above = not is_range(value) and any(value.endswith(f".{name}") for name in proven)
    if above or viewer.is_operator:
        host.proven_at, host.proven_by = moment, "dns" if above else OPERATOR
    elif not is_range(value):
        host.ask_at = moment
    return host


def is_range(value: str) -> bool:
    """Whether it is a network and no host."""
    return "/" in value


@transaction.atomic
def confirm(viewer: Viewer, host_id: UUID) -> ServiceHost:
    """Say that what another partner names is that partner's. The operator's word proves it, or those of two partners.

    Raises NotFound for what is not named, Refused for one's own, a host, and a range that the operator alone confirms.
    """
    viewer.require(Scope.ADMIN)
    hosts = ServiceHost.objects.select_for_update(no_key=True, of=("self",)).select_related("confirmed_by", "partner")
    host = hosts.filter(pk=host_id, ended_at=None).first()
    if host is None:
        raise NotFound
    if host.partner_id == viewer.partner_id:
        raise Refused("Somebody else confirms what is yours.", code="own-host")
    if viewer.is_operator:
        words = OPERATOR
    elif not is_range(host.value):
        raise Refused("A host is proven by its DNS, or confirmed by the operator.", code="not-a-range")
    elif not partners_confirm(host.value):
        raise Refused("The operator alone confirms a range that is so broad.", code="range-too-broad")
    elif host.confirmed_by is None or host.confirmed_by_id == viewer.partner_id:
        words = ""
    else:
        words = f"{host.confirmed_by.slug}, {viewer.partner_slug}"
    if host.proven_at is None and words:
        prove(host, by=words, viewer=viewer)
    elif host.proven_at is None and host.confirmed_by is None:
        _confirm_first(host, viewer)
    return host


def partners_confirm(value: str) -> bool:
    """Whether two partners can prove a network in normal form: it is no broader than /20, or /40 of IPv6."""
    net = ip_network(value)
    return net.prefixlen >= (20 if net.version == 4 else 40)


def _confirm_first(host: ServiceHost, viewer: Viewer) -> None:
    host.confirmed_by_id = viewer.partner_id
    host.save(update_fields=["confirmed_by"])
    audit.record(
        audit.Verb.SERVICE_HOST_CONFIRMED,
        by=viewer,
        target=f"partner:{host.partner_id}",
        about=host.partner_id,
        values=[host.value],
    )


def prove(host: ServiceHost, *, by: str, viewer: Viewer | None = None) -> None:
    """Take a host or range, whose row is locked, for its partner's own from now on; `by` says on whose word."""
    host.proven_at = host.changed_at = clock.now()
    host.proven_by, host.ask_at, host.applied_at = by, None, None
    host.save(update_fields=["proven_at", "proven_by", "changed_at", "ask_at", "applied_at"])
    audit.record(
        audit.Verb.SERVICE_HOST_PROVEN,
        by=viewer,
        target=f"partner:{host.partner_id}",
        about=host.partner_id,
        values=[host.value],
        proven_by=by,
    )
    forget()


def ask_now(viewer: Viewer, host_id: UUID) -> ServiceHost:
    """Have the DNS of a host of one's own asked now, or a little after it was asked last. Raises NotFound, Refused."""
    viewer.require(Scope.ADMIN)
    with transaction.atomic():
        own = ServiceHost.objects.select_for_update(no_key=True).filter(partner=viewer.partner_id, ended_at=None)
        host = own.filter(pk=host_id).first()
        if host is None:
            raise NotFound
        if is_range(host.value):
            raise Refused("Two other partners or the operator confirm a range.", code="not-a-host")
        if host.proven_at is None:
            moment = clock.now()
            host.ask_at = moment if host.asked_at is None else max(moment, host.asked_at + _REST)
            host.save(update_fields=["ask_at"])
    return host


#: So long the DNS of a host is left alone after it was asked.
_REST = timedelta(seconds=10)
#: Whose word proves everything.
OPERATOR = "operator"


@transaction.atomic
def end(viewer: Viewer, host_id: UUID) -> None:
    """Say that a host or range is its partner's own no more: that partner, or the operator. Raises NotFound."""
    viewer.require(Scope.ADMIN)
    moment = clock.now()
    named = ServiceHost.objects.filter(pk=host_id, ended_at=None)
    host = (named if viewer.is_operator else named.filter(partner=viewer.partner_id)).first()
    if host is None:
        raise NotFound
    ServiceHost.objects.filter(pk=host.pk).update(ended_at=moment, changed_at=moment, applied_at=None, ask_at=None)
    audit.record(
        audit.Verb.SERVICE_HOST_ENDED,
        by=viewer,
        target=f"partner:{host.partner_id}",
        about=host.partner_id,
        values=[host.value],
    )
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
        if plain.says_more(value):  # all partners read it
            raise Refused(plain.SAYS_MORE, code="not-listed", at=at)
        return value
    raise Refused("A host name such as api.lab.example, or a network in CIDR form.", code="bad-host", at=at)
