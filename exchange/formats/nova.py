"""NOVA rules (https://github.com/Nova-Hunting/nova-framework): a file of several rules, to and from indicators.

A rule's text is carried as it stands, so that the same rule of two labs has the same pattern and matches. As NOVA
reads it, a rule begins on a line of its own with `rule` and its name, and ends with the brace on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exchange.formats import reading
from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.formats.reading import Tell

MEDIA_TYPE = "text/plain; charset=utf-8"
LONGEST = 8_192
_START = re.compile(r"^[ \t]*rule[ \t]+(\w+)", re.MULTILINE)
_END = re.compile(r"^[ \t]*\}[ \t]*$", re.MULTILINE)
_UUID = re.compile(r'^\s*uuid\s*=\s*"([0-9a-fA-F-]{36})"', re.MULTILINE)


def read(text: str) -> Iterator[Found | Loss]:
    """The rules of a file, each with the number of its first line as its path."""
    if "\r" in text:
        yield Loss("/1", "line-ends")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.removeprefix("\ufeff")
    starts = list(_START.finditer(text))
    yield from _between(text, 0, starts[0].start() if starts else len(text))
    seen: set[str] = set()
    for place, start in enumerate(starts):
        limit = starts[place + 1].start() if place + 1 < len(starts) else len(text)
        path = f"/{_line(text, start.start())}"
        end = _end_of(text, start.start(), limit)
        if end is None:
            yield Loss(path, "not-a-rule")
            continue
        rule = text[start.start() : end].strip()
        if len(rule) > LONGEST:
            yield Loss(path, "too-long")
        elif rule in seen:
            yield Loss(path, "same-rule")
        else:
            seen.add(rule)
            named = _UUID.search(rule)
            yield Found(path, "nova_rule", carried={"signature": {"nova": rule}}, source_id=named[1] if named else "")
        yield from _between(text, end, limit)


def _end_of(text: str, start: int, limit: int) -> int | None:
    """The place behind the rule's last brace: on a line of its own; of a rule on one line, its last."""
    found = _END.search(text, start, limit)
    if found is not None:
        return found.end()
    brace = text.rfind("}", start, limit)
    return None if brace < 0 else brace + 1


def _between(text: str, start: int, end: int) -> Iterator[Loss]:
    """What stands between rules: comments, and what is none."""
    for number, line in enumerate(text[start:end].split("\n"), _line(text, start)):
        if written := line.strip():
            yield Loss(f"/{number}", "comment-dropped" if written.startswith(("//", "#")) else "not-a-rule")


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def write(objects: Iterable[Mapping[str, Any]], tell: Tell) -> Iterator[bytes]:
    """The NOVA rules among objects as one file, a rule with each name, in pieces."""
    texts: dict[str, int] = {}
    for document in objects:
        one = reading.of_ours(document, tell)
        if one is None:
            continue
        if one.subkind != "nova_rule":
            tell(Loss(one.id, "no-counterpart"))
            continue
        rule = str(one.extension["signature"]["nova"])
        named = _START.search(rule)
        if named is None or _end_of(rule, named.start(), len(rule)) is None:
            tell(Loss(one.id, "not-a-rule"))
            continue
        if named[1] in texts:
            tell(Loss(one.id, "same-rule" if texts[named[1]] == hash(rule) else "same-name"))
            continue
        texts[named[1]] = hash(rule)
        reading.tell_common(one, tell)
        tell_said(one, tell)
        yield f"{rule}\n\n".encode()


def tell_said(one: reading.Ours, tell: Tell) -> None:
    """A rule is its text alone: what its indicator says besides has no place in a file of rules."""
    tell(Loss(f"{one.id}/extensions", "context-dropped"))
