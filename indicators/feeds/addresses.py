"""Addresses of lists: one feed in one format, for a system that can send no key. The token in it opens nothing else.

A token is a key with `only` (`partners.keys`): its hash alone is stored, it has an end, networks and the groups of who
made it, its last use is written down, and whoever may subscribe revokes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from indicators.feeds import blocklists
from partners import keys
from partners.models import ApiKey, Partner
from partners.scopes import Scope
from partners.viewer import Viewer

#: Addresses of one feed that may be read at a time.
MOST = 20
_WORD = "list"


def make(
    viewer: Viewer,
    *,
    feed: str,
    form: str,
    name: str,
    expires_in: timedelta | None = None,
    networks: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """Make an address of a feed of the viewer's, or of `all`. The second value is its token, which is stored nowhere.

    Raises Refused naming the field, Conflict where MOST may be read already, Forbidden.
    """
    viewer.require(Scope.SUBSCRIBE)
    if form not in blocklists.MEDIA_TYPES:
        raise Refused(f"One of {', '.join(blocklists.MEDIA_TYPES)}.", code="bad-format", at="/format")
    if sum(keys.is_active(one, at=clock.now()) for one in of(viewer, feed)) >= MOST:
        raise Conflict(f"A feed has at most {MOST} addresses.", code="too-many-addresses")
    return keys.issue(
        Partner.objects.get(pk=viewer.partner_id),
        name=name,
        scopes=[Scope.READ],
        expires_in=expires_in,
        by=viewer,
        networks=networks,
        only=f"{_WORD}:{feed}:{form}",
    )


def of(viewer: Viewer, feed: str) -> list[ApiKey]:
    """The addresses of a feed, newest first, those that are over included. One query."""
    return list(keys.for_only(viewer, [f"{_WORD}:{feed}:{form}" for form in blocklists.MEDIA_TYPES]))


def end(viewer: Viewer, feed: str, public_id: str) -> None:
    """Revoke an address: from the next request on it is worthless.

    Raises NotFound; Forbidden as `keys.revoke`: also for a key for some groups where the address reads others, too.
    """
    found = next((one for one in of(viewer, feed) if one.public_id == public_id), None)
    if found is None:
        raise NotFound
    keys.revoke(found, by=viewer)


def end_all(viewer: Viewer, feed_id: UUID) -> None:
    """Revoke what leads to a feed that is deleted."""
    for one in of(viewer, str(feed_id)):
        if keys.is_active(one, at=clock.now()):
            keys.revoke(one, by=viewer)


def opens(only: str) -> tuple[str, str]:
    """The feed and the format of an address. Raises NotFound for what opens something else."""
    word, _, rest = only.partition(":")
    feed, _, form = rest.partition(":")
    if word != _WORD or form not in blocklists.MEDIA_TYPES:
        raise NotFound
    return feed, form


def form_of(key: ApiKey) -> str:
    """Its format."""
    return opens(key.only)[1]


def address(token: str) -> str:
    """Where the list is read with its token."""
    return settings.BASE_URL + reverse("list", args=[token])
