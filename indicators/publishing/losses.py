"""What a batch lost on its way in: sums of what was refused and marked, and the references that lead nowhere.

A reference resolves if its object entered with the batch or is something that the publisher may see. What is invisible
is as unresolved as what is absent, so the report tells nothing of what others hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from indicators import reading
from indicators.publishing import Answer
from indicators.reading import referred
from indicators.stix import references, tlp
from indicators.stix.drafts import Draft, Unreadable
from partners.groups import directory
from partners.viewer import Viewer

_ENTERED = frozenset({"accepted", "unchanged"})


def report(elements: Sequence[Draft | Unreadable], done: Answer, *, by: Viewer) -> dict[str, Any]:
    """The report on an answered batch. At most three queries, however large it is."""
    results: list[dict[str, Any]] = orjson.loads(done.results)
    entered = {result["id"] for result in results if result["status"] in _ENTERED}
    held_back = {result["id"] for result in results if result["status"] not in _ENTERED and result["id"]} - entered
    named: list[dict[str, Any]] = [
        {"index": element.index, "id": element.stix_id, "field": references.told(ref.path), "ref": ref.target}
        for element, result in zip(elements, results, strict=True)
        if isinstance(element, Draft) and result["status"] in _ENTERED
        for ref in element.references
        if ref.target not in entered and not _is_always_there(ref.target)
    ]
    resolved = _resolved({reference["ref"] for reference in named}, by=by)
    unresolved = [reference for reference in named if reference["ref"] not in resolved]
    return {
        "counts": {**done.counts, "marked": sum("marks" in result for result in results)},
        "marks": _tally(mark["code"] for result in results for mark in result.get("marks", ())),
        "reasons": _tally(result["code"] for result in results if "code" in result),
        "unresolved": [reference for reference in unresolved if reference["ref"] not in held_back],
        "dangling": [reference for reference in unresolved if reference["ref"] in held_back],
    }


def _resolved(refs: set[str], *, by: Viewer) -> set[str]:
    """Of these ids, those that the publisher may see anything of; who the partners are, all partners know."""
    if not refs:
        return set()
    partners = set(directory.known().filter(identity_id__in=_identities(refs)).values_list("identity_id", flat=True))
    return reading.visible(by, refs) | partners


def _identities(refs: set[str]) -> list[str]:
    return [ref for ref in refs if ref.startswith("identity--")]


def _is_always_there(target: str) -> bool:
    """Whether a reference needs no object beside it: a standard marking, what the exchange stands for, an extension."""
    return target in tlp.ALL_IDS or target.startswith("extension-definition--") or referred.is_fixed(target)


def _tally(codes: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(codes).items()))
