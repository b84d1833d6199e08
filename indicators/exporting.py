"""What a viewer may see as one STIX bundle, written page by page, so that memory is bounded.

While a slow reader reads, no connection of the database is held.

The publishers' own bytes stand side by side; only the bundle around them, with its random id, is ours (STIX 2.1 §8).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import orjson
from django.db import connection

from indicators import reading, referred, referring
from indicators.selecting import Selection
from indicators.stix import references
from partners.sharing import Viewer

MEDIA_TYPE = "application/stix+json;version=2.1"
_PAGE = 500
#: A reader who does not read holds one page, several times over.
_PAGE_BYTES = 512 * 1024
#: Identities and markings that are added to a bundle, at most, and how many are looked up at once.
_MAX_REFERRED = 20_000
_AT_ONCE = 200
_TYPES = ("extension-definition--", "identity--", "marking-definition--")


def bundle(viewer: Viewer, wanted: Selection, *, referenced: bool = False) -> Iterator[bytes]:
    """A STIX bundle of the selection, oldest first, one row per id and version. The first page is read at once.

    With `referenced`, what its objects name follows, where it is not in it: identities, marking and extension
    definitions that the viewer may see, and those that the exchange itself stands for (`referred`).
    """
    pages = _pages(viewer, replace(wanted, once=True))
    first = next(pages)
    return _written(viewer, first, pages, referenced=referenced)


def _written(
    viewer: Viewer, first: list[reading.Statement], rest: Iterator[list[reading.Statement]], *, referenced: bool
) -> Iterator[bytes]:
    head = f'{{"type":"bundle","id":"bundle--{uuid.uuid4()}"'
    opening = f'{head},"objects":['
    names = _Names(viewer)
    for page in _all(viewer, first, rest, names if referenced else None):
        yield f"{opening}{','.join(page)}".encode()
        opening = ","
    yield b"]}" if opening == "," else f"{head}}}".encode()  # a list is never empty (§2.12)


class _Names:
    """The identities and markings that were named, and those that are already there."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.named: set[str] = set()
        self.there: set[str] = set()

    def note(self, page: list[reading.Statement]) -> None:
        """Look at what the objects of a page point to. One query, none for a page without any."""
        self.there |= {said.stix_id for said in page if said.stix_id.startswith(_TYPES)}
        self._add(referring.targets(self._viewer, [said.object_id for said in page]))

    def look(self, body: str) -> None:
        """Look at what an object of the exchange's own points to."""
        self._add(ref.target for ref in references.refs(orjson.loads(body)))

    def _add(self, targets: Iterable[str]) -> None:
        if len(self.named) < _MAX_REFERRED:
            self.named |= {target for target in targets if target.startswith(_TYPES)}


def _all(
    viewer: Viewer,
    first: list[reading.Statement],
    rest: Iterator[list[reading.Statement]],
    names: _Names | None,
) -> Iterator[list[str]]:
    """The bytes of the pages that hold anything, and then of what they name, and what that names."""
    for page in chain([first], rest):
        if names is not None:
            names.note(page)
        if page:
            yield [said.body for said in page]
    asked: set[str] = set()
    while names is not None and (missing := sorted(names.named - names.there - asked)):
        asked |= set(missing)
        for start in range(0, len(missing), _AT_ONCE):
            for page in _pages(viewer, Selection(stix_ids=tuple(missing[start : start + _AT_ONCE]), once=True)):
                names.note(page)
                if page:
                    yield [said.body for said in page]
        if not names.named - names.there - asked and (ours := referred.bodies(asked - names.there)):
            names.there |= ours.keys()
            for body in ours.values():
                names.look(body)
            yield list(ours.values())


def _pages(viewer: Viewer, wanted: Selection) -> Iterator[list[reading.Statement]]:
    after = 0
    while True:
        page = reading.page(viewer, wanted, after=after, limit=_PAGE, max_bytes=_PAGE_BYTES)
        if not connection.in_atomic_block:
            connection.close()  # back to the pool, while the reader takes its time
        yield page.statements
        if not page.more:
            return
        after = page.reached
