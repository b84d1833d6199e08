"""What the list of indicators is asked for: read from an address or a form, and written as an address again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from exchange.errors import NotFound, Refused
from exchange.parameters import Parameters
from indicators.feeds import filters, spelling, tree
from indicators.feeds.fields import FIELDS
from indicators.feeds.filters import EVERYTHING, Filter, subkinds
from indicators.feeds.spelling import BadText
from indicators.models import Feed
from indicators.portal import chips
from indicators.reading import listing
from indicators.reading.selecting import Selection
from indicators.stix import conformance
from indicators.telling import subscribing
from partners.groups import directory
from partners.scopes import Scope, of_kind
from partners.tlp import Tlp
from partners.viewer import Viewer

KINDS = ("account-pattern", "payment-fingerprint", "prompt-signature")
#: What addresses may say. The second line is of earlier times: it is read, and written as a filter from then on.
KNOWN = (
    *("view", "filter", "sort", "cursor", "marks"),
    *("matched", "show", "q", "subkind", "publisher", "tlp", "confidence", "own", "type"),
)
_SCOPES = ("", "all", "objects")
_MOST_VIEWS = 30


@dataclass(frozen=True, slots=True)
class View:
    """A tab: one of ours or a saved feed."""

    name: str
    filter: Filter
    feed: UUID | None = None
    current: bool = False
    more: bool = False  # no view: where those stand that have no room as tabs

    @property
    def address(self) -> str:
        """Where it is."""
        if self.more:
            return reverse("portal-subscriptions")
        if self.feed:
            return f"{reverse('indicators')}?{urlencode({'view': self.feed})}"
        text = filters.spoken(self.filter)
        return f"{reverse('indicators')}?{urlencode({'filter': text})}" if text else reverse("indicators")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. `shown` is the filter, `text` how it was written; `problem` says why it is none."""

    shown: Filter = EVERYTHING
    text: str = ""
    view: str = ""  # "": what is in force; "all": what has ended, too; "objects": every STIX object
    feed: UUID | None = None
    sort: str = ""
    down: bool = True
    cursor: str = ""
    marks: str = ""
    problem: BadText | None = None
    nearest: tuple[str, str] = field(default=("", ""))

    @property
    def selection(self) -> Selection:
        """What is to be read."""
        rest, words = chips.without_words(self.shown.tree)
        types = Filter() if self.view == "objects" or _names_types(rest) else Filter.of(types=("indicator",))
        known = tuple(conformance.WORDS)
        return Selection(
            filter=Filter(rest).within(types),
            words=words,
            living=not self.view,
            marks=known if self.marks == "any" else tuple(mark for mark in known if mark == self.marks),
            unmarked=self.marks == "none",
        )

    @property
    def scope(self) -> str:
        """What its cursors are bound to."""
        return f"portal;{self.view};{self.sort};{self.down};{self.marks};{self.shown.scope}"

    @property
    def spoken(self) -> str:
        """The filter as text, with names; as it was typed where it is none."""
        return self.text if self.problem else filters.spoken(self.shown)

    @property
    def has_values(self) -> bool:
        """Whether it looks for a value, which must not stand in an address."""
        return chips.names_words(self.shown.tree)

    def address(self) -> str:
        """Its address; empty where it has none."""
        if self.problem or (self.has_values and not self.feed):
            return ""
        sort = f"{'-' if self.down else ''}{self.sort}" if self.sort else ""
        said = {
            "view": str(self.feed) if self.feed else self.view,
            "filter": "" if self.feed else filters.spoken(self.shown),
            "sort": sort,
            "marks": self.marks,
            "cursor": self.cursor,
        }
        given = urlencode({name: value for name, value in said.items() if value})
        return f"{reverse('indicators')}?{given}" if given else reverse("indicators")


def within(asked: Asked) -> list[tuple[str, str, str, bool]]:
    """The same question among more than what is in force: its view, name, address, and whether it is asked now.

    From the one that is asked now back to what is in force. Without an address where it looks for a value.
    """
    named = (("all", gettext("Ended too")), ("objects", gettext("All STIX objects")))
    found = []
    for view, name in named:
        current = asked.view == view
        there = replace(asked, view="" if current else view, feed=None, cursor="")
        found.append((there.view, name, there.address(), current))
    return found


