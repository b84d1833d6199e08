"""English words for numbers, read as digits: "forty-five dollars" says what "45 dollars" says. Pure, in linear time."""

from __future__ import annotations

import re

_UNITS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ONE = "|".join(word for word, number in _UNITS.items() if 0 < number < 10)
_UNIT, _TEN = "|".join(sorted(_UNITS, key=len, reverse=True)), "|".join(_TENS)
_BELOW_HUNDRED = rf"(?:(?:{_TEN})(?:[ -](?:{_ONE})\b)?|{_UNIT})"
_NUMBER = re.compile(
    rf"\b(?:(?P<hundreds>{_BELOW_HUNDRED}|a)[ -]hundred(?:[ -](?:and[ -])?(?P<rest>{_BELOW_HUNDRED}))?"
    rf"|(?P<plain>{_BELOW_HUNDRED}|a(?=[ -](?:thousand|million|billion)\b)))\b",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """The text with the numbers up to 9,999 that are written in words as digits; thousand and million stay words."""
    return _NUMBER.sub(lambda found: str(_value(found)), text)


def _value(found: re.Match[str]) -> int:
    if found["plain"] is not None:
        return _below_hundred(found["plain"])
    return _below_hundred(found["hundreds"]) * 100 + _below_hundred(found["rest"] or "")


def _below_hundred(words: str) -> int:
    if words.lower() == "a":
        return 1
    return sum(_TENS.get(word, 0) + _UNITS.get(word, 0) for word in re.split("[ -]", words.lower()))
