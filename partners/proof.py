"""Whether a viewer still is who they were when they were authenticated, asked inside the transaction that writes.

Every request authenticates before its view (`partners.keys.auth`). What writes asks again here, behind the locks that
keys, people and what a partner may do are changed under (`partners.locks`): from the moment that a revocation is
answered, the key writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from exchange.sql import Message, columns
from partners.models import ApiKey

if TYPE_CHECKING:
    from partners.viewer import Viewer


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
    """Ask whether the viewer's key is what it was; behind the locks, whose wait may be long.

    Returns a callable that raises Changed where it is not; call it after `send`. A viewer that came without a key, a
    person's or the system's, is asked about where it came from.
    """
    if by.proof is None:
        return lambda: None
    public_id, digest = by.proof
    still = message.add(_STILL, [digest, public_id])

    def require() -> None:
        if still.rows != [(True,)]:
            raise Changed

    return require
