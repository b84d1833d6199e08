"""What asks a partner for an act, by deadline: said by whom, what follows, until when, and the one act.

Each line comes from a verb of its own room, through the rule; nothing is stored of it. What `GET /inbox` and digests
tell, too, comes from the same reads (`telling.inbox`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.db.models import Max
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from exchange import clock
from exchange.memory import Memory
from exchange.translating import later
from indicators import excerpts, matching
from indicators.campaigns import viewing
from indicators.ending import deciding
from indicators.models import Quarantined
from indicators.opinions import appealing, many
from indicators.portal import ailing
from indicators.portal.items import SECTIONS, Item
from indicators.publishing import awaiting
from indicators.reading import overview
from indicators.stix import vocabulary
from indicators.telling import inbox
from partners.groups import life, proposing, warning
from partners.models import ApiKey, Proposal
from partners.portal.letters import Lab
from partners.scopes import Scope
from partners.viewer import Viewer

_LATELY, _SOON = timedelta(days=14), timedelta(days=14)
_WEEK, _DAY = timedelta(days=7), timedelta(days=1)
_MOST = 8
_MOST_MATCHES = 100
_MOST_ENDING = 1_000
_FRESH = timedelta(seconds=60)
_CALLED = {
    "false_positive": later("a false positive"),
    "benign_shared": later("shared by benign users"),
    "victim": later("a victim's"),
    "stale": later("out of date"),
    "wrong_attribution": later("attributed wrongly"),
}
_ENDS: Memory[tuple[UUID, int], tuple[datetime, list[datetime]]] = Memory(most=512)


def of(viewer: Viewer, labs: Mapping[UUID, Lab]) -> list[Item]:
    """All that asks, the most urgent first: by section, then by what is due first, then the newest."""
    found = [item for source in _SOURCES for item in source(viewer, labs)]
    order = list(SECTIONS)
    far = clock.now() + timedelta(days=3650)
    return sorted(
        found,
        key=lambda item: (order.index(item.section), item.due or far, -(item.at.timestamp() if item.at else 0)),
    )


def _dissents(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Who calls one of ours wrong. Two queries."""
    found = inbox.dissents(viewer, since=clock.now() - _LATELY).select_related("holding__newest", "partner")[:_MOST]
    for one in found:
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
            value=_short(extension) or newest.title[:60],
            after=_called(one.reason),
            lab=labs.get(one.partner_id),
            at=one.at,
        )


