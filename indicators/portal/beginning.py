"""The first steps of who finds nothing here yet: each with its act, and whether it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext

from indicators.models import ReportPackage
from partners.groups import membership
from partners.models import ApiKey, Partner, User
from partners.scopes import Scope, of_kind
from partners.viewer import Viewer

_TWO = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `address` is where it is done."""

    title: str
    says: str
    act: str
    address: str
    done: bool


def steps(viewer: Viewer) -> list[Step]:
    """What comes first, in order. Three queries at most."""
    if viewer.is_operator:
        return _of_operator(viewer)
    return _of_lab(viewer) if Scope.PUBLISH in of_kind(viewer.kind) else _of_recipient(viewer)


def _of_operator(viewer: Viewer) -> list[Step]:
    return [
        Step(
            gettext("Invite the first partner"),
            gettext("Its first admin gets a link that opens the account. Nobody signs up by themselves."),
            gettext("Invite a partner"),
            reverse("invite-partner"),
            Partner.objects.exclude(kind__in=[Partner.Kind.EXCHANGE, Partner.Kind.OPERATOR]).exists(),
        ),
        _second_admin(viewer),
        Step(
            gettext("Found a group"),
            gettext("Partners who agreed to share, with a dated legal basis. Two labs may found one as well."),
            gettext("Groups"),
            reverse("groups-page"),
            bool(membership.every()),
        ),
    ]


def _of_recipient(viewer: Viewer) -> list[Step]:
    released = Step(
        gettext("Read what labs release to you"),
        gettext("A package stands there once a lab has released it; each says under which terms."),
        gettext("Reports"),
        reverse("reports"),
        ReportPackage.objects.released_to(viewer).exists(),
    )
    return [*([_second_admin(viewer)] if Scope.ADMIN in viewer.scopes else []), released]


def _of_lab(viewer: Viewer) -> list[Step]:
    found = []
    if Scope.ADMIN in viewer.scopes:
        found.append(_second_admin(viewer))
    found.append(
        Step(
            gettext("Be in a group"),
            gettext("Who shares with you, and with whom you share, is agreed there, on a dated legal basis."),
            gettext("Groups"),
            reverse("groups-page"),
            bool(viewer.group_ids),
        )
    )
    if Scope.ADMIN in viewer.scopes:
        found.append(
            Step(
                gettext("Make a key for your systems"),
                gettext("Detection publishes with it, enforcement reads with it; each only as far as you say."),
                gettext("Keys"),
                reverse("keys"),
                ApiKey.objects.filter(partner=viewer.partner_id, revoked_at=None).exists(),
            )
        )
    if Scope.PUBLISH in viewer.scopes:
        found.append(
            Step(
                gettext("Publish the first indicator"),
                gettext("Paste a list: e-mail addresses, phones and prompts become tokens in your browser."),
                gettext("Publish"),
                reverse("portal-publish"),
                done=False,
            )
        )
    return found


def _second_admin(viewer: Viewer) -> Step:
    people = User.objects.filter(partner=viewer.partner_id, is_active=True)
    return Step(
        gettext("Add a second person"),
        gettext("What is far-reaching waits for a second pair of eyes, and nobody is locked out."),
        gettext("People"),
        reverse("people"),
        people[:_TWO].count() >= _TWO,
    )
