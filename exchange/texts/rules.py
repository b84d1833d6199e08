"""What no text may say: payment data, secrets, and what is about people or between competitors. Pure, in linear time.

The door asks of each text of an object (`indicators.door.scanning`), and whoever takes in words that others read asks
of those. What is found is named by its rule, never by its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from exchange.texts import attackers, denials, numbering, payments, secrets, speech
from exchange.texts.folding import decoded, fold

WORDS = {
    "card-details": "The text seems to hold the last digits, expiry, holder or security code of a payment card.",
    "card-number": "The text seems to hold a payment card number.",
    "competitive-data": "The text seems to say what a lab charges, serves or plans, or to propose to act together.",
    "iban": "The text seems to hold the number of a bank account.",
    "personal-data": "The text seems to name a person, or to hold what belongs to one.",
    "secret": "The text seems to hold a key, token or private key.",
}

_RULES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("card-number", payments.holds_card_number),
    ("card-details", payments.holds_card_details),
    ("iban", payments.holds_iban),
    ("secret", secrets.holds_secret),
    ("personal-data", speech.holds_personal),
    ("competitive-data", lambda text: _of_labs(text, speech.holds_competitive)),
)


def _of_labs(text: str, holds: Callable[[str], bool]) -> bool:
    """Whether the rule finds something that attackers' own prices and counts do not explain."""
    return holds(text) and ((left := attackers.left_out(text)) == text or holds(left))


def broken_by(text: str) -> str | None:
    """The code of the first rule that a text breaks, folded by its caller; English figures are read in words, too."""
    code = next((code for code, holds in _RULES if holds(text)), None)
    if code is None and (said := numbering.in_digits(text)) != text and _of_labs(said, speech.holds_figures_of_words):
        return "competitive-data"
    return code


def broken_in(words: str) -> str | None:
    """The same of words that people agree on, such as a group's purpose: what they deny to do, they may name.

    Every rule reads the whole text, folded and decoded; what may be denied is looked for sentence by sentence.
    """
    whole = fold("\n".join(words.splitlines()))
    for text in (whole, *map(fold, decoded(whole))):
        lines = _BLANKS.sub(_one_blank, text)
        plain = lines.replace("\n", " ")
        for said in dict.fromkeys((text, plain, numbering.in_digits(plain))):
            code = next((code for code, holds in _RULES if code != "competitive-data" and holds(said)), None)
            if code is not None:
                return code
            if speech.holds_figures(said):
                return "competitive-data"
        if denials.leaves_undenied(lines):
            return "competitive-data"
    return None


_BLANKS = re.compile(r"\s+")


def _one_blank(found: re.Match[str]) -> str:
    return "\n" if "\n" in found[0] else " "
