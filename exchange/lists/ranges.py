"""Look-up by prefix: a list cut into ranges of one size by the hash of each value. Server and agent.

Whoever asks for a range says the first `bits` bits of a hash, and nothing else. Each answer has the same length, and
entries in it look like its filling. A file is a head, then the ranges in their order:

    head    HEAD bytes: a JSON object, and blanks
    range   `slots` records of RECORD bytes, in no order; those beyond its entries are random
    record  bytes 4 to 15 of the hash, then the end of the entry: seconds since 1970, big-endian, NEVER if it has none

The hash is SHA-256 over `exchange-range-1`, what the value is compared as, and its normal form, with NUL between them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from exchange.lists import nets
from exchange.lists.lines import Line, compared

FORMAT = 1
HEAD, RECORD = 1024, 16
#: A range has about so many entries; the server learns at most so many bits of a hash.
_ENTRIES, MOST_BITS = 64, 16
_SLOTS = 16
NEVER = 2**32 - 1
_TAIL = slice(4, 16)


@dataclass(frozen=True, slots=True)
class Head:
    """How a file is laid out. `net_lengths`: the lengths of prefixes that its networks have, by version of IP."""

    bits: int
    slots: int
    net_lengths: dict[str, list[int]]
    format: int = FORMAT
    record_bytes: int = RECORD

    @property
    def size(self) -> int:
        """Of each range, in bytes."""
        return self.slots * RECORD

    @property
    def ranges(self) -> int:
        """How many there are."""
        return 1 << self.bits

    def document(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Head:
        """As it was written. Raises ValueError for another format, or what is none."""
        try:
            head = cls(document["bits"], document["slots"], document["net_lengths"])
        except (KeyError, TypeError) as error:
            raise ValueError("this is no head of ranges") from error
        same = document.get("format") == FORMAT and document.get("record_bytes") == RECORD
        if not same or not 0 <= head.bits <= MOST_BITS or head.slots < 1:
            raise ValueError("these ranges have another format")
        return head


def digest(subkind: str, value: str) -> bytes:
    """The hash of a value in its normal form."""
    return hashlib.sha256(f"exchange-range-1\0{compared(subkind)}\0{value}".encode()).digest()


def place(hashed: bytes, bits: int) -> int:
    """The range that a hash belongs to."""
    return int.from_bytes(hashed[:4]) >> (32 - bits)


def find(block: bytes, hashed: bytes, *, at: int) -> bool:
    """Whether a range holds a hash whose entry has not ended; `at` in seconds since 1970."""
    tail, start = hashed[_TAIL], 0
    while (found := block.find(tail, start)) >= 0:
        if found % RECORD == 0:
            return int.from_bytes(block[found + 12 : found + RECORD]) > at
        start = found + 1
    return False


class Cutter:
    """Takes lines in, and then gives the pieces of a file, its head first. Some 150 bytes an entry in memory."""

    def __init__(self) -> None:
        self._ends: dict[bytes, int] = {}
        self._lengths: dict[str, set[int]] = {"4": set(), "6": set()}

    @property
    def entries(self) -> int:
        """How many values were taken in."""
        return len(self._ends)

    def take(self, line: Line) -> None:
        """A value of the list; of one said twice, the later end."""
        hashed = digest(line.subkind, line.value)[:16]
        self._ends[hashed] = max(self._ends.get(hashed, 0), _end(line.valid_until))
        if compared(line.subkind) == "net":
            net = nets.read(line.value)
            if net is not None:
                self._lengths[str(net.version)].add(net.prefixlen)

    def pieces(self) -> Iterator[bytes]:
        """The head, then each range."""
        bits = min(MOST_BITS, (len(self._ends) // _ENTRIES).bit_length())
        held = Counter(place(hashed, bits) for hashed in self._ends)
        slots = -(-max(held.values(), default=1) // _SLOTS) * _SLOTS
        head = Head(bits, slots, {version: sorted(found) for version, found in self._lengths.items()})
        yield json.dumps(head.document(), separators=(",", ":")).encode().ljust(HEAD)
        ordered = iter(sorted(self._ends.items()))
        for number in range(head.ranges):
            own = [next(ordered) for _ in range(held[number])]
            records = b"".join(hashed[_TAIL] + end.to_bytes(4) for hashed, end in own)
            yield records + secrets.token_bytes(head.size - len(records))


def _end(moment: datetime | None) -> int:
    return NEVER if moment is None else min(NEVER, int(moment.timestamp()))
