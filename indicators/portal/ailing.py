"""What of one's own systems asks for an act: agents, endpoints, connections that fail, what was not delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from indicators.feeds import health
from indicators.portal.items import Item
from indicators.telling import inbox, replaying
from partners.portal.letters import Lab
from partners.scopes import Scope
from partners.viewer import Viewer

_MOST = 8


def systems(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Agents that differ or are silent, endpoints and connections that fail, messages that failed. Four queries."""
    for one in health.instances(viewer):
        instance, at, feed = one.name, one.at, one.feed_name if one.feed_id else gettext("everything")
        page = reverse("portal-feed", args=[one.feed_id]) if one.feed_id else reverse("portal-feed-all")
        if one.state == "differs":
            yield Item(
                "tonight", "systems", "server", "bad", gettext("Agent"),
                gettext("not the set of {feed}; its last good one stays").format(feed=feed),
                gettext("Look"), page, value=instance, after=gettext("differs from the feed it enforces"), at=at,
            )  # fmt: skip
        elif one.late and one.state != "silent":
            yield Item(
                "tonight", "systems", "server", "warn", gettext("Agent"),
                gettext("{parts} · of the feed {feed}; what came and went since is not in force there").format(
                    parts=one.late_words, feed=feed
                ),
                gettext("Look"), page, value=instance, after=gettext("is late in part"), at=at,
            )  # fmt: skip
        elif one.state == "silent":
            yield Item(
                "week", "systems", "server", "warn", gettext("Agent"),
                gettext("of the feed {feed} · what it holds may be old").format(feed=feed),
                gettext("Look"), page, value=instance, after=gettext("is silent"), at=at,
            )  # fmt: skip
    for failing in inbox.failing(viewer)[:_MOST]:
        yield Item(
            "week", "systems", "feed", "bad", gettext("Endpoint"),
            gettext("asked less often until a message arrives; nothing is lost"),
            gettext("Look"), reverse("portal-subscriptions"), value=urlsplit(failing.url).hostname or "",
            after=gettext("fails again and again"), at=failing.opened_at,
        )  # fmt: skip
    for broken in inbox.broken(viewer)[:_MOST] if Scope.ADMIN in viewer.scopes else ():
        yield Item(
            "week", "systems", "link", "bad", gettext("Connection"),
            gettext("it is tried again, less and less often; nothing is lost"),
            gettext("Look"), reverse("portal-connections"), value=broken.name, after=gettext("fails"),
            at=broken.failing_since,
        )  # fmt: skip
    dead = replaying.count_dead(viewer)
    if dead:
        yield Item(
            "week",
            "systems",
            "feed",
            "bad",
            ngettext(
                "{n} message to your systems could not be delivered",
                "{n} messages to your systems could not be delivered",
                dead,
            ).format(n=f"{dead:,}"),
            gettext("each can be sent again"),
            gettext("Look"),
            reverse("portal-subscriptions"),
        )
