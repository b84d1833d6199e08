"""STIX patterns: bounded before they are parsed, recognised fast where they are simple.

The grammar's parser (`stix2-patterns`, ANTLR) is exact and slow, and recurses with the pattern: a long chain of
ORs or a heap of parentheses ends in RecursionError. So length, number of terms and depth are bounded first, and
patterns that are plain comparisons joined by one operator, nearly all of real feeds, never reach it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import re2
from stix2patterns.v21.pattern import ParseException, Pattern

from exchange.lists.lines import is_plain
from exchange.stix.patterns import is_of_tokens
from exchange.tokens import normalising
from indicators.stix import budget
from indicators.stix.drafts import MATCH_ONLY, Refusal, TokenValue

MAX_CHARS = 8_192
MAX_CHARS_OF_OTHERS = 65_536  # whole rules in languages that are not parsed here, such as YARA
MAX_TERMS = 60
MAX_DEPTH = 12
MAX_PIECES = 1_000  # words and signs; the grammar's parser takes about 20 microseconds for each
_MAX_REGEX_BYTES = 1 << 20
_MAX_VALUE_CHARS = 2_048

_STRING = r"'(?:[^'\\]|\\['\\])*'"
_KEYWORDS = (
    "AND|OR|NOT|FOLLOWEDBY|LIKE|MATCHES|ISSUPERSET|ISSUBSET|EXISTS|LAST|IN|START|STOP|SECONDS|TRUE|FALSE|WITHIN"
    "|REPEATS|TIMES|true|false|t|h|b"
)
_NAME = rf"(?!(?:{_KEYWORDS})(?![a-zA-Z0-9_]))[a-zA-Z_][a-zA-Z0-9_]*+"
_STEP = rf"(?:{_NAME}|{_STRING})"
_PATH = rf"(?!(?:{_KEYWORDS}):)[a-zA-Z_][a-zA-Z0-9_-]*+:{_STEP}(?:\.{_STEP}|\[(?:0|[1-9][0-9]{{0,8}}|\*)\])*+"
_LIST = rf"\([ \t\r\n]*+{_STRING}(?:[ \t\r\n]*+,[ \t\r\n]*+{_STRING})*+[ \t\r\n]*+\)"
#: `LIKE` without a wildcard says what `=` says.
_PLAIN_STRING = r"'(?:[^'\\%_]|\\['\\])*'"
_ANY_OF = (
    rf"[ \t\r\n]*+(?:=[ \t\r\n]*+(?:{_STRING}|[0-9]{{1,10}}+)|(?<=[ \t\r\n])IN[ \t\r\n]*+{_LIST}"
    rf"|(?<=[ \t\r\n])LIKE[ \t\r\n]++{_PLAIN_STRING})"
)
_EQUALS = rf"[ \t\r\n]*+(?:=[ \t\r\n]*+{_STRING}|(?<=[ \t\r\n])IN[ \t\r\n]*+{_LIST})"
_ORDERED = rf"(?:!=|<=?|>=?|=)[ \t\r\n]*+(?:{_STRING}|0|-?[1-9][0-9]{{0,17}}+)"
_COMPARES = rf"{_PATH}(?:{_EQUALS}|[ \t\r\n]*+{_ORDERED}|[ \t\r\n]++(?<=[ \t\r\n])(?:LIKE|MATCHES)[ \t\r\n]++{_STRING})"


def _observations(comparison: str, joined: str) -> str:
    """Comparisons in square brackets, and such brackets in a row."""
    observed = rf"\[[ \t\r\n]*+{comparison}(?:[ \t\r\n]++(?:{joined})[ \t\r\n]++{comparison})*+[ \t\r\n]*+\][ \t\r\n]*+"
    return rf"[ \t\r\n]*+{observed}(?:(?:{joined})[ \t\r\n]*+{observed})*+"


#: A part of the grammar without parentheses and qualifiers, which is most of what is written; and of that the part
#: that says "one of these values".
_SIMPLE = re.compile(_observations(_COMPARES, "AND|OR"))
_ONE_OF = re.compile(_observations(_PATH + _ANY_OF, "OR"))
_COMPARISON = re.compile(rf"({_PATH})({_ANY_OF})")
_VALUE = re.compile(rf"{_STRING}|[0-9]+")
#: Parentheses that group; what joins by OR alone means the same without them.
_GROUPING = re.compile(rf"{_STRING}|\bIN[ \t\r\n]*+{_LIST}|[()]")
_ESCAPED = re.compile(r"\\(['\\])")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_PIECE = re.compile(r"[A-Za-z0-9_-]+|[^\sA-Za-z0-9_-]")
_JOINS = ("AND", "OR", "FOLLOWEDBY")
_JOIN = re.compile(rf"\b(?:{'|'.join(_JOINS)})\b")
_BRACKETS = re.compile(r"[\[(]+|[\])]+")

#: Object paths whose values blocklists and matching use, and the normal form of each; e-mail addresses travel in
#: classical feeds only. `hostname` is no STIX object, but a common name for one.
_WRITTEN: dict[str, Callable[[str], str]] = {
    "app:id": normalising.app_id,
    "autonomous-system:number": normalising.as_number,
    "cryptocurrency-wallet:value": normalising.crypto_addr,
    "domain-name:value": normalising.host,
    "email-addr:value": normalising.email_exact,
    "file:hashes.md5": normalising.md5,
    "file:hashes.sha1": normalising.sha1,
    "file:hashes.sha256": normalising.sha256,
    "hostname:value": normalising.host,
    "ipv4-addr:value": normalising.ip_network,
    "ipv6-addr:value": normalising.ip_network,
    "url:value": normalising.url,
}


def check(pattern: str, pattern_type: str) -> Refusal | None:
    """None if the pattern may enter. Only STIX patterns are parsed; other languages are text with a bound."""
    at_most = MAX_CHARS if pattern_type == "stix" else MAX_CHARS_OF_OTHERS
    if len(pattern) > at_most:
        return Refusal("pattern-too-long", "/pattern", f"A pattern of this language has at most {at_most} characters.")
    if pattern_type != "stix":
        return None
    if is_of_tokens(pattern) or _SIMPLE.fullmatch(pattern):
        return None
    if _is_too_complex(_LITERAL.sub("''", pattern)):
        return _too_complex()
    try:
        return _parsed(pattern)
    except budget.Spent:
        return too_costly("/pattern")
    except RecursionError:
        return _too_complex()


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Refusal | None:
    """What the grammar's parser says, remembered: feeds repeat patterns. Raises budget.Spent, RecursionError."""
    with budget.spending():
        try:
            Pattern(pattern)
        except (ParseException, ValueError, IndexError, AttributeError):
            return Refusal("bad-pattern", "/pattern", "The pattern is not in the STIX pattern language (§9).")
    return None


