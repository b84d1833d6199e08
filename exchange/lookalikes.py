"""When two names are one to the eye: the form in which they are compared.

NFKC, case folded, what looks alike as one (UTS #39, by the table of confusable-homoglyphs), letters and digits alone.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

from confusable_homoglyphs import utils

#: The table has no pair for letters that only their case sets apart.
_ALIKE = {"i": "l", "1": "l", "|": "l", "0": "o"}


@lru_cache(maxsize=4_096)
def fold(name: str) -> str:
    """The form of a name in which look-alikes are equal; empty if it has no letter or digit."""
    written = unicodedata.normalize("NFKC", name).casefold()
    plain = unicodedata.normalize("NFKC", "".join(_plain(char) for char in written)).casefold()
    return "".join(_ALIKE.get(char, char) for char in plain if char.isalnum() or char in _ALIKE)


@cache
def _prototypes() -> dict[str, str]:
    """By character that is not ASCII, the ASCII characters that it looks like.

    Of the library's table this is all that is kept. Its own module keeps 7 MB in every process that imports it.
    """
    found: dict[str, str] = {}
    for written, alike in utils.load("confusables.json").items():
        plain = next((one["c"] for one in alike if one["c"].isascii() and one["c"].isalnum()), None)
        if plain is not None and not written.isascii() and len(written) == 1:
            found[written] = plain
    return found


def _plain(char: str) -> str:
    return char if char.isascii() else _prototypes().get(char, char)
