"""The locks of whoever writes for a partner or changes what it may do, and the one order in which all take them.

1. The acts of a partner (`ACTS`). A push shares them; what a person or key does otherwise, and what changes its keys
   and people, has them alone.
2. The standing of a partner (`STANDING`): whether it takes part, in which groups, how far it may share. Who publishes
   shares it; who changes it has it alone, of several partners in the order of their numbers.
3. Rows of partners, by key.
4. The batches of a publisher (`indicators.publishing.storing`), of several by key.
5. All other rows, a group's, too; last the order of the log (`indicators.log.appending`).

Not all is taken by everybody, but nobody takes one after another that stands below it: else two would wait for each
other. The first two are advisory locks because these are given in the order in which they were asked for. A row that is
shared goes to whoever comes to share it, past who waits to change it, so that a partner that keeps pushing could not
be suspended.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from uuid import UUID

from exchange.sql import Message

#: First halves of two-part advisory locks; the second is the partner's number.
ACTS, STANDING = 4_815, 4_816


def share(partner_id: UUID, message: Message) -> None:
    """Once the message is sent, and until the transaction ends, this may be written for the partner as it stands."""
    for lock in (ACTS, STANDING):
        message.add("SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)", [lock, _number(partner_id)])


def acts_alone(partner_id: UUID) -> None:
    """Until the transaction ends, nobody else changes the partner's keys, and nothing is written with one of them."""
    _alone(ACTS, [partner_id])


def standing_alone(partner_ids: Iterable[UUID]) -> None:
    """Until the transaction ends, nobody else changes what these may do, and nothing is published in their name.

    What was let in before is written by then.
    """
    _alone(STANDING, partner_ids)


def _alone(lock: int, partner_ids: Iterable[UUID]) -> None:
    message = Message()
    for number in sorted({_number(each) for each in partner_ids}):
        message.add("SELECT pg_advisory_xact_lock(%s::int, %s::int)", [lock, number])
    message.send()


def _number(partner_id: UUID) -> int:
    """Of two partners that share one, one waits for the other now and then."""
    return zlib.crc32(partner_id.bytes) - 2**31
