"""What the page of an indicator sets side by side: the same value at other labs, two versions, an object as a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils.translation import gettext, ngettext

from indicators.portal import showing
from indicators.reading import Statement
from indicators.stix import vocabulary
from partners.portal import letters
from partners.portal.letters import Lab
from partners.viewer import Viewer

_COMPARED = ("did", "control", "review", "volume")
_MOST_CHANGES = 60
_MOST_NODES = 1_500
_MOST_DEPTH = 24


@dataclass(frozen=True, slots=True)
class Compared:
    """What one lab says of the value; `differs` names the columns in which most others say something else."""

    lab: Lab
    name: str
    stix_id: str
    here: bool
    added: Any
    did: str
    control: str
    review: str
    confidence: int | None
    until: Any
    volume: str
    differs: frozenset[str] = frozenset()


def same_value(viewer: Viewer, known: dict[Any, Lab], found: Sequence[Statement], *, here: str) -> list[Compared]:
    """A row for each statement, ours first, then by the letter of the lab; `here` is the id of the page."""
    rows = [_said(viewer, known, one, here=here) for one in found]
    usual = (
        {name: Counter(getattr(row, name) for row in rows).most_common(1)[0][0] for name in _COMPARED} if rows else {}
    )
    marked = [
        Compared(**{slot: getattr(row, slot) for slot in _SLOTS}, differs=frozenset(_unlike(row, usual)))
        if len(rows) > 1
        else row
        for row in rows
    ]
    return sorted(marked, key=lambda row: (row.lab.shown != "us", row.lab.shown == "veiled", row.lab.letter, row.added))


_SLOTS = ("lab", "name", "stix_id", "here", "added", "did", "control", "review", "confidence", "until", "volume")


def _unlike(row: Compared, usual: dict[str, str]) -> Iterator[str]:
    return (name for name, value in usual.items() if getattr(row, name) != value)


def _said(viewer: Viewer, known: dict[Any, Lab], one: Statement, *, here: str) -> Compared:
    extension = dict(vocabulary.extension_of(orjson.loads(one.body)) or {})
    said = {label: showing.plain_fact(extension.get(name)) for name, label in _FACTS.items()}
    lab = known.get(one.publisher_id, letters.VEILED)
    name = (
        gettext("{publisher_name}, you").format(publisher_name=one.publisher_name)
        if one.publisher_id == viewer.partner_id
        else one.publisher_name
    )
    return Compared(
        lab, name, one.stix_id, one.stix_id == here, one.date_added,
        said["did"], said["control"], said["review"], one.confidence, one.valid_until, said["volume"],
    )  # fmt: skip


_FACTS = {"publisher_action": "did", "control": "control", "review": "review", "volume_bucket": "volume"}


@dataclass(frozen=True, slots=True)
class Changed:
    """One place in which a version differs from the one before."""

    path: str
    before: str
    after: str


def changes(before: str, after: str) -> list[Changed]:
    """What a version changed, by path; the moment of the version itself is left out."""
    old, new = dict(_leaves(orjson.loads(before))), dict(_leaves(orjson.loads(after)))
    paths = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path) and path != "/modified"]
    told = [Changed(path, old.get(path, ""), new.get(path, "")) for path in paths[:_MOST_CHANGES]]
    if (more := len(paths) - len(told)) > 0:
        said = ngettext("{n} more place, in the exact bytes", "{n} more places, in the exact bytes", more)
        told.append(Changed("…", "", said.format(n=f"{more:,}")))
    return told


def _leaves(value: Any, path: str = "", level: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value and level < _MOST_DEPTH:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}/{name}", level + 1)
    elif isinstance(value, list) and value and level < _MOST_DEPTH:
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}/{place}", level + 1)
    else:
        yield path, orjson.dumps(value).decode()


@dataclass(slots=True)
class Node:
    """One property of an object: a text, or what lies in it."""

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)
    open: bool = False


def tree(body: str) -> list[Node]:
    """An object as a tree, for reading; large ones are cut, their exact bytes stand beside it."""
    left = [_MOST_NODES]
    return _nodes(orjson.loads(body), left, level=0)


def _nodes(value: Any, left: list[int], *, level: int) -> list[Node]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    made = []
    for name, inner in pairs:
        if left[0] <= 0:
            made.append(Node("…", gettext("more in the exact bytes")))
            break
        left[0] -= 1
        if isinstance(inner, dict | list) and inner and level < _MOST_DEPTH:
            made.append(Node(str(name), _count(inner), _nodes(inner, left, level=level + 1), open=level < 1))
        else:
            made.append(Node(str(name), orjson.dumps(inner).decode()))
    return made


def _count(inner: dict[str, Any] | list[Any]) -> str:
    members = ngettext("{count} member", "{count} members", len(inner))
    elements = ngettext("{count} element", "{count} elements", len(inner))
    return (members if isinstance(inner, dict) else elements).format(count=len(inner))
