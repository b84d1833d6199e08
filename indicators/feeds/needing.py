"""What every object that a filter lets through has, as sets of words (`log.traits`): of each set one word at least.

Reading starts at the rows that have them and asks the filter of each. So a set may be too wide, and a part of a filter
may give none; what it lets through must never lack one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import product
from math import prod

from exchange import clock
from exchange.stix import words
from indicators.feeds.sql import FACETS, fits
from indicators.feeds.tree import All, Node, Not, Op, Term
from indicators.log import traits
from indicators.stix.facets import facet
from partners.groups import directory
from partners.tlp import Tlp
from partners.viewer import Viewer

Need = frozenset[str]
#: A set with more words leads nowhere sooner than the log does.
_MOST_WORDS, _MOST_DAYS = 80, 45
_MOST_PARTNERS = 40
#: Of alternatives that need several words each, so many sets are made at most: one of each joined with one of each.
_MOST_JOINED = 8


def needs(viewer: Viewer, node: Node) -> list[Need]:
    """The sets of words of which each object that the filter lets through has one."""
    return [need for need in _needs(viewer, node, turned=False) if len(need) <= _MOST_WORDS]


def _needs(viewer: Viewer, node: Node, *, turned: bool) -> list[Need]:
    if isinstance(node, Not):
        return _needs(viewer, node.part, turned=not turned)
    if isinstance(node, Term):
        said = _of_term(viewer, node, turned=turned)
        return [] if said is None else [said]
    parts = [_needs(viewer, part, turned=turned) for part in node.parts]
    if isinstance(node, All) != turned:
        return [need for part in parts for need in part]
    if not parts or not all(parts):
        return []
    if prod(map(len, parts)) > _MOST_JOINED:
        parts = [[min(part, key=len)] for part in parts]
    return [frozenset().union(*joined) for joined in product(*parts)]


def _of_term(viewer: Viewer, term: Term, *, turned: bool) -> Need | None:
    """The words of which what the term lets through (turned: does not) has one; None where that is not known."""
    if term.field in _ONE_OF:
        everything = _ONE_OF[term.field]
        wanted = set(_chosen(term))
        return frozenset(f"{term.field}={word}" for word in everything if (word in wanted) != turned)
    if turned and term.field == "from" and len(term.values) == 1:
        return _from(viewer, Term("from", ("others" if term.values == ("mine",) else "mine",)))
    if turned:
        return _TURNED[term.field](term) if term.field in _TURNED else None
    return _PLAIN[term.field](viewer, term) if term.field in _PLAIN else None


def _chosen(term: Term) -> Iterable[str]:
    """Of a field with one value: the words that it lets through."""
    if term.field == "tlp":
        return [str(tlp.value) for tlp in Tlp if fits(term, [each.word for each in Tlp], tlp.word)]
    if term.field == "severity":
        return [word for word in words.SEVERITIES if fits(term, words.SEVERITIES, word)]
    return [str(value) for value in term.values]


_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
}
#: Fields of which each object has one value or none.
_ONE_OF = {
    "kind": (*sorted(words.SUBKINDS), traits.NONE),
    "subkind": (*sorted(words.KIND_OF), traits.NONE),
    "severity": (*words.SEVERITIES, traits.NONE),
    "tlp": tuple(str(tlp.value) for tlp in Tlp),
}


def _facets(_viewer: Viewer, term: Term) -> Need:
    return frozenset(facet(FACETS[term.field], str(value)) for value in term.values)


def _named(_viewer: Viewer, term: Term) -> Need:
    return frozenset(f"{term.field}={value}" for value in term.values)


def _from(viewer: Viewer, term: Term) -> Need | None:
    """Where there are few others: what is theirs is theirs by name."""
    if term.values == ("mine",):
        return frozenset({f"publisher={viewer.partner_id}"})
    if "mine" in term.values:
        return None
    others = directory.known().exclude(pk=viewer.partner_id).values_list("pk", flat=True)[: _MOST_PARTNERS + 1]
    return frozenset(f"publisher={other}" for other in others) if len(others) <= _MOST_PARTNERS else None


def _confidence(_viewer: Viewer | None, term: Term) -> Need:
    tens = [(tens, range(10 * tens, 10 * tens + 10)) for tens in range(11)] + [(-1, range(-1, 0))]
    return frozenset(
        f"confidence={word}"
        for word, values in tens
        if any(
            value in term.values if term.op == "is" else _COMPARED[term.op](value, int(term.values[0]))
            for value in values
        )
    )


def _confidence_turned(term: Term) -> Need | None:
    opposite: dict[Op, Op] = {">=": "<", "<": ">=", ">": "<=", "<=": ">"}
    turned = opposite.get(term.op)
    return _confidence(None, Term(term.field, term.values, turned)) if turned else None


def _standing(_viewer: Viewer, term: Term) -> Need | None:
    return None if "unreviewed" in term.values else frozenset({traits.JUDGED})


def _standing_turned(term: Term) -> Need | None:
    return frozenset({traits.JUDGED}) if "unreviewed" in term.values else None


def _publishers(_viewer: Viewer, term: Term) -> Need | None:
    """Two partners say a value only where it is shared."""
    least = min(map(int, term.values))
    more = (term.op in {"is", ">="} and least > 1) or term.op == ">"
    return frozenset({traits.MATCHED}) if more else None


def _publishers_turned(term: Term) -> Need | None:
    at_most_one = (term.op == "<" and int(term.values[0]) > 1) or term.op == "<="
    at_most_one = at_most_one or (term.op == "is" and 1 in map(int, term.values))
    return frozenset({traits.MATCHED}) if at_most_one else None


def _entries(_viewer: Viewer, term: Term) -> Need | None:
    return frozenset(f"entries={value}" for value in term.values)


def _entries_turned(term: Term) -> Need | None:
    return frozenset({"entries=true", "entries=false"} - {f"entries={value}" for value in term.values})


def _matched(_viewer: Viewer, term: Term) -> Need | None:
    return frozenset({traits.MATCHED}) if term.values == ("true",) else None


def _matched_turned(term: Term) -> Need | None:
    return frozenset({traits.MATCHED}) if term.values == ("false",) else None


def _age(_viewer: Viewer, term: Term) -> Need | None:
    """The days or months, UTC, in which it may have been made; a version may be dated an hour ahead."""
    limit = clock.now() - timedelta(hours=int(term.values[0]))
    if term.op.startswith("<"):
        return _days("age", limit.date(), clock.now().date() + timedelta(days=1))
    return _months("age", None, limit.date())


def _until(_viewer: Viewer, term: Term) -> Need | None:
    """The same of its end: of this month the days, and the months before."""
    limit = (clock.now() + timedelta(hours=int(term.values[0]))).date()
    if term.op.startswith(">"):
        return _months("until", limit, None)
    month = clock.now().date().replace(day=1)
    days = _days("until", month, limit + timedelta(days=1))
    return None if days is None else days | _months("until", None, month - timedelta(days=1))


def _days(name: str, first: date, last: date) -> Need | None:
    count = (last - first).days + 1
    if count > _MOST_DAYS:
        return None
    return frozenset(f"{name}={first + timedelta(days=day):%Y%m%d}" for day in range(count))


def _months(name: str, first: date | None, last: date | None) -> Need:
    """All months from one day's to another's; without one, from the first word or to the last."""
    begin = traits.FIRST_YEAR * 12 if first is None else first.year * 12 + first.month - 1
    end = traits.LAST_YEAR * 12 + 11 if last is None else last.year * 12 + last.month - 1
    months = range(max(begin, traits.FIRST_YEAR * 12), min(end, traits.LAST_YEAR * 12 + 11) + 1)
    found = {f"{name}={month // 12:04}{month % 12 + 1:02}" for month in months}
    found |= {f"{name}={traits.PAST}"} if begin <= traits.FIRST_YEAR * 12 else set()
    return frozenset(found | ({f"{name}={traits.LATER}"} if end >= traits.LAST_YEAR * 12 + 11 else set()))


_PLAIN: dict[str, Callable[[Viewer, Term], Need | None]] = {
    "age": _age,
    "benign_hits": _facets,
    "confidence": _confidence,
    "control": _facets,
    "detector": _facets,
    "elicitation": _facets,
    "entries": _entries,
    "from": _from,
    "group": _named,
    "label": _facets,
    "matched": _matched,
    "publisher": _named,
    "publishers": _publishers,
    "shared": _facets,
    "standing": _standing,
    "technique": _facets,
    "type": _named,
    "until": _until,
}
_TURNED: dict[str, Callable[[Term], Need | None]] = {
    "confidence": _confidence_turned,
    "entries": _entries_turned,
    "matched": _matched_turned,
    "publishers": _publishers_turned,
    "standing": _standing_turned,
}
