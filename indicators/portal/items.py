"""A line of the inbox, and how lines are gathered and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils.translation import gettext

from exchange.translating import later
from indicators.reading.listing import Tally
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
#: Lines of one source. It reads one more than these, and where there is one, says where the rest stands.
MOST = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One line. `value` is told in mono between `title` and `after`; Its clock is `due`, or when it came (`at`).

    `rest`: it stands for what one source has more than `MOST`, and leads to all of that.
    """

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
    rest: bool = False


def rest(section: Section, group: Group, icon: str, title: str, address: str) -> Item:
    """The line that stands for the others of a source."""
    said = gettext("only the first {n} stand here").format(n=MOST)
    return Item(section, group, icon, "plain", title, said, gettext("See all"), address, rest=True)


def tally(lines: Sequence[Item]) -> Tally:
    """How many lines there are; at least so many where some stand for more."""
    return Tally(sum(not one.rest for one in lines), any(one.rest for one in lines))