_MARKS = ("", "any", "none", *conformance.WORDS)


def read(request: HttpRequest, viewer: Viewer, *, also: tuple[str, ...] = ()) -> Asked:
    """The question of a request. Raises Refused naming the parameter; what is wrong in the filter is told in place."""
    if request.method == "POST":
        return _of_form(request, viewer)
    asked = Parameters(request, known=(*KNOWN, *also))
    base = _of_view(viewer, asked.text("view"))
    base = _sorted(base, asked.text("sort"))
    base = replace(
        base,
        cursor=asked.text("cursor"),
        marks=asked.choice("marks", "", of=_MARKS),
    )
    base = _former(asked, base)
    return _typed(viewer, base, asked.text("filter")) if asked.text("filter") else base


def _of_form(request: HttpRequest, viewer: Viewer) -> Asked:
    """The question of the form: its filter, and what a click on a chip makes of it."""
    said = request.POST
    view = said.get("view", "")
    base = _sorted(Asked(view=view if view in _SCOPES else ""), said.get("sort", ""))
    base = replace(
        base,
        cursor=said.get("cursor", ""),
        marks=said.get("marks", "") if said.get("marks", "") in _MARKS else "",
    )
    asked = _typed(viewer, base, said.get("filter", "")[: spelling.MAX_TEXT_CHARS])
    if asked.problem:
        return asked
    return _clicked(viewer, asked, said)


def _clicked(viewer: Viewer, asked: Asked, said: Any) -> Asked:
    node = asked.shown.tree
    places = range(len(tree.conjuncts(node)))
    if said.get("drop", "").isdigit() and int(said["drop"]) in places:
        node = chips.without(node, int(said["drop"]))
    elif said.get("turn", "").isdigit() and int(said["turn"]) in places:
        node = chips.turned(node, int(said["turn"]))
    elif said.get("search", "").strip():
        node = chips.joined(node, tree.term("words", [said["search"].strip()[:250]]), how="and")
    elif said.get("do") == "add" or (said.get("value", "").strip() and not said.get("do")):
        added = _typed(viewer, Asked(), f"{said.get('field', '')}:{said.get('value', '')}")
        if added.problem:
            return replace(asked, problem=added.problem, text=added.text)
        node = chips.joined(node, added.shown.tree, how=said.get("how", "and"))
    elif said.get("do") == "clear":
        return Asked()
    else:
        return asked
    return replace(asked, shown=Filter(node), cursor="")


def _typed(viewer: Viewer, base: Asked, text: str) -> Asked:
    """The question with a typed filter; a line of nothing but a word that may be a value is one to look for."""
    try:
        typed = filters.accepted(viewer, text) if text.strip() else EVERYTHING
    except BadText as wrong:
        whole = _as_value(text, wrong)
        if whole is None:
            return replace(base, text=text, problem=wrong, nearest=chips.nearest(text, wrong))
        typed = whole
    except Refused as refused:
        return replace(base, text=text, problem=BadText(refused.detail, character=0, code=refused.code))
    return replace(base, shown=typed.within(base.shown), text=text, feed=None)


def _as_value(text: str, wrong: BadText) -> Filter | None:
    """A pasted value, such as a URL, an IPv6 network or a defanged host, that the grammar cannot read unquoted."""
    pasted = text.strip()
    is_field = pasted.partition(":")[0].lower() in FIELDS
    if wrong.code == "unknown-filter" and ("." in pasted or pasted.count(":") > 1) and " " not in pasted:
        return Filter(tree.term("words", [pasted[:250]]))
    if " " not in pasted and not is_field and any(sign in pasted for sign in ("[", "://", "@", "/")):
        return Filter(tree.term("words", [pasted[:250]]))
    return None


def _of_view(viewer: Viewer, view: str) -> Asked:
    if view in _SCOPES:
        return Asked(view=view)
    try:
        feed = Feed.objects.of(viewer).get(pk=UUID(view))
    except (ValueError, Feed.DoesNotExist):
        raise NotFound from None
    return Asked(shown=subscribing.filter_of(feed), feed=feed.pk)


