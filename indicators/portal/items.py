"""A line of the inbox, and how lines are gathered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from exchange.translating import later
from partners.portal.letters import Lab

Section = Literal["tonight", "week", "know"]
Group = Literal["ours", "campaigns", "sharing", "systems"]
SECTIONS: dict[Section, str] = {
    "tonight": later("Before tonight"),
    "week": later("This week"),
    "know": later("To know"),
}
GROUPS: dict[Group, str] = {
    "ours": later("On ours"),
    "campaigns": later("Campaigns"),
    "sharing": later("Sharing"),
    "systems": later("Systems"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One line. `value` is told in mono between `title` and `after`; Its clock is `due`, or when it came (`at`)."""

    section: Section
    group: Group
    icon: str
    tone: str
    title: str
    detail: str
    act: str
    address: str
    value: str = ""
    after: str = ""
    lab: Lab | None = None
    at: datetime | None = None
    to_the_hour: bool = False
    due: datetime | None = None
