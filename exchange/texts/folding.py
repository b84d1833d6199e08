"""One text as a detector reads it: folded and decoded. Pure.

Folded is NFKC without what is invisible, and with the digits of every script as 0 to 9. Decoded are percent signs,
base64 and hexadecimal digits that hold text. Everything is bounded: a text is decoded once, in linear time.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_MOST_CHARS = 2_000_000


def fold(text: str) -> str:
    """NFKC, without what is invisible, digits of every script as 0 to 9. ASCII is given back as it is."""
    if text.isascii():
        return text
    found = unicodedata.normalize("NFKC", text[:_MOST_CHARS])
    if found.isascii():
        return found
    return "".join(map(_folded, found))


def _folded(character: str) -> str:
    if character < "\x80":
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in {"Cf", "Mn", "Me"} or character in _BLANK_LETTERS:
        return ""
    if category in {"Zs", "Zl", "Zp"}:
        return " "
    return "-" if category == "Pd" else character


#: Letters and symbols without ink: Hangul fillers and the blank of Braille.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}")
_HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])(?:[2-7][0-9a-fA-F][ :]?){13,}(?![0-9A-Za-z])")


def decoded(text: str) -> Iterator[str]:
    """What a text says that is written in percent signs, base64 or hexadecimal digits; nothing if that is no text."""
    if "%" in text:
        plain = unquote(text)
        if plain != text:
            yield plain
    for found in _HEXADECIMAL.finditer(text):
        yield bytes.fromhex(re.sub("[ :]", "", found[0])).decode("latin-1")
    for found in _BASE64.finditer(text):
        if (said := _of_base64(found[0])) is not None:
            yield said


def _of_base64(run: str) -> str | None:
    """The text in a run of base64 or base64url; None for what is no text, as hashes, ids and words are none."""
    bare = run.rstrip("=")
    if len(bare) % 4 == 1 or bare.islower() or bare.isdigit():
        return None
    try:
        content = base64.b64decode(
            bare + "=" * (-len(bare) % 4), altchars=b"-_" if "-" in bare or "_" in bare else None
        )
        plain = content.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return None if _CONTROL.search(plain) else plain


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
