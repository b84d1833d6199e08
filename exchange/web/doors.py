"""The end of a listener that loses nobody.

The kernel completes connections by itself and keeps them until they are accepted; those that it still holds when a
listener is closed are reset, with the requests that their clients have sent already. A proxy cannot send such a request
elsewhere: it may have been carried out. So first nobody new may begin to connect, then who did is accepted, and only
then the listener closes.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
#: A filter of the kernel's (BPF) on TCP segments: one with SYN and without ACK is dropped, all others pass.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # of which SYN and ACK
    (0x15, 0, 1, 0x02),  # are SYN alone:
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # pass
)


def shut(listener: socket.socket) -> None:
    """Let nobody begin to connect; who has begun goes on. Who tries asks again after a second, and then is refused.

    Where the kernel has no such filter nothing changes, and who connects at the very end may be lost.
    """
    lines = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in _NO_SYN))
    with suppress(OSError):
        program = struct.pack("@HP", len(_NO_SYN), ctypes.addressof(lines))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def reopen(listener: socket.socket) -> None:
    """Let everybody begin again: what `shut` did stays with a socket that another process holds, too."""
    with suppress(OSError):  # it was not shut
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
