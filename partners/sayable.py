"""Words that one partner chooses and others read, asked where they are taken in."""

from __future__ import annotations

from exchange.errors import Refused
from exchange.texts import rules


def require_sayable(text: str, *, at: str) -> None:
    """Raise Refused, naming the field and the rule, for a text that says what no text may say."""
    if (code := rules.broken_in(text)) is not None:
        raise Refused(rules.WORDS[code], code=code, at=at)
