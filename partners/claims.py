"""Callers who are known from before: their own query says whether they still are who they were (ADR 0025).

To ask who somebody is, and then for what he wants, are two questions to PostgreSQL. So who was known when last he came
is taken for that one, and what he wants is asked for on the condition that he still is: one question is enough. Where
that does not hold, nothing is answered and nothing is written; it is found out who he is, and all is done anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from exchange import rows
from exchange.prepared import Message
from partners.models import ApiKey

if TYPE_CHECKING:
    from partners.sharing import Viewer


class Doubtful(Exception):
    """The caller is not, or no longer, who he was taken for."""


class Claim:
    """Who a caller is taken for: the values of `HOLDS`, and whether that was found to be so.

    `digest` is that of what was `WRITTEN`; the key's use from the network `prefix` was written down `since`.
    """

    __slots__ = ("parameters", "settled")

    def __init__(self, public_id: str, *, digest: bytes, prefix: str, since: datetime) -> None:
        self.parameters = {
            "claimed_id": public_id,
            "claimed": digest,
            "claimed_from": prefix,
            "claimed_since": since,
        }
        self.settled = False

    def settle(self, *, holds: bool) -> None:
        """Take what `HOLDS` was answered. Raises Doubtful."""
        if not holds:
            raise Doubtful
        self.settled = True


#: The values of `HOLDS` for who claims nothing.
NOTHING: dict[str, Any] = dict.fromkeys(("claimed_id", "claimed", "claimed_from", "claimed_since"))


@lru_cache(maxsize=4_096)
def digest_of(written: str) -> bytes:
    """What stands for it in a query: shorter, and nothing of it gets into anybody's log."""
    return hashlib.sha256(written.encode()).digest()


#: The groups of the partner of the key `k`.
GROUPS = """
ARRAY(SELECT m.group_id FROM partners_membership m
      WHERE m.partner_id = k.partner_id AND m.until IS NULL ORDER BY m.group_id)
"""
#: All that is held of the key `k` and its partner, as one text: whoever was read from it before need not be read again.
#: When the key was last used makes no other of it.
WRITTEN = f"""
ROW({rows.columns(ApiKey, "k", but=["last_used_at"])},
    (SELECT p FROM partners_partner p WHERE p.id = k.partner_id), {GROUPS})::text
"""
#: An SQL expression: whether nothing is claimed, or all of that is as it was, and the key's use from this network was
#: written down not long ago. A network that it comes from for the first time may be locked out (`lockout`).
HOLDS = f"""
(%(claimed_id)s::text IS NULL OR EXISTS (
    SELECT FROM partners_apikey k
    WHERE k.public_id = %(claimed_id)s AND sha256(convert_to({WRITTEN}, 'UTF8')) = %(claimed)s
      AND EXISTS (SELECT FROM partners_keynetwork n
                  WHERE n.key_id = k.id AND n.prefix = %(claimed_from)s AND n.last_at >= %(claimed_since)s)))
"""


def settling(viewer: Viewer, message: Message) -> Callable[[], None]:
    """Have a message ask whether the viewer's claim holds. What is yielded is to be called once it is sent.

    Raises Doubtful. Where nothing is claimed, nothing is asked.
    """
    claim = viewer.claim
    if claim is None:
        return lambda: None
    asked = message.add_prepared(f"SELECT {HOLDS}", claim.parameters, called="claim")
    return lambda: claim.settle(holds=asked.rows == [(True,)])
