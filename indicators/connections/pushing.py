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
from indicators.connections import misp, pulling, taxii
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
    """Send what is new of the partner's own, and take back what is to be taken back. Raises Trouble, Lost."""
    wanted = subscribing.filter_of(turn.connection.feed).within(_OWN)
    while turn.goes_on():
        viewer = turn.viewer(Scope.READ)
        if turn.place.get("scope") != wanted.scope:
            _begin(turn, wanted)
        try:
            span = changes.since(
                viewer, wanted, after=turn.place["seq"], limit=PAGE, max_bytes=PAGE_BYTES, matched=False
            )
        except Gone:
            _begin(turn, wanted)
            continue
        _page(turn, server, viewer, span.changes)
        turn.place["seq"] = span.reached
        if not span.more:
            _finish(turn, server, viewer)
        with transaction.atomic():
            turn.keep()
        if not span.more:
            return


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
    turn.note({}, left_out)
    _send(turn, server, send, there)
    _take_back(turn, server, viewer, back)


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
    return "tokens" if pulling.carries_tokens(orjson.loads(one.body), one.stix_type) else None


def _came_in(viewer: Viewer, ids: Iterable[str]) -> set[str]:
    """Of these ids those that the partner has by a connection, whether it has ended or not."""
    passed = Passed.unrestricted.filter(
        partner=viewer.partner_id, stix_id__in=list(ids), connection__direction=Connection.Direction.PULL
    )
    return set(passed.values_list("stix_id", flat=True))


def _send(turn: Turn, server: Server, send: Sequence[Told], there: set[str]) -> None:
    if not send:
        return
    pulling.let_go_of_the_database()
    taken, refused = server.give([one.body for one in send if one.body is not None], there=there)
    turn.note({"sent": taken, "refused": len(refused)}, Counter(refused.values()))
    pulling.note_passed(turn, {one.stix_id for one in send} - refused.keys())


def _take_back(turn: Turn, server: Server, viewer: Viewer, ids: Sequence[str]) -> None:
    """What was revoked is sent as its publisher revoked it; all else is deleted there, if the server lets us."""
    if not ids:
        return
    found = reading.page(viewer, Selection(stix_ids=tuple(ids), own=True), limit=len(ids))
    ended = [one for one in found.statements if one.revoked and one.tlp <= turn.connection.strictest]
    revoked = {one.stix_id: one.body for one in ended if server.takes_revoked}
    pulling.let_go_of_the_database()
    if revoked:
        server.give(list(revoked.values()), there=set())
    kept = [stix_id for stix_id in ids if stix_id not in revoked and not server.delete(stix_id)]
    turn.note({"taken-back": len(ids) - len(kept), "not-taken-back": len(kept)})
    Passed.unrestricted.filter(connection=turn.connection, stix_id__in=list(ids)).delete()


def _finish(turn: Turn, server: Server, viewer: Viewer) -> None:
    """After a walk from the beginning: what was sent before and was not met in it no longer passes."""
    if "began" not in turn.place:
        return
    began = datetime.fromisoformat(turn.place["began"])
    left = Passed.unrestricted.filter(connection=turn.connection, at__lt=began)
    while ids := list(left.order_by("pk").values_list("stix_id", flat=True)[:PAGE]):
        _take_back(turn, server, viewer, ids)
    turn.place = {name: said for name, said in turn.place.items() if name != "began"}
