"""Why other bytes under a version that is held are refused: whether anything but the writing differs.

A pipeline that writes the same object anew, with other spacing, is told so: it has nothing to mend in its data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from indicators import stored
from indicators.publishing import storing
from indicators.publishing.results import Element, Result
from indicators.publishing.versions import VERSION_CONFLICT
from indicators.stix.drafts import Draft, Refusal

#: Of one batch so many are compared, and none that is larger.
_MAX_COMPARED = 100
_MAX_BYTES = 131_072

_Key = tuple[str, datetime | None]


def reworded(
    results: Sequence[Result], asked: Sequence[Element], held: Mapping[str, stored.Versions]
) -> Sequence[Result]:
    """The results, where a version conflict is one of spelling alone in better words. One query, or none."""
    refused = {result.index: result.verdict for result in results if isinstance(result.verdict, Refusal)}
    better = _respelt(refused, [each for each in asked if isinstance(each, Draft)], held) if refused else {}
    return [replace(each, verdict=better.get(each.index, each.verdict)) for each in results] if better else results


def _respelt(
    refused: Mapping[int, Refusal], drafts: Sequence[Draft], held: Mapping[str, stored.Versions]
) -> dict[int, Refusal]:
    """Those refusals of a batch, by index, that are for the spelling alone, in better words."""
    conflicts = [draft for draft in drafts if _is_conflict(refused.get(draft.index))][:_MAX_COMPARED]
    if not conflicts:
        return {}
    versions = {_key(draft): held.get(draft.stix_id, {}).get(draft.modified) for draft in conflicts}
    bodies = storing.bodies([one.object_id for one in versions.values() if one is not None], max_bytes=_MAX_BYTES)
    written = {
        key: bodies[one.object_id] for key, one in versions.items() if one is not None and one.object_id in bodies
    }
    for draft in drafts:  # the first of a batch is what the others contradict
        if versions.get(_key(draft), draft) is None and len(draft.raw) <= _MAX_BYTES:
            written.setdefault(_key(draft), draft.raw.decode())
    return dict(_same(conflicts, written))


def _same(conflicts: Sequence[Draft], written: Mapping[_Key, str]) -> Iterator[tuple[int, Refusal]]:
    for draft in conflicts:
        body = written.get(_key(draft))
        if body is not None and _content(json.loads(body)) == _content(draft.data):
            field = "/modified" if "modified" in draft.data else "/id"
            yield (
                draft.index,
                Refusal(
                    VERSION_CONFLICT,
                    field,
                    "You hold this version with the same content, written otherwise (spacing, order of properties);"
                    " those bytes stay.",
                ),
            )


def _is_conflict(refusal: Refusal | None) -> bool:
    return refusal is not None and refusal.code == VERSION_CONFLICT


def _key(draft: Draft) -> _Key:
    return draft.stix_id, draft.modified


def _content(data: Mapping[str, Any]) -> str:
    """What is said, however it is spaced, ordered and escaped; numbers count as they are written, 1 or 1.0."""
    return json.dumps(data, sort_keys=True)
