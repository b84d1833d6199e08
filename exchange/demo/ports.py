"""A port for a server that is told its own, some moments before it listens there."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path

_LEAST = 15_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


def free() -> int:
    """One that nobody listens on, and that the system gives to nobody who calls out. Raises OSError."""
    for _ in range(_TRIES):
        port = _LEAST + secrets.randbelow(_given_from() - _LEAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("there is no free port")


def _given_from() -> int:
    """The least port that the system gives to who asks for any: Linux's own range begins at 32768."""
    with suppress(OSError, ValueError):
        return max(_LEAST + 1_000, int(_RANGE.read_text().split()[0]))
    return 32_768
