"""A filter as a value: a tree of terms (`tree`), in any of its spellings (`spelling`), as SQL (`sql`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from exchange.errors import Refused
from exchange.parameters import Parameters
from indicators.feeds import former, naming, spelling, tree
from indicators.feeds.fields import FIELDS, STANDINGS
from indicators.feeds.sql import Condition, Starts, fits
from indicators.feeds.tree import EVERYTHING as ALL
from indicators.feeds.tree import Node, Term
from indicators.stix import vocabulary
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader wants to see of what it may see. Publishers and groups are named by their ids."""

    tree: Node = ALL

    @classmethod
    def of(
        cls,
        *,
        kinds: Iterable[str] = (),
        subkinds: Iterable[str] = (),
        types: Iterable[str] = (),
        publishers: Iterable[str] = (),
        min_confidence: int = 0,
        with_entries: bool = False,
    ) -> Filter:
        """All of these; what is left out filters nothing."""
        said = {"kind": kinds, "subkind": subkinds, "type": types, "publisher": publishers}
        terms = [tree.term(field, values) for field, given in said.items() if (values := tuple(given))]
        if min_confidence:
            terms.append(tree.term("confidence", [min_confidence], ">="))
        if with_entries:
            terms.append(tree.term("entries", ["true"]))
        return cls(_merged(terms))

    @property
    def scope(self) -> str:
        """One string for the filter, into which cursors are bound; equal filters give equal strings."""
        return _scope_of(self.tree)

    @property
    def text(self) -> str:
        """The filter in one line, with ids for names; `spoken` has names."""
        return spelling.write_text(self.tree)

    @property
    def moving(self) -> str:
        """A field that it asks for and that changes without a change in the log; empty where there is none."""
        return next((term.field for term in tree.terms(self.tree) if FIELDS[term.field].moves), "")

    @property
    def says_standing(self) -> bool:
        """Whether it says itself which standings it wants: else lists leave out what is disputed or refuted."""
        return any(term.field == "standing" for term in tree.terms(self.tree))

    @property
    def standings(self) -> tuple[str, ...]:
        """Those that it may let through, from the best; none where it names none: then lists leave out the disarmed."""
        return tuple(one for one in STANDINGS if _may_stand(self.tree, one)) if self.says_standing else ()

    @property
    def among(self) -> Filter:
        """Of its parts that must all hold, those on publishers: from which holdings of an id the line is chosen."""
        parts = [part for part in tree.conjuncts(self.tree) if isinstance(part, Term) and part.field == "publisher"]
        return Filter(tree.every(parts))

    def narrowed(self, *, kinds: tuple[str, ...] = (), types: tuple[str, ...] = ()) -> Filter:
        """This filter, and of it only these kinds and types."""
        return self.within(Filter.of(kinds=kinds, types=types))

    def within(self, other: Filter) -> Filter:
        """What this filter and the other both let through."""
        parts = [*tree.conjuncts(self.tree), *tree.conjuncts(other.tree)]
        return Filter(_merged(parts)) if parts else EVERYTHING

    def followable(self) -> Filter:
        """The same, if what it lets through changes by changes of the log alone. Raises Refused naming the field."""
        if self.moving:
            raise Refused(
                f"What `{self.moving}` says changes by itself, so this filter cannot be followed here: save it as a"
                " feed, and follow that by its delta, a stream, a webhook or TAXII.",
                code="filter-moves",
                at=f"/filter/{self.moving}",
            )
        return self

    def sql(
        self, viewer: Viewer, version: str = "o", holding: str = "h", *, prefix: str = "filter"
    ) -> tuple[str, dict[str, Any]]:
        """A condition on a version and its holding, with a leading AND, and its parameters; nothing for everything."""
        if self.tree == ALL:
            return "", {}
        condition = Condition(viewer, version=version, holding=holding, prefix=prefix)
        return f"AND {condition.sql(self.tree)}", condition.parameters

    def starts(self, viewer: Viewer, *, prefix: str = "start") -> tuple[Starts, dict[str, Any]]:
        """A query for the keys of holdings among which all is that it lets through, and its parameters."""
        condition = Condition(viewer, version="o", holding="h", prefix=prefix)
        return condition.starts(self.tree), condition.parameters

    def to_json(self) -> dict[str, Any]:
        """The form that is stored and that the API shows."""
        return spelling.write_json(self.tree)


EVERYTHING = Filter()
_PARAMETERS = spelling.parameter_names()


def _may_stand(node: Node, standing: str) -> bool:
    return True in _outcomes(node, standing)


def _outcomes(node: Node, standing: str) -> frozenset[bool]:
    """What a filter may say of an object that stands so, whatever else is said of it. Pure."""
    if isinstance(node, Term):
        return frozenset([fits(node, STANDINGS, standing)] if node.field == "standing" else [True, False])
    if isinstance(node, tree.Not):
        return frozenset(not one for one in _outcomes(node.part, standing))
    parts = [_outcomes(part, standing) for part in node.parts]
    ends = isinstance(node, tree.Any)  # what one part decides for all: True of an `any`, False of an `all`
    decided = {ends} if any(ends in one for one in parts) else set()
    return frozenset(decided | ({not ends} if all((not ends) in one for one in parts) else set()))


