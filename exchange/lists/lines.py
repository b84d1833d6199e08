"""From what publishers say to the lines of a list: each value once, in one order, and only values that are plain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

#: What is compared, by the subkind of an entry. A subkind that is not listed is compared with itself alone. Object
#: paths are those of STIX patterns, as classical feeds write them; the others are the vocabulary's subkinds.
COMPARED = {
    "autonomous-system:number": "net",
    "cryptocurrency-wallet:value": "crypto_addr",
    "domain-name:value": "host",
    "email_domain": "host",
    "gateway_host": "host",
    "hostname:value": "host",
    "ipv4-addr:value": "net",
    "ipv6-addr:value": "net",
}
#: A spreadsheet takes a cell that begins so for a formula, and a shell takes `-` for an option.
_FORMULA = ("=", "+", "-", "@")
#: What begins a cell where the spreadsheet's language splits lines at `;`.
_AFTER_SEMICOLON = re.compile(r"(; *)(?=[=+\-@])")


class Said(NamedTuple):
    """What one or more publishers say of a value under one kind and subkind."""

    value: str
    subkind: str
    scheme: str
    key_epoch: str
    kind: str
    sources: Sequence[str]  # names, as the reader is told them
    named: Sequence[str]  # ids of those among the publishers that are named
    confidence: int | None
    valid_until: datetime | None
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list.

    `publishers` is the number of named partners that say the value, at least 1: what is said without a name adds
    nothing, for the number would else tell who hides (vocabulary, "Independent publishers").
    """

    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str
    publishers: int
    sources: tuple[str, ...]
    confidence: int | None
    valid_until: datetime | None
    ids: tuple[str, ...]


def compared(subkind: str) -> str:
    """What values of this subkind are compared as."""
    return COMPARED.get(subkind, subkind)


def is_plain(value: str) -> bool:
    """Whether a value may stand in a list: printable, no blank, and not the beginning of a formula or option.

    Not printable are control characters, line separators, bidirectional and zero-width characters, private use and
    what Unicode has not assigned (categories C* and Z*).
    """
    return bool(value) and value.isprintable() and " " not in value and not value.startswith(_FORMULA)


def shown(name: str) -> str:
    """A name without what is not printable, and never the beginning of a formula, nor after a `;`."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    if ";" in printable:
        printable = _AFTER_SEMICOLON.sub(r"\1'", printable)
    return f"'{printable}" if printable.startswith(_FORMULA) else printable


def of(said: Iterable[Said]) -> Iterator[Line]:
    """The lines of a list. `said` comes sorted by value, in the order of code points; so do the lines.

    A value of one meaning is one line for each subkind of ours that it is said under. What a classical feed says of
    the same value joins these lines; where nobody says it in our kinds, it is a line of its own.
    """
    for _, same_value in groupby(said, key=attrgetter("value")):
        by_meaning: dict[tuple[str, str, str], list[Said]] = {}
        for one in same_value:
            by_meaning.setdefault((compared(one.subkind), one.scheme, one.key_epoch), []).append(one)
        for meaning in sorted(by_meaning):
            yield from _lines(by_meaning[meaning])


def _lines(same: list[Said]) -> Iterator[Line]:
    ours = [one for one in same if ":" not in one.subkind]
    classical = [one for one in same if ":" in one.subkind]
    heads = sorted({(one.subkind, one.kind) for one in ours}) or [min((one.subkind, one.kind) for one in classical)]
    publishers = max(1, len({name for one in same for name in one.named}))
    for subkind, kind in heads:
        joined = [*(one for one in ours if (one.subkind, one.kind) == (subkind, kind)), *classical]
        ends = [one.valid_until for one in joined]
        yield Line(
            kind,
            subkind,
            joined[0].scheme,
            joined[0].key_epoch,
            joined[0].value,
            publishers=publishers,
            sources=tuple(sorted({shown(name) for one in joined for name in one.sources})),
            confidence=max((one.confidence for one in joined if one.confidence is not None), default=None),
            valid_until=None if None in ends else max(end for end in ends if end is not None),
            ids=tuple(sorted({stix_id for one in joined for stix_id in one.ids})),
        )
