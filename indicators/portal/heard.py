"""What others say of a partner's own objects, as lines of the inbox: appeals, dissent, and what confirms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from uuid import UUID

import orjson
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from exchange import clock
from exchange.tokens.defanging import defanged_text
from exchange.translating import later
from indicators.opinions import appealing
from indicators.portal import items
from indicators.portal.items import Item
from indicators.stix import vocabulary
from indicators.telling import inbox
from partners.portal.letters import Lab
from partners.scopes import Scope
from partners.viewer import Viewer

_LATELY = timedelta(days=14)
#: Opinions that confirm are one line, of at most so many; their partners are named up to so many.
_MOST_CONFIRM, _MOST_NAMES = 100, 3
_CALLED = {
    "false_positive": later("a false positive"),
    "benign_shared": later("shared by benign users"),
    "victim": later("a victim's"),
    "stale": later("out of date"),
    "wrong_attribution": later("attributed wrongly"),
}


def appeals(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """What somebody says of one of ours through the exchange, without a name, each with its clock."""
    if Scope.PUBLISH not in viewer.scopes:
        return
    found, address = appealing.received(viewer), reverse("portal-appeals")
    for ticket in found[: items.MOST]:
        yield Item(
            "tonight",
            "ours",
            "scales",
            "bad" if ticket.overdue else "warn",
            gettext("Appeal on one of ours: says it is"),
            gettext("filed through the exchange, the filer is not named"),
            gettext("Decide"),
            address,
            after=_called(ticket.reason),
            due=ticket.due_at,
        )
    if len(found) > items.MOST:
        yield items.rest("tonight", "ours", "scales", gettext("More appeals on ours"), address)


def dissents(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Who calls one of ours wrong. Two queries."""
    asked = inbox.dissents(viewer, since=clock.now() - _LATELY).select_related("holding__newest", "partner")
    found = list(asked[: items.MOST + 1])
    for one in found[: items.MOST]:
        newest = one.holding.newest
        if newest is None:
            continue
        extension = dict(vocabulary.extension_of(orjson.loads(newest.body)) or {})
        yield Item(
            "tonight",
            "ours",
            "flag",
            "warn",
            gettext("{name} calls our {replace}").format(
                name=one.partner.name, replace=(newest.subkind or "object").replace("_", " ")
            ),
            gettext("what is disputed is disarmed in every feed that asks for it"),
            gettext("Answer"),
            reverse("indicator", args=[one.holding.stix_id]),
            value=_short(extension) or defanged_text(newest.title[:60]),
            after=_called(one.reason),
            lab=labs.get(one.partner_id),
            at=one.at,
        )
    if len(found) > items.MOST:
        address = reverse("portal-judgement")
        yield items.rest("tonight", "ours", "flag", gettext("More opinions against ours"), address)


def confirmations(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """How many opinions confirm ours, as one quiet line. One query."""
    asked = inbox.confirmations(viewer, since=clock.now() - _LATELY)
    found = list(asked.values_list("partner__name", "at")[:_MOST_CONFIRM])
    if not found:
        return
    count = f"{len(found):,}{'+' if len(found) == _MOST_CONFIRM else ''}"
    yield Item(
        "know",
        "ours",
        "check",
        "good",
        ngettext("{n} opinion confirms ours", "{n} opinions confirm ours", len(found)).format(n=count),
        gettext("by {names}, within two weeks").format(names=_names([name for name, _ in found])),
        gettext("See {count}").format(count=count),
        reverse("portal-judgement"),
        at=found[0][1],
    )


def _names(given: list[str]) -> str:
    """Whose they are, who spoke last first; of many the first few."""
    names = list(dict.fromkeys(given))
    named = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return gettext("{named} and {more} more").format(named=named, more=more) if more > 0 else named


def _called(reason: str) -> str:
    """What somebody calls an indicator, by the reason they give."""
    return _CALLED.get(reason, reason.replace("_", " "))


def _short(extension: dict[str, object]) -> str:
    tokens = extension.get("tokens")
    if isinstance(tokens, list) and tokens and isinstance(tokens[0], dict):
        value = str(tokens[0].get("value", ""))
    else:
        value = str(extension.get("value", ""))
    return f"{value[:4]}…{value[-4:]}" if len(value) > 24 else value
