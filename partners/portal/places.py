"""Where one can go in the portal: the places of the side bar, and the pages beside each other at one place.

A new page joins here: a `PageLink` by the name of its route. Whoever lacks its scope is not shown it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from exchange.translating import later
from partners.scopes import Scope, of_kind
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class PageLink:
    """One page: its name in the URLconf, what it is called, and who is shown it.

    `here` is what the page calls itself (`access.show`), where that is not its route; `key` goes there after G.
    """

    route: str
    label: str
    icon: str = ""
    key: str = ""
    scope: Scope = Scope.READ
    of: Scope = Scope.READ  # what a partner of this kind may do: a recipient has no page of what it never does
    here: str = ""
    at_bottom: bool = False  # in the bar of phones, which has room for four
    docs: str = "portal"  # its chapter of the documentation, and the heading there

    @property
    def name(self) -> str:
        """What `show` is told."""
        return self.here or self.route


@dataclass(frozen=True, slots=True)
class Area:
    """One line of the side bar that leads to several pages beside each other."""

    label: str
    icon: str
    pages: tuple[PageLink, ...]
    operator: bool = False  # for the operator's admins alone
    key: str = ""  # goes to the first of them after G


WORK: tuple[PageLink, ...] = (
    PageLink("start", later("Home"), "inbox", "H", at_bottom=True),
    PageLink("indicators", later("Indicators"), "list", "I", at_bottom=True, docs="portal#the-list"),
    PageLink("portal-campaigns", later("Campaigns"), "graph", "C", at_bottom=True, docs="campaigns#in-the-portal"),
    PageLink(
        "portal-publish",
        later("Publish"),
        "upload",
        "P",
        scope=Scope.PUBLISH,
        docs="tokens#publish-in-the-portal",
    ),
    PageLink("portal-paste", later("Paste search"), "clip", "V", at_bottom=True, docs="tokens#in-the-browser"),
    PageLink("portal-matches", later("Matches"), "link", "M", here="matches", docs="attribution"),
    PageLink("portal-subscriptions", later("Feeds"), "feed", "F", here="subscriptions", docs="portal#feeds"),
)

AREAS: tuple[Area, ...] = (
    Area(
        later("Judgement"),
        "scales",
        (
            PageLink("portal-judgement", later("Opinions"), of=Scope.PUBLISH, docs="judgement"),
            PageLink("portal-appeals", later("Appeals"), scope=Scope.REACT, docs="judgement#appeals"),
            PageLink("portal-recalls", later("Recalls"), scope=Scope.PUBLISH, docs="judgement#recall-your-own-mistake"),
            PageLink(
                "portal-usefulness",
                later("Usefulness"),
                scope=Scope.PUBLISH,
                docs="judgement#what-your-indicators-are-good-for",
            ),
        ),
        key="J",
    ),
    Area(
        later("Partners and groups"),
        "people",
        (
            PageLink("organisation", later("Overview"), docs="partners"),
            PageLink("groups-page", later("Groups"), docs="partners#groups"),
            PageLink("sharing", later("Sharing"), of=Scope.PUBLISH, docs="attribution"),
            PageLink("hosts", later("Hosts"), docs="vocabulary#what-nobody-may-block"),
            PageLink("portal-detectors", later("Detectors"), of=Scope.PUBLISH, docs="vocabulary#detectors"),
            PageLink(
                "portal-connections",
                later("Connections"),
                scope=Scope.ADMIN,
                of=Scope.PUBLISH,
                docs="connections",
            ),
        ),
    ),
    Area(
        later("People and keys"),
        "key",
        (
            PageLink("people", later("People"), scope=Scope.ADMIN, docs="people"),
            PageLink("keys", later("Keys"), scope=Scope.ADMIN, docs="keys"),
        ),
    ),
    Area(
        later("Waiting"),
        "eye",
        (
            PageLink("waiting", later("Waiting"), scope=Scope.PUBLISH, docs="partners#four-eyes"),
            PageLink("portal-quarantine", later("Quarantine"), scope=Scope.PUBLISH, docs="api"),
        ),
    ),
    Area(later("Reports"), "report", (PageLink("reports", later("Reports"), docs="log"),)),
    Area(later("Log"), "log", (PageLink("log", later("Log"), scope=Scope.AUDIT, docs="log"),)),
    Area(
        later("Operator"),
        "gear",
        (
            PageLink("operator-partners", later("Partners"), scope=Scope.ADMIN, docs="operating"),
            PageLink("operator-groups", later("Groups"), scope=Scope.ADMIN, docs="operating"),
            PageLink("invite-partner", later("Invite a partner"), scope=Scope.ADMIN, docs="operating"),
        ),
        operator=True,
    ),
)


#: The chapters of pages below a place that have one of their own, by route.
CHAPTERS = {
    "account": "people",
    "act": "judgement#recall-your-own-mistake",
    "indicator": "portal#one-object",
    "judging": "judgement#give-an-opinion",
    "report": "log#report-packages",
}


def all_of(viewer: Viewer) -> list[PageLink]:
    """Every page that the viewer may go to, each with the picture of its place."""
    found = _open(WORK, viewer)
    for area in AREAS:
        if viewer.operates or not area.operator:
            found += [replace(page, icon=area.icon) for page in _open(area.pages, viewer)]
    return found


def _open(pages: tuple[PageLink, ...], viewer: Viewer) -> list[PageLink]:
    able = of_kind(viewer.kind)
    return [page for page in pages if page.scope in viewer.scopes and page.of in able]


def frame(viewer: Viewer, here: str, *, route: str = "") -> dict[str, Any]:
    """What the side bar and the head of a page show: the places, the pages beside this one, and its chapter."""
    work = _open(WORK, viewer)
    areas = []
    beside: list[PageLink] = []
    for area in AREAS:
        pages = _open(area.pages, viewer)
        if not pages or (area.operator and not viewer.operates):
            continue
        inside = any(place.name == here for place in pages)
        areas.append({"area": area, "to": pages[0].route, "inside": inside})
        beside = pages if inside else beside
    return {
        "work": work,
        "areas": areas,
        "beside": beside,
        "bottom": [place for place in work if place.at_bottom][:4],
        "label": next((place.label for place in [*beside, *work] if place.name == here), ""),
        "docs": CHAPTERS.get(route) or next((place.docs for place in [*beside, *work] if place.name == here), ""),
    }
