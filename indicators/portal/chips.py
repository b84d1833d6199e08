"""A filter as chips: one for each part that must hold; what a click on one makes of the filter. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from django.utils.translation import gettext

from exchange.translating import later
from indicators.feeds import spelling, tree
from indicators.feeds.fields import FIELDS
from indicators.feeds.spelling import BadText
from indicators.feeds.tree import Node, Not, Term

#: What a field is called on a chip.
LABELS = {
    "kind": later("Kind"),
    "subkind": later("Subkind"),
    "type": later("STIX type"),
    "publisher": later("Publisher"),
    "group": later("Group"),
    "standing": later("Standing"),
    "publishers": later("Publishers"),
    "confidence": later("Confidence"),
    "severity": later("Severity"),
    "tlp": "TLP",
    "technique": later("Technique"),
    "elicitation": later("Elicits"),
    "benign_hits": later("Ordinary prompts hit"),
    "control": later("Control"),
    "shared": later("Shared network"),
    "detector": later("Detector"),
    "label": later("Label"),
    "words": later("Words"),
    "age": later("Made"),
    "until": later("Ends"),
    "from": later("From"),
    "entries": later("In lists"),
    "matched": later("Matched"),
    "campaign": later("Campaign"),
}
_COMPARED = {">=": later("{} or more"), "<=": later("{} or less"), ">": later("above {}"), "<": later("below {}")}
_ORDERED = {">=": later("{} or higher"), "<=": later("{} or lower"), ">": later("above {}"), "<": later("below {}")}
_TIMES = {
    ("until", "<"): later("within {}"),
    ("until", "<="): later("within {}"),
    ("until", ">"): later("in more than {}"),
    ("until", ">="): later("in {} or later"),
    ("age", "<"): later("within {}"),
    ("age", "<="): later("within {}"),
    ("age", ">"): later("more than {} ago"),
    ("age", ">="): later("{} ago or before"),
}


@dataclass(frozen=True, slots=True)
class Chip:
    """One part: its place among the parts, what it says, and the text that it is written as."""

    place: int
    label: str
    says: str
    negated: bool
    text: str


def chips(node: Node) -> list[Chip]:
    """The parts that must all hold, as they stand."""
    return [_chip(place, part) for place, part in enumerate(_parts(node))]


def without(node: Node, place: int) -> Node:
    """The filter without one part."""
    return tree.every(part for at, part in enumerate(_parts(node)) if at != place)


def turned(node: Node, place: int) -> Node:
    """The filter with one part turned round."""
    return tree.every(tree.none_of(part) if at == place else part for at, part in enumerate(_parts(node)))


def joined(node: Node, other: Node, *, how: str) -> Node:
    """The filter and another: both, not the other, or one of the two."""
    if how == "or" and node != tree.EVERYTHING:
        return tree.some([node, other])
    return tree.every([node, tree.none_of(other) if how == "not" else other])


def toggled(node: Node, other: Node) -> Node:
    """The filter with a part, or without it where it has it."""
    parts = _parts(node)
    return tree.every(part for part in parts if part != other) if other in parts else tree.every([*parts, other])


def without_words(node: Node) -> tuple[Node, str]:
    """The filter without the first part that looks for words or a value, and these: they have an index of their own."""
    for place, part in enumerate(_parts(node)):
        if isinstance(part, Term) and part.field == "words" and len(part.values) == 1:
            return without(node, place), str(part.values[0])
    return node, ""


def names_words(node: Node) -> bool:
    """Whether it looks for words or a value, which is not to stand in an address."""
    return any(term.field in ("words", "label") for term in tree.terms(node))


def nearest(text: str, wrong: BadText) -> tuple[str, str]:
    """The field that is meant where a line names one that there is not, and the line with it; empty where none is."""
    if wrong.code != "unknown-filter":
        return "", ""
    said = text[wrong.character :].partition(":")[0]
    close = difflib.get_close_matches(said.lower(), list(FIELDS), n=1, cutoff=0.5)
    if not close:
        return "", ""
    return close[0], f"{text[: wrong.character]}{close[0]}{text[wrong.character + len(said) :]}"


def _parts(node: Node) -> tuple[Node, ...]:
    return tree.conjuncts(node)


def _chip(place: int, part: Node) -> Chip:
    inner = part.part if isinstance(part, Not) else part
    negated = isinstance(part, Not)
    text = spelling.write_text(part)
    if not isinstance(inner, Term):
        return Chip(place, "", spelling.write_text(inner), negated, text)
    return Chip(place, LABELS[inner.field], _says(inner), negated, text)


def _says(term: Term) -> str:
    values = [FIELDS[term.field].write(value).replace("_", " ") for value in term.values]
    if term.op == "is":
        return gettext(" or ").join(values)
    if term.field in ("until", "age"):
        return _TIMES[term.field, term.op].format(values[0])
    form = _COMPARED if term.field in ("publishers", "confidence") else _ORDERED
    return form[term.op].format(values[0])
