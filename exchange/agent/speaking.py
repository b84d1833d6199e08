"""Look-ups a line, for who counts microseconds: `net 198.51.100.7` is answered `block` on a Unix socket.

Each line is a subkind, a blank and a value. Each answer is a line: the word of the verdict, a blank and the rule where
there is one. Answers come in the order of the questions, and many may be sent at once. It says what is known now: a
value that would have to be asked of the key service is `unknown`. What cannot be answered is `error`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exchange.agent.blocklist import Blocklist

#: The longest line.
_MOST_BYTES = 65_536


class Lines(asyncio.Protocol):
    """One connection. `note` is told how many seconds each batch of lines took, once for each of them."""

    def __init__(self, blocklist: Blocklist, note: Callable[[float], None]) -> None:
        self._blocklist, self._note = blocklist, note
        self._left = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole line; a line without an end waits for it."""
        began = time.perf_counter()
        *lines, self._left = (self._left + data).split(b"\n")
        if self._transport is None or len(self._left) > _MOST_BYTES:
            self._end()
            return
        if lines:
            self._transport.write(b"".join(map(self._answer, lines)))
            took = (time.perf_counter() - began) / len(lines)
            for _ in lines:
                self._note(took)

    def pause_writing(self) -> None:
        """Read no more of who does not read the answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def _answer(self, line: bytes) -> bytes:
        try:
            subkind, _, value = line.decode().rstrip("\r").partition(" ")
            found = self._blocklist.check(subkind, value)
        except (KeyError, ValueError):
            return b"error\n"
        return f"{found.word} {found.rule}\n".encode() if found.rule else f"{found.word}\n".encode()

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()
