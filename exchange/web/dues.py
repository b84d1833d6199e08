"""What the requests in hand take of their peers' shares, and give back once they are answered or gone."""

from __future__ import annotations

from collections.abc import Hashable

from exchange.web.connection import Connection
from exchange.web.limits import Limits
from exchange.web.reading import Request
from exchange.web.shares import Share


class Dues:
    """Of one process: requests, those of them that wait, bytes of bodies, and bytes of answers that nobody has read."""

    def __init__(self, limits: Limits) -> None:
        self.in_hand, self.waits = Share(limits.in_hand), Share(limits.waits)
        self.body_bytes, self.unread = Share(limits.body_bytes), Share(limits.unread_bytes)
        self.beyond: dict[Hashable, Connection] = {}  # the one of a peer whose body is read beyond the peer's share

    def may_read(self, connection: Connection, request: Request) -> bool:
        """Within the share of its peer, and beyond it one at a time, so that all of them end."""
        if self.body_bytes.may(request.peer):
            return True
        return self.beyond.setdefault(request.peer, connection) is connection

    def note_read(self, request: Request) -> None:
        """Count what was read of a body since the last time."""
        if more := request.size - request.accounted:
            self.body_bytes.add(request.peer, more)
            request.accounted = request.size

    def may_wait(self, request: Request) -> bool:
        """Whether it waits already, or may by the share of its peer."""
        if not request.waits:
            request.waits = self.waits.take(request.peer)
        return request.waits

    def owe(self, connection: Connection, request: Request) -> None:
        """Count what of an answer its peer has not read."""
        connection.owed = connection.unread()
        self.unread.add(request.peer, connection.owed)

    def settle(self, connection: Connection) -> None:
        """It is read, or nobody will."""
        if connection.owed and connection.request:
            self.unread.give(connection.request.peer, connection.owed)
            connection.owed = 0

    def give_back(self, connection: Connection, request: Request) -> None:
        """All that a request has taken."""
        if request.peer is None:
            return
        self.in_hand.give(request.peer)
        if request.waits:
            self.waits.give(request.peer)
        self.body_bytes.give(request.peer, request.accounted)
        if self.beyond.get(request.peer) is connection:
            del self.beyond[request.peer]
