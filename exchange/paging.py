"""Keyset cursors: opaque, held by the client, sealed and bound to viewer and filter.

A cursor says only where its holder stands, and not even that can be read from it: places in the log would tell
how much others publish. Whom it was made for and which filter it belongs to are authenticated with it, so a
cursor replayed by another viewer, or with another filter, is as worthless as a forged one.
"""

import base64
import binascii
from uuid import UUID

import orjson

from exchange import incarnation, sealing
from exchange.errors import Malformed

_MAX_CURSOR_CHARS = 512
#: Two places of any size and the store's incarnation take less: such a cursor always has the same length.
_BLOCK = 64

Position = list[int | str]


def seal(position: Position, *, viewer: UUID, scope: str) -> str:
    """Make the cursor for `position`; `scope` names surface and filter in one string."""
    document = orjson.dumps([incarnation.current(), *position])
    padded = document.ljust(-(-len(document) // _BLOCK) * _BLOCK)  # or the length would tell how long the log is
    sealed = sealing.seal(padded, purpose="cursor", bound=(viewer.bytes, scope.encode()))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(cursor: str, *, viewer: UUID, scope: str) -> Position:
    """Read a cursor back. Raises Malformed (`bad-cursor`) for any other viewer, scope or origin.

    Raises Gone (`start-over`) where the store was restored since.
    """
    try:
        if len(cursor) > _MAX_CURSOR_CHARS:
            raise ValueError("too long")
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        opened = sealing.unseal(sealed, purpose="cursor", bound=(viewer.bytes, scope.encode()))
    except (binascii.Error, ValueError):
        raise Malformed(
            "This cursor was not made for this caller and these filters.", code="bad-cursor", at="/cursor"
        ) from None
    position: Position = orjson.loads(opened)
    made_in = position.pop(0) if position and isinstance(position[0], str) else ""
    incarnation.require(str(made_in))
    return position
