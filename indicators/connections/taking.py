"""What came of another server comes in through the door, as the partner's own, to the audience that a connection names.

Each object is looked at first: what is stricter than the connection lets through, carries tokens of another exchange's
keys, bears an id that the partner holds otherwise, or is here already from its publisher is left out and counted. What
is gone there is taken back here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q

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
from partners import locks
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: Definitions of markings that one page has asked for, at most.
_MOST_MARKINGS = 100
#: What the standard and our own vocabulary define is here already.
_KNOWN = tlp.KNOWN_IDS | words.EXTENSIONS.keys() | {tlp.EXTENSION_ID}
#: So many are withdrawn by one record of the log.
_AT_ONCE = 500
_STAYS = ("accepted", "quarantined", "unchanged", "waiting", "withdrawn")


def take_raw(turn: Turn, objects: Sequence[bytes]) -> None:
    """The same of objects as their bytes."""
    take(turn, read(b'{"objects":[' + b",".join(objects) + b"]}"))


def take(turn: Turn, objects: Sequence[Any]) -> None:
    """Publish what may come in of a page, in the caller's transaction, and write down that it came by here."""
    drafts = [one for one in objects if isinstance(one, Draft) and one.stix_id not in _KNOWN]
    codes = Counter(one.refusal.code for one in objects if not isinstance(one, Draft))
    _hold_still(turn.connection.partner_id)
    viewer, reach = turn.viewer(Scope.PUBLISH, Scope.READ), Reach.from_json(turn.connection.reach)
    ids = {one.stix_id for one in drafts}
    ours = _came_by(turn, ids)
    foreign = _otherwise_held(viewer, ids) - ours.keys()
    here = _here_already(viewer, [one for one in drafts if one.stix_id not in ours])
    known = markings.defined(markings.held(viewer.partner_id, markings.named(drafts)), drafts)
    let_in: list[Draft] = []
    too_strict: set[str] = set()
    for draft in (markings.tighten(one, known) for one in drafts):
        strictest = Tlp(turn.connection.strictest)
        if (why := _left_out(draft, foreign, here, reach=reach, viewer=viewer, strictest=strictest)) is None:
            let_in.append(draft)
            continue
        codes[why] += 1
        if why in ("over-marking", "marking-unresolved", "unmarked") and draft.stix_id in ours:
            too_strict.add(draft.stix_id)
    turn.note({}, codes)
    _publish(turn, let_in, viewer, reach, back={one for one in ours if ours[one]})
    take_back(turn, viewer, too_strict)


def _hold_still(partner_id: UUID) -> None:
    """All the locks of a push, before the page is looked at: it is published in this transaction."""
    message = Message()
    locks.share(partner_id, message)
    storing.locking_publisher(partner_id, message)
    message.send()


def _left_out(
    draft: Draft, foreign: set[str], here: set[str], *, reach: Reach, viewer: Viewer, strictest: Tlp
) -> str | None:
    """Why an object does not pass, as a code; None where it does. A definition of a marking always does."""
    if draft.stix_id in foreign:
        return "held-otherwise"
    if draft.stix_type == "marking-definition":
        return None
    if draft.stix_id in here:
        return "here-already"
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


def _here_already(viewer: Viewer, drafts: Sequence[Draft]) -> set[str]:
    """The ids of those of which the partner sees the same bytes here from somebody else.

    What went from here to the other server and comes back would be published a second time, as the partner's: a second
    voice for the first one's word, to readers whom the first did not choose. Other bytes under the same id do come in:
    else whoever publishes something else under it to the partner alone would hide from its readers what is true.
    """
    seen = Holding.objects.visible_to(viewer).filter(
        stix_id__in=[one.stix_id for one in drafts], state=Holding.State.LIVE
    )
    said = seen.exclude(publisher=viewer.partner_id).values_list("stix_id", "newest__sha256")
    here = {(stix_id, bytes(sha256)) for stix_id, sha256 in said}
    return {draft.stix_id for draft in drafts if (draft.stix_id, hashlib.sha256(draft.raw).digest()) in here}


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
    _hold_still(viewer.partner_id)
    alive = Holding.unrestricted.filter(
        publisher=viewer.partner_id, stix_id__in=list(ids), state=Holding.State.LIVE
    ).order_by("pk")
    taken = list(alive.values_list("stix_id", flat=True))
    for start in range(0, len(taken), _AT_ONCE):
        withdrawing.withdraw(viewer, taken[start : start + _AT_ONCE])
    turn.note({"taken-back": len(taken)})
    Passed.unrestricted.filter(connection=turn.connection, stix_id__in=taken).update(gone=True)


def read(body: bytes) -> list[Any]:
    """The objects of a page, as drafts or refusals. Raises Trouble if it cannot be read."""
    try:
        return list(parsing.read_batch(body))
    except (Malformed, TooLarge) as error:
        raise Trouble(f"A page of it cannot be read ({error.code}).") from None


def missing_definitions(turn: Turn, objects: Sequence[Any], server: taxii.Server) -> list[Any]:
    """The definitions of markings that a page names and does not bring, as far as the collection has them."""
    drafts = [one for one in objects if isinstance(one, Draft)]
    viewer = turn.viewer(Scope.PUBLISH, Scope.READ)
    known = markings.defined(markings.held(viewer.partner_id, markings.named(drafts)), drafts)
    missing = sorted({ref for one in drafts for ref in markings.tighten(one, known).unresolved})[:_MOST_MARKINGS]
    if not missing:
        return []
    return [one for body in server.some(missing) for one in (read(body) if b'"objects"' in body else [])]
