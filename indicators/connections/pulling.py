"""What the other server has comes in through the door, as the partner's own, to the audience that a connection names.

Each object is looked at first: what is stricter than the connection lets through, carries tokens of another exchange's
keys, or bears an id that the partner holds otherwise is left out and counted. A page, what is known of it, and the
place after it are one transaction. What came in and is not there any more, or has become too strict, is taken back.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from exchange import clock
from exchange.errors import Malformed, TooLarge
from exchange.sql import Message
from exchange.stix import words
from exchange.stix.patterns import tokens_in
from indicators import publishing
from indicators.connections import taxii
from indicators.connections.remote import Trouble
from indicators.connections.turns import Turn
from indicators.ending import withdrawing
from indicators.models import Connection, Holding, Passed
from indicators.publishing import markings, storing
from indicators.publishing.reach import Reach
from indicators.stix import parsing, tlp, vocabulary
from indicators.stix.drafts import Draft
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: The last second of a collection is read once more: something may be added in it after it was read.
_ONCE_MORE = timedelta(seconds=1)
#: So often it is looked which of what came in is still there.
CHECKED_EVERY = timedelta(minutes=15)
#: Definitions of markings that one page has asked for, at most.
_MOST_MARKINGS = 100
#: What the standard and our own vocabulary define is here already.
_KNOWN = tlp.KNOWN_IDS | words.EXTENSIONS.keys() | {tlp.EXTENSION_ID}
#: So many are withdrawn by one record of the log.
_AT_ONCE = 500
#: How a server answers a `next` that it does not know any more.
_FORGOTTEN = frozenset({400, 404, 410})
_KEPT = ("after", "settled", "check", "checked_at", "checked_from", "empty")
_STAYS = ("accepted", "quarantined", "unchanged", "waiting", "withdrawn")


def pull(turn: Turn, server: taxii.Server) -> None:
    """Take in what is new, then look what is gone. Raises Trouble, Lost, ExchangeError."""
    while True:
        if not turn.goes_on():
            return
        page = _next_page(turn, server)
        _take_page(turn, page, server)
        if not page.more:
            break
    _look_what_is_gone(turn, server)


def _next_page(turn: Turn, server: taxii.Server) -> taxii.Page:
    """From where the last one ended; where the server has forgotten its `next`, from the time of the last object."""
    after, next_ = _moment(turn.place.get("after")), turn.place.get("next", "")
    try:
        return server.page(after=after, next_=next_)
    except Trouble as trouble:
        last = _moment(turn.place.get("last"))
        onward = last - _ONCE_MORE if last else after
        if not next_ or trouble.status not in _FORGOTTEN or (onward == after and turn.place.get("anew")):
            raise
    turn.place = {name: said for name, said in turn.place.items() if name != "next"} | {"anew": True}
    if onward is not None:
        turn.place["after"] = clock.rfc3339(onward)
    return server.page(after=onward, next_="")


def _take_page(turn: Turn, page: taxii.Page, server: taxii.Server) -> None:
    read = _read(page.body) if page.objects else []
    definitions = _missing_definitions(turn, read, server)
    before = turn.place
    turn.place = _after(before, page)
    if page.more and turn.place == before:
        raise Trouble("It gives the same page again and again.")
    with transaction.atomic():
        take(turn, [*definitions, *read])
        turn.keep()


def _after(place: dict[str, Any], page: taxii.Page) -> dict[str, Any]:
    """The place after a page. While there is more it is the server's; at the end it is the time of the last object."""
    last = page.last or _moment(place.get("last"))
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


def _read(body: bytes) -> list[Any]:
    try:
        return list(parsing.read_batch(body))
    except (Malformed, TooLarge) as error:
        raise Trouble(f"A page of it cannot be read ({error.code}).") from None


