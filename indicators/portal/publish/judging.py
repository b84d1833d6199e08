"""What a draft's page says of each line: its state and why, whether it may go, and whether it is ticked at first.

Each object that is made of a value has a new id. So what we publish already, and what stands twice in a list, would
become a second holding of the same value: such a line may go, and is not ticked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from exchange.stix import words
from exchange.translating import later
from indicators.models import Preparation
from indicators.portal import showing
from indicators.publishing.preparing import STAYED, Row
from indicators.reading import carriers
from indicators.reading.carriers import Carrier
from indicators.stix import vocabulary
from indicators.values.carrying import key_of
from partners.viewer import Viewer

#: What may become of a line: its label, icon and tone.
STATES = {
    "new": (later("New"), "plus", "blue"),
    "revision": (later("New version"), "pencil", "blue"),
    "known": (later("Known to us"), "check", "good"),
    "twice": (later("Twice here"), "copy", "warn"),
    "waiting": (later("For a second person"), "eye", "warn"),
    "benign": ("Benign-listed", "shield", "warn"),
    "refused": (later("Refused"), "cross", "bad"),
    "stayed": (later("Stayed with you"), "lock", "warn"),
    "sent": (later("Published"), "check", "good"),
}
_GO = ("new", "revision", "known", "twice", "waiting")
_TICKED = ("new", "revision", "waiting")
_BENIGN = ("benign-listed",)
#: Behind it stands the list, in a refusal of the door; before it, what may be on lists at all.
_LISTED = " Listed as: "

Answer = Mapping[str, Any]
#: The values that an object carries, by the epoch of their key: those of any one epoch say what it matches on.
Values = Mapping[str, frozenset[UUID]]


@dataclass(frozen=True, slots=True)
class _Before:
    """What was said before of a line's value: by a holding of ours, or by an earlier line of the same list."""

    own: str = ""  # the id of the holding
    line: int | None = None


def lines(viewer: Viewer, one: Preparation, answers: Mapping[int, Answer], *, blocked: bool) -> list[dict[str, Any]]:
    """Each line in the order of the file. `answers` are the door's, by the number of the row. Queries of `carriers`."""
    values = {row["n"]: _values(row) for row in one.rows}
    said = carriers.of(viewer, {key for found in values.values() for keys in found.values() for key in keys})
    earlier: dict[frozenset[UUID], int] = {}
    found = []
    for row in one.rows:
        before = _Before(_own(values[row["n"]], said, row), earlier.get(_all(values[row["n"]])))
        answer = answers.get(row["n"])
        state, why = _state(row, answer, before)
        if state in _GO and values[row["n"]]:
            earlier.setdefault(_all(values[row["n"]]), _place(row))
        found.append(_line(row, state, why, before, blocked=blocked, waits=_status(answer) == "waiting"))
    return found


def _line(row: Row, state: str, why: str, before: _Before, *, blocked: bool, waits: bool) -> dict[str, Any]:
    extension = vocabulary.extension_of(row["object"]) if row["object"] else None
    label, icon, tone = STATES[state]
    return {
        "n": row["n"],
        "line": _place(row),
        "shown": row["shown"],
        "subkind": row["subkind"],
        "kind": words.KIND_OF.get(row["subkind"], ""),
        "severity": (extension or {}).get("severity"),
        "facts": showing.facts(dict(extension)) if extension else [],
        "state": state,
        "label": label,
        "icon": icon,
        "tone": tone,
        "why": why,
        "sendable": state in _GO and not blocked,
        "ticked": state in _TICKED and not blocked,
        "waits": waits,
        "own": before.own,
    }


def _place(row: Row) -> int:
    return int(row["line"] if "line" in row else row["n"])  # drafts of earlier releases have none


def _status(answer: Answer | None) -> str:
    return str(answer["status"]) if answer else ""


def _state(row: Row, answer: Answer | None, before: _Before) -> tuple[str, str]:
    if row["sent"]:
        return "sent", gettext("waits for a second person") if row["sent"] in ("waiting", "held") else str(row["sent"])
    if row.get("stayed"):
        return "stayed", str(STAYED[row["stayed"]])
    fault = row["fault"] or (answer if answer and answer["status"] in ("refused", "quarantined") else None)
    if fault is not None:
        return _fault(fault)
    if before.own and before.own == (row["object"] or {}).get("id"):
        return "revision", gettext("of an object of yours, under its id")
    if before.own:
        return "known", gettext("you publish this value already; sent again it would stand twice")
    if before.line is not None:
        return "twice", gettext("the same value as line {line}").format(line=before.line)
    if _status(answer) == "waiting":
        return "waiting", gettext("goes beyond what one person publishes alone")
    return "new", ""


def _fault(fault: Answer) -> tuple[str, str]:
    place = str(fault.get("field", "")).rpartition("/")[2]
    message = str(fault.get("message", ""))
    if fault.get("code") not in _BENIGN:
        return "refused", f"{place}: {message}" if place and not message.startswith(f"{place}:") else message
    listed = message.partition(_LISTED)[2]
    return "benign", gettext("on the list {listed}").format(listed=listed) if listed else message


def _values(row: Row) -> Values:
    extension = vocabulary.extension_of(row["object"]) if row["object"] else None
    if extension is None:
        return {}
    found: defaultdict[str, set[UUID]] = defaultdict(set)
    try:
        for token in vocabulary.tokens_of(extension):
            found[token.key_epoch].add(key_of(token))
    except (KeyError, TypeError, ValueError):
        return {}
    return {epoch: frozenset(keys) for epoch, keys in found.items()}


def _all(values: Values) -> frozenset[UUID]:
    return frozenset().union(*values.values())


def _own(values: Values, said: Mapping[UUID, Sequence[Carrier]], row: Row) -> str:
    """The holding of ours that carries all of a line's values of one epoch, its own id first; empty where none does.

    One value alone is not enough: two mailboxes that fold to the same address are two.
    """
    found = set()
    for keys in values.values():
        found |= set.intersection(*({each.stix_id for each in said.get(key, ()) if each.own} for key in keys))
    given = (row["object"] or {}).get("id")
    return given if given in found else min(found, default="")
