"""Words, ids and values as people type them: each word by its beginning, and an id by its. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import normalize

_MOST_CHARS = 100
_ID = re.compile(r"[a-z0-9-]+--[0-9a-f-]{4,36}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Begins:
    """What is looked for by its beginning: words as a tsquery, and the ids from the first to before the last."""

    words: str
    first_id: str
    last_id: str


def begins(text: str) -> Begins:
    """All words of a text, and the ids that begin with it, where it may be the beginning of one."""
    plain = normalize("NFKC", text).strip()
    words = re.findall(r"\w+", plain) if len(plain) <= _MOST_CHARS else []
    stix_id = plain.lower() if "--" in plain else ""
    beyond = "g" if _ID.fullmatch(stix_id) else " "  # what comes after all hexadecimal digits, or right after the id
    return Begins(" & ".join(f"{word}:*" for word in words), stix_id, f"{stix_id}{beyond}" if stix_id else "")