def clear_values(pattern: str) -> tuple[TokenValue, ...]:
    """The values of a plain equality pattern, for the paths that matching knows; () for any other pattern.

    Each is in its normal form; what its own normaliser does not take, or what is not plain, is none.
    """
    if "(" in pattern:
        pattern = _GROUPING.sub(lambda found: " " if found[0] in "()" else found[0], pattern)
    if not _ONE_OF.fullmatch(pattern):
        return ()
    found: dict[TokenValue, None] = {}
    for path, literals in _COMPARISON.findall(pattern):
        domain = path.lower().replace("'", "").replace("sha-256", "sha256").replace("sha-1", "sha1")
        normalise = _WRITTEN.get(domain)
        if normalise is None:
            continue
        for literal in _VALUE.findall(literals):
            text = _ESCAPED.sub(r"\1", literal[1:-1]) if literal.startswith("'") else literal
            if len(text) <= _MAX_VALUE_CHARS and (value := written(text, normalise)) is not None:
                found |= dict.fromkeys(_tokens(domain, value))
    return tuple(found)


def _tokens(domain: str, value: str) -> tuple[TokenValue, ...]:
    """A value; a URL that says no more than its host is matched as the host, too, and listed as a URL alone."""
    token = TokenValue(domain, "clear", "", value)
    if domain != "url:value" or not normalising.is_bare(value):
        return (token,)
    host = normalising.url_host(value)
    if ":" in host:
        return token, TokenValue("ipv6-addr:value", "clear", "", normalising.ip_network(host), MATCH_ONLY)
    if host.rpartition(".")[2].isdigit():
        return token, TokenValue("ipv4-addr:value", "clear", "", normalising.ip_network(host), MATCH_ONLY)
    return token, TokenValue("domain-name:value", "clear", "", host, MATCH_ONLY)


def written(text: str, normalise: Callable[[str], str]) -> str | None:
    """A value as it is compared and listed; None for what gives no entry."""
    try:
        value = normalise(text)
    except ValueError:
        return None
    return value if len(value) <= _MAX_VALUE_CHARS and is_plain(value) else None


def check_regex(source: str, at: str) -> Refusal | None:
    """None if RE2 takes the expression within its memory bound: no backtracking, hence linear time."""
    try:
        taken = _is_linear_regex(source)
    except budget.Spent:
        return too_costly(at)
    return None if taken else Refusal("bad-regex", at, "Not an RE2 expression, or too large for one.")


@lru_cache(maxsize=256)
def _is_linear_regex(source: str) -> bool:
    """Raises budget.Spent."""
    options = re2.Options()
    options.max_mem = _MAX_REGEX_BYTES
    options.log_errors = False
    with budget.spending():
        try:
            re2.compile(source, options)
        except re2.error:
            return False
    return True


def _is_too_complex(bare: str) -> bool:
    """Whether a pattern, without its literals, is beyond the bounds; what is counted fastest is looked at first."""
    if sum(map(bare.count, "()[]")) > MAX_PIECES or _depth(bare) > MAX_DEPTH:
        return True
    if sum(map(bare.count, _JOINS)) >= MAX_TERMS and len(_JOIN.findall(bare)) >= MAX_TERMS:
        return True
    return len(bare) > MAX_PIECES and len(_PIECE.findall(bare)) > MAX_PIECES


def _depth(bare: str) -> int:
    deepest = depth = 0
    for run in _BRACKETS.findall(bare):
        depth += len(run) if run[0] in "([" else -len(run)
        deepest = max(deepest, depth)
    return deepest


def too_costly(at: str) -> Refusal:
    """The answer to what the batch has no time left for (`budget`)."""
    message = f"The patterns of one batch take at most {budget.SECONDS:g} seconds to read: send the rest in another."
    return Refusal("batch-too-costly", at, message)


def _too_complex() -> Refusal:
    return Refusal(
        "pattern-too-complex",
        "/pattern",
        f"A pattern has at most {MAX_TERMS} comparisons, {MAX_DEPTH} levels of parentheses and {MAX_PIECES} words"
        " and signs, or is plain comparisons joined by AND and OR.",
    )
