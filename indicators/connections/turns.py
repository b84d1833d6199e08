"""One run of a connection: what it may take, what passed so far, and its place, which is kept page by page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection

from exchange import clock
from indicators.connections.remote import Later, Trouble
from indicators.models import Connection
from partners.keys.auth import viewer_of_connection
from partners.scopes import Scope
from partners.viewer import Viewer

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: What a run says first, and in which words; all other answers are codes, said in brackets.
_WORDS = {
    "accepted": "came in",
    "unchanged": "unchanged",
    "waiting": "wait for a second person",
    "refused": "refused",
    "sent": "sent",
    "taken-back": "taken back",
    "not-taken-back": "could not be taken back there",
}


def when(written: Any) -> datetime | None:
    """The moment that a place says, which is kept as text; None where it says none."""
    return datetime.fromisoformat(written) if isinstance(written, str) and written else None


class Lost(Exception):
    """The connection was changed or taken over: what this run would write is not written."""


class Turn:
    """A claimed connection, and what its run does. `place` is written with each page (`keep`)."""

    def __init__(self, one: Connection, *, until: float, pages: int) -> None:
        self.connection = one
        self.place: dict[str, Any] = dict(one.place)
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.more = self.kept = False
        self.batch: UUID | None = None
        self._until, self._pages, self._kept = until, pages, Counter[str]()

    def goes_on(self) -> bool:
        """Whether there is time for another page; where not, the next run goes on at once."""
        self._pages -= 1
        goes = self._pages >= 0 and time.monotonic() < self._until
        self.more = not goes
        return goes

    def may_ask(self) -> None:
        """Before each request. Raises Later where this run's time is over, Lost where the connection is not its.

        So one server that is slow, or is asked for much, holds a worker for one run and one request at most; and what
        somebody has changed or ended is not followed for one request longer.
        """
        if time.monotonic() >= self._until:
            self.more = True
            raise Later
        if not self.held().exists():
            raise Lost
        let_go_of_the_database()

    def viewer(self, *scopes: Scope) -> Viewer:
        """The partner as it is now. Raises Lost where it is not active."""
        one = self.connection
        viewer = viewer_of_connection(one.partner_id, f"connection:{one.pk}", scopes=frozenset(scopes))
        if viewer is None:
            raise Lost
        return viewer

    def note(self, what: Mapping[str, int], codes: Mapping[str, int] | None = None) -> None:
        """Count what passed."""
        self.counts.update(what)
        self.codes.update(codes or {})

    def held(self) -> QuerySet[Connection]:
        """The row, as long as it is this run's and as it was when the run began."""
        return self.claimed().filter(generation=self.connection.generation)

    def claimed(self) -> QuerySet[Connection]:
        """The row, as long as this run has it, whether somebody changed it or not."""
        one = self.connection
        return Connection.unrestricted.filter(pk=one.pk, claimed_until=one.claimed_until)

    def keep(self, *, handed: bool = False) -> None:
        """Write the place and the counts, in the transaction that did the work. Raises Lost.

        `handed`: the other server handed objects out, which an exchange writes down in its log.
        """
        row = self.held().select_for_update(no_key=True).first()
        if row is None:
            raise Lost
        fresh = self.counts - self._kept
        row.counts = {name: row.counts.get(name, 0) + fresh[name] for name in {*row.counts, *fresh}}
        row.place, row.last_batch = self.place, self.batch or row.last_batch
        if handed and row.log_key:
            row.log_owed_at = row.log_owed_at or clock.now()
        row.save(update_fields=["place", "counts", "last_batch", "log_owed_at"])
        self._kept, self.kept = Counter(self.counts), True

    def words(self, trouble: Trouble | None) -> str:
        """How it went, for people: numbers, and codes of refusals."""
        parts = [f"{self.counts[name]:,} {words}" for name, words in _WORDS.items() if self.counts[name]]
        if self.codes:
            named = ", ".join(f"{count:,} {code}" for code, count in self.codes.most_common(6))
            parts.append(f"left out: {named}")
        told = "; ".join(parts)
        if trouble is not None:
            return f"{trouble.words} Before that: {told}." if told else trouble.words
        return f"{told}." if told else "It goes on." if self.more else "Nothing new."


def let_go_of_the_database() -> None:
    """Hold no connection while another server takes its time."""
    if not connection.in_atomic_block:
        connection.close()  # back to the pool
