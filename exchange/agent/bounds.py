"""How much one pull takes from an exchange that says that more is there: bounds that no honest one reaches."""

from __future__ import annotations

import time

from exchange.client.errors import Unreachable
from exchange.lists import pages

#: A pull of a million objects takes minutes.
LONGEST_S = 6 * 3_600.0
#: Rows of one pull. A log tells an object each time that it changed, a delta once.
MOST_ROWS = 5 * pages.MAX_OBJECTS
#: So many pages that tell nothing follow each other at once, then so many seconds lie between two.
_AT_ONCE, _APART_S = 10, 0.1


class Unending(Unreachable):
    """The exchange comes to no end."""


class Pull:
    """Of one pull, page by page."""

    def __init__(self) -> None:
        self._began = self._asked_at = time.monotonic()
        self._rows = self._pages = self._empty = 0

    def goes_on(self, rows: int, *, sent: str, came: str) -> None:
        """A page of so many rows says that more is there. Waits a little where pages tell nothing.

        `sent` was the cursor, `came` is the next. Raises Unending.
        """
        self._pages, self._rows = self._pages + 1, self._rows + rows
        if rows and sent == came:
            raise Unending("The exchange tells the same page for ever. What is held stays.")
        took_s = time.monotonic() - self._began
        if self._rows > MOST_ROWS or took_s > LONGEST_S:
            raise Unending(
                f"The exchange comes to no end: after {self._pages} pages with {self._rows} changes in {took_s:.0f} s"
                " it says that more is there. What is held stays."
            )
        self._empty = 0 if rows else self._empty + 1
        if self._empty > _AT_ONCE:
            time.sleep(max(0.0, _APART_S - (time.monotonic() - self._asked_at)))
        self._asked_at = time.monotonic()

    def holds(self, objects: int) -> None:
        """So many objects are held. Raises Unending where no exchange has them."""
        if objects > pages.MAX_OBJECTS:
            raise Unending(f"The exchange tells of more than {pages.MAX_OBJECTS} objects. What is held stays.")
