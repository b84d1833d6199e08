"""Why accounts belong together, as a sentence for people: from counts in buckets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indicators.campaigns.joining import Grade
from indicators.stix.naming import NAMES

#: By subkind: how accounts have to do with what is shared.
_DOES: Mapping[str, str] = {
    "par": "pay for",
    "pan_token": "pay for",
    "psp_fp": "pay for",
    "iban_token": "pay for",
    "device": "are used by",
    "phone": "belong to",
    "email": "belong, in several spellings, to",
    "email_domain": "serve",
    "email_shape": "recur in",
    "net": "are used by",
    "signup_burst": "brought",
    "signup_template": "recur in",
    "skeleton": "were sent by",
    "phrase": "are sent by",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NEARLY_ALL = 0.9


def sentence(reason: Mapping[str, Any]) -> str:
    """A reason in words; `tokens` and `accounts` are buckets, `labs` is a number, `purity` tenths or None."""
    _, shared = NAMES[reason["subkind"]]
    said = f"{_some(reason['tokens'])} {shared} {_DOES[reason['subkind']]} accounts"
    most = f"the most shared is on {_some(reason['accounts'])} accounts"
    if reason["grade"] == Grade.WORD:
        labs = "one lab" if reason["labs"] == 1 else f"{number(reason['labs'])} labs, each at one of them alone"
        return _begun(f"{said} at {labs}: {most}, on one lab's word.")
    return _begun(f"{said} at {number(reason['labs'])} labs: {most}{_tail(reason['purity'])}.")


def about(bucket: str) -> str:
    """A bucket in words: 10^2 is "about 100"."""
    return f"about {10 ** int(bucket.removeprefix('10^')):,}" if bucket.startswith("10^") else "no"


def number(count: int) -> str:
    """A small number in words."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _begun(said: str) -> str:
    """With a capital at its beginning, and every other letter as it is."""
    return said[:1].upper() + said[1:]


def _some(bucket: str) -> str:
    return "a few" if bucket == "10^0" else about(bucket)


def _tail(purity: float | None) -> str:
    if purity is None:
        return ""
    return f", and {'nearly all' if purity >= _NEARLY_ALL else 'most'} who hold them are suspects"
