"""What a store is asked after a restore: is it whole, does it open, does it hold all that was acknowledged.

Each app names here what it can tell (`apps.py`): this ground knows no partner and no indicator. Nothing that was opened
leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exchange import sealing

#: One call a row, which opens what is sealed in it.
Openers = Callable[[], Iterator[Callable[[], object]]]
#: What is sealed, in the operator's words, and its rows.
SEALED: dict[str, Openers] = {}
#: The same words: seals the rows anew with the present SECRET_KEY, and returns how many were under another.
RESEAL: dict[str, Callable[[], int]] = {}
#: Each returns a sentence for whatever is not as it was written.
PROOFS: list[Callable[[], Iterator[str]]] = []
#: Numbers that only grow, and grow with whatever is acknowledged.
GROWING: dict[str, Callable[[], int]] = {}


@dataclass(frozen=True, slots=True)
class Tried:
    """Of one kind of sealed rows: how many opened, and how many did not."""

    what: str
    opened: int
    closed: int


def tried() -> Iterator[Tried]:
    """Open every sealed row under today's SECRET_KEY and SECRET_KEY_FALLBACKS."""
    for what, openers in sorted(SEALED.items()):
        opened = closed = 0
        for one in openers():
            try:
                one()
            except sealing.Broken:
                closed += 1
            else:
                opened += 1
        yield Tried(what, opened, closed)


def witness() -> dict[str, int]:
    """How far each number that only grows has come."""
    return {what: look() for what, look in sorted(GROWING.items())}


def findings(seen: Mapping[str, int]) -> Iterator[str]:
    """A sentence for whatever is wrong: in the store itself, with its seals, or against a witness of before."""
    for proof in PROOFS:
        yield from proof()
    for one in tried():
        if one.closed:
            yield f"{one.closed} of {one.opened + one.closed} {one.what} do not open: SECRET_KEY is not the one of then"
    now = witness()
    for what, least in seen.items():
        if now.get(what, 0) < least:
            yield f"{what}: {now.get(what, 0)} are there, {least} were acknowledged before the point"
