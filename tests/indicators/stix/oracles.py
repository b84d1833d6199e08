"""What others say of an object, and where the exchange says otherwise: classes that `docs/stix.md` lists.

A disagreement is a pair of who and what. Where the exchange marks an object and an oracle takes it, what is the code
of each mark; where an oracle refuses what the exchange takes, what is a name for the oracle's message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import stix2

import exchange
from indicators.stix import parsing
from indicators.stix.drafts import Unreadable

Disagreement = tuple[str, str]

_PAGE = Path(exchange.__file__).parent / "docs" / "stix.md"
_ROW = re.compile(r"^\| (stix2|stix2, custom|stix2-validator) (takes|refuses) \| `([a-z0-9-]+)` \|", re.MULTILINE)


def listed() -> set[Disagreement]:
    """The rows of the table in the documentation."""
    return {(f"{who} {does}", what) for who, does, what in _ROW.findall(_PAGE.read_text(encoding="utf-8"))}


def ours(data: dict) -> set[str]:
    """The codes of the refusal or of the marks that the exchange gives an object."""
    (element,) = parsing.read_batch(json.dumps(data).encode())
    return {element.refusal.code} if isinstance(element, Unreadable) else {mark.code for mark in element.marks}


def _stix2(data: dict, *, custom: bool) -> str:
    try:
        stix2.parse(data, allow_custom=custom, version="2.1")
    except Exception as refused:
        return f"{type(refused).__name__}: {refused}"
    return ""


def _validator(data: dict) -> str:
    from stix2validator import (
        ValidationOptions,
        validate_parsed_json,
    )  # the grammars that it makes take each process a second

    try:
        result = validate_parsed_json(data, ValidationOptions(version="2.1"))
    except Exception as crashed:
        return f"crash: {type(crashed).__name__}"
    return "" if result.is_valid else " ".join(str(error) for error in result.errors) or "refused"


ORACLES: dict[str, Callable[[dict], str]] = {
    "stix2": lambda data: _stix2(data, custom=False),
    "stix2, custom": lambda data: _stix2(data, custom=True),
    "stix2-validator": _validator,
}

_MESSAGES = {
    "crash": r"^crash",
    "character-set": r"IANA registered character set",
    "custom-hash": r"custom hash algorithm",
    "custom-marking": r"definition_type must be a valid marking type",
    "custom-type": r"^ParseError: Can't parse unknown object type",
    "custom-property": r"Unexpected properties for",
    "custom-reference": r"type-specifying prefix",
    "language-subtag": r"contains an invalid language code|is not a valid RFC 5646",
    "uuid-version": r"is not a valid STIX identifier|id: '[a-z-]+--[0-9a-f-]+' does not match|_ref",
}


def _name_of(message: str) -> str:
    return next((name for name, said in _MESSAGES.items() if re.search(said, message)), message[:300])


def disagreements(data: dict) -> set[Disagreement]:
    """Where the oracles and the exchange part over one object."""
    codes = ours(data)
    found: set[Disagreement] = set()
    for who, asked in ORACLES.items():
        message = asked(data)
        if codes and not message:
            found |= {(f"{who} takes", code) for code in codes}
        elif message and not codes:
            found.add((f"{who} refuses", _name_of(message)))
    return found
