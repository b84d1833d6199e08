"""What of one's own systems asks for an act: agents, endpoints, connections that fail, what was not delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from indicators.feeds import health
from indicators.portal import items
from indicators.portal.items import Item, Section
from indicators.telling import inbox, replaying
from partners.portal.letters import Lab
from partners.scopes import Scope
from partners.viewer import Viewer


def systems(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Agents, endpoints and connections that ail, and messages that could not be delivered. Four queries."""
    yield from _agents(viewer)
    yield from _endpoints(viewer)
    yield from _connections(viewer)
    yield from _undelivered(viewer)


def _agents(viewer: Viewer) -> Iterator[Item]:
    """Those that ail, the worst first."""
    found = [line for one in health.instances(viewer) if (line := _agent(one)) is not None]
    yield from found[: items.MOST]
    if len(found) > items.MOST:
        address = reverse("portal-subscriptions")
        yield items.rest(found[items.MOST].section, "systems", "server", gettext("More agents that ail"), address)


def _agent(one: health.Instance) -> Item | None:
    """What ails an agent, or None. One that lacks a change for a moment is on its way."""
    feed = one.feed_name if one.feed_id else gettext("everything")
    section: Section = "tonight"
    tone = "warn"
    if one.state == "differs":
        tone, after = "bad", gettext("differs from the feed it enforces")
        detail = gettext("not the set of {feed}; its last good one stays")
    elif one.state == "silent":
        section, after = "week", gettext("is silent")
        detail = gettext("of the feed {feed} · what it holds may be old")
    elif one.late:
        after = gettext("is late in part")
        detail = gettext("{parts} · of the feed {feed}; what came and went since is not in force there")
    elif one.behind_too_long:
        after = gettext("lags behind its feed")
        detail = ngettext(
            "{n} change of the feed {feed} is not in force there",
            "{n} changes of the feed {feed} are not in force there",
            one.behind,
        )
    else:
        return None
    return Item(
        section, "systems", "server", tone, gettext("Agent"),
        detail.format(feed=feed, parts=one.late_words, n=f"{one.behind:,}"), gettext("Look"),
        reverse("portal-feed", args=[one.feed_id]) if one.feed_id else reverse("portal-feed-all"),
        value=one.name, after=after, at=one.behind_since if one.behind_too_long and not one.late else one.at,
    )  # fmt: skip


def _endpoints(viewer: Viewer) -> Iterator[Item]:
    """Subscriptions whose endpoint fails again and again."""
    found, address = list(inbox.failing(viewer)[: items.MOST + 1]), reverse("portal-subscriptions")
    for failing in found[: items.MOST]:
        yield Item(
            "week", "systems", "feed", "bad", gettext("Endpoint"),
            gettext("asked less often until a message arrives; nothing is lost"),
            gettext("Look"), address, value=urlsplit(failing.url).hostname or "",
            after=gettext("fails again and again"), at=failing.opened_at,
        )  # fmt: skip
    if len(found) > items.MOST:
        yield items.rest("week", "systems", "feed", gettext("More endpoints that fail"), address)


def _connections(viewer: Viewer) -> Iterator[Item]:
    """Connections to servers of others that fail, for who may see to them."""
    if Scope.ADMIN not in viewer.scopes:
        return
    found, address = list(inbox.broken(viewer)[: items.MOST + 1]), reverse("portal-connections")
    for broken in found[: items.MOST]:
        yield Item(
            "week", "systems", "link", "bad", gettext("Connection"),
            gettext("it is tried again, less and less often; nothing is lost"),
            gettext("Look"), address, value=broken.name, after=gettext("fails"), at=broken.failing_since,
        )  # fmt: skip
    if len(found) > items.MOST:
        yield items.rest("week", "systems", "link", gettext("More connections that fail"), address)


def _undelivered(viewer: Viewer) -> Iterator[Item]:
    """Messages that could not be delivered, in one line."""
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
