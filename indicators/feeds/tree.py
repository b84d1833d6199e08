"""A filter as a small tree: terms on fields, joined by `all` and `any`, turned round by `not`. Pure.

A tree is made by the functions here alone, so that each has one form: parts are in order and each is there once, what
is nested in its like is lifted, and a `not` stands before a term, an `all` or an `any`. Two filters that are written
differently but say the same thing in this sense are equal, and cursors bound to them are, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from exchange.errors import Refused

#: How a term compares: `is` one of its values; all others compare with its one value.
Op = Literal["is", ">=", "<=", ">", "<"]
OPS: tuple[Op, ...] = (">=", "<=", ">", "<")
Value = str | int

MAX_TERMS = 60
MAX_DEPTH = 6
_CODE = "bad-filter"


@dataclass(frozen=True, slots=True)
class Term:
    """What one field says: it is one of these values, or compares with the only one."""

    field: str
    values: tuple[Value, ...]
    op: Op = "is"


@dataclass(frozen=True, slots=True)
class Not:
    """What the part does not let through."""

    part: Term | All | Any


@dataclass(frozen=True, slots=True)
class All:
    """What every part lets through; of none: everything."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """What some part lets through."""

    parts: tuple[Node, ...]


Node = Term | Not | All | Any

EVERYTHING = All()


def every(parts: Iterable[Node]) -> Node:
    """What all of these let through. Raises Refused where it becomes too large."""
    return _joined(All, [part for part in parts if part != EVERYTHING])


def some(parts: Iterable[Node]) -> Node:
    """What one of these, at least one, lets through. Raises Refused where it becomes too large."""
    found = list(parts)
    return EVERYTHING if EVERYTHING in found else _joined(Any, found)


def none_of(part: Node) -> Node:
    """What this does not let through. Raises Refused where this is everything."""
    if isinstance(part, Not):
        return part.part
    if part == EVERYTHING:
        raise Refused("Say what is not to be let through.", code=_CODE, at="/filter")
    return bounded(Not(part))


def term(field: str, values: Iterable[Value], op: Op = "is") -> Term:
    """A term; its values in order, each once."""
    return Term(field, tuple(sorted(set(values), key=str)), op)


def _joined(join: type[All | Any], parts: Iterable[Node]) -> Node:
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, join) else [part])
    kept = sorted(set(flat), key=_order)
    return bounded(kept[0] if len(kept) == 1 else join(tuple(kept)))


def _order(node: Node) -> tuple[int, str]:
    """Terms first, and last what is turned round."""
    return (0 if isinstance(node, Term) else 2 if isinstance(node, Not) else 1, repr(node))


def bounded(node: Node) -> Node:
    """The same, if it is not too large. Raises Refused."""
    if sum(1 for _ in terms(node)) > MAX_TERMS:
        raise Refused(f"A filter has at most {MAX_TERMS} terms.", code=_CODE, at="/filter")
    if depth(node) > MAX_DEPTH:
        raise Refused(f"A filter is at most {MAX_DEPTH} levels deep.", code=_CODE, at="/filter")
    return node


def depth(node: Node) -> int:
    """How many levels there are, a term being one."""
    if isinstance(node, Term):
        return 1
    if isinstance(node, Not):
        return 1 + depth(node.part)
    return 1 + max((depth(part) for part in node.parts), default=0)


def terms(node: Node) -> Iterator[Term]:
    """All terms, as they stand."""
    if isinstance(node, Term):
        yield node
    elif isinstance(node, Not):
        yield from terms(node.part)
    else:
        for part in node.parts:
            yield from terms(part)


def mapped(node: Node, change: Callable[[Term], Term]) -> Node:
    """The tree with another term in place of each."""
    if isinstance(node, Term):
        return change(node)
    if isinstance(node, Not):
        return none_of(mapped(node.part, change))
    parts = [mapped(part, change) for part in node.parts]
    return every(parts) if isinstance(node, All) else some(parts)


def conjuncts(node: Node) -> tuple[Node, ...]:
    """The parts that must all hold."""
    return node.parts if isinstance(node, All) else (node,)
