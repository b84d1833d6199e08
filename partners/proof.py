"""Whether a viewer still is who they were when they were authenticated, asked inside the transaction that writes.

Every request authenticates before its view (`partners.keys.auth`). What writes asks again here, under a lock that keys
and people are changed under, too: from the moment that a revocation is answered, the key writes nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.sql import Message, columns
from partners.models import ApiKey

if TYPE_CHECKING:
    from partners.viewer import Viewer

_LOCK = 4_815  # beside the partner's own number


class Changed(Exception):
    """The key, or its partner, is not what it was: it is to be found out who the caller is, and all done anew."""


#: The groups of the partner of the key `k`.
GROUPS = """
ARRAY(SELECT m.group_id FROM partners_membership m
      WHERE m.partner_id = k.partner_id AND m.until IS NULL ORDER BY m.group_id)
"""
#: All that is held of the key `k` and its partner, as one text: whoever was read from it before need not be read again.
#: When the key was last used makes no other of it.
WRITTEN = f"""
ROW({columns(ApiKey, "k", but=["last_used_at"])},
    (SELECT p FROM partners_partner p WHERE p.id = k.partner_id), {GROUPS})::text
"""
_STILL = f"""
SELECT sha256(convert_to({WRITTEN}, 'UTF8')) = %s FROM partners_apikey k WHERE k.public_id = %s
"""


def of(written: str) -> bytes:
    """What stands for what was `WRITTEN` of a key."""
    return hashlib.sha256(written.encode()).digest()


def asked_again(by: Viewer, message: Message) -> Callable[[], None]:
    """Until the transaction ends, nobody changes the keys of the viewer's partner; take it early.

    Returns a callable that raises Changed where the viewer's key is not what it was; call it after `send`. A viewer
    that came without a key, a person's or the system's, is asked about where it came from.
    """
    message.add("SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)", _lock_of(by.partner_id))
    if by.proof is None:
        return lambda: None
    public_id, digest = by.proof
    still = message.add(_STILL, [digest, public_id])

    def require() -> None:
        if still.rows != [(True,)]:
            raise Changed

    return require


def alone(partner_id: UUID, message: Message | None = None) -> None:
    """Until the transaction ends, nobody else changes the partner's keys, and nothing is written with one of them."""
    asking = message or Message()
    asking.add("SELECT pg_advisory_xact_lock(%s::int, %s::int)", _lock_of(partner_id))
    if message is None:
        asking.send()


def _lock_of(partner_id: UUID) -> list[int]:
    return [_LOCK, zlib.crc32(partner_id.bytes) - 2**31]
