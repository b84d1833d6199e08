"""One line of the log per request, which no request waits for.

Writing lines one by one costs as much as answering, and a request would stand still while whoever reads the log does.
So they are gathered and written many at once. A process that is killed takes the last of its lines with it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import get_contextvars

from exchange import logs
from exchange.soon import Soon

WITHIN_S = 0.1
#: Lines that wait at most; while the log takes no more, further ones are counted and left out.
MOST = 50_000

#: POSIX's PIPE_BUF on Linux.
_AT_ONCE_BYTES = 4_096

_logger = logging.getLogger("exchange.access")


class Lines:
    """What is still to be written."""

    def __init__(self, *, most: int = MOST) -> None:
        self._lines: deque[str] = deque()
        self._most, self._left_out, self._writing = most, 0, threading.Lock()

    def add(self, line: str) -> None:
        """Never waits."""
        if len(self._lines) < self._most:
            self._lines.append(line)
        else:
            self._left_out += 1

    def write(self) -> None:
        """Write what is there to standard error."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            left_out, self._left_out = self._left_out, 0
            if left_out:
                lines.append(_line({"event": "access.left_out", "lines": left_out}))
            for chunk in _chunks(lines):
                sys.stderr.write(chunk)
                sys.stderr.flush()


def _chunks(lines: list[str]) -> Iterator[str]:
    """Whole lines, at most so many that a pipe takes them at once and mixes them with nobody else's."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode())
        if chunk and size + length > _AT_ONCE_BYTES:
            yield "".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += length
    if chunk:
        yield "".join(chunk)


LINES = Lines()
_SOON = Soon("exchange-access", LINES.write, within_s=WITHIN_S)


def note(**what: Any) -> None:
    """A line with what is bound to the request (its id, who asks) and these facts; credentials are blanked."""
    if _logger.isEnabledFor(logging.INFO):
        LINES.add(_line({"event": "request", **get_contextvars(), **what}))
        _SOON.ask()


def _line(facts: dict[str, Any]) -> str:
    facts |= {"level": "info", "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    return f"{logs.blanked(logs.as_json(facts))}\n"
