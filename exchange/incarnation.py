"""Which life of the store this is: raised when it was restored to an earlier point, and carried by every cursor.

Whoever stands at a place of an earlier life has to start over: what was between is not told by going on. A process
remembers the last one it saw; whoever reads the log sees the present one in the same query, and notes it here.
"""

from __future__ import annotations

import secrets

from exchange import clock
from exchange.errors import Gone
from exchange.models import Incarnation

#: The present one, as SQL; "" until the store is restored for the first time.
SQL = "coalesce((SELECT value FROM exchange_incarnation), '')"

_known: str | None = None


def current() -> str:
    """The present one, as this process last saw it. At most one query in the life of the process."""
    return read() if _known is None else _known


def word(found: str) -> str:
    """As it is told: opaque, and never empty. Who sees another than before has to start over."""
    return found or "first"


def require(found: str) -> None:
    """Raise Gone unless a cursor of incarnation `found` still leads somewhere. A query only where it seems not to."""
    if found != current() and found != read():
        raise start_over()


def note(found: str, *, began_with: str) -> None:
    """What a query saw. Raises Gone where it is another than was known when the read began.

    Its cursor was taken under the old one; that another thread has noted the new one meanwhile does not mend it.
    """
    global _known  # noqa: PLW0603 - one value a process
    _known = found
    if found != began_with:
        raise start_over()


def forget() -> None:
    """Ask anew."""
    global _known  # noqa: PLW0603 - one value a process
    _known = None


def start_over() -> Gone:
    """The error for a cursor of an earlier life."""
    return Gone("The exchange was restored to an earlier point. Start over without a cursor.", code="start-over")


def begin() -> None:
    """The store was restored: every cursor made before leads nowhere from now on."""
    Incarnation.objects.update_or_create(pk=1, defaults={"value": secrets.token_hex(8), "begun_at": clock.now()})


def read() -> str:
    """The present one, asked anew. One query."""
    global _known  # noqa: PLW0603 - one value a process
    _known = Incarnation.objects.values_list("value", flat=True).first() or ""
    return _known