def _missing_definitions(turn: Turn, read: Sequence[Any], server: taxii.Server) -> list[Any]:
    """The definitions of markings that a page names and does not bring, as far as the collection has them."""
    drafts = [one for one in read if isinstance(one, Draft)]
    viewer = turn.viewer(Scope.PUBLISH, Scope.READ)
    known = markings.defined(markings.held(viewer.partner_id, markings.named(drafts)), drafts)
    missing = sorted({ref for one in drafts for ref in markings.tighten(one, known).unresolved})[:_MOST_MARKINGS]
    if not missing:
        return []
    return [one for body in server.some(missing) for one in (_read(body) if b'"objects"' in body else [])]


def take_raw(turn: Turn, objects: Sequence[bytes]) -> None:
    """The same of objects as their bytes."""
    take(turn, _read(b'{"objects":[' + b",".join(objects) + b"]}"))


def take(turn: Turn, read: Sequence[Any]) -> None:
    """Publish what may come in of a page, in the caller's transaction, and write down that it came by here."""
    drafts = [one for one in read if isinstance(one, Draft) and one.stix_id not in _KNOWN]
    codes = Counter(one.refusal.code for one in read if not isinstance(one, Draft))
    viewer, reach = turn.viewer(Scope.PUBLISH, Scope.READ), Reach.from_json(turn.connection.reach)
    message = Message()
    storing.locking_publisher(viewer.partner_id, message)
    message.send()
    ids = {one.stix_id for one in drafts}
    ours = _came_by(turn, ids)
    foreign = _otherwise_held(viewer, ids) - ours.keys()
    known = markings.defined(markings.held(viewer.partner_id, markings.named(drafts)), drafts)
    let_in: list[Draft] = []
    too_strict: set[str] = set()
    for draft in (markings.tighten(one, known) for one in drafts):
        if (why := _left_out(draft, foreign, reach, viewer, Tlp(turn.connection.strictest))) is None:
            let_in.append(draft)
            continue
        codes[why] += 1
        if why in ("over-marking", "marking-unresolved", "unmarked") and draft.stix_id in ours:
            too_strict.add(draft.stix_id)
    turn.note({}, codes)
    _publish(turn, let_in, viewer, reach, back={one for one in ours if ours[one]})
    take_back(turn, viewer, too_strict)


def _left_out(draft: Draft, foreign: set[str], reach: Reach, viewer: Viewer, strictest: Tlp) -> str | None:
    """Why an object does not pass, as a code; None where it does. A definition of a marking always does."""
    if draft.stix_id in foreign:
        return "held-otherwise"
    if draft.stix_type == "marking-definition":
        return None
    if draft.unresolved:
        return "marking-unresolved"
    own = Tlp.from_word(draft.tlp) if draft.tlp else (reach.tlp if reach.tlp is not None else viewer.default_tlp)
    if own > strictest:
        return "over-marking" if draft.tlp else "unmarked"
    return "tokens-of-others" if carries_tokens(draft.data, draft.stix_type) else None


def carries_tokens(data: Any, stix_type: str) -> bool:
    """Whether an object carries tokens, which mean nothing under another exchange's keys."""
    extension = vocabulary.extension_of(data) if stix_type == "indicator" else None
    return stix_type == "x-exchange-token" or (extension is not None and bool(tokens_in(extension)))


def _came_by(turn: Turn, ids: Iterable[str]) -> dict[str, bool]:
    """Of these ids those that came by this connection, or by one to the same address that has ended; and if gone."""
    one = turn.connection
    same = Q(connection=one.pk) | Q(
        connection__state=Connection.State.ENDED,
        connection__url=one.url,
        connection__direction=Connection.Direction.PULL,
    )
    rows = Passed.unrestricted.filter(same, partner=one.partner_id, stix_id__in=list(ids))
    return dict(rows.order_by("at").values_list("stix_id", "gone"))


def _otherwise_held(viewer: Viewer, ids: Iterable[str]) -> set[str]:
    """Of these ids those that the partner holds, or that came in by one of its connections."""
    held = Holding.unrestricted.filter(publisher=viewer.partner_id, stix_id__in=list(ids))
    passed = Passed.unrestricted.filter(
        partner=viewer.partner_id, stix_id__in=list(ids), connection__direction=Connection.Direction.PULL
    )
    return {*held.values_list("stix_id", flat=True), *passed.values_list("stix_id", flat=True)}


