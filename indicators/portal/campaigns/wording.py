"""What a campaign's page says: the verdict, what became of it, and what labs say, in words. Pure.

A part of a sentence is a text and how it is set: "" plain, "b" strong. Templates escape each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext, ngettext

from exchange.templatetags.house import plain
from exchange.translating import later
from indicators.campaigns.saying import number
from indicators.portal.campaigns.marks import size_of
from indicators.stix.naming import NAMES

_STOPPED = timedelta(hours=48)
_KINDS = {
    "account-pattern": later("sign-up and device tokens"),
    "payment-fingerprint": later("payment instruments"),
    "prompt-signature": "prompts",
}
_EVENTS = {
    "created": later("Proposed"),
    "grew": later("Grew tenfold"),
    "joined": later("Another campaign became a part of it"),
    "split": later("A part became another campaign"),
    "dismissed": later("Dismissed by most of the labs in it"),
    "taken-up": later("No longer dismissed"),
    "ended": later("Ended"),
}
_CAUSES = {"evidence": later("new evidence"), "statements": later("what labs say")}
_SAYS = {
    "confirm": later("says that it is one"),
    "dismiss": later("says that it is none"),
    "two": later("says that it is two campaigns"),
    "one": later("says that it and another are one"),
}

Part = tuple[str, str]


def verdict(document: Mapping[str, Any], *, now: datetime) -> list[Part]:
    """What it is, in two or three sentences."""
    labs, yours = len(document["labs"]), document["yours"]
    kinds = [str(_KINDS[kind]) for kind in document["kinds"] if kind in _KINDS]
    parts: list[Part] = [
        (gettext("About "), ""),
        (gettext("{n} accounts").format(n=f"{size_of(document['accounts']):,}"), "b"),
    ]
    parts.append((gettext(" at {n} labs").format(n=number(labs)) if labs > 1 else gettext(" at one lab"), ""))
    if kinds:
        parts += [(gettext(" share "), ""), (_and(kinds), "b")]
    parts.append((". ", ""))
    if own := yours["accounts"]:
        parts.append((ngettext("{n} is ours", "{n} are ours", own).format(n=f"{own:,}"), "b"))
        suspended = yours["did"].get("suspended", 0)
        of_those = f"{suspended:,}" if suspended else gettext("none")
        parts.append((gettext(", {n} of those suspended. ").format(n=of_those), ""))
    else:
        parts += [(gettext("None is ours"), "b"), (gettext(" as far as you told the group. "), "")]
    if document["state"] != "live":
        return [
            *parts,
            (
                gettext("It has ended.")
                if document["state"] == "ended"
                else gettext("Most labs in it say it is none."),
                "",
            ),
        ]
    still = now - datetime.fromisoformat(document["last_seen"]) < _STOPPED
    return [
        *parts,
        (gettext("It has not stopped.") if still else gettext("Nothing new came in the last two days."), ""),
    ]


def events(history: Sequence[Mapping[str, Any]], names: Mapping[Any, str]) -> list[dict[str, Any]]:
    """What became of it, the newest first, in words."""
    return [
        {
            "at": datetime.fromisoformat(event["at"]),
            "words": _EVENTS.get(event["kind"], event["kind"]),
            "kind": event["kind"],
            "other": event["other"],
            "other_name": names.get(event["other"], ""),
            "causes": [_cause(cause) for cause in event["causes"]],
        }
        for event in reversed(history)
    ]


def _cause(word: str) -> str:
    """What moved it: tokens of a subkind by the name that people have for them."""
    return NAMES[word][1] if word in NAMES else str(_CAUSES.get(word, plain(word)))


def said(word: str) -> str:
    """A partner's word as a sentence that its name begins."""
    return _SAYS.get(word, word)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else gettext("{n} and {n_2}").format(n=", ".join(words[:-1]), n_2=words[-1])
