"""The few words that templates need and Django lacks."""

import json as json_
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext

from exchange import clock
from exchange import drawn as drawn_
from exchange.tokens.defanging import defanged, defanged_text
from exchange.translating import later

register = template.Library()

_MINUTE = timedelta(minutes=1)


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, in the largest unit: `12 s ago`, `3 minutes ago`."""
    passed = clock.now() - moment
    if passed < _MINUTE:
        return gettext("{seconds} s ago").format(seconds=max(0, int(passed.total_seconds())))
    return gettext("{passed} ago").format(passed=timesince(moment, clock.now(), depth=1))


@register.filter
def plain(word: str) -> str:
    """A word of the vocabulary as people write it: `signup_template` becomes `signup template`."""
    return str(word).replace("_", " ")


register.filter(defanged)
register.filter(defanged_text)

_PLAIN_TITLE = re.compile(r"(account-pattern|payment-fingerprint|prompt-signature): ([a-z_]+)")


@register.filter
def says_its_kind(title: str) -> bool:
    """Whether a title says no more than kind and subkind."""
    return _PLAIN_TITLE.fullmatch(title) is not None


@register.filter
def titled(title: str) -> str:
    """A title for people, defanged; one that says no more than its kind, `account-pattern: net`, in plain words."""
    said = _PLAIN_TITLE.fullmatch(title)
    return plain(said[2]).capitalize() if said else defanged_text(title)


@register.filter
def json(value: Any) -> str:
    """A value as JSON, for a data attribute; the template escapes it."""
    return json_.dumps(value, cls=DjangoJSONEncoder)


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str) -> SafeString:
    """A picture of the sprite, 16 px in the colour of the text; beside words, so it says nothing itself.

    Names are those of templates and code, and the sprite's address is one for the process.
    """
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        static("exchange/icons.svg"),
        name,
    )


@register.simple_tag
def drawn(fields: Mapping[str, object] | None = None, **more: object) -> SafeString:
    """What the fields of a form hold as it is drawn (`exchange.drawn`); beside `csrf_token`."""
    held = drawn_.written({**(fields or {}), **more})
    return format_html('<input type="hidden" name="{}" value="{}">', drawn_.NAME, held)


@register.filter
def initials(name: str) -> str:
    """Two letters for a person: of their first two words, else the first two of the name."""
    words = str(name).replace(".", " ").replace("-", " ").replace("_", " ").split() or ["?"]
    return (words[0][0] + words[1][0] if len(words) > 1 else words[0][:2]).upper()


@register.filter
def grouped(number: int | str | None) -> str:
    """A whole number in groups of three: `52,170`; other text as it is."""
    return f"{number:,}" if isinstance(number, int) else str(number if number is not None else "")


@register.filter
def day(moment: datetime | None) -> str:
    """A day as lists write it: `12 Dec`, and the year where it is another one."""
    if moment is None:
        return ""
    told = f"{moment.day} {moment:%b}"
    return told if moment.year == clock.now().year else f"{told} {moment.year}"


@register.simple_tag
def today() -> str:
    """The day, UTC, with its year: of what is printed."""
    moment = clock.now()
    return f"{moment.day} {moment:%b %Y}"


@register.simple_tag
def when(moment: datetime | None) -> SafeString:
    """The one form of a moment: how long ago, the exact time with its zone on hover."""
    if moment is None:
        return _nothing()
    return format_html(
        '<time class="nowrap" data-ago datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S}",
        brief(moment),
    )


@register.simple_tag
def when_hour(moment: datetime | None) -> SafeString:
    """What is known to the hour, and begins with `moment`: about how long ago, the hour with its zone on hover."""
    if moment is None:
        return _nothing()
    return format_html(
        '<time class="nowrap" data-ago="hour" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        gettext("in the hour from {hour} UTC").format(hour=f"{moment:%Y-%m-%d %H:%M}"),
        brief_hour(moment),
    )


def brief_hour(moment: datetime) -> str:
    """About how long ago an hour was: `this hour`, `~ 5 h`, then the day."""
    hours = int(clock.now().timestamp() // 3_600 - moment.timestamp() // 3_600)
    if hours <= 0:
        return gettext("this hour")
    return f"~ {hours} h" if hours < 24 else day(moment)


def brief(moment: datetime) -> str:
    """How long ago in a list: `12 s`, `3 min`, `5 h`, then the day."""
    seconds = max(0, int((clock.now() - moment).total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} min"
    if seconds < 86_400:
        return f"{seconds // 3_600} h"
    return day(moment)


_KIND_WORDS = {
    "account-pattern": later("account patterns"),
    "payment-fingerprint": later("payment fingerprints"),
    "prompt-signature": later("prompt signatures"),
}
_OTHERS = later("other STIX objects")


@register.filter
def kind_words(name: str) -> str:
    """A kind as people write it, in the plural."""
    return str(_KIND_WORDS.get(name, _OTHERS))


@register.simple_tag
def due(moment: datetime) -> SafeString:
    """The one form of a deadline: how long is left, the exact time with its zone on hover."""
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M}",
        until(moment),
    )


def until(moment: datetime) -> str:
    """How long is left until a deadline: `in 3 h 38 min`, `by Thu 3 Dec`."""
    minutes = int((moment - clock.now()).total_seconds() // 60)
    if minutes < 0:
        return gettext("over")
    if minutes < 24 * 60:
        words = gettext("in {hours} h {minutes} min") if minutes >= 60 else gettext("in {minutes} min")
        return words.format(hours=minutes // 60, minutes=minutes % 60)
    return gettext("by {day}").format(day=f"{moment:%a} {day(moment)}")


@register.filter
def event(verb: str) -> str:
    """What the log calls an event, as people write it: `batch.published` becomes `Batch published`."""
    return str(verb).replace(".", " ").replace("-", " ").replace("_", " ").capitalize()


def _nothing() -> SafeString:
    return format_html('<span class="none">{}</span>', gettext("none"))


_BARS = {"low": 1, "medium": 2, "high": 3, "critical": 4}


@register.simple_tag
def severity(word: str | None) -> SafeString:
    """Four rising bars and the word; nothing known is said as `none`."""
    count = _BARS.get(str(word or "").lower(), 0)
    if not count:
        return _nothing()
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="3" height="{}" rx="0.5"/>',
        (("on" if place < count else "off", place * 4, 9 - place * 3, 3 + place * 3) for place in range(4)),
    )
    name = str(word).lower()
    return format_html(
        '<span class="severity {}"><svg viewBox="0 0 15 12" aria-hidden="true">{}</svg>{}</span>',
        name,
        bars,
        name.capitalize(),
    )


_STANDING = {"supported": "check", "disputed": "flag", "refuted": "cross"}


@register.simple_tag
def standing(word: str | None) -> SafeString:
    """Picture and word of where an object stands by its opinions."""
    said = str(word or "unreviewed")
    return format_html(
        '<span class="standing {}">{}{}</span>', said, icon(_STANDING.get(said, "minus")), said.capitalize()
    )


_KIND_ICONS = {"account-pattern": "person", "payment-fingerprint": "card", "prompt-signature": "speech"}
_ON_NETWORKS = ("net", "gateway_host", "email_domain", "client_fp")


@register.simple_tag
def kind(name: str | None, subkind: str | None = "", size: str = "") -> SafeString:
    """The square of a kind: its icon in its colour; the kind is its label. Networks and hosts have a globe."""
    drawn = "globe" if subkind in _ON_NETWORKS else _KIND_ICONS.get(name or "", "box")
    return format_html(
        '<span class="kind {} {}" role="img" aria-label="{}">{}</span>',
        name if name in _KIND_ICONS else "other",
        size,
        name.replace("-", " ") if name else gettext("STIX object"),
        icon(drawn),
    )


@register.simple_tag
def left(valid_until: datetime | None, most_days: float | None = None) -> SafeString:
    """How long something is still in force, as a bar against the longest that its kind may be, and in days."""
    if valid_until is None:
        return format_html('<span class="left-bar none">{}</span>', gettext("no end"))
    hours = (valid_until - clock.now()).total_seconds() / 3_600
    if hours <= 0:
        return format_html(
            '<span class="left-bar over"><span title="{} UTC">{}</span></span>',
            f"{valid_until:%Y-%m-%d %H:%M}",
            gettext("ended"),
        )
    share = min(1.0, hours / 24 / most_days) if most_days else 1.0
    return format_html(
        '<span class="left-bar{}" title="{}"><svg viewBox="0 0 34 4" aria-hidden="true">'
        '<rect width="{}" height="4" rx="2"/></svg><span>{}</span></span>',
        " soon" if hours <= 7 * 24 else "",
        gettext("until {moment} UTC").format(moment=f"{valid_until:%Y-%m-%d %H:%M}"),
        f"{max(1.0, share * 34):.1f}",
        f"{int(hours // 24)} d" if hours >= 24 else f"{max(1, int(hours))} h",
    )


@register.filter
def shortened(value: str, most: int = 28) -> str:
    """A value in one line, cut in the middle: its beginning and its end tell it from others."""
    text = " ".join(str(value).split())
    if len(text) <= most:
        return text
    tail = 4
    return f"{text[: min(most - tail - 1, 8 if _HEX.fullmatch(text) else most - tail - 1)]}…{text[-tail:]}"


_HEX = re.compile(r"[0-9a-f]{24,}")
