"""The regexes and NOVA keywords of all signatures, compiled together: one walk over a text finds which may match.

RE2's filter looks for the words that a match must hold and tries only those expressions; all of them are linear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import re2

from exchange.stix import nova

#: A longer text is looked at up to here, in characters.
MOST_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: `key` is the caller's name for it."""

    key: str
    subkind: str
    text: str


@dataclass(slots=True)
class Signatures:
    """Compiled; `unusable` are the keys of those that RE2 or the reader of rules does not take."""

    unusable: list[str] = field(default_factory=list)
    _plain: dict[int, str] = field(default_factory=dict)
    _rules: list[tuple[str, nova.Rule, dict[str, int]]] = field(default_factory=list)
    _filter: re2.Filter | None = None
    _count: int = 0

    @classmethod
    def compiled(cls, signatures: Iterable[Signature]) -> Signatures:
        """All of these together."""
        made = cls()
        for one in signatures:
            made._add(one)
        if made._filter is not None:
            made._filter.Compile()
        return made

    def matching(self, text: str) -> Iterator[str]:
        """The keys of the signatures that match a text."""
        if self._filter is None:
            return
        found = set(self._filter.Match(text[:MOST_CHARACTERS]) or ())
        for number in sorted(found):
            if number in self._plain:
                yield self._plain[number]
        for key, rule, numbers in self._rules:
            if rule.holds({name for name, number in numbers.items() if number in found}):
                yield key

    def _add(self, one: Signature) -> None:
        if one.subkind == "regex":
            number = self._expression(one.text, ignore_case=False)
            if number is None:
                self.unusable.append(one.key)
            else:
                self._plain[number] = one.key
            return
        rule = nova.read(one.text)
        keywords = rule.keywords if rule else ()
        numbers = {each.name: self._expression(each.expression, each.ignore_case) for each in keywords}
        usable = {name: number for name, number in numbers.items() if number is not None}
        if rule is None or len(usable) < len(numbers):
            self.unusable.append(one.key)
        else:
            self._rules.append((one.key, rule, usable))

    def _expression(self, text: str, ignore_case: bool) -> int | None:
        """Its number; None where RE2 does not take it."""
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = not ignore_case
        if self._filter is None:
            self._filter = re2.Filter()
        try:
            number: int = self._filter.Add(text, options)
        except re2.error:
            return None
        return number
