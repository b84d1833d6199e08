"""What a viewer may see as one STIX bundle or in another format, written page by page, so that memory is bounded.

While a slow reader reads, no connection of the database is held.

The publishers' own bytes stand side by side; only the bundle around them, with its random id, is ours (STIX 2.1 §8).
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson
from django.db import connection

from exchange import formats
from exchange.formats import flat
from exchange.formats.losses import Loss
from indicators import reading
from indicators.reading import referred, referring
from indicators.reading.selecting import Selection
from indicators.stix import references, tlp
from partners.log import reads
from partners.tlp import Tlp
from partners.viewer import Viewer

MEDIA_TYPE = "application/stix+json;version=2.1"
_PAGE = 500
#: A reader who does not read holds one page, several times over.
_PAGE_BYTES = 512 * 1024
#: Identities and markings that are added to a bundle, at most, and how many are looked up at once.
_MAX_REFERRED = 20_000
_AT_ONCE = 200
_PIECE_BYTES = 64 * 1024
_TYPES = ("extension-definition--", "identity--", "marking-definition--")


def bundle(
    viewer: Viewer, wanted: Selection, *, referenced: bool = False, surface: str = "rest:bundle"
) -> Iterator[bytes]:
    """A STIX bundle of the selection, oldest first, one row per id and version. The first page is read at once.

    With `referenced`, what its objects name follows, where it is not in it: identities, marking and extension
    definitions that the viewer may see, and those that the exchange itself stands for (`referred`).
    """
    pages = _pages(viewer, replace(wanted, once=True), surface=surface)
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


def converted(viewer: Viewer, wanted: Selection, form: str) -> Iterator[bytes]:
    """The indicators of a selection in another format (`formats.FORMS`), oldest first; the first page at once."""
    write, _ = formats.FORMS[form]
    return _joined(write(_documents(viewer, wanted), lambda _: None))


def losses(viewer: Viewer, wanted: Selection, form: str) -> Iterator[bytes]:
    """What such a conversion loses or changes, a line of JSON each; never with a value."""
    write, _ = formats.FORMS[form]
    told: deque[Loss] = deque()
    return _joined(_told(write(_documents(viewer, wanted), told.append), told))


def _told(pieces: Iterator[bytes], told: deque[Loss]) -> Iterator[bytes]:
    for _ in chain(pieces, (b"",)):
        while told:
            yield orjson.dumps(told.popleft().document(), option=orjson.OPT_APPEND_NEWLINE)


def _documents(viewer: Viewer, wanted: Selection) -> Iterator[dict[str, Any]]:
    """The objects, parsed: none is written again. One that says no TLP has that under which it is shown."""
    pages = _pages(viewer, replace(wanted, once=True), surface="rest:export")
    first = next(pages)
    return (_document(said) for page in chain([first], pages) for said in page)


def _document(said: reading.Statement) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(said.body)
    if not flat.tlp_of(document):
        refs = document.get("object_marking_refs")
        document["object_marking_refs"] = [
            *(refs if isinstance(refs, list) else ()),
            tlp.ID_OF[Tlp(said.tlp).word],
        ]
    return document


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces; one at least, and a piece is sent when it is large enough."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


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
            some = Selection(stix_ids=tuple(missing[start : start + _AT_ONCE]), once=True)
            for page in _pages(viewer, some, surface="rest:bundle"):
                names.note(page)
                if page:
                    yield [said.body for said in page]
        if not names.named - names.there - asked and (ours := referred.bodies(asked - names.there)):
            names.there |= ours.keys()
            for body in ours.values():
                names.look(body)
            yield list(ours.values())


def _pages(viewer: Viewer, wanted: Selection, *, surface: str) -> Iterator[list[reading.Statement]]:
    """Page by page, each counted before it is handed out, all together as one reading.

    Not at the end: who breaks off leaves that to the garbage collector, which comes when it likes, and a query of its
    own must not meet another on the same connection.
    """
    after, times = 0, 1
    while True:
        page = reading.page(viewer, wanted, after=after, limit=_PAGE, max_bytes=_PAGE_BYTES)
        if page.statements:
            places = page.statements[0].seq, page.statements[-1].seq
            reads.tally(viewer, surface=surface, objects=len(page.statements), places=places, times=times)
            times = 0
        if not connection.in_atomic_block:
            connection.close()  # back to the pool, while the reader takes its time
        yield page.statements
        if not page.more:
            return
        after = page.reached
