"""The keys under which the members of one group make tokens (`hmac-sha256`). The only writer of GroupKey.

A key is made when a member first asks for it, lives one quarter, and is replaced at once when a member leaves. It is
sealed at rest: whoever holds database and SECRET_KEY can open it and test what the group publishes under it, as its
members can.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial

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


class OwnKeys:
    """The keys of the viewer's own groups by their epochs, as a door asks of them. One query, when first asked.

    The exchange makes the keys, so it can test what it knows; nothing of a key or token leaves. An epoch that names
    none of them costs a look into a dictionary.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    @cached_property
    def _keys(self) -> dict[str, GroupKey]:
        held = GroupKey.objects.filter(group_id__in=self._viewer.group_ids).select_related("group")
        return {epochs.of_group(key.group.slug, key.quarter, key.number): key for key in held}

    @cached_property
    def ended(self) -> frozenset[str]:
        """The epochs of those that were replaced and under which nothing new is published any more."""
        latest = clock.now() - epochs.OVERLAP
        return frozenset(
            epoch for epoch, key in self._keys.items() if key.replaced_at is not None and key.replaced_at <= latest
        )

    def tokens_of(self, epoch: str, inputs: Iterable[bytes]) -> frozenset[str]:
        """The token values of inputs under the key with this epoch; none where it is no key of an own group."""
        key = self._keys.get(epoch)
        if key is None:
            return frozenset()
        bound = _bound(key.group, key.quarter, key.number)
        opened = sealing.unseal(bytes(key.sealed), purpose=_PURPOSE, bound=bound)
        return frozenset(hmac.digest(opened, one, "sha256").hex() for one in inputs)


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
