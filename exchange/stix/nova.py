"""A NOVA rule as far as text alone decides it: its keywords, and its condition over them. Pure; the caller matches.

What only a model can judge (`semantics:`, `llm:`) holds never.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_SECTION = re.compile(r"^\s*(meta|keywords|semantics|llm|condition)\s*:", re.MULTILINE)
_KEYWORD = re.compile(r"\$(\w+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|/((?:[^/\\\n]|\\.)+)/([a-z]*))(\s+case:true)?")
_TOKEN = re.compile(r"[()]|\b(?:keywords|semantics|llm)\.(?:\$\w+\*?|\*)|\$\w+\*?|\w+")
_MOST_TOKENS = 200
_MOST_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword: an expression in RE2's syntax, and whether case counts for nothing."""

    name: str
    expression: str
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """The keywords of a rule, and its condition."""

    keywords: tuple[Keyword, ...]
    condition: tuple[str, ...]

    def holds(self, found: Collection[str]) -> bool:
        """Whether the condition holds where just these keywords, by name, are found."""
        return bool(found) and _Condition(self.condition, [one.name for one in self.keywords], found).value()


def read(text: str) -> Rule | None:
    """The rule of a text; None where it cannot be read, or has no keywords: then it matches nothing."""
    sections = list(_SECTION.finditer(text))
    parts = {
        one[1]: text[one.end() : sections[place + 1].start() if place + 1 < len(sections) else len(text)]
        for place, one in enumerate(sections)
    }
    keywords = tuple(
        Keyword(name, regex, "i" in flags)
        if regex
        else Keyword(name, re.escape(said.replace('\\"', '"')), ignore_case=not case)
        for name, said, regex, flags, case in _KEYWORD.findall(parts.get("keywords", ""))
    )
    said = parts.get("condition", "")
    condition = tuple(_TOKEN.findall(said.rpartition("}")[0] or said))
    if not keywords or len(condition) > _MOST_TOKENS:
        return None
    return Rule(keywords, condition)


class _Condition:
    """A condition over keywords, read once for each prompt: `and`, `or`, `not`, parentheses, `any of`, `2 of`."""

    def __init__(self, tokens: tuple[str, ...], names: list[str], found: Collection[str]) -> None:
        self._tokens, self._place = tokens, 0
        self._holds = {name: name in found for name in names}

    def value(self) -> bool:
        """Whether it holds."""
        return self._either(0)

    def _next(self) -> str:
        return self._tokens[self._place].lower() if self._place < len(self._tokens) else ""

    def _either(self, depth: int) -> bool:
        found = self._both(depth)
        while self._next() == "or":
            self._place += 1
            found = self._both(depth) or found
        return found

    def _both(self, depth: int) -> bool:
        found = self._one(depth)
        while self._next() == "and":
            self._place += 1
            found = self._one(depth) and found
        return found

    def _one(self, depth: int) -> bool:
        word = self._next()
        self._place += 1
        if depth > _MOST_DEPTH or not word:
            return False
        if word == "not":
            return not self._one(depth + 1)
        if word == "(":
            found = self._either(depth + 1)
            self._place += self._next() == ")"
            return found
        if word in {"any", "all"} or word.isdigit():
            self._place += self._next() == "of"
            held = self._named(self._next())
            self._place += 1
            least = {"any": 1, "all": max(1, len(held))}.get(word) or int(word)
            return sum(held) >= least
        return any(self._named(word))

    def _named(self, token: str) -> list[bool]:
        """Whether each keyword holds that is named so; what only a model can judge holds never."""
        section, _, name = token.rpartition(".")
        if section not in {"", "keywords"}:
            return []
        name = name.removeprefix("$")
        if name.endswith("*"):
            return [holds for own, holds in self._holds.items() if own.lower().startswith(name[:-1])]
        return [holds for own, holds in self._holds.items() if own.lower() == name]
