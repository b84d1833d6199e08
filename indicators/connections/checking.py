"""What came in by a connection and is not on the other server any more is found by its manifest, and taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from exchange import clock
from indicators.connections import taking, taxii
from indicators.connections.remote import Trouble
from indicators.connections.turns import Turn, when
from indicators.models import Holding, Passed
from partners.scopes import Scope

#: So often it is looked which of what came in is still there.
EVERY = timedelta(minutes=15)


def look_what_is_gone(turn: Turn, server: taxii.Server) -> None:
    """Read the whole manifest, page by page over several runs; what came in and is not in it is taken back.

    Plain TAXII does not tell of what leaves a collection (§3.4): it is gone from its manifest. What was gone from it
    and is there again is taken in. One that is empty as a whole is believed when it is so twice in succession.
    """
    checked, moment = when(turn.place.get("checked_at")), clock.now()
    if "check" not in turn.place and checked is not None and moment - checked < EVERY:
        return
    if "check" not in turn.place:
        turn.place["check"] = {"began": clock.rfc3339(moment), "next": "", "after": "", "found": False}
    while turn.goes_on():
        check = turn.place["check"]
        ids, page = _manifest(turn, server, check)
        _take_what_is_back(turn, server, ids)
        with transaction.atomic():
            _came(turn, ids).update(at=clock.now())
            check = {**check, "found": bool(ids) or check.get("found", True)}
            if page.more:
                after = "" if page.next or page.last is None else clock.rfc3339(page.last)
                going = {**check, "next": page.next, "after": after or check["after"]}
                if going == check:
                    raise Trouble("It gives the same page of its manifest again and again.")
                turn.place = {**turn.place, "check": going}
            else:
                _checked(turn, check)
            turn.keep()
        if not page.more:
            return


def _manifest(turn: Turn, server: taxii.Server, check: dict[str, Any]) -> tuple[list[str], taxii.Page]:
    """A page of it. Where the server has forgotten its `next`, the next run begins anew. Raises Trouble."""
    try:
        return server.manifest(next_=check["next"], after=when(check["after"]))
    except Trouble as trouble:
        if not check["next"] or trouble.status not in taxii.FORGOTTEN:
            raise
    turn.place = {name: said for name, said in turn.place.items() if name != "check"}
    with transaction.atomic():
        turn.keep()
    raise Trouble("It has forgotten how far its manifest was read: the next run begins anew.")


def _came(turn: Turn, ids: Collection[str]) -> QuerySet[Passed]:
    return Passed.unrestricted.filter(connection=turn.connection, stix_id__in=list(ids))


def _take_what_is_back(turn: Turn, server: taxii.Server, ids: Sequence[str]) -> None:
    """Ask for what was taken back because an earlier manifest did not have it, and take it in.

    What is too strict was in that manifest, too: it was met in it, and is not asked for again and again.
    """
    gone = _came(turn, ids).filter(gone=True)
    if before := when(turn.place.get("checked_from")):
        gone = gone.filter(at__lt=before)
    back = sorted(gone.values_list("stix_id", flat=True))
    for start in range(0, len(back), taxii.IDS):
        some = back[start : start + taxii.IDS]
        read = [one for body in server.some(some) for one in (taking.read(body) if b'"objects"' in body else [])]
        definitions = taking.missing_definitions(turn, read, server)
        with transaction.atomic():
            taking.take(turn, [*definitions, *read])
            _came(turn, some).update(at=clock.now())
            turn.keep()


def _checked(turn: Turn, check: dict[str, Any]) -> None:
    """The manifest was read to its end."""
    empty = not check["found"]
    if not empty or turn.place.get("empty"):
        viewer = turn.viewer(Scope.PUBLISH, Scope.READ)
        gone = _came_before(turn, when(check["began"]))
        taking.take_back(turn, viewer, set(gone.values_list("stix_id", flat=True)))
    turn.place = {name: said for name, said in turn.place.items() if name not in ("check", "empty")}
    turn.place |= {"checked_at": clock.rfc3339(clock.now()), "checked_from": check["began"]}
    turn.place |= {"empty": True} if empty else {}


def _came_before(turn: Turn, moment: datetime | None) -> QuerySet[Passed]:
    return living(turn).filter(at__lt=moment)


def living(turn: Turn) -> QuerySet[Passed]:
    """What came in and lives: what has ended is looked for no more, so that a check costs what there is to lose."""
    lives = Holding.unrestricted.filter(
        publisher=turn.connection.partner_id, stix_id=OuterRef("stix_id"), state=Holding.State.LIVE
    )
    return Passed.unrestricted.filter(Exists(lives), connection=turn.connection, gone=False)
