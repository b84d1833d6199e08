"""The normal form of a prompt, its skeleton and its phrases: the same in Python and in a browser.

The steps, in this order (vocabulary, "Normal forms"):

1. What Unicode 15.0 has not assigned, and the three signs themselves, become U+FFFD. So Python's, the browser's and
   anybody's newer Unicode give the same: what was assigned keeps its NFKC and its case folding for ever.
2. NFKC.
3. Default_Ignorable_Code_Point goes: zero-width and bidirectional characters, variation selectors, soft hyphens.
4. Full case folding.
5. URLs become U+E000, e-mail addresses U+E001, runs of decimal digits of any script U+E002: `URL`, `EMAIL`, `DIGITS`.
6. The skeleton of UTS #39: NFD, each character's prototype, NFD.
7. Full case folding.
8. Words: the segments of UAX #29, cut again before each Han, Kana, Thai, Lao, Khmer or Myanmar character that is not a
   mark, and after it with its marks; kept where they hold a letter, a mark or a sign.

`unicode-15.0.json` holds what steps 1, 3, 6 and 8 read.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from functools import cache
from importlib import resources
from typing import NamedTuple

import unicode_segmentation_rs as segmentation

URL_SIGN, EMAIL_SIGN, DIGITS_SIGN = "\ue000", "\ue001", "\ue002"
#: The published expressions, of the folded text. Each is linear: what repeats is bounded or cannot fail.
URL = re.compile(r"[a-z][a-z0-9+.-]{0,31}://[a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+|www\.[a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
EMAIL = re.compile(r"[a-z0-9][a-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")
DIGITS = re.compile(r"\d+")
PHRASE_WORDS = 5
_KEPT_OF = 3
_UNKNOWN = "\ufffd"


class _Tables(NamedTuple):
    """What the steps read of Unicode 15.0."""

    unassigned: re.Pattern[str]
    ignorable: re.Pattern[str]
    wordy: re.Pattern[str]
    own: re.Pattern[str]
    prototypes: dict[int, str]


def fold(text: str) -> str:
    """Steps 1 to 7: what looks or reads alike is written alike. Raises ValueError for lone surrogates."""
    tables = _tables()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character") from None
    known = tables.unassigned.sub(_UNKNOWN, text)
    plain = tables.ignorable.sub("", unicodedata.normalize("NFKC", known)).casefold()
    for expression, sign in ((URL, URL_SIGN), (EMAIL, EMAIL_SIGN), (DIGITS, DIGITS_SIGN)):
        plain = expression.sub(sign, plain)
    alike = unicodedata.normalize("NFD", plain).translate(tables.prototypes)
    return unicodedata.normalize("NFD", alike).casefold()


def words(text: str) -> list[str]:
    """The words of a prompt, in order: step 8 after all others."""
    tables = _tables()
    found: list[str] = []
    for segment in segmentation.split_word_bounds(fold(text)):
        if not tables.wordy.search(segment):
            continue
        if tables.own.search(segment):
            found += [piece for piece in tables.own.split(segment) if piece and tables.wordy.search(piece)]
        else:
            found.append(segment)
    return found


def skeleton(text: str) -> str:
    """The normal form of a whole prompt: its words, joined by one blank. Raises ValueError where there is no word."""
    found = words(text)
    if not found:
        raise ValueError("a text without a word")
    return " ".join(found)


def phrases(text: str) -> list[str]:
    """The phrases of a prompt that are tokenised, each once, in the order in which they stand: about one in three."""
    return phrases_of(words(text))


def phrases_of(found: list[str]) -> list[str]:
    """The phrases of a prompt whose words were read before."""
    runs = (" ".join(found[at : at + PHRASE_WORDS]) for at in range(len(found) - PHRASE_WORDS + 1))
    return [run for run in dict.fromkeys(runs) if is_kept(run)]


def is_kept(phrase: str) -> bool:
    """Whether a run of five words is tokenised: by its hash, and never one that held an e-mail address."""
    return hashlib.sha256(phrase.encode()).digest()[0] % _KEPT_OF == 0 and EMAIL_SIGN not in phrase


@cache
def broad() -> frozenset[str]:
    """Phrases that ordinary prompts hold: no sign of a campaign. They are left out before tokens are made."""
    return frozenset(json.loads(resources.files(__package__).joinpath("broad-phrases.json").read_text()))


@cache
def _tables() -> _Tables:
    document = json.loads(resources.files(__package__).joinpath("unicode-15.0.json").read_text())
    return _Tables(
        unassigned=re.compile(f"[^{_class(document['assigned'])}]|[{URL_SIGN}-{DIGITS_SIGN}]"),
        ignorable=re.compile(f"[{_class(document['ignorable'])}]+"),
        wordy=re.compile(f"[{_class(document['letters_and_marks'])}{URL_SIGN}-{DIGITS_SIGN}]"),
        own=re.compile(f"([{_class(document['own_words'])}][{_class(document['marks'])}]*)"),
        prototypes=dict(_prototype(one) for line in document["prototypes"] for one in line.split()),
    )


def _class(lines: list[str]) -> str:
    """Ranges of code points as the inside of a character class."""
    written = []
    for first, _, last in (one.partition("-") for line in lines for one in line.split()):
        written.append(f"\\U{int(first, 16):08X}-\\U{int(last or first, 16):08X}")
    return "".join(written)


def _prototype(written: str) -> tuple[int, str]:
    source, _, target = written.partition("=")
    return int(source, 16), "".join(chr(int(one, 16)) for one in target.split("+"))
