"""A file as an answer: the kernel hands it to the network (sendfile), a region at a time, past our memory."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Bytes of one step, after which others have their turn.
STEP_BYTES = 1_048_576


@dataclass(slots=True)
class Region:
    """What is still to be sent of an open file: `left` bytes from `first`."""

    number: int
    first: int
    left: int

    def __len__(self) -> int:
        return self.left

    def send(self, sock: socket.socket) -> int:
        """Bytes that the network took. Raises BlockingIOError; OSError where the client, or the file's end, is gone."""
        sent = os.sendfile(sock.fileno(), self.number, self.first, self.left)
        if sent == 0:
            raise OSError("the file is shorter than was said")
        self.first, self.left = self.first + sent, self.left - sent
        return sent

    def read(self) -> bytes:
        """The bytes themselves."""
        return os.pread(self.number, self.left, self.first)


class FileWrapper:
    """`wsgi.file_wrapper` (PEP 3333): a file's `region`, if it says one, is sent by steps; else it is read."""

    def __init__(self, file: Any, block_size: int = 262_144) -> None:
        self._file, self._block_size = file, block_size
        region: Region | None = getattr(file, "region", None)
        self.streaming = True
        self.steps = _Steps(region) if region is not None else None

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(self._block_size):
            yield piece

    def close(self) -> None:
        """Close the file."""
        if close := getattr(self._file, "close", None):
            close()


class _Steps:
    def __init__(self, region: Region) -> None:
        self._next, self._end = region.first, region.first + region.left
        self._number = region.number

    def step(self) -> Region | None:
        """What is sent next; None at the end."""
        first = self._next
        self._next = min(first + STEP_BYTES, self._end)
        return Region(self._number, first, self._next - first) if self._next > first else None
