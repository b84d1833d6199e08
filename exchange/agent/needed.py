"""Words of which every match of an expression must hold one, in any case of letters. Pure.

The expression is RE2's. It is read with Python's own reader, and only plain characters that stand in every match are
taken from it. Where the two could read it differently, or no word is long enough, there are none: then the expression
is tried on every text.
"""

from __future__ import annotations

import re
from re import _constants as sre
from re import _parser as reader
from typing import Any

#: Shorter words are in every text; more of them than this are no better.
LEAST = 3
_MOST = 24
#: What RE2 reads, and Python otherwise or not at all: named classes, sets in sets.
_OTHERWISE = re.compile(r"\[[^\]]*\[|\[\^?\]|\\[QEpPCzZ]|\(\?[^:P<)]*[xXuUaAL]|--|&&|\|\||~~")
_NONE: frozenset[str] = frozenset()


def needed(expression: str) -> frozenset[str]:
    """The words, folded (`str.casefold`); empty where there are none."""
    if _OTHERWISE.search(expression):
        return _NONE
    try:
        read = reader.parse(expression)
    except (re.error, OverflowError, RecursionError, ValueError):
        return _NONE
    return _needed(read)


def _needed(read: Any) -> frozenset[str]:
    """The best of what a sequence must hold: that whose shortest word is longest."""
    best: list[frozenset[str]] = []
    run: list[str] = []

    def end() -> None:
        word = "".join(run).casefold()
        run.clear()
        if len(word) >= LEAST:
            best.append(frozenset((word,)))

    for what, of in read:
        if what is sre.LITERAL:
            run.append(chr(of))
        elif what is not sre.AT:  # a boundary is nothing that stands between two characters
            end()
            best.append(_of_part(what, of))
    end()
    return max(best, key=_worth, default=_NONE)


def _of_part(what: Any, of: Any) -> frozenset[str]:
    if what is sre.SUBPATTERN:
        return _needed(of[-1])
    if what in {sre.MAX_REPEAT, sre.MIN_REPEAT} and of[0] >= 1:
        return _needed(of[2])
    if what is sre.BRANCH:
        each = [_needed(one) for one in of[1]]
        words = frozenset().union(*each)
        return words if all(each) and len(words) <= _MOST else _NONE
    return _NONE


def _worth(words: frozenset[str]) -> tuple[int, int]:
    return (min(map(len, words)), -len(words)) if words else (0, 0)
