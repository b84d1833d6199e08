"""What asks a partner for an act, by deadline: said by whom, what follows, until when, and the one act.

Each line comes from a verb of its own room, through the rule; nothing is stored of it. What `GET /inbox` and digests
tell, too, comes from the same reads (`telling.inbox`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Max
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from exchange import clock
from exchange.memory import Memory
from indicators import excerpts
from indicators.ending import deciding
from indicators.models import Quarantined
from indicators.opinions import many
from indicators.portal import ailing, heard, items, touching
from indicators.portal.items import SECTIONS, Item
from indicators.publishing import awaiting
from indicators.reading import overview
from partners.groups import life, proposing, warning
from partners.models import ApiKey, Proposal
from partners.portal.letters import Lab
from partners.scopes import Scope
from partners.viewer import Viewer

_SOON, _WEEK = timedelta(days=14), timedelta(days=7)
_MOST_ENDING = 1_000
_FRESH = timedelta(seconds=60)
_ENDS: Memory[tuple[UUID, int], tuple[datetime, list[datetime]]] = Memory(most=512)


def of(viewer: Viewer, labs: Mapping[UUID, Lab]) -> list[Item]:
    """All that asks, the most urgent first: by section, then by what is due first, then the newest.

    A line that stands for the rest of a source is last in its section.
    """
    found = [item for source in _SOURCES for item in source(viewer, labs)]
    order = list(SECTIONS)
    far = clock.now() + timedelta(days=3650)
    return sorted(
        found,
        key=lambda item: (
            order.index(item.section),
            item.rest,
            item.due or far,
            -(item.at.timestamp() if item.at else 0),
        ),
    )


def _waiting(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """What waits for a second person, and what was ended and can come back."""
    if Scope.PUBLISH not in viewer.scopes:
        return
    held_back = awaiting.waiting(viewer)
    for held in held_back[: items.MOST]:
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
    if len(held_back) > items.MOST:
        yield items.rest("tonight", "sharing", "eye", gettext("More waits for a second person"), reverse("waiting"))
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
    ended = deciding.waiting(viewer)
    for ending in ended[: items.MOST]:
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
    if len(ended) > items.MOST:
        yield items.rest("tonight", "ours", "undo", gettext("More of ours can still come back"), reverse("waiting"))
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
    found = many.lately(viewer)
    for one in found[: items.MOST]:
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
    if len(found) > items.MOST:
        given = f"{reverse('portal-judgement')}?show=given"
        yield items.rest("know", "ours", "scales", gettext("More was judged at once by us"), given)


def _sharing(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Invitations and other proposals, bases that end, objects that are offered."""
    if Scope.ADMIN in viewer.scopes:
        asking, more = _asking(viewer)
        for proposal in asking:
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
        if more:
            groups = reverse("groups-page")
            yield items.rest("week", "sharing", "people", gettext("More proposals and invitations wait"), groups)
        offers = life.offers_to(viewer)
        for offer in offers[: items.MOST]:
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
        if len(offers) > items.MOST:
            yield items.rest("week", "sharing", "box", gettext("More offers of objects"), reverse("organisation"))
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


def _asking(viewer: Viewer) -> tuple[list[Proposal], bool]:
    """The oldest invitations that wait for us, and beside them the oldest of what concerns groups that we are in.

    And whether there are more.
    """
    found = [one for one in proposing.proposals(viewer) if proposing.asks(viewer, one)]
    new = [one for one in found if one.group_id not in viewer.group_ids]
    ours = [one for one in found if one.group_id in viewer.group_ids]
    return ours[: items.MOST] + new[: items.MOST], max(len(ours), len(new)) > items.MOST


def _keys(viewer: Viewer, labs: Mapping[UUID, Lab]) -> Iterator[Item]:
    """Keys that end within two weeks. One query."""
    if Scope.ADMIN not in viewer.scopes:
        return
    now = clock.now()
    ending = ApiKey.objects.filter(partner=viewer.partner_id, revoked_at=None, expires_at__range=(now, now + _SOON))
    found = list(ending.order_by("expires_at", "name", "pk")[: items.MOST + 1])
    for key in found[: items.MOST]:
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
    if len(found) > items.MOST:
        yield items.rest("week", "systems", "key", gettext("More API keys end soon"), reverse("keys"))


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


_Source = Callable[[Viewer, Mapping[UUID, Lab]], Iterator[Item]]
_SOURCES: tuple[_Source, ...] = (
    heard.appeals,
    heard.dissents,
    _waiting,
    _under_way,
    touching.campaigns,
    _sharing,
    _keys,
    _expiring,
    touching.matches,
    heard.confirmations,
    ailing.systems,
)


def _objects(count: int) -> str:
    return ngettext("{n} object", "{n} objects", count).format(n=f"{count:,}")
