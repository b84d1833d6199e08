"""Write the tables that the browser's normal forms read: of Unicode 15.0, of case folding, of IBANs.

Run by hand after `exchange/tokens/unicode-15.0.json` or python-stdnum changed; a test compares what it would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

WHERE = Path(__file__).resolve().parents[2] / "exchange/static/exchange/normal-tables.json"
_UNICODE = ("assigned", "ignorable", "letters_and_marks", "marks", "own_words", "prototypes")
_SURROGATES = range(0xD800, 0xE000)


def tables() -> dict[str, Any]:
    """All of them."""
    document = json.loads(resources.files("exchange.tokens").joinpath("unicode-15.0.json").read_text())
    return {name: " ".join(document[name]) for name in _UNICODE} | {
        "folding": " ".join(_folding(document["assigned"])),
        "ibans": dict(_ibans()),
    }


def _folding(assigned: list[str]) -> Iterator[str]:
    """Characters whose full case folding is not their lower case."""
    for one in " ".join(assigned).split():
        first, _, last = one.partition("-")
        for code in range(int(first, 16), int(last or first, 16) + 1):
            character = chr(code)
            if code not in _SURROGATES and character.casefold() != character.lower():
                yield f"{code:X}={'+'.join(f'{ord(each):X}' for each in character.casefold())}"


def _ibans() -> Iterator[tuple[str, str]]:
    """By country, how the part behind the check digits is built."""
    for line in resources.files("stdnum").joinpath("iban.dat").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and 'bban="' in line:
            yield line[:2], line.partition('bban="')[2].partition('"')[0]


def written() -> str:
    """As a file."""
    return json.dumps(tables(), indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    WHERE.write_text(written())
