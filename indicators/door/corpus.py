"""How many prompts that have nothing to do with any campaign a regex or a NOVA rule matches; too many, it is too broad.

Bundled are prompts as people write them (`lists/README.md`). Regexes run in RE2, keywords as text; what only a model
can judge (`semantics:`, `llm:`) is not run, and counts as not matching.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

import re2

from exchange.stix import nova
from exchange.tokens import prompts as normal
from indicators.stix import budget

#: So many of the bundled prompts may match.
MOST_HITS = 2
_PROMPTS = Path(__file__).parent / "lists" / "prompts.json.gz"
_Matches = Callable[[str], bool]


@cache
def prompts() -> tuple[str, ...]:
    """The bundled prompts."""
    return tuple(json.loads(gzip.decompress(_PROMPTS.read_bytes())))


def digest() -> int:
    """Says which prompts are bundled: 32 bits."""
    return zlib.crc32(_PROMPTS.read_bytes())


def is_broad(*, regex: str | None = None, nova: str | None = None) -> bool:
    """Whether more than `MOST_HITS` of the bundled prompts match. Raises budget.Spent."""
    return _hits(regex, nova) > MOST_HITS


def measured(*, regex: str | None = None, nova: str | None = None) -> str:
    """How many of the bundled prompts match, as a word of `words.BENIGN_HITS`. Raises budget.Spent."""
    hits = _hits(regex, nova)
    return "none" if not hits else "many" if hits > MOST_HITS else "few"


def broad_phrases() -> frozenset[str]:
    """The phrases, in their normal form, that more than `MOST_HITS` of the bundled prompts hold: 0.5 s of work.

    `exchange.tokens.prompts.broad` carries them, for clients have no prompts; a test compares the two.
    """
    counted: Counter[str] = Counter()
    for prompt in prompts():
        counted.update(normal.phrases(prompt))
    return frozenset(phrase for phrase, hits in counted.items() if hits > MOST_HITS)


@lru_cache(maxsize=256)
def _hits(regex: str | None, nova: str | None) -> int:
    """How many prompts match; no more are counted than tell that they are too many."""
    with budget.spending():
        matches = _of_regex(regex, ignore_case=False) if regex is not None else _of_nova(nova or "")
        hits = 0
        for prompt in prompts():
            hits += matches(prompt)
            if hits > MOST_HITS:
                break
    return hits


def forget() -> None:
    """Measure anew: other prompts are bundled, as tests have it."""
    _hits.cache_clear()


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


def _of_nova(text: str) -> _Matches:
    """What the condition says of its keywords; a rule that cannot be read so matches nothing."""
    rule = nova.read(text)
    if rule is None:
        return lambda _: False
    keywords = {one.name: _of_regex(one.expression, ignore_case=one.ignore_case) for one in rule.keywords}
    return lambda prompt: rule.holds({name for name, matches in keywords.items() if matches(prompt)})
