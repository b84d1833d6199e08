"""Campaigns and matches that touch a partner's own accounts and objects, as lines of the inbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from exchange import clock
from exchange.translating import later
from indicators import matching
from indicators.campaigns import viewing
from indicators.portal import items
from indicators.portal.items import Item
from partners.portal.letters import Lab
from partners.viewer import Viewer

_LATELY, _DAY = timedelta(days=14), timedelta(days=1)
_MOST_MATCHES = 100
_MOST_OTHERS = 100
#: What holds a campaign together, as short as on the page of campaigns.
_TOGETHER = {
    "account-pattern": later("accounts"),
    "payment-fingerprint": later("payments"),
    "prompt-signature": later("prompts"),
}


def campaigns(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Living campaigns that accounts of ours are in, what was told last first; the others in one line. Five queries."""
    found = viewing.touching(viewer, limit=items.MOST + 1)
    for one in viewing.documents(viewer, found[: items.MOST]):
        yield _campaign(one)
    page = reverse("portal-campaigns")
    if len(found) > items.MOST:
        yield items.rest("tonight", "campaigns", "graph", gettext("More campaigns that touch us"), page)
    others = viewing.begun_without(viewer, since=clock.now() - _LATELY, most=_MOST_OTHERS)
    if others:
        count = f"{others}{'+' if others == _MOST_OTHERS else ''}"
        yield Item(
            "know",
            "campaigns",
            "graph",
            "plain",
            ngettext("{n} other campaign of our groups", "{n} other campaigns of our groups", others).format(n=count),
            gettext("begun within two weeks, as far as is known without accounts of ours"),
            gettext("See all"),
            page,
        )


def _campaign(one: dict[str, Any]) -> Item:
    grade = gettext("corroborated") if one["grade"] == "corroborated" else gettext("on one lab's word")
    kinds = ", ".join(str(_TOGETHER.get(kind, kind)) for kind in one["kinds"])
    own = one["yours"]["accounts"]
    return Item(
        "tonight" if one["grade"] == "corroborated" else "know",
        "campaigns",
        "graph",
        "blue",
        gettext("Campaign"),
        gettext("{grade} · {bucket} accounts at {counted} · {kinds}").format(
            grade=grade, bucket=_bucket(one["accounts"]), counted=_labs(len(one["labs"])), kinds=kinds
        ),
        gettext("Open picture"),
        reverse("portal-campaign", args=[one["id"]]),
        value=one["alias"] or one["name"],
        after=ngettext("touches {n} account of ours", "touches {n} accounts of ours", own).format(n=f"{own:,}")
        if own
        else gettext("touches us"),
        at=datetime.fromisoformat(one["last_seen"]) if one["last_seen"] else None,
        to_the_hour=True,
    )


def matches(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Values that others and we say, found within a day. A few queries."""
    found = matching.recent(viewer, since=clock.now() - _DAY, most=_MOST_MATCHES)
    if found.count:
        count = f"{found.count}{'+' if found.cut else ''}"
        yield Item(
            "know",
            "ours",
            "link",
            "plain",
            ngettext("{n} value of ours matched", "{n} values of ours matched", found.count).format(n=count),
            gettext("another lab says the same, found within a day; only who may see both sides sees a match"),
            gettext("See {count}").format(count=count),
            f"{reverse('portal-matches')}?show=ours",
            at=found.last_at,
        )


def _labs(count: int) -> str:
    return ngettext("{n} lab", "{n} labs", count).format(n=f"{count:,}")


def _bucket(word: object) -> str:
    text = str(word)
    return (
        gettext("about {n}").format(n=f"{10 ** int(text[3:]):,}")
        if text.startswith("10^") and text[3:].isdigit()
        else text
    )
