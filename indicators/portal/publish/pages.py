"""Publish: from a list or a file to a draft; a draft with what the door says of each line, and who will see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange.errors import ExchangeError, NotFound
from exchange.parameters import Parameters
from exchange.stix import words
from exchange.translating import later
from indicators import detectors
from indicators.models import Preparation
from indicators.portal import showing
from indicators.portal.publish import forms
from indicators.publishing import preparing, previewing
from indicators.publishing.preparing import Row
from indicators.publishing.reach import Reach
from indicators.reading import carriers
from indicators.stix import vocabulary
from indicators.values.carrying import key_of
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
    lines = _lines(viewer, one, answers, blocked=bool(problem))
    counts = Counter(line["state"] for line in lines)
    shown = asked.choice("show", "", of=("", *_STATES))
    known = letters.labs(viewer, directory.partners())
    slugs = {each.slug: each.pk for each in directory.partners()}
    return show(
        request,
        viewer,
        "indicators/draft.html",
        here="portal-publish",
        one=one,
        tlp=tlp.word,
        lines=[line for line in lines if not shown or line["state"] == shown],
        total=len(lines),
        counts=[(state, label, icon, tone, counts[state]) for state, (label, icon, tone) in _STATES.items()],
        sendable=sum(line["sendable"] for line in lines),
        waits=counts["waiting"],
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


#: What may become of a line: its label, icon and tone.
_STATES = {
    "new": (later("New"), "plus", "blue"),
    "known": (later("Known to us"), "check", "good"),
    "waiting": (later("For a second person"), "eye", "warn"),
    "benign": ("Benign-listed", "shield", "warn"),
    "refused": (later("Refused"), "cross", "bad"),
    "sent": (later("Published"), "check", "good"),
}
_BENIGN = ("benign-listed",)
#: Behind it stands the list, in a refusal of the door; before it, what may be on lists at all.
_LISTED = " Listed as: "


def _lines(
    viewer: Viewer, one: Preparation, answers: dict[int, dict[str, Any]], *, blocked: bool
) -> list[dict[str, Any]]:
    """Each line in the order of the file, with its state and why."""
    keys = {row["n"]: _keys(row) for row in one.rows}
    said = carriers.of(viewer, {key for found in keys.values() for key in found})
    lines = []
    for row in one.rows:
        own = next((each for key in keys[row["n"]] for each in said.get(key, ()) if each.own), None)
        answer = answers.get(row["n"])
        state, why = _state(row, answer, own)
        extension = vocabulary.extension_of(row["object"]) if row["object"] else None
        lines.append(
            {
                "n": row["n"],
                "shown": row["shown"],
                "subkind": row["subkind"],
                "kind": words.KIND_OF.get(row["subkind"], ""),
                "severity": (extension or {}).get("severity"),
                "facts": showing.facts(dict(extension)) if extension else [],
                "state": state,
                "label": _STATES[state][0],
                "icon": _STATES[state][1],
                "tone": _STATES[state][2],
                "why": why,
                "sendable": state in ("new", "known", "waiting") and not blocked,
                "own": own.stix_id if own else "",
            }
        )
    return lines


def _state(row: Row, answer: dict[str, Any] | None, own: carriers.Carrier | None) -> tuple[str, str]:
    if row["sent"]:
        return "sent", gettext("waits for a second person") if row["sent"] in ("waiting", "held") else str(row["sent"])
    fault = row["fault"] or (answer if answer and answer["status"] in ("refused", "quarantined") else None)
    if fault is not None:
        state = "benign" if fault.get("code") in _BENIGN else "refused"
        place = str(fault.get("field", "")).rpartition("/")[2]
        message = str(fault.get("message", ""))
        if state == "benign":
            return state, gettext("on the list {listed}").format(listed=listed) if (
                listed := message.partition(_LISTED)[2]
            ) else message
        return state, f"{place}: {message}" if place else message
    if answer is not None and answer["status"] == "waiting":
        return "waiting", gettext("goes beyond what one person publishes alone")
    if own is not None:
        return "known", gettext("you publish this value already")
    return "new", ""


def _keys(row: Row) -> list[UUID]:
    extension = vocabulary.extension_of(row["object"]) if row["object"] else None
    if extension is None:
        return []
    try:
        return [key_of(token) for token in vocabulary.tokens_of(extension)]
    except (KeyError, TypeError, ValueError):
        return []
