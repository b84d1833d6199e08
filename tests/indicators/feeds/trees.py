"""Hypothesis: filters of any shape that the grammar allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from indicators.feeds import tree
from indicators.feeds.fields import FIELDS, read_term
from indicators.feeds.tree import Node
from indicators.stix import facets

_FREE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(facets.tidy)
_VALUES: dict[str, Any] = {
    "type": st.sampled_from(["indicator", "campaign", "x-some-type"]),
    "publisher": st.one_of(st.sampled_from(["aster", "borealis", "or"]), st.uuids().map(str)),
    "group": st.sampled_from(["ring", "not"]),
    "campaign": st.uuids().map(lambda one: f"campaign--{one}"),
    "publishers": st.integers(1, 4).map(str),
    "confidence": st.integers(0, 100).map(str),
    "detector": st.sampled_from(["d-0123abcd", "d-89abcdef"]),
    "technique": st.sampled_from(["AML.T0021", "AML.T0024.002"]),
    "label": _FREE,
    "words": _FREE,
    "age": st.integers(1, 100).flatmap(lambda many: st.sampled_from([f"{many}h", f"{many}d", f"{many}w"])),
    "until": st.sampled_from(["1h", "24h", "7d", "2w"]),
}


@st.composite
def _terms(draw: st.DrawFn, values_of: Mapping[str, Any]) -> Node:
    field = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    values = st.sampled_from(field.closed) if field.closed else values_of[field.name]
    if field.compares and (not field.equals or draw(st.booleans())):
        return read_term(field.name, [draw(values)], draw(st.sampled_from(tree.OPS)))
    return read_term(field.name, draw(st.lists(values, min_size=1, max_size=4)))


def _is_small(node: Node) -> bool:
    return tree.depth(node) < tree.MAX_DEPTH


def trees(*, words: Sequence[str] = (), labels: Sequence[str] = (), **values: Sequence[str]) -> st.SearchStrategy[Node]:
    """Any filter; with values, those alone for their fields."""
    given = {"words": words, "label": labels, **values}
    chosen = {name: st.sampled_from(list(said)) for name, said in given.items() if said}
    return st.recursive(
        _terms({**_VALUES, **chosen}),
        lambda parts: st.one_of(
            st.lists(parts, min_size=1, max_size=3).map(tree.every),
            st.lists(parts, min_size=1, max_size=3).map(tree.some),
            parts.filter(_is_small).map(tree.none_of),
        ).filter(_is_small),
        max_leaves=8,
    )


TREES = trees()
