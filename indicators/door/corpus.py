"""Whether a regex or a NOVA rule matches prompts that have nothing to do with any campaign: then it is too broad.

Bundled are prompts as people write them (`lists/README.md`). Regexes run in RE2, keywords as text; what only a model
can judge (`semantics:`, `llm:`) is not run, and counts as not matching.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

import re2

from indicators.stix import budget

#: So many of the bundled prompts may match.
MOST_HITS = 2
_PROMPTS = Path(__file__).parent / "lists" / "prompts.json.gz"
_Matches = Callable[[str], bool]


@cache
def prompts() -> tuple[str, ...]:
    """The bundled prompts."""
    return tuple(json.loads(gzip.decompress(_PROMPTS.read_bytes())))


def is_broad(*, regex: str | None = None, nova: str | None = None) -> bool:
    """Whether more than `MOST_HITS` of the bundled prompts match. Raises budget.Spent."""
    return _is_broad(regex, nova)


@lru_cache(maxsize=256)
def _is_broad(regex: str | None, nova: str | None) -> bool:
    with budget.spending():
        matches = _of_regex(regex, ignore_case=False) if regex is not None else _of_nova(nova or "")
        hits = 0
        for prompt in prompts():
            hits += matches(prompt)
            if hits > MOST_HITS:
                return True
    return False


def _of_regex(source: str, *, ignore_case: bool) -> _Matches:
    """An expression that RE2 does not take matches nothing: whether it may enter is asked elsewhere."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        search = re2.compile(source, options).search
    except re2.error:
        return lambda _: False
    return lambda prompt: search(prompt) is not None


_SECTION = re.compile(r"^\s*(meta|keywords|semantics|llm|condition)\s*:", re.MULTILINE)
_KEYWORD = re.compile(r"\$(\w+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|/((?:[^/\\\n]|\\.)+)/([a-z]*))(\s+case:true)?")


def _of_nova(text: str) -> _Matches:
    """What the condition says of its keywords; a rule that cannot be read so matches nothing."""
    found = list(_SECTION.finditer(text))
    parts = {
        one[1]: text[one.end() : found[place + 1].start() if place + 1 < len(found) else len(text)]
        for place, one in enumerate(found)
    }
    keywords = dict(_keywords(parts.get("keywords", "")))
    condition = _TOKEN.findall(parts.get("condition", "").rpartition("}")[0] or parts.get("condition", ""))
    if not keywords or len(condition) > _MOST_TOKENS:
        return lambda _: False

    def matches(prompt: str) -> bool:
        holds = {name: keyword(prompt) for name, keyword in keywords.items()}
        return any(holds.values()) and _Condition(condition, holds).value()

    return matches


def _keywords(section: str) -> Iterator[tuple[str, _Matches]]:
    for name, said, regex, flags, case in _KEYWORD.findall(section):
        if regex:
            yield name, _of_regex(regex, ignore_case="i" in flags)
        else:
            yield name, _of_regex(re.escape(said.replace('\\"', '"')), ignore_case=not case)


_TOKEN = re.compile(r"[()]|\b(?:keywords|semantics|llm)\.(?:\$\w+\*?|\*)|\$\w+\*?|\w+")
_MOST_TOKENS = 200
_MOST_DEPTH = 20


class _Condition:
    """A condition over keywords, read once for each prompt: `and`, `or`, `not`, parentheses, `any of`, `2 of`."""

    def __init__(self, tokens: list[str], holds: Mapping[str, bool]) -> None:
        self._tokens, self._holds, self._place = tokens, holds, 0

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