@lru_cache(maxsize=1_024)
def _scope_of(node: Node) -> str:
    """What could be said before a filter was a tree is spelled as then, so that cursors of that time go on."""
    said: dict[str, Any] = {}
    for part in tree.conjuncts(node):
        name = _FORMER.get((part.field, part.op)) if isinstance(part, Term) else None
        if not isinstance(part, Term) or name is None or name in said:
            return spelling.write_text(node)
        said[name] = part.values[0] if name == "min_confidence" else part.values
        if name == "with_entries":
            said[name] = part.values == ("true",)
    return ";".join(f"{name}={said[name]}" for name in sorted(said) if said[name])


_FORMER = {
    ("confidence", ">="): "min_confidence",
    ("entries", "is"): "with_entries",
    ("kind", "is"): "kinds",
    ("publisher", "is"): "publishers",
    ("subkind", "is"): "subkinds",
    ("type", "is"): "types",
}


def parse(document: Mapping[str, Any]) -> Filter:
    """Read a stored filter, or one as JSON. Raises Refused naming the field."""
    return Filter.of(**former.read(document)) if former.is_former(document) else Filter(spelling.read_json(document))


def accepted(viewer: Viewer, given: Mapping[str, Any] | str) -> Filter:
    """Read a filter that the viewer gives, as JSON or as text. Raises Refused for what it names and there is not."""
    wanted = Filter(spelling.read_text(given)) if isinstance(given, str) else parse(given)
    check_subkinds(
        wanted, at="/filter/subkinds" if isinstance(given, Mapping) and former.is_former(given) else "/filter"
    )
    return Filter(naming.with_ids(viewer, wanted.tree))


def spoken(wanted: Filter) -> str:
    """The filter in one line, with the slugs of publishers and groups. Two queries at most."""
    return spelling.write_text(naming.with_slugs(wanted.tree))


def from_address(viewer: Viewer, asked: Parameters) -> Filter:
    """The filter that the parameters of a request spell. Raises Refused naming the parameter.

    `min_confidence` is the former word for a comparison.
    """
    given = asked.narrowing((*_PARAMETERS, "min_confidence"))
    if not given:
        return EVERYTHING  # as most polls ask
    given.pop("min_confidence", None)
    wanted = Filter(spelling.read_parameters(given))
    least = asked.number("min_confidence", 0, least=0, most=100)
    wanted = wanted.within(Filter.of(min_confidence=least))
    check_subkinds(wanted, at="/subkind")
    return Filter(naming.with_ids(viewer, wanted.tree, at="/publisher"))


def check_subkinds(wanted: Filter, *, at: str) -> None:
    """Raise Refused for a subkind of none of the kinds that are asked for: it would select nothing."""
    said = {part.field: part.values for part in tree.conjuncts(wanted.tree) if isinstance(part, Term)}
    if "subkind" in said and "kind" in said:
        subkinds(tuple(map(str, said["subkind"])), kinds=tuple(map(str, said["kind"])), at=at)


def kinds(words: tuple[str, ...], *, at: str) -> tuple[str, ...]:
    """The same words, if each is a kind. Raises Refused listing the kinds."""
    return _among(words, sorted(vocabulary.SUBKINDS), code="unknown-kind", at=at)


def subkinds(words: tuple[str, ...], *, kinds: tuple[str, ...] = (), at: str) -> tuple[str, ...]:
    """The same words, if each is a subkind, of one of these kinds if any are named. Raises Refused listing them."""
    of = kinds or tuple(vocabulary.SUBKINDS)
    allowed = sorted(name for kind in of for name in vocabulary.SUBKINDS.get(kind, ()))
    return _among(words, allowed, code="unknown-subkind", at=at)


def _among(words: tuple[str, ...], allowed: list[str], *, code: str, at: str) -> tuple[str, ...]:
    if not set(words) <= set(allowed):
        raise Refused(f"One or more of: {', '.join(allowed)}.", code=code, at=at)
    return words


#: Of these an object has one value at most, so that two terms on it are one on what both allow.
_SINGLE = frozenset({"kind", "publisher", "subkind", "type"})


def _merged(parts: Sequence[Node]) -> Node:
    """All of these, two terms on one field as one where they have values in common."""
    kept: dict[object, Node] = {}
    for part in parts:
        key = (part.field, part.op) if isinstance(part, Term) else part
        before = kept.get(key)
        both = _both(before, part) if isinstance(before, Term) and isinstance(part, Term) else None
        kept[part if before is not None and both is None else key] = both or part
    return tree.every(kept.values())


def _both(one: Term, other: Term) -> Term | None:
    """One term for two on the same field; None where they do not become one."""
    if one.field == "confidence" and one.op == ">=":
        return max(one, other, key=lambda term: int(term.values[0]))
    values = set(one.values) & set(other.values) if one.field in _SINGLE else ()
    return tree.term(one.field, values) if values else None
