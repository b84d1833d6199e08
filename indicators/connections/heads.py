"""Whether the log of another exchange only grows: its signed heads, each proven to go on from the one before.

A connection names the public key by which that log is signed. Before a run passes anything, the last head is fetched,
checked with that key, and its proof from the newest head that we hold. What does not fit stops the connection until a
person has looked: it is an alarm, in the partner's log, for the operator's metrics, and in the inbox. The only writer
of PeerHead, and of how a connection's log stands.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import QuerySet
from structlog import get_logger

from exchange import clock
from exchange.client import audit as offline
from exchange.client import merkle, statements
from indicators.connections import remote
from indicators.connections.remote import Trouble
from indicators.connections.turns import Lost, Turn
from indicators.models import Connection, PeerHead
from partners.log import audit

log = get_logger()

#: So often the head is asked for; a head is published once a minute at most.
EVERY = timedelta(minutes=5)
#: Of each connection so many heads are kept.
_KEPT = 500
_NOT_THERE = frozenset({400, 404, 410, 422})


class Alarm(StrEnum):
    """What can be wrong with a log."""

    ANOTHER_KEY = "another-key"
    FORKED = "forked"
    WENT_BACK = "went-back"


WORDS = {
    Alarm.ANOTHER_KEY: "Its log is signed with another key than the one that you gave.",
    Alarm.FORKED: "Its log is not the one that it was: what it signed before is not in it any more.",
    Alarm.WENT_BACK: "Its log went back: it has fewer records than it had.",
}


def look(turn: Turn, credential: str) -> None:
    """Fetch the last head and check it, if that is due. Raises Trouble where anything is wrong with the log, Lost."""
    one = turn.connection
    if not one.log_key:
        return
    if one.log_alarm:
        raise Trouble(WORDS[Alarm(one.log_alarm)], needs_person=True)
    if one.log_seen_at is not None and clock.now() - one.log_seen_at < EVERY:
        return
    kept = newest(one)
    head = _asked(one, credential, first=None if kept is None else kept.size)
    alarm = judged(head, kept, key=bytes.fromhex(one.log_key))
    with transaction.atomic():
        said = {"log_seen_at": clock.now(), "log_alarm": alarm or ""}
        if not turn.held().update(**said):
            raise Lost
        if alarm is not None:
            _raise_alarm(one, alarm, head, kept)
        elif head is not None and (kept is None or head.size > kept.size):
            _keep(one, head)
    if alarm is not None:
        raise Trouble(WORDS[alarm], needs_person=True)


def newest(one: Connection) -> PeerHead | None:
    """The largest head that was checked, None before the first."""
    return _of(one).order_by("-size").first()


def judged(head: offline.Head | None, kept: PeerHead | None, *, key: bytes) -> Alarm | None:
    """What is wrong with a head, beside the one that is kept; None where the log only grew.

    A smaller one that was signed before the kept one is old news, from a copy that lags; one signed later is not.
    """
    if head is None:
        return None if kept is None else Alarm.WENT_BACK
    text = statements.head_text(size=head.size, root=head.root.hex(), at=head.at)
    if head.key != statements.key_id(key) or not statements.is_signed(text, signature=head.signature, public_key=key):
        return Alarm.ANOTHER_KEY
    if kept is None:
        return None
    if head.size < kept.size:
        return Alarm.WENT_BACK if _moment(head) > kept.at else None
    if head.size == kept.size:
        return None if head.root == bytes(kept.root) else Alarm.FORKED
    grew = head.first == kept.size and merkle.extends(
        kept.size, head.size, proof=head.proof, first_root=bytes(kept.root), second_root=head.root
    )
    return None if grew else Alarm.FORKED


def forget(one: Connection) -> None:
    """Begin anew: with another log, or once a person has accepted what became of this one."""
    _of(one).delete()


def _of(one: Connection) -> QuerySet[PeerHead]:
    return PeerHead.unrestricted.filter(connection=one.pk)


def _asked(one: Connection, credential: str, *, first: int | None) -> offline.Head | None:
    """The last head, with the proof from an earlier one where there is one; None where no head is published."""
    parts = urlsplit(one.url)
    there = f"{parts.scheme}://{parts.netloc}/api/v1/log/head"
    asked = there if first is None else f"{there}?first={first}"
    try:
        reply = remote.ask("GET", asked, authorization=credential, accept="application/json")
    except remote.TooLong:
        raise Trouble("What it says of its log is longer than is read here.") from None
    if reply.status in _NOT_THERE and first is not None:  # it knows no such head: what it has says more
        return _asked(one, credential, first=None)
    if reply.status == 404:
        return None
    remote.require_ok(reply)
    try:
        head = offline.head_of(remote.document(reply.body))
        _moment(head)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Trouble("What it says of its log cannot be read.") from None
    return head


def _moment(head: offline.Head) -> datetime:
    """When it was signed. Raises ValueError, also for a time without a zone."""
    moment = datetime.fromisoformat(head.at)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment


def _keep(one: Connection, head: offline.Head) -> None:
    PeerHead.unrestricted.create(
        connection=one,
        partner_id=one.partner_id,
        size=head.size,
        root=head.root,
        at=_moment(head),
        key_id=head.key,
        signature=head.signature,
        proof=[step.hex() for step in head.proof],
    )
    old = _of(one).order_by("-size").values_list("size", flat=True)[_KEPT : _KEPT + 1].first()
    if old is not None:
        _of(one).filter(size__lte=old).delete()


def _raise_alarm(one: Connection, alarm: Alarm, head: offline.Head | None, kept: PeerHead | None) -> None:
    log.error("connection.log_alarm", connection=str(one.pk), alarm=alarm.value)
    audit.record(
        audit.Verb.CONNECTION_ALARMED,
        by=None,
        target=f"connection:{one.pk}",
        about=one.partner_id,
        alarm=alarm.value,
        url=one.url,
        size=None if head is None else head.size,
        root=None if head is None else head.root.hex(),
        kept=None
        if kept is None
        else {"size": kept.size, "root": bytes(kept.root).hex(), "at": clock.rfc3339(kept.at)},
    )