def _appeals(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """What somebody says of one of ours through the exchange, without a name, each with its clock."""
    if Scope.PUBLISH not in viewer.scopes:
        return
    for ticket in appealing.received(viewer)[:_MOST]:
        yield Item(
            "tonight",
            "ours",
            "scales",
            "bad" if ticket.overdue else "warn",
            gettext("Appeal on one of ours: says it is"),
            gettext("filed through the exchange, the filer is not named"),
            gettext("Decide"),
            reverse("portal-appeals"),
            after=_called(ticket.reason),
            due=ticket.due_at,
        )


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


def _waiting(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """What waits for a second person, and what was ended and can come back."""
    if Scope.PUBLISH not in viewer.scopes:
        return
    for held in awaiting.waiting(viewer)[:_MOST]:
        count = len(held.places)
        yield Item(
            "tonight",
            "sharing",
            "eye",
            "blue",
            ngettext("{n} object waits for a second person", "{n} objects wait for a second person", count).format(
                n=f"{count:,}"
            ),
            gettext("{why} · nothing of it has left").format(why=held.why),
            gettext("Review"),
            reverse("waiting"),
            at=held.at,
        )
    texts = excerpts.waiting(viewer)
    if texts:
        yield Item(
            "tonight",
            "sharing",
            "eye",
            "blue",
            ngettext(
                "{n} excerpt waits for a second person", "{n} excerpts wait for a second person", len(texts)
            ).format(n=f"{len(texts):,}"),
            gettext("nobody reads it before"),
            gettext("Review"),
            reverse("waiting"),
            at=texts[0].at,
        )
    for ending in deciding.waiting(viewer)[:_MOST]:
        yield Item(
            "tonight",
            "ours",
            "undo",
            "warn",
            gettext("{counted} of ours ended at once and can still come back").format(
                counted=_objects(ending.objects_ended)
            ),
            gettext("readers have been told to drop them · after that it is final"),
            gettext("Decide"),
            reverse("waiting"),
            due=ending.until,
        )
    quarantined = Quarantined.objects.of(viewer)
    count = quarantined.count()
    if count:
        yield Item(
            "week",
            "sharing",
            "lock",
            "plain",
            ngettext("{n} object was held at the door", "{n} objects were held at the door", count).format(
                n=f"{count:,}"
            ),
            gettext("seen by nobody until you mend them"),
            gettext("Mend {count}").format(count=f"{count:,}"),
            reverse("portal-quarantine"),
            at=quarantined.aggregate(last=Max("at"))["last"],
        )


def _under_way(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Opinions on many that are being given or taken back, and those that can still be taken back."""
    for one in many.lately(viewer)[:_MOST]:
        done = many.progress(one)
        doing = {"running": gettext("Judging"), "undoing": gettext("Taking back")}.get(one.state)
        total = _objects(done.total if doing else done.given)
        if not doing and not done.given:
            continue
        yield Item(
            "know",
            "ours",
            "scales",
            "blue",
            gettext("{doing} {total}: {percent} % done").format(doing=doing, total=total, percent=done.percent)
            if doing
            else gettext("{total} judged at once by us").format(total=total),
            gettext("it goes on without a page") if doing else gettext("one press takes it back"),
            gettext("See it"),
            reverse("judging", args=[one.pk]),
            at=one.begun_at if doing else None,
            due=None if doing else one.until,
        )


#: What holds a campaign together, as short as on the page of campaigns.
_TOGETHER = {
    "account-pattern": later("accounts"),
    "payment-fingerprint": later("payments"),
    "prompt-signature": later("prompts"),
}


def _campaigns(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Campaigns of our groups that moved lately. Three queries."""
    found = viewing.page(viewer, after=None, limit=_MOST, ended=False)
    for one in viewing.documents(viewer, found)[:4]:
        grade = gettext("corroborated") if one["grade"] == "corroborated" else gettext("on one lab's word")
        kinds = ", ".join(str(_TOGETHER.get(kind, kind)) for kind in one["kinds"])
        yield Item(
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
            after=gettext("touches your group"),
            at=datetime.fromisoformat(one["last_seen"]) if one["last_seen"] else None,
            to_the_hour=True,
        )


def _sharing(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Invitations and other proposals, bases that end, objects that are offered."""
    if Scope.ADMIN in viewer.scopes:
        for proposal in _asking(viewer):
            yield Item(
                "week",
                "sharing",
                "people",
                "plain",
                gettext("{get_kind_display} waits for us in the group {name}").format(
                    get_kind_display=proposal.get_kind_display(), name=proposal.group.name
                ),
                gettext("{get_policy_display} · your default audience stays as it is").format(
                    get_policy_display=proposal.group.get_policy_display()
                ),
                gettext("Read terms"),
                reverse("groups-page"),
                at=proposal.made_at,
            )
        for offer in life.offers_to(viewer)[:_MOST]:
            yield Item(
                "week",
                "sharing",
                "box",
                "plain",
                gettext("{name} offers us its objects").format(name=offer.partner.name),
                gettext("we would publish them from then on"),
                gettext("Decide"),
                reverse("organisation"),
                lab=labs.get(offer.partner_id),
            )
    for notice in warning.notices_of(viewer):
        yield Item(
            "week",
            "sharing",
            "report",
            "plain",
            gettext("The legal basis of {name} ends").format(name=notice.group.name),
            gettext("after it, nothing new can be published there"),
            gettext("Renew basis"),
            reverse("group-page", args=[notice.group.slug]),
            due=datetime.combine(notice.basis_until, datetime.min.time(), tzinfo=clock.now().tzinfo),
        )


def _asking(viewer: Viewer) -> list[Proposal]:
    """The oldest invitations that wait for us, and beside them the oldest of what concerns groups that we are in."""
    found = [one for one in proposing.proposals(viewer) if proposing.asks(viewer, one)]
    new = [one for one in found if one.group_id not in viewer.group_ids]
    ours = [one for one in found if one.group_id in viewer.group_ids]
    return ours[:_MOST] + new[:_MOST]


def _keys(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Keys that end within two weeks. One query."""
    if Scope.ADMIN not in viewer.scopes:
        return
    now = clock.now()
    ending = ApiKey.objects.filter(partner=viewer.partner_id, revoked_at=None, expires_at__range=(now, now + _SOON))
    for key in ending.order_by("expires_at", "name", "pk")[:_MOST]:
        yield Item(
            "week",
            "systems",
            "key",
            "plain",
            gettext("API key"),
            gettext("whatever uses it stops then"),
            gettext("Rotate"),
            reverse("keys"),
            value=key.name,
            after=gettext("ends"),
            due=key.expires_at,
        )


def _ends(viewer: Viewer) -> list[datetime]:
    """When what of ours ends within a week does, the next first; kept for a minute: it is asked of all that ends."""
    now, key = clock.now(), (viewer.partner_id, viewer.sight)
    told = _ENDS.get(key)
    if told is None or told[0] < now - _FRESH:
        told = now, overview.ends(viewer, now, now + _WEEK, most=_MOST_ENDING)
        _ENDS.put(key, told)
    return [one for one in told[1] if one > now]


def _expiring(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """What of ours ends within a week. One query a minute."""
    ending = _ends(viewer)
    if ending:
        count = f"{len(ending):,}{'+' if len(ending) == _MOST_ENDING else ''}"
        asked = urlencode({"filter": "from:mine until:<7d", "sort": "left"})
        yield Item(
            "week",
            "ours",
            "clock",
            "plain",
            ngettext("{n} of ours ends this week", "{n} of ours end this week", len(ending)).format(n=count),
            gettext("what is seen again can be published anew until a later day"),
            gettext("See {count}").format(count=count),
            f"{reverse('indicators')}?{asked}",
            due=ending[0],
        )


def _matched(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Values that others and we say, found within a day. A few queries."""
    count, newest = matching.recent(viewer, since=clock.now() - _DAY, most=_MOST_MATCHES, limit=1)
    if count:
        yield Item(
            "know",
            "ours",
            "link",
            "plain",
            ngettext("{n} value matched between labs", "{n} values matched between labs", count).format(
                n=f"{count}{'+' if count == _MOST_MATCHES else ''}"
            ),
            gettext("found within a day; only who may see both sides sees a match"),
            gettext("See {count}").format(count=count),
            reverse("portal-matches"),
            at=newest[0].found_at if newest else None,
        )


_Source = Callable[[Viewer, Mapping[UUID, Lab]], Iterator[Item]]
_SOURCES: tuple[_Source, ...] = (
    _appeals,
    _dissents,
    _waiting,
    _under_way,
    _campaigns,
    _sharing,
    _keys,
    _expiring,
    _matched,
    ailing.systems,
)


def _objects(count: int) -> str:
    return ngettext("{n} object", "{n} objects", count).format(n=f"{count:,}")


def _labs(count: int) -> str:
    return ngettext("{n} lab", "{n} labs", count).format(n=f"{count:,}")


def _bucket(word: object) -> str:
    text = str(word)
    return (
        gettext("about {n}").format(n=f"{10 ** int(text[3:]):,}")
        if text.startswith("10^") and text[3:].isdigit()
        else text
    )
