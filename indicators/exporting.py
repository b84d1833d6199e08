"""What a viewer may see as one STIX bundle, written page by page, so that memory is bounded.

While a slow reader reads, no connection of the database is held.

The publishers' own bytes stand side by side; only the bundle around them, with its random id, is ours (STIX 2.1 §8).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from django.db import connection

from indicators import reading
from indicators.selecting import Selection
from partners.sharing import Viewer

MEDIA_TYPE = "application/stix+json;version=2.1"
_PAGE = 500
_PAGE_BYTES = 4 * 1024 * 1024
_REFERRED = re.compile(
    r'"((?:identity|marking-definition)--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"'
)
#: Identities and markings that are added to a bundle, at most, and how many are looked up at once.
_MAX_REFERRED = 20_000
_AT_ONCE = 200


def bundle(viewer: Viewer, wanted: Selection, *, referenced: bool = False) -> Iterator[bytes]:
    """A STIX bundle of the selection, oldest first, one row per id and version. The first page is read at once.

    With `referenced`, the identities and marking definitions that its objects name follow, where the viewer may see
    them and they are not in it.
    """
    pages = _pages(viewer, replace(wanted, once=True))
    first = next(pages)
    return _written(viewer, first, pages, referenced=referenced)


def _written(
    viewer: Viewer, first: list[reading.Statement], rest: Iterator[list[reading.Statement]], *, referenced: bool
) -> Iterator[bytes]:
    head = f'{{"type":"bundle","id":"bundle--{uuid.uuid4()}"'
    opening = f'{head},"objects":['
    names = _Names()
    for page in _all(viewer, first, rest, names if referenced else None):
        yield f"{opening}{','.join(said.body for said in page)}".encode()
        opening = ","
    yield b"]}" if opening == "," else f"{head}}}".encode()  # a list is never empty (§2.12)


class _Names:
    """The identities and markings that were named, and those that are already there."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self.there: set[str] = set()

    def note(self, page: list[reading.Statement]) -> None:
        self.there |= {said.stix_id for said in page if said.stix_type in {"identity", "marking-definition"}}
        for said in page:
            if len(self.named) < _MAX_REFERRED:
                self.named |= {ref.lower() for ref in _REFERRED.findall(said.body)}


def _all(
    viewer: Viewer,
    first: list[reading.Statement],
    rest: Iterator[list[reading.Statement]],
    names: _Names | None,
) -> Iterator[list[reading.Statement]]:
    """The pages that hold anything, and then what they name, and what that names."""
    for page in chain([first], rest):
        if names is not None:
            names.note(page)
        if page:
            yield page
    asked: set[str] = set()
    while names is not None and (missing := sorted(names.named - names.there - asked)):
        for start in range(0, len(missing), _AT_ONCE):
            ids = tuple(missing[start : start + _AT_ONCE])
            asked |= set(ids)
            for page in _pages(viewer, Selection(stix_ids=ids, once=True)):
                names.note(page)
                if page:
                    yield page


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
