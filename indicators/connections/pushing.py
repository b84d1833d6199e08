"""What the partner itself published goes to the other server, as far as its marking and the connection allow.

The partner's own log is followed from a place: what enters it and passes is sent, what ended or no longer passes is
taken back there. Only what it published under its own name goes out, never what others did, nor what came in by a
connection: nobody's audience is widened but one's own. What carries tokens stays: they mean nothing elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson
from django.db import transaction

from exchange import clock
from exchange.errors import Gone
from indicators import reading
from indicators.connections import misp, taking, taxii
from indicators.connections.remote import Later
from indicators.connections.turns import Turn
from indicators.feeds import tree
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.log.changes import Told
from indicators.models import Change, Connection, Passed
from indicators.reading.selecting import Selection
from indicators.telling import subscribing
from partners.attribution import Attribution
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: Changes of one page, and bytes of their objects.
PAGE, PAGE_BYTES = 100, 1_000_000
Server = taxii.Server | misp.Server
_OWN = Filter(tree.term("from", ["mine"]))
#: What ends by itself there, too.
_ENDS_ITSELF = frozenset({Change.Reason.EXPIRED})


def push(turn: Turn, server: Server) -> None:
    """Send what is new of the partner's own, and take back what is to be taken back. Raises Trouble, Lost, Later."""
    wanted = subscribing.filter_of(turn.connection.feed).within(_OWN)
    while turn.goes_on():
        viewer = turn.viewer(Scope.READ)
        if turn.place.get("scope") != wanted.scope:
            _begin(turn, wanted)
        try:
            span = changes.since(
                viewer, wanted, after=turn.place["seq"], limit=_limit(turn), max_bytes=PAGE_BYTES, matched=False
            )
        except Gone:
            _begin(turn, wanted)
            continue
        try:
            _page(turn, server, viewer, span.changes)
            turn.place["seq"] = span.reached
            done = not span.more and _finish(turn, server, viewer)
        except Later:
            _by_smaller_pages(turn)
            raise
        turn.place["limit"] = min(2 * _limit(turn), PAGE)
        with transaction.atomic():
            turn.keep()
        if done:
            return


def _limit(turn: Turn) -> int:
    """How many are sent or taken back before the place is kept."""
    return int(turn.place.get("limit", PAGE))


def _by_smaller_pages(turn: Turn) -> None:
    """A run's time did not do for a page: the next takes half of it. Where one object is too much, nothing is kept."""
    if _limit(turn) > 1:
        turn.place["limit"] = _limit(turn) // 2
        with transaction.atomic():
            turn.keep()


def _begin(turn: Turn, wanted: Filter) -> None:
    """From the beginning of the log: what passes is sent (again), and what the server has besides is taken back."""
    turn.place = {"scope": wanted.scope, "seq": 0, "began": clock.rfc3339(clock.now())}


def _page(turn: Turn, server: Server, viewer: Viewer, told: Sequence[Told]) -> None:
    """Send and take back what a page of the log tells; sending it twice does no harm."""
    ids = [one.stix_id for one in told]
    given = Passed.unrestricted.filter(connection=turn.connection, stix_id__in=ids)
    there = set(given.values_list("stix_id", flat=True))
    came_in = _came_in(viewer, ids)
    send, back, left_out = [], [], Counter[str]()
    for one in told:
        why = _stays(one, came_in, Tlp(turn.connection.strictest))
        if why is None:
            send.append(one)
        else:
            if one.op == Change.Op.UPSERT:
                left_out[why] += 1
            if one.stix_id in there and one.reason not in _ENDS_ITSELF:
                back.append(one.stix_id)
    _take_back(turn, server, viewer, back)
    _send(turn, server, send, there)
    turn.note({}, left_out)


def _stays(one: Told, came_in: set[str], strictest: Tlp) -> str | None:
    """Why a change is nothing to be sent, as a code; None where its object goes out."""
    if one.op != Change.Op.UPSERT or one.body is None:
        return "ended"
    if one.stix_id in came_in:
        return "came-in"
    if one.tlp > strictest:
        return "over-marking"
    if one.attribution != Attribution.NAMED:
        return "unnamed"
    return "tokens" if taking.carries_tokens(orjson.loads(one.body), one.stix_type) else None


def _came_in(viewer: Viewer, ids: Iterable[str]) -> set[str]:
    """Of these ids those that the partner has by a connection, whether it has ended or not."""
    passed = Passed.unrestricted.filter(
        partner=viewer.partner_id, stix_id__in=list(ids), connection__direction=Connection.Direction.PULL
    )
    return set(passed.values_list("stix_id", flat=True))


def _send(turn: Turn, server: Server, send: Sequence[Told], there: set[str]) -> None:
    """It is written down first: whatever becomes of this run, a later one knows what may be there."""
    if not send:
        return
    taking.note_passed(turn, {one.stix_id for one in send})
    taken, refused = server.give([one.body for one in send if one.body is not None], there=there)
    turn.note({"sent": taken, "refused": len(refused)}, Counter(refused.values()))
    _forget(turn, refused.keys() - there)


def _take_back(turn: Turn, server: Server, viewer: Viewer, ids: Sequence[str]) -> None:
    """What was revoked is sent as its publisher revoked it; all else is deleted there, if the server lets us.

    What is taken back is forgotten one by one, so that nothing is asked twice; what is not stays known as there.
    """
    if not ids:
        return
    found = reading.page(viewer, Selection(stix_ids=tuple(ids), own=True), limit=len(ids))
    ended = [one for one in found.statements if one.revoked and one.tlp <= turn.connection.strictest]
    revoked = {one.stix_id: one.body for one in ended if server.takes_revoked}
    told = set(revoked) - server.give(list(revoked.values()), there=set())[1].keys() if revoked else set()
    _taken_back(turn, told)
    for stix_id in ids:
        if stix_id in told:
            continue
        if server.delete(stix_id):
            _taken_back(turn, {stix_id})
        else:
            turn.note({"not-taken-back": 1})


def _taken_back(turn: Turn, ids: set[str]) -> None:
    turn.note({"taken-back": len(ids)})
    _forget(turn, ids)


def _forget(turn: Turn, ids: set[str]) -> None:
    if ids:
        Passed.unrestricted.filter(connection=turn.connection, stix_id__in=ids).delete()


def _finish(turn: Turn, server: Server, viewer: Viewer) -> bool:
    """After a walk from the beginning: what was sent before and was not met in it no longer passes.

    One page of it is taken back, in the order of the rows; whether that was the last.
    """
    if "began" not in turn.place:
        return True
    began, after, limit = datetime.fromisoformat(turn.place["began"]), turn.place.get("left", 0), _limit(turn)
    left = Passed.unrestricted.filter(connection=turn.connection, at__lt=began, pk__gt=after)
    rows = list(left.order_by("pk").values_list("pk", "stix_id")[:limit])
    _take_back(turn, server, viewer, [stix_id for _, stix_id in rows])
    if len(rows) == limit:
        turn.place["left"] = rows[-1][0]
        return False
    turn.place = {name: said for name, said in turn.place.items() if name not in ("began", "left")}
    return True
