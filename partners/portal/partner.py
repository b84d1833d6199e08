"""One's own partner: its facts and settings, and leaving the exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import drawn
from exchange.errors import Conflict, ExchangeError, NotFound, Refused
from partners.caps import NAMES, Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import directory, life, steering, warning
from partners.models import Partner
from partners.portal.access import page, show
from partners.scopes import Role, Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer


@require_safe
@page
def overview(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The overview: facts, state, ceilings, four-eyes, warnings; an admin finds the forms here."""
    partner = Partner.objects.get(pk=viewer.partner_id)
    settings = steering.settings_of(partner)
    admin = Scope.ADMIN in viewer.scopes
    return show(
        request,
        viewer,
        "partners/overview.html",
        here="organisation",
        partner=partner,
        settings=settings,
        roles=[(role, ceiling) for role, ceiling in settings.roles.items()],
        operator_ceiling=steering.operator_ceiling_of(partner),
        operator_caps=steering.operator_caps_of(partner),
        drawn_settings=_fields(settings),
        drawn_default=_default_fields(settings),
        limits=directory.caps_words(viewer.caps),
        clearance=Tlp(partner.clearance),
        notices=warning.notices_of(viewer),
        admin=admin,
        tlps=list(Tlp),
        widths=list(Width),
        default=steering.words_of(settings.default_audience),
        groups=directory.groups(viewer),
        others=[one for one in directory.partners() if one.pk != viewer.partner_id],
        heirs=_heirs(viewer) if admin else [],
        offer=life.open_offer(viewer) if admin else None,
        offers=life.offers_to(viewer) if admin else [],
    )


