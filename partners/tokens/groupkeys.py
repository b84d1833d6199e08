"""The keys under which the members of one group make tokens (`hmac-sha256`). The only writer of GroupKey.

A key is made when a member first asks for it, lives one quarter, and is replaced at once when a member leaves. It is
sealed at rest: whoever holds database and SECRET_KEY can open it and test what the group publishes under it, as its
members can.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from exchange import clock, sealing
from exchange.celery import app
from exchange.errors import Conflict, NotFound
from exchange.tokens import epochs
from partners.log import audit
from partners.models import Group, GroupKey, Membership
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.viewer import Viewer

_PURPOSE = "group-key"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Handed:
    """One key, as a member gets it. Look up under each; publish under those that `publishes`, with a token of each."""

    epoch: str
    key: bytes
    publishes: bool
    publish_until: datetime
    answers_until: datetime


def hand_out(viewer: Viewer, slug: str) -> list[Handed]:
    """The keys of a group of the viewer's, oldest first. Raises Forbidden, NotFound, Conflict."""
    viewer.require(Scope.GROUP_KEYS)
    with transaction.atomic():
        group = Group.objects.select_for_update().filter(pk__in=viewer.group_ids, slug=slug).first()
        if group is None or not Membership.objects.filter(group=group, partner=viewer.partner_id, until=None).exists():
            raise NotFound
        now = clock.now()
        if why_closed(group, on=now.date()) is None:
            for quarter in epochs.published_under(now):
                _ensure(group, quarter)
        found = list(_opened(group, now))
        if not found:
            raise Conflict("The group takes nothing new, and no key of it lives.", code="group-closed")
        audit.record(
            audit.Verb.GROUP_KEYS_HANDED_OUT,
            by=viewer,
            target=f"group:{group.slug}",
            epochs=[one.epoch for one in found],
        )
    return found


def replace(group: Group) -> int:
    """Each key that lives gets a successor, in the transaction in which a member left; returns how many did."""
    now, count = clock.now(), 0
    for key in GroupKey.objects.filter(group=group, replaced_at=None).order_by("quarter"):
        if epochs.ends(key.quarter) <= now:
            continue
        GroupKey.objects.filter(pk=key.pk).update(replaced_at=now)
        _make(group, key.quarter, key.number + 1)
        count += 1
    return count


@app.task(name="partners.tokens.groupkeys.forget_ended")
def forget_ended() -> None:
    """Delete keys under which no token can live any more."""
    now = clock.now()
    ended = [key.pk for key in GroupKey.objects.defer("sealed") if answers_until(key) <= now]
    GroupKey.objects.filter(pk__in=ended).delete()


def tokens_of(viewer: Viewer, epochs_named: frozenset[str], inputs: Iterable[bytes]) -> frozenset[str]:
    """The token values of inputs under those keys of the viewer's own groups that are named by their epochs.

    The exchange makes the keys, so it can test what it knows; nothing of a key or token leaves. One query.
    """
    named = set()
    for epoch in epochs_named:
        with contextlib.suppress(ValueError):
            named.add(epochs.parse_of_group(epoch))
    held = GroupKey.objects.filter(group_id__in=viewer.group_ids, group__slug__in={slug for slug, _, _ in named})
    opened = [
        sealing.unseal(bytes(key.sealed), purpose=_PURPOSE, bound=_bound(key.group, key.quarter, key.number))
        for key in held.select_related("group")
        if (key.group.slug, key.quarter, key.number) in named
    ]
    every = list(inputs)
    return frozenset(hmac.digest(key, one, "sha256").hex() for key in opened for one in every)


def ended(viewer: Viewer, epochs_named: frozenset[str]) -> frozenset[str]:
    """Of these epochs those of the viewer's own groups under whose keys nothing new is published. One query."""
    now = clock.now()
    replaced = GroupKey.objects.filter(group_id__in=viewer.group_ids, replaced_at__lte=now - epochs.OVERLAP)
    named = (epochs.of_group(key.group.slug, key.quarter, key.number) for key in replaced.select_related("group"))
    return epochs_named.intersection(named)


def openers() -> Iterator[Callable[[], bytes]]:
    """For `exchange.proving`."""
    for key in GroupKey.objects.select_related("group").order_by("pk").iterator():
        bound = _bound(key.group, key.quarter, key.number)
        yield partial(sealing.unseal, bytes(key.sealed), purpose=_PURPOSE, bound=bound)


def reseal() -> int:
    """Seal every key anew with the present SECRET_KEY; how many were under another one. No token changes."""
    count = 0
    for key in GroupKey.objects.select_related("group").order_by("pk"):
        bound = _bound(key.group, key.quarter, key.number)
        fresh = sealing.reseal(bytes(key.sealed), purpose=_PURPOSE, bound=bound)
        if fresh != bytes(key.sealed):
            count += GroupKey.objects.filter(pk=key.pk).update(sealed=fresh)
    return count


def publish_until(key: GroupKey) -> datetime:
    """Until when new indicators may carry tokens under it."""
    end = epochs.ends(key.quarter)
    return end if key.replaced_at is None else min(end, key.replaced_at + epochs.OVERLAP)


def answers_until(key: GroupKey) -> datetime:
    """Until when a token under it may live."""
    return publish_until(key) + epochs.LONGEST_LIFE


def _opened(group: Group, now: datetime) -> Iterator[Handed]:
    under = epochs.published_under(now)
    for key in GroupKey.objects.filter(group=group).order_by("quarter", "number"):
        if answers_until(key) > now:
            yield Handed(
                epochs.of_group(group.slug, key.quarter, key.number),
                sealing.unseal(bytes(key.sealed), purpose=_PURPOSE, bound=_bound(group, key.quarter, key.number)),
                publishes=key.quarter in under and publish_until(key) > now,
                publish_until=publish_until(key),
                answers_until=answers_until(key),
            )


def _ensure(group: Group, quarter: str) -> None:
    if not GroupKey.objects.filter(group=group, quarter=quarter, replaced_at=None).exists():
        _make(group, quarter, 1 + GroupKey.objects.filter(group=group, quarter=quarter).count())


def _make(group: Group, quarter: str, number: int) -> None:
    sealed = sealing.seal(secrets.token_bytes(_BYTES), purpose=_PURPOSE, bound=_bound(group, quarter, number))
    GroupKey.objects.create(group=group, quarter=quarter, number=number, sealed=sealed)
    for partner_id in Membership.objects.filter(group=group, until=None).values_list("partner_id", flat=True):
        audit.record(
            audit.Verb.GROUP_KEY_MADE,
            by=None,
            target=f"group:{group.slug}",
            about=partner_id,
            epoch=epochs.of_group(group.slug, quarter, number),
        )


def _bound(group: Group, quarter: str, number: int) -> list[bytes]:
    return [group.pk.bytes, quarter.encode(), str(number).encode()]
