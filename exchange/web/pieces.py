"""An answer that is made in pieces: how one is known, what is sent of it at a time, and that its length is as said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exchange.web.connection import Connection
from exchange.web.files import Region
from exchange.web.hooks import Wait

#: What an answer that is made in pieces gathers before it is sent.
_PIECE_BYTES = 128 * 1024
MISCOUNTED = "a body of another length than its head says, which the next answer would be taken for"


def of(result: Any) -> Any:
    """The pieces of what an application returned; None where it is whole already."""
    return getattr(result, "steps", None) or (iter(result) if getattr(result, "streaming", False) else None)


def next_of(source: Any) -> bytes | Region | Wait | None:
    """The next piece, or what it waits for; None at the end."""
    piece: bytes | Region | Wait | None = source.step() if hasattr(source, "step") else _gathered(source)
    return piece


def count(connection: Connection, piece: bytes | Region | None) -> None:
    """Raise ValueError where an answer is longer or shorter than its head says."""
    if connection.left is not None:
        connection.left -= len(piece or b"")
        if connection.left < 0 or (piece is None and connection.left):
            raise ValueError(MISCOUNTED)


def _gathered(source: Iterator[bytes]) -> bytes | None:
    """So many bytes of an iterator that sending them is worth while; None at its end."""
    parts: list[bytes] = []
    size = 0
    for part in source:
        parts.append(part)
        size += len(part)
        if size >= _PIECE_BYTES:
            break
    return b"".join(parts) if size else None
