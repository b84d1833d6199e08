"""A page of the delta: a row a line, removes first, and a trailer without which none of it counts. Server and client.

    {"op":"remove","reason":"revoked",…}
    {"op":"upsert","reason":"published",…,"sha256":"…","valid_until":"…","object":{…}}
    {"trailer":{"complete":true,"rows":2,"next_cursor":"…","page_sha256":"…","set_count":1,"set_hash":"…",…}}

`object` is the last member of its row, so the publisher's bytes are what stands between it and the row's last brace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

OPS = ("remove", "upsert")
#: The kinds of parts of an instance that an acknowledgement may name as late.
PARTS = ("command", "file", "look-ups", "postgres", "redis", "webhook")
_OBJECT = b'"object":'
#: The longest line that is read: an object of a megabyte, with room for what stands beside it.
MAX_LINE_BYTES = 4 * 1024 * 1024
#: The longest page of the delta that is read, unpacked. It has 8 MiB of objects; the entries of one whose pattern is a
#: list of addresses take five times as much.
MAX_BYTES = 128 * 1024 * 1024
#: The largest set that is taken in, in objects, and the longest snapshot, unpacked. The product is made for a million.
MAX_OBJECTS, MAX_SNAPSHOT_BYTES = 20_000_000, 256 * 1024 * 1024 * 1024
#: The longest cursor; one of ours has less than 200 characters.
_MAX_CURSOR = 2_048
_KEY_BYTES = 32
#: No pace and no age that a trailer states is longer: ten years.
_MOST_S = 315_360_000


class Incomplete(Exception):
    """The page is not whole: discard it, keep the cursor, ask again."""


@dataclass(frozen=True, slots=True)
class Trailer:
    """What the last line says. `set_key`, `set_count` and `set_hash` are None while more is to come or is unknown.

    `min_wait_s` is how long the server wants to be left alone; `stale_after_s` after how many seconds without a page a
    subscriber should take what it holds for old. `standing` are those that the feed's filter lets through, where it
    names any; of a feed that names none nothing is disputed or refuted.
    """

    rows: int
    next_cursor: str
    page_sha256: str
    more: bool = False
    set_key: bytes | None = None
    set_count: int | None = None
    set_hash: str | None = None
    min_wait_s: float = 0.0
    stale_after_s: int = 0
    standing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, how many of them this reader cannot use (`skipped`), and the trailer."""

    rows: list[dict[str, Any]]
    trailer: Trailer
    skipped: int = 0


@dataclass(slots=True)
class Writer:
    """Writes a page: each row as it stands, then the trailer."""

    rows: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def row(self, line: bytes) -> bytes:
        """A row, one line without its end; returns what to send."""
        if b"\n" in line:
            raise ValueError("a row is one line")
        whole = line + b"\n"
        self.rows += 1
        self._digest.update(whole)
        return whole

    def trailer(self, next_cursor: str, **more: Any) -> bytes:
        """The last line."""
        document = {
            "complete": True,
            "rows": self.rows,
            "next_cursor": next_cursor,
            "page_sha256": self._digest.hexdigest(),
            **more,
        }
        return json.dumps({"trailer": document}, separators=(",", ":")).encode() + b"\n"


def read(
    pieces: Iterable[bytes], *, most: int | None = None, on_row: Callable[[dict[str, Any]], None] | None = None
) -> Page:
    """Read a page to its trailer and verify it. Raises Incomplete; nothing of such a page may be applied.

    Of more than `most` rows none is a page.

    A row whose `op` is not known is skipped and counted: a newer server may say more. With `on_row`, rows are handed
    over one by one and not kept; the caller forgets them where Incomplete is raised.
    """
    digest = hashlib.sha256()
    rows: list[dict[str, Any]] = []
    count = skipped = 0
    trailer: Trailer | None = None
    take = on_row or rows.append
    for line in _lines(pieces):
        if trailer is not None:
            raise Incomplete("something stands behind the trailer")
        document = _document(line)
        if "trailer" in document:
            trailer = _trailer(document["trailer"])
            continue
        digest.update(line + b"\n")
        count += 1
        if most is not None and count > most:
            raise Incomplete("there are more rows than were asked for")
        row = _row(line, document)
        if row is None:
            skipped += 1
        else:
            take(row)
    if trailer is None:
        raise Incomplete("the page has no trailer: it was cut off")
    if trailer.rows != count or trailer.page_sha256 != digest.hexdigest():
        raise Incomplete("the page is not what its trailer says")
    return Page(rows, trailer, skipped)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines without their ends; a rest without an end is a cut."""
    rest = bytearray()
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest += first
        for other in others:
            yield bytes(rest)
            rest = bytearray(other)
        if len(rest) > MAX_LINE_BYTES:
            raise Incomplete("a line is too long")
    if rest:
        raise Incomplete("the page ends within a line: it was cut off")


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise Incomplete("a line is not JSON") from None
    if not isinstance(document, dict):
        raise Incomplete("a line is not a JSON object")
    return document


def _row(line: bytes, document: dict[str, Any]) -> dict[str, Any] | None:
    """The row, if it can be used."""
    if document.get("op") not in OPS:
        return None
    publisher = document.get("publisher")
    if not isinstance(publisher, Mapping):
        return None
    words = (publisher.get("id"), publisher.get("name"), document.get("id"))
    if not all(is_text(word) and "\0" not in word for word in words):
        return None
    if document["op"] == "upsert" and not _is_whole(line, document):
        raise Incomplete("an object's bytes are not those of its row")
    return document


def is_text(word: Any) -> TypeGuard[str]:
    """Whether it is a text that UTF-8 can write: JSON's escapes can say what it cannot."""
    return isinstance(word, str) and (word.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in word))


def _is_whole(line: bytes, document: Mapping[str, Any]) -> bool:
    """Whether `sha256` is that of the object's bytes, where they are sent along; its form, where they are not."""
    stated = document.get("sha256")
    if not isinstance(stated, str) or len(stated) != 64:
        return False
    if "object" not in document:
        return True
    _, _, rest = line.partition(_OBJECT)
    return hashlib.sha256(rest[:-1]).hexdigest() == stated


def _standing(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    if not isinstance(said, list) or not said or not all(is_text(one) and one for one in said):
        raise Incomplete("the trailer's standings are none")
    return tuple(said)


def _trailer(said: Any) -> Trailer:
    try:
        if said["complete"] is not True:
            raise Incomplete("the trailer does not call the page complete")
        key, count, set_hash = (said.get(name) for name in ("set_key", "set_count", "set_hash"))
        cursor = said["next_cursor"]
        if not is_text(cursor) or len(cursor) > _MAX_CURSOR or (key and len(key) != 2 * _KEY_BYTES):
            raise Incomplete("the trailer's cursor or key is none of an exchange")
        return Trailer(
            rows=int(said["rows"]),
            next_cursor=cursor,
            page_sha256=str(said["page_sha256"]),
            more=bool(said.get("more", False)),
            set_key=bytes.fromhex(key) if key else None,
            set_count=None if count is None else int(count),
            set_hash=None if set_hash is None else str(set_hash),
            min_wait_s=min(max(0.0, float(said.get("min_wait_s") or 0)), _MOST_S),
            stale_after_s=min(max(0, int(said.get("stale_after_s") or 0)), _MOST_S),
            standing=_standing(said.get("standing")),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise Incomplete("the trailer cannot be read") from None