@require_POST
@page
def settings(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Change the settings of one's own partner, or its default audience."""
    sent = request.POST
    if sent.get("do") == "default-audience":
        return _set_default_audience(request, viewer)
    number = _number(sent, "alone_objects")
    roles = {Role(role): ceiling_of(sent, role) for role in ("admin", "publisher")}
    wanted = partial(
        replace,
        default_tlp=_tlp(sent, "default_tlp"),
        ceiling=ceiling_of(sent, "ceiling"),
        alone=ceiling_of(sent, "alone"),
        alone_objects=number,
        caps=caps_of(sent),
        roles=roles,
    )
    return _save(request, viewer, wanted, _fields)


def _set_default_audience(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    sent = request.POST

    def wanted(before: steering.Settings) -> steering.Settings:
        chosen = None
        if sent.get("default") != "refuse":
            chosen = DefaultAudience(
                "open_to_everyone" in sent,
                tuple(groups_named(viewer, sent.getlist("groups"))),
                tuple(partners_named(sent.getlist("partners"))),
            )
        return replace(before, default_audience=chosen)

    return _save(request, viewer, wanted, _default_fields)


def _save(
    request: HttpRequest,
    viewer: Viewer,
    wanted: Callable[[steering.Settings], steering.Settings],
    fields: Callable[[steering.Settings], drawn.Fields],
) -> HttpResponseBase:
    before = steering.settings_of(Partner.objects.get(pk=viewer.partner_id))
    try:
        drawn.require_same(request, fields(before))
        steering.change(viewer, wanted(before), since=before)
    except (Conflict, Refused) as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, gettext("The settings are saved."))
    return redirect("organisation")


def _fields(settings: steering.Settings) -> drawn.Fields:
    """What the fields of the form of settings hold."""
    ceilings: dict[str, Ceiling] = {"ceiling": settings.ceiling, "alone": settings.alone}
    ceilings |= {role.value: ceiling for role, ceiling in settings.roles.items()}
    return {
        "default_tlp": settings.default_tlp.word,
        "alone_objects": settings.alone_objects,
        **{f"{name}_tlp": ceiling.tlp.word for name, ceiling in ceilings.items()},
        **{f"{name}_width": ceiling.width.word for name, ceiling in ceilings.items()},
        **caps_fields(settings.caps),
    }


def _default_fields(settings: steering.Settings) -> drawn.Fields:
    """And of the form of the default audience."""
    said = steering.words_of(settings.default_audience)
    if said is None:
        return {"default": "refuse", "open_to_everyone": None, "groups": [], "partners": []}
    return {"default": "set", **said, "open_to_everyone": "on" if said["open_to_everyone"] else None}


@require_POST
@page
def leaving(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Offer one's objects to an heir, answer such an offer, or leave the exchange."""
    viewer.require(Scope.ADMIN)
    wanted = request.POST.get("do", "")
    if wanted == "leave":
        return _leave(request, viewer)
    try:
        if wanted == "offer":
            life.offer_hand_over(viewer, partner_named(request.POST.get("heir", "")))
            messages.success(request, gettext("The offer is made; an admin of the heir answers it."))
        elif wanted == "withdraw":
            life.withdraw_offer(viewer)
            messages.success(request, gettext("The offer is withdrawn."))
        elif wanted in ("accept", "decline"):
            life.answer_hand_over(viewer, _uuid(request.POST.get("offer", "")), accept=wanted == "accept")
            messages.success(request, gettext("Your answer is recorded."))
        else:
            raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    except NotFound:
        raise
    except ExchangeError as refused:
        messages.error(request, refused.detail)
    return redirect("organisation")


def caps_of(sent: QueryDict) -> Caps:
    """The caps of a form: a field `cap_<name>` for each. Raises Refused naming the field."""
    return Caps.read({name: _number(sent, f"cap_{name}") for name in NAMES}, at="/cap")


def caps_fields(caps: Caps) -> drawn.Fields:
    """What the fields of such a form hold."""
    return {f"cap_{name}": value for name, value in caps.by_name().items()}


def _number(sent: QueryDict, name: str) -> int | None:
    text = sent.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(gettext("A whole number, or none."), code="bad-number", at=f"/{name}")
    return int(text) if text else None


def _leave(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    if request.POST.get("sure", "").strip() != viewer.partner_slug:
        messages.error(
            request, gettext("Type {partner_slug} to leave the exchange.").format(partner_slug=viewer.partner_slug)
        )
        return redirect("organisation")
    offer = life.open_offer(viewer)
    heir = offer.heir if offer is not None and request.POST.get("objects") == "hand-over" else None
    if request.POST.get("objects") == "hand-over" and heir is None:
        messages.error(request, gettext("Offer your objects to an heir first."))
        return redirect("organisation")
    try:
        life.leave(Partner.objects.get(pk=viewer.partner_id), by=viewer, hand_over_to=heir)
    except ExchangeError as refused:
        messages.error(request, refused.detail)
        return redirect("organisation")
    return redirect("account_login")


def _heirs(viewer: Viewer) -> list[Partner]:
    return [one for one in directory.partners() if one.pk != viewer.partner_id and one.kind == Partner.Kind.LAB]


def partner_named(slug: str) -> Partner:
    """A partner that a form names. Raises Refused."""
    found = Partner.objects.filter(slug=slug).exclude(state=Partner.State.INVITED).first()
    if found is None:
        raise Refused(gettext("There is no partner of this name."), code="unknown-partner", at="/partner")
    return found


def ceiling_of(sent: QueryDict, name: str) -> Ceiling:
    """A ceiling of a form: two fields, `<name>_tlp` and `<name>_width`. Raises Refused naming the field."""
    try:
        return Ceiling(_tlp(sent, f"{name}_tlp"), Width.from_word(sent.get(f"{name}_width", "")))
    except ValueError:
        raise Refused(gettext("everyone, groups or partners."), code="bad-choice", at=f"/{name}_width") from None


def _tlp(sent: QueryDict, name: str) -> Tlp:
    try:
        return Tlp.from_word(sent.get(name, ""))
    except ValueError:
        raise Refused(gettext("A marking."), code="unknown-marking", at=f"/{name}") from None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