# What addresses of earlier times sort by.
_FORMER_SORTS = {"value": "subkind"}


def _sorted(asked: Asked, sort: str) -> Asked:
    name = sort.removeprefix("-")
    name = _FORMER_SORTS.get(name, name)
    if name not in listing.ORDERS:
        return asked
    return replace(asked, sort=name, down=sort.startswith("-"))


def _former(asked: Parameters, base: Asked) -> Asked:
    """What addresses of earlier times asked, as a filter."""
    shown = asked.choice("show", "", of=("", "indicators", "objects", *KINDS))
    slugs = {partner.slug: str(partner.pk) for partner in directory.partners()} if asked.text("publisher") else {}
    publishers = asked.words("publisher")
    if not set(publishers) <= set(slugs):
        raise Refused(gettext("There is no partner of this name."), code="unknown-partner", at="/publisher")
    wanted = Filter.of(
        kinds=(shown,) if shown in KINDS else (),
        subkinds=subkinds(asked.words("subkind"), at="/subkind"),
        types=asked.words("type"),
        publishers=tuple(sorted(slugs[slug] for slug in publishers)),
        min_confidence=asked.number("confidence", 0, least=0, most=100),
    )
    marking = asked.choice("tlp", "", of=("", *(tlp.word for tlp in Tlp)))
    more = [tree.term("tlp", [marking])] if marking else []
    more += [tree.term("from", ["mine"])] if asked.text("own") and asked.flag("own") else []
    more += [tree.term("matched", ["true"])] if asked.text("matched") and asked.flag("matched") else []
    more += [tree.term("words", [asked.text("q")[:250]])] if asked.text("q") else []
    whole = wanted.within(Filter(tree.every(more))).within(base.shown)
    return replace(
        base,
        shown=whole,
        view="objects" if shown == "objects" else base.view,
        feed=base.feed if whole == base.shown else None,
    )


def _names_types(node: tree.Node) -> bool:
    return any(term.field == "type" for term in tree.terms(node))


def views(viewer: Viewer, asked: Asked | None) -> list[View]:
    """The tabs: ours, then the partner's saved feeds; behind so many, one that leads to all of them. One query."""
    ours = (
        (gettext("In force"), ""),
        (gettext("Ours"), "from:mine"),
        (gettext("Ends this week"), "until:<7d"),
        (gettext("Disputed, ours"), "from:mine standing:disputed,refuted"),
    )
    mine = Scope.PUBLISH in of_kind(viewer.kind)  # who only reads has nothing of its own
    made = [View(name, Filter(spelling.read_text(text))) for name, text in ours if mine or "from:mine" not in text]
    feeds = list(Feed.objects.of(viewer).order_by("name", "pk")[: _MOST_VIEWS + 1])
    made += [View(feed.name, subscribing.filter_of(feed), feed.pk) for feed in feeds[:_MOST_VIEWS]]
    made += [View(gettext("All feeds"), EVERYTHING, more=True) for _ in feeds[_MOST_VIEWS:]]
    if asked is None or asked.view or asked.problem:
        return made
    same = next((view for view in made if view.feed == asked.feed and view.filter == asked.shown), None)
    same = same or next((view for view in made if view.filter == asked.shown), None)
    return [replace(view, current=view is same) for view in made]


def fields(viewer: Viewer) -> list[dict[str, Any]]:
    """The grammar for completion in the browser: fields, what they say, and the values of closed sets. Two queries."""
    partners, groups = directory.slugs(viewer)
    named = {
        "publisher": partners,
        "group": groups,
        "until": ["<7d", "<30d", ">30d"],
        "age": ["<24h", "<7d", ">30d"],
        "publishers": [">=2", ">=3"],
        "confidence": [">=50", ">=80"],
    }
    return [
        {
            "name": one.name,
            "says": one.says,
            "values": list(one.closed) or named.get(one.name, []),
            "compares": one.compares,
        }
        for one in FIELDS.values()
    ]
