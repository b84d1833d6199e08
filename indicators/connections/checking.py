"""What came in by a connection and is not on the other server any more is found by its manifest, and taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from exchange import clock
from indicators.connections import taking, taxii
from indicators.connections.remote import Trouble
from indicators.connections.turns import Turn, when
from indicators.models import Holding, Passed
from indicators.stix.drafts import Draft
from partners.scopes import Scope

#: So often it is looked which of what came in is still there.
EVERY = timedelta(minutes=15)
#: What is listed and was not given is asked for again so often, each time after twice as long; of so many at a time.
MOST_TRIES, _MOST_MISSED = 6, 200


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

    What is too strict was in that manifest, too: it was met in it, and is not asked for again and again. What the
    server lists and did not give when it was asked is asked for again later, a few times.
    """
    gone = _came(turn, ids).filter(gone=True)
    if before := when(turn.place.get("checked_from")):
        gone = gone.filter(Q(at__lt=before) | Q(stix_id__in=_to_ask_again(turn)))
    back = sorted(gone.values_list("stix_id", flat=True))
    for start in range(0, len(back), taxii.IDS):
        some = back[start : start + taxii.IDS]
        read = [one for body in server.some(some) for one in (taking.read(body) if b'"objects"' in body else [])]
        definitions = taking.missing_definitions(turn, read, server)
        with transaction.atomic():
            taking.take(turn, [*definitions, *read])
            _came(turn, some).update(at=clock.now())
            _note_missed(turn, some, given={one.stix_id for one in read if isinstance(one, Draft)})
            turn.keep()


def _to_ask_again(turn: Turn) -> list[str]:
    """Of what was listed and not given, what is due to be asked for again."""
    now = clock.rfc3339(clock.now())
    return [stix_id for stix_id, (_, due) in turn.place.get("missed", {}).items() if due <= now]


def _note_missed(turn: Turn, asked: Collection[str], *, given: Collection[str]) -> None:
    """Write down what was asked for and not given, how often, and when it is asked for again."""
    missed = dict(turn.place.get("missed", {}))
    for stix_id in asked:
        tries = missed.pop(stix_id, (0, ""))[0] + 1
        if stix_id not in given and tries < MOST_TRIES and len(missed) < _MOST_MISSED:
            missed[stix_id] = (tries, clock.rfc3339(clock.now() + EVERY * 2**tries))
    _keep_missed(turn, missed)


def _keep_missed(turn: Turn, missed: dict[str, Any]) -> None:
    rest = {name: said for name, said in turn.place.items() if name != "missed"}
    turn.place = rest | ({"missed": missed} if missed else {})


def _forget_missed(turn: Turn, began: datetime | None) -> None:
    """Of what was not given, what is not listed any more, or is not gone: if it comes back, it is met anew."""
    missed = turn.place.get("missed", {})
    listed = set(_came(turn, missed).filter(gone=True, at__gte=began).values_list("stix_id", flat=True))
    _keep_missed(turn, {stix_id: said for stix_id, said in missed.items() if stix_id in listed})


def _checked(turn: Turn, check: dict[str, Any]) -> None:
    """The manifest was read to its end."""
    empty = not check["found"]
    _forget_missed(turn, when(check["began"]))
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
