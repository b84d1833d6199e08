"""What of a row of the delta is taken in: whatever an exchange sends, one row that is malformed stops nothing.

An entry that cannot be read stands in no list, and the object is held without it. A row of which not even publisher, id
and end can be read is left out; then the set hash is another, and the list is not taken for proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.lists import sets
from exchange.lists.pages import is_text

_WORDS = ("kind", "subkind", "scheme", "value")
#: What reading a moment raises, of whatever stands there.
UNREADABLE = (ValueError, TypeError, AttributeError, ArithmeticError)


def usable(changes: Iterable[Any]) -> tuple[list[dict[str, Any]], int]:
    """The rows that can be applied, and how many rows and entries cannot."""
    rows, lost = [], 0
    for change in changes:
        row, left_out = _row(change)
        lost += left_out
        if row is not None:
            rows.append(row)
    return rows, lost


def _row(change: Any) -> tuple[dict[str, Any] | None, int]:
    publisher = change.get("publisher") if isinstance(change, Mapping) else None
    if not isinstance(publisher, Mapping):
        return None, 1
    if not (_is_name(publisher.get("id")) and is_text(publisher.get("name")) and _is_name(change.get("id"))):
        return None, 1
    row = dict(change)
    row["publisher"] = {**publisher, "named": publisher.get("named", True) is True}
    row["reason"] = _text(change.get("reason"))
    row["date_added"] = change.get("date_added") if _is_moment(change.get("date_added")) else None
    if change.get("op") != "upsert":
        return row, 0
    if not _is_moment(change.get("valid_until")) or not is_text(change.get("sha256") or ""):
        return None, 1
    row["standing"], confidence = _text(change.get("standing")), change.get("confidence")
    is_level = isinstance(confidence, int) and not isinstance(confidence, bool) and 0 <= confidence <= 100
    row["confidence"] = confidence if is_level else None
    told = change.get("entries") or ()
    entries = [one for one in told if _is_entry(one)] if isinstance(told, list | tuple) else []
    if not _is_moment(change.get("valid_from")):  # who knows when it begins
        row["valid_from"], entries = None, []
    row["entries"] = entries
    return row, len(told) - len(entries) if isinstance(told, list | tuple) else 1


def _is_entry(one: Any) -> bool:
    return (
        isinstance(one, Mapping)
        and all(is_text(one.get(word)) for word in _WORDS)
        and is_text(one.get("key_epoch", ""))
        and bool(one["value"])
    )


def _is_name(word: Any) -> bool:
    return is_text(word) and bool(word)


def _is_moment(said: Any) -> bool:
    """A moment, or none."""
    try:
        sets.moment(said)
    except UNREADABLE:
        return False
    return True


def _text(said: Any) -> str:
    return said if is_text(said) else ""
