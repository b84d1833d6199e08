"""What the other server has is taken in, page by page.

A page, what is known of it, and the place after it are one transaction. `taking` is what may come in of a page;
`checking` looks, afterwards, what of it is not there any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction

from exchange import clock
from indicators.connections import checking, taking, taxii
from indicators.connections.remote import Trouble
from indicators.connections.turns import Turn, when

#: The last second of a collection is read once more: something may be added in it after it was read.
_ONCE_MORE = timedelta(seconds=1)
_KEPT = ("after", "settled", "check", "checked_at", "checked_from", "empty", "missed")


def pull(turn: Turn, server: taxii.Server) -> None:
    """Take in what is new, then look what is gone. Raises Trouble, Lost, ExchangeError."""
    while True:
        if not turn.goes_on():
            return
        page = _next_page(turn, server)
        _take_page(turn, page, server)
        if not page.more:
            break
    checking.look_what_is_gone(turn, server)


def _next_page(turn: Turn, server: taxii.Server) -> taxii.Page:
    """From where the last one ended; where the server has forgotten its `next`, from the time of the last object."""
    after, next_ = when(turn.place.get("after")), turn.place.get("next", "")
    try:
        return server.page(after=after, next_=next_)
    except Trouble as trouble:
        last = when(turn.place.get("last"))
        onward = last - _ONCE_MORE if last else after
        if not next_ or trouble.status not in taxii.FORGOTTEN or (onward == after and turn.place.get("anew")):
            raise
    turn.place = {name: said for name, said in turn.place.items() if name != "next"} | {"anew": True}
    if onward is not None:
        turn.place["after"] = clock.rfc3339(onward)
    return server.page(after=onward, next_="")


def _take_page(turn: Turn, page: taxii.Page, server: taxii.Server) -> None:
    read = taking.read(page.body) if page.objects else []
    definitions = taking.missing_definitions(turn, read, server)
    before = turn.place
    turn.place = _after(before, page)
    if page.more and turn.place == before:
        raise Trouble("It gives the same page again and again.")
    with transaction.atomic():
        taking.take(turn, [*definitions, *read])
        turn.keep(handed=bool(page.objects))


def _after(place: dict[str, Any], page: taxii.Page) -> dict[str, Any]:
    """The place after a page. While there is more it is the server's; at the end it is the time of the last object."""
    last = page.last or when(place.get("last"))
    kept = {"last": clock.rfc3339(last)} if last else {}
    rest = {name: place[name] for name in _KEPT if name in place}
    if page.more:
        rest |= {"anew": True} if "anew" in place else {}
        going = {"next": page.next} if page.next else {"after": clock.rfc3339(page.last)} if page.last else {}
        return rest | kept | going
    if last is None or (place.get("settled") == clock.rfc3339(last)):
        ended = {"after": clock.rfc3339(last)} if last else {}
    else:
        ended = {"after": clock.rfc3339(last - _ONCE_MORE), "settled": clock.rfc3339(last)}
    return rest | ended
