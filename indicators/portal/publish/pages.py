"""Publish: from a list or a file to a draft; a draft with what the door says of each line, and who will see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.views.decorators.http import require_safe

from exchange.errors import ExchangeError, NotFound
from exchange.parameters import Parameters
from indicators import detectors
from indicators.models import Preparation
from indicators.portal.publish import forms, judging
from indicators.publishing import preparing, previewing
from indicators.publishing.reach import Reach
from partners import viewing
from partners.groups import directory
from partners.portal import letters
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer


@require_safe
@page
def publish(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The form, and the drafts that are kept."""
    if Scope.PUBLISH not in viewer.scopes:
        raise NotFound
    return show(
        request,
        viewer,
        "indicators/publish.html",
        here="portal-publish",
        drafts=[_listed(one) for one in preparing.kept(viewer)],
        subkinds=forms.subkinds(),
        rules=forms.rules(),
        first=forms.first(),
        of_some=forms.of_some(),
        further=[_with_own(one, viewer) for one in forms.further()],
        markings=[(tlp.word, tlp.label) for tlp in Tlp if tlp is not Tlp.RED],
        default=viewer.default_tlp.word,
        most=preparing.MOST_LINES,
    )


def _with_own(asked: forms.Field, viewer: Viewer) -> forms.Field:
    """The field; that of the detector offers those which the partner has registered."""
    if asked.name != "detector.name":
        return asked
    own = tuple((one.code, f"{one.name} {one.version}".strip()) for one in detectors.listed(viewer))
    return replace(asked, how="choice", options=own)


def _listed(one: Preparation) -> dict[str, Any]:
    open_rows = sum(row["object"] is not None and not row["sent"] for row in one.rows)
    return {"one": one, "lines": len(one.rows), "open": open_rows, "tlp": Tlp(one.tlp).word}


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom the page is looked at for; without names, the default."""

    groups: tuple[str, ...] = ()
    everyone: bool = False
    partners: tuple[str, ...] = ()

    @classmethod
    def of(cls, said: QueryDict) -> Audience:
        """As a form or an address says it."""
        return cls(
            tuple(said.getlist("groups")), said.get("everyone", "") in {"true", "1"}, tuple(said.getlist("partners"))
        )

    @property
    def named(self) -> bool:
        """Whether anybody was chosen."""
        return bool(self.groups or self.partners) or self.everyone

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As fields of a form."""
        named = [("groups", slug) for slug in self.groups] + [("partners", slug) for slug in self.partners]
        return named + ([("everyone", "true")] if self.everyone else [])

    @property
    def query(self) -> str:
        """As the beginning of an address' question, to which more is added."""
        return f"{urlencode(self.pairs)}&" if self.pairs else ""

    def reach(self, viewer: Viewer) -> Reach:
        """As a push names it. Raises Refused for groups that are not the viewer's, and for who is no partner."""
        return Reach.in_words(
            viewer, named=self.named, everyone=self.everyone, groups=self.groups, partners=self.partners
        )


@require_safe
@page
def draft(request: HttpRequest, viewer: Viewer, draft_id: UUID) -> HttpResponse:
    """One draft: each line as the door would answer it now, for the audience that is chosen, and who would see it."""
    if Scope.PUBLISH not in viewer.scopes:
        raise NotFound
    chosen = Audience.of(request.GET)
    listed = request.GET.copy()
    for name in ("groups", "partners"):  # a form says each by itself
        if name in listed:
            listed[name] = ",".join(listed.getlist(name))
    request.GET = listed  # type: ignore[assignment]
    asked = Parameters(request, known=("groups", "partners", "everyone", "show"))
    one = preparing.one(viewer, draft_id)
    tlp, problem = Tlp(one.tlp), ""
    answers: dict[int, dict[str, Any]] = {}
    readers: Sequence[viewing.Reader] = ()
    try:
        answers = preparing.rehearse(viewer, one.rows, chosen.reach(viewer))
        readers = previewing.who_would_see(viewer, replace(chosen.reach(viewer), tlp=tlp))
    except ExchangeError as refused:
        problem = refused.detail
    lines = judging.lines(viewer, one, answers, blocked=bool(problem))
    counts = Counter(line["state"] for line in lines)
    shown = asked.choice("show", "", of=("", *judging.STATES))
    known = letters.labs(viewer, directory.known())
    slugs = {each.slug: each.pk for each in directory.partners()}
    return show(
        request,
        viewer,
        "indicators/draft.html",
        here="portal-publish",
        one=one,
        tlp=tlp.word,
        lines=[line | {"hidden": bool(shown) and line["state"] != shown} for line in lines],
        total=len(lines),
        counts=[(state, label, icon, tone, counts[state]) for state, (label, icon, tone) in judging.STATES.items()],
        sendable=any(line["sendable"] for line in lines),
        ticked=sum(line["ticked"] for line in lines),
        waits=sum(line["ticked"] and line["waits"] for line in lines),
        stayed=counts["stayed"],
        shown=shown,
        problem=problem,
        chosen=chosen,
        groups=[
            {
                "group": group,
                "chosen": group.slug in chosen.groups,
                "labs": [
                    known.get(member.partner_id, letters.VEILED)
                    for member in group.open_memberships  # type: ignore[attr-defined]
                    if member.partner_id != viewer.partner_id
                ],
            }
            for group in directory.groups(viewer)
        ],
        partners=[
            {"partner": each, "chosen": each.slug in chosen.partners, "lab": known.get(each.pk, letters.VEILED)}
            for each in directory.partners()
            if each.pk != viewer.partner_id
        ],
        readers=[
            (reader, known.get(slugs.get(reader.partner_slug, viewer.partner_id), letters.VEILED)) for reader in readers
        ],
        limits=directory.alone_words(viewer),
    )
