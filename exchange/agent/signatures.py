"""The regexes and NOVA keywords of all signatures, compiled together: one walk over a text finds which may match.

Each expression has words of which every match must hold one. An automaton (Aho and Corasick) over all these words finds
in one walk which expressions may match; RE2 then tries just those, so what matches is RE2's word alone, and linear.
Memory and time to compile are bounded for each expression; what RE2 does not take within them is left out, by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import ahocorasick
import re2

from exchange.agent.needed import needed
from exchange.stix import nova

#: A longer text is looked at up to here, in characters.
MOST_CHARACTERS = 200_000
#: What RE2 may use for one expression, in bytes; and how many are kept compiled.
_MOST_BYTES = 1 << 20
_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: `key` is the caller's name for it."""

    key: str
    subkind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Expression:
    """An expression of RE2, whether case counts for nothing, and words of which each match holds one; none: try it."""

    text: str
    ignore_case: bool
    words: frozenset[str]


@dataclass(slots=True)
class Signatures:
    """Compiled; `unusable` are the keys of those that RE2 or the reader of rules does not take."""

    unusable: list[str] = field(default_factory=list)
    _expressions: list[_Expression] = field(default_factory=list)
    _number: dict[tuple[str, bool], int] = field(default_factory=dict)
    _plain: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    _rules: list[tuple[str, nova.Rule, dict[str, int]]] = field(default_factory=list)
    _rules_of: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _always: list[int] = field(default_factory=list)
    _automaton: Any = None

    @classmethod
    def compiled(cls, signatures: Iterable[Signature]) -> Signatures:
        """All of these together. What was compiled before, by any call, is not compiled again."""
        made = cls()
        for one in signatures:
            made._add(one)
        made._finish()
        return made

    def matching(self, text: str) -> Iterator[str]:
        """The keys of the signatures that match a text."""
        if not self._expressions:
            return
        text = text[:MOST_CHARACTERS]
        may = set(self._always)
        if self._automaton is not None:
            may.update(*(numbers for _, numbers in self._automaton.iter(text.casefold())))
        if not may:
            return
        written = text.encode("utf-8", "replace")
        found = {number for number in may if _matches(self._expressions[number], written)}
        for number in sorted(found):
            yield from self._plain.get(number, ())
        for place in sorted({place for number in found for place in self._rules_of.get(number, ())}):
            key, rule, numbers = self._rules[place]
            if rule.holds({name for name, number in numbers.items() if number in found}):
                yield key

    def _add(self, one: Signature) -> None:
        if one.subkind == "regex":
            number = self._expression(one.text, ignore_case=False)
            if number is None:
                self.unusable.append(one.key)
            else:
                self._plain[number].append(one.key)
            return
        rule = nova.read(one.text)
        keywords = rule.keywords if rule else ()
        numbers = {each.name: self._expression(each.expression, each.ignore_case) for each in keywords}
        usable = {name: number for name, number in numbers.items() if number is not None}
        if rule is None or len(usable) < len(numbers):
            self.unusable.append(one.key)
            return
        for number in set(usable.values()):
            self._rules_of[number].append(len(self._rules))
        self._rules.append((one.key, rule, usable))

    def _expression(self, text: str, ignore_case: bool) -> int | None:
        """Its number, the same for the same expression; None where RE2 does not take it."""
        known = self._number.get((text, ignore_case))
        if known is not None:
            return known
        words = _words(text, ignore_case)
        if words is None:
            return None
        number = self._number[text, ignore_case] = len(self._expressions)
        self._expressions.append(_Expression(text, ignore_case, words))
        if not words:
            self._always.append(number)
        return number

    def _finish(self) -> None:
        """Put all words into one automaton."""
        by_word: dict[str, list[int]] = defaultdict(list)
        for number, one in enumerate(self._expressions):
            for word in one.words:
                by_word[word].append(number)
        if not by_word:
            return
        self._automaton = ahocorasick.Automaton()
        for word, numbers in by_word.items():
            self._automaton.add_word(word, tuple(numbers))
        self._automaton.make_automaton()


@lru_cache(maxsize=4 * _KEPT)
def _words(text: str, ignore_case: bool) -> frozenset[str] | None:
    """The words of an expression; None where RE2 does not take it within the bounds."""
    try:
        _expression(text, ignore_case)
    except re2.error:
        return None
    return needed(text)


@lru_cache(maxsize=_KEPT)
def _expression(text: str, ignore_case: bool) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.max_mem = _MOST_BYTES
    return re2.compile(text, options)


def _matches(one: _Expression, written: bytes) -> bool:
    return _expression(one.text, one.ignore_case).search(written) is not None