def _publish(turn: Turn, drafts: Sequence[Draft], viewer: Viewer, reach: Reach, *, back: set[str]) -> None:
    """What is back after it was gone wakes; what the partner itself withdrew does not."""
    for some, wake in (
        ([one for one in drafts if one.stix_id not in back], False),
        ([one for one in drafts if one.stix_id in back], True),
    ):
        if not some:
            continue
        body = b'{"objects":[' + b",".join(one.raw for one in some) + b"]}"
        digest = hashlib.sha256(turn.connection.pk.bytes + body).digest()
        done = publishing.publish(
            parsing.read_batch(body), by=viewer, reach=reach, request=publishing.Request(digest), wake=wake
        )
        results = orjson.loads(done.results)
        turn.note(Counter(result["status"] for result in results))
        refused = Counter(result["code"] for result in results if result["status"] == "refused" and "code" in result)
        turn.note({}, refused)
        if refused:
            turn.batch = done.batch_id
        note_passed(turn, {result["id"].lower() for result in results if result["status"] in _STAYS and result["id"]})


def note_passed(turn: Turn, ids: Iterable[str]) -> None:
    """Write down that these passed by this connection."""
    moment = clock.now()
    rows = [
        Passed(connection=turn.connection, partner_id=turn.connection.partner_id, stix_id=stix_id, at=moment)
        for stix_id in sorted(ids)
    ]
    Passed.unrestricted.bulk_create(
        rows, update_conflicts=True, unique_fields=["connection", "stix_id"], update_fields=["at", "gone"]
    )


def take_back(turn: Turn, viewer: Viewer, ids: Collection[str]) -> None:
    """Withdraw what came in by this connection and lives, and remember that it was the other server's doing.

    What the partner itself took back is not: it stays so. What waits for a second person is looked at again.
    """
    if not ids:
        return
    storing.lock_publisher(viewer.partner_id)
    alive = Holding.unrestricted.filter(
        publisher=viewer.partner_id, stix_id__in=list(ids), state=Holding.State.LIVE
    ).order_by("pk")
    taken = list(alive.values_list("stix_id", flat=True))
    for start in range(0, len(taken), _AT_ONCE):
        withdrawing.withdraw(viewer, taken[start : start + _AT_ONCE])
    turn.note({"taken-back": len(taken)})
    Passed.unrestricted.filter(connection=turn.connection, stix_id__in=taken).update(gone=True)


def _look_what_is_gone(turn: Turn, server: taxii.Server) -> None:
    """Read the whole manifest, page by page over several runs; what came in and is not in it is taken back.

    Plain TAXII does not tell of what leaves a collection (§3.4): it is gone from its manifest. What was gone from it
    and is there again is taken in. One that is empty as a whole is believed when it is so twice in succession.
    """
    checked, moment = _moment(turn.place.get("checked_at")), clock.now()
    if "check" not in turn.place and checked is not None and moment - checked < CHECKED_EVERY:
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
        return server.manifest(next_=check["next"], after=_moment(check["after"]))
    except Trouble as trouble:
        if not check["next"] or trouble.status not in _FORGOTTEN:
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
    if before := _moment(turn.place.get("checked_from")):
        gone = gone.filter(at__lt=before)
    back = sorted(gone.values_list("stix_id", flat=True))
    for start in range(0, len(back), taxii.IDS):
        some = back[start : start + taxii.IDS]
        read = [one for body in server.some(some) for one in (_read(body) if b'"objects"' in body else [])]
        definitions = _missing_definitions(turn, read, server)
        with transaction.atomic():
            take(turn, [*definitions, *read])
            _came(turn, some).update(at=clock.now())
            turn.keep()


def _checked(turn: Turn, check: dict[str, Any]) -> None:
    """The manifest was read to its end."""
    empty = not check["found"]
    if not empty or turn.place.get("empty"):
        viewer = turn.viewer(Scope.PUBLISH, Scope.READ)
        gone = _came_before(turn, _moment(check["began"]))
        take_back(turn, viewer, set(gone.values_list("stix_id", flat=True)))
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


def _moment(written: Any) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) and written else None
