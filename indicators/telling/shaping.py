"""The body of a message in the shape that its receiver reads: Standard Webhooks, Slack or Microsoft Teams.

A chat is told how many changes there are and where people look at them: numbers, the name of the subscriber's own feed
and a link, never an id or a value. Sources: Slack, "Sending messages using incoming webhooks"; Microsoft, "Create
incoming webhooks with Workflows", and Adaptive Cards 1.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from django.conf import settings

from indicators.models import Feed, Subscription

_TITLE = "The Exchange"
_OPEN = "Open in the portal"


def body(subscription: Subscription, message: Mapping[str, Any]) -> bytes:
    """The bytes that are sent and signed. `message` is the one of Standard Webhooks."""
    shape = _SHAPES.get(Subscription.Format(subscription.format))
    return orjson.dumps(shape(_said(subscription, message), _page(subscription.feed)) if shape else message)


def _said(subscription: Subscription, message: Mapping[str, Any]) -> str:
    """A sentence or two of plain text."""
    feed = subscription.feed
    name = f"the feed “{feed.name}”" if feed else "what you may see"
    if subscription.only_yours:
        name = f"what concerns you of {name}" if feed else "what concerns you"
    match message["type"]:
        case "objects.changed":
            return _changed(name, message["data"])
        case "start-over":
            return f"The exchange was restored to an earlier point. Systems that follow {name} have to start over."
        case "feed.changed":
            return f"The filter of {name} was changed. Systems that follow it have to read it once more."
        case _:
            return "This is a test. Messages to this address arrive."


def _changed(name: str, data: Mapping[str, Any]) -> str:
    ops = Counter(change["op"] for change in data["changes"])
    parts = [f"{ops['upsert']:,} new or changed"] * (ops["upsert"] > 0)
    parts += [f"{ops['remove']:,} to be dropped"] * (ops["remove"] > 0)
    more = " There is more." if data["more"] else ""
    return f"{'Urgent: in' if data['urgent'] else 'In'} {name}: {', '.join(parts)}.{more}"


def _page(feed: Feed | None) -> str:
    return f"{settings.BASE_URL}/indicators" + (f"?{urlencode({'view': str(feed.pk)})}" if feed else "")


def _slack(said: str, page: str) -> Mapping[str, Any]:
    return {
        "text": _escaped(f"{_TITLE}. {said}"),
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": f"{_TITLE}. {said}", "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"<{page}|{_OPEN}>"}},
        ],
    }


def _escaped(text: str) -> str:
    """Slack reads these three as control characters: `<!channel>` would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(said: str, page: str) -> Mapping[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _TITLE, "weight": "Bolder", "wrap": True},
            # a RichTextBlock reads no Markdown: the name of a feed stays text
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": said}]},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": _OPEN, "url": page}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


_SHAPES: dict[Subscription.Format, Callable[[str, str], Mapping[str, Any]]] = {
    Subscription.Format.SLACK: _slack,
    Subscription.Format.TEAMS: _teams,
}
