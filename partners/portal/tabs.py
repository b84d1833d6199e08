"""The pages about one's own organisation, in the order of their tabs, with the scope that each needs."""

from __future__ import annotations

from dataclasses import dataclass

from partners.scopes import Scope
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Tab:
    """One page: its name in the URLconf, which is also its `here`, its label, and who is shown it."""

    route: str
    label: str
    scope: Scope


TABS: tuple[Tab, ...] = (
    Tab("organisation", "Overview", Scope.READ),
    Tab("people", "People", Scope.ADMIN),
    Tab("keys", "Keys", Scope.ADMIN),
    Tab("groups-page", "Groups", Scope.READ),
    Tab("held", "Waiting", Scope.PUBLISH),
    Tab("portal-quarantine", "Quarantine", Scope.PUBLISH),
    Tab("sharing", "Sharing", Scope.READ),
    Tab("portal-detectors", "Detectors", Scope.READ),
    Tab("hosts", "Hosts", Scope.READ),
    Tab("log", "Log", Scope.AUDIT),
    Tab("reports", "Reports", Scope.READ),
)


def shown_to(viewer: Viewer) -> list[Tab]:
    """The tabs of the pages that the viewer may open."""
    return [tab for tab in TABS if tab.scope in viewer.scopes]
