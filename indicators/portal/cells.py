"""The lines of the list of indicators as HTML: for fifty of them a template takes ten times as long as all else there.

What anybody wrote goes through `format_html`, which escapes it. What several lines have in common is drawn once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import add

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext

from exchange.templatetags import house
from indicators.portal.rows import Row
from partners.portal.letters import Lab


def lines(rows: Sequence[Row], columns: Sequence[str], *, chosen: bool) -> list[SafeString]:
    """A `<tr>` for each row, with these columns behind the value; with a box to choose it where it may be `chosen`."""
    drawing = _Drawing(columns, chosen=chosen)
    return [drawing.line(row) for row in rows]


class _Drawing:
    """Draws the lines of one page."""

    def __init__(self, columns: Sequence[str], *, chosen: bool) -> None:
        self._columns, self._chosen = [_CELLS[name] for name in columns], chosen
        self._drawn: dict[tuple[object, ...], SafeString] = {}
        self._choose = gettext("Choose {value}")

    def line(self, row: Row) -> SafeString:
        address = reverse("indicator", args=[row.stix_id])
        cells = [self._once(draw, *said(row)) for said, draw in self._columns]
        return format_html(
            '<tr data-open="{}">{}{}{}</tr>\n', address, self._box(row), self._what(row, address), _joined(cells)
        )

    def _once(self, draw: Callable[..., SafeString], *said: object) -> SafeString:
        """What `draw` makes of this."""
        drawn = self._drawn.get((draw, *said))
        if drawn is None:
            drawn = self._drawn[draw, *said] = draw(*said)
        return drawn

    def _box(self, row: Row) -> SafeString | str:
        if not self._chosen:
            return ""
        return format_html(
            '<td class="choose"><input type="checkbox" form="acts" name="chosen" value="{}/{}" aria-label="{}"{}></td>',
            row.publisher_slug,
            row.stix_id,
            self._choose.format(value=house.shortened(row.value)),
            " data-own" if row.own else "",
        )

    def _what(self, row: Row, address: str) -> SafeString:
        return format_html(
            '<td class="what"><span>{}<a{} href="{}" title="{}{}">{}</a><span class="sub">{}</span>{}</span></td>',
            self._once(house.kind, row.kind, row.subkind),
            _TITLE if row.is_title else "",
            address,
            _cut(row.value, 300),
            "" if row.is_title else format_html("&#10;{}", _cut(row.title, 200)),
            house.shortened(row.value, 44),
            house.plain(row.subkind),
            _joined(self._remarks(row)),
        )

    def _remarks(self, row: Row) -> list[SafeString]:
        """What is said behind the value of few."""
        told = []
        if row.says:
            told.append(format_html('<span class="title">{}</span>', row.title))
        if row.state != "live":
            how = "bad" if row.state == "revoked" else "warn"
            told.append(format_html('<span class="badge {}">{}</span>', how, row.state))
        if row.marked:
            why = gettext("It breaks STIX 2.1; its page says how")
            told.append(format_html('<span class="badge warn" title="{}">{}</span>', why, gettext("marked")))
        if row.suspended:
            told.append(format_html('<span class="badge warn">{}</span>', gettext("publisher suspended")))
        return told


_TITLE = format_html(' class="{}"', "title words")


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return reduce(add, parts, SafeString())


def _cut(text: str, most: int) -> str:
    """A text of so many characters at most: most are shorter, and whoever counts them as people do takes long."""
    return text if len(text) <= most else str(Truncator(text).chars(most))


def _none(said: str | None = None) -> SafeString:
    return format_html('<span class="none">{}</span>', gettext("none") if said is None else said)


def _severity(word: str) -> SafeString:
    return format_html('<td class="c-severity">{}</td>', house.severity(word))


def _publishers(*labs: Lab) -> SafeString:
    """As `exchange/labs.html`."""
    told = (
        format_html(
            '<abbr class="lab {}" title="{}">{}</abbr>',
            lab.shown,
            f"{lab.name}, {gettext('you')}" if lab.shown == "us" else lab.name,
            lab.letter,
        )
        for lab in labs
    )
    return format_html('<td class="c-publishers"><span class="labs">{}</span></td>', _joined(told) or _none())


def _confidence(said: int | None) -> SafeString:
    return format_html('<td class="c-confidence num">{}</td>', _none() if said is None else said)


def _standing(word: str) -> SafeString:
    return format_html('<td class="c-standing">{}</td>', house.standing(word))


def _did(said: str) -> SafeString:
    return format_html('<td class="c-did">{}</td>', said or _none())


def _left(valid_until: datetime | None, most_days: float | None) -> SafeString:
    return format_html('<td class="c-left num">{}</td>', house.left(valid_until, most_days))


def _matches(count: int) -> SafeString:
    return format_html('<td class="c-matches num">{}</td>', house.grouped(count) if count else _none("0"))


def _campaign(campaign: tuple[str, str] | None) -> SafeString:
    told = _none()
    if campaign:
        name, key = campaign
        told = format_html('<a href="{}">{}</a>', reverse("portal-campaign", args=[key]), _cut(name, 28))
    return format_html('<td class="c-campaign">{}</td>', told)


def _tlp(word: str) -> SafeString:
    """As `exchange/tlp.html`, without the letters before the word."""
    how = word.replace("+", "-")
    return format_html('<td class="c-tlp"><span class="tlp short tlp-{}">{}</span></td>', how, word.upper())


def _added(moment: datetime) -> SafeString:
    return format_html('<td class="c-added num soft">{}</td>', house.when(moment))


#: By column what of a row its cell says, and how that is drawn.
_CELLS: dict[str, tuple[Callable[[Row], Sequence[object]], Callable[..., SafeString]]] = {
    "severity": (lambda row: (row.severity,), _severity),
    "publishers": (lambda row: row.labs, _publishers),
    "confidence": (lambda row: (row.confidence,), _confidence),
    "standing": (lambda row: (row.standing,), _standing),
    "did": (lambda row: (row.did,), _did),
    "left": (lambda row: (row.valid_until, row.most_days), _left),
    "matches": (lambda row: (row.matches,), _matches),
    "campaign": (lambda row: (row.campaign,), _campaign),
    "tlp": (lambda row: (row.tlp,), _tlp),
    "added": (lambda row: (row.added,), _added),
}
