"""What a campaign's page says: the verdict, what became of it, and what labs say, in words. Pure.

A part of a sentence is a text and how it is set: "" plain, "b" strong. Templates escape each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from indicators.campaigns.saying import number
from indicators.portal.campaigns.marks import size_of

_STOPPED = timedelta(hours=48)
_KINDS = {
    "account-pattern": "sign-up and device tokens",
    "payment-fingerprint": "payment instruments",
    "prompt-signature": "prompts",
}
_EVENTS = {
    "created": "Proposed",
    "grew": "Grew tenfold",
    "joined": "Another campaign became a part of it",
    "split": "A part became another campaign",
    "dismissed": "Dismissed by most of the labs in it",
    "taken-up": "No longer dismissed",
    "ended": "Ended",
}
_SAYS = {
    "confirm": "says that it is one",
    "dismiss": "says that it is none",
    "two": "says that it is two campaigns",
    "one": "says that it and another are one",
}

Part = tuple[str, str]


def verdict(document: Mapping[str, Any], *, now: datetime) -> list[Part]:
    """What it is, in two or three sentences."""
    labs, yours = len(document["labs"]), document["yours"]
    kinds = [_KINDS[kind] for kind in document["kinds"] if kind in _KINDS]
    parts: list[Part] = [("About ", ""), (f"{size_of(document['accounts']):,} accounts", "b")]
    parts.append((f" at {number(labs)} labs" if labs > 1 else " at one lab", ""))
    if kinds:
        parts += [(" share ", ""), (_and(kinds), "b")]
    parts.append((". ", ""))
    if own := yours["accounts"]:
        parts.append((f"{own:,} {'is' if own == 1 else 'are'} ours", "b"))
        suspended = yours["did"].get("suspended", 0)
        parts.append((f", {f'{suspended:,}' if suspended else 'none'} of those suspended. ", ""))
    else:
        parts += [("None is ours", "b"), (" as far as you told the group. ", "")]
    if document["state"] != "live":
        return [*parts, ("It has ended." if document["state"] == "ended" else "Most labs in it say it is none.", "")]
    still = now - datetime.fromisoformat(document["last_seen"]) < _STOPPED
    return [*parts, ("It has not stopped." if still else "Nothing new came in the last two days.", "")]


def events(history: Sequence[Mapping[str, Any]], names: Mapping[Any, str]) -> list[dict[str, Any]]:
    """What became of it, the newest first, in words."""
    return [
        {
            "at": datetime.fromisoformat(event["at"]),
            "words": _EVENTS.get(event["kind"], event["kind"]),
            "kind": event["kind"],
            "other": event["other"],
            "other_name": names.get(event["other"], ""),
            "causes": [cause.replace("_", " ") for cause in event["causes"]],
        }
        for event in reversed(history)
    ]


def said(word: str) -> str:
    """A partner's word as a sentence that its name begins."""
    return _SAYS.get(word, word)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
