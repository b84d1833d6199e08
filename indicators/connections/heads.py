"""Whether the log of another exchange only grows: its signed heads, each proven to go on from the one before.

A connection names the public key by which that log is signed. Before a run passes anything, the last head is fetched,
checked with that key, and its proof from the newest head that we hold. What does not fit stops the connection until a
person has looked: it is an alarm, in the partner's log, for the operator's metrics, and in the inbox. The only writer
of PeerHead, and of how a connection's log stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from structlog import get_logger

from exchange import clock, outbound
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
#: What is handed out is in the log of an exchange after two hours and a quarter at most: the hour of the reading, and
#: its longest interval of heads. A log that does not grow for so long is not the one that it writes.
MOST_OWED = timedelta(hours=6)
#: Of each connection so many heads are kept.
_KEPT = 500
_NOT_THERE = frozenset({400, 404, 410, 422})
#: So far a head may be ahead of our clock. One from further on would make all later ones old news.
_MOST_AHEAD = timedelta(minutes=10)
_MOST_SIZE = 2**63 - 1
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
_UNREAD = "What it says of its log cannot be read."
_OLDER = "It shows an older head of its log than it did before."
_FROZEN = "Its log stands still: it hands out objects, and for six hours has written down nothing of that."


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
    head = _head(one, credential, kept)
    alarm = judged(head, kept, key=bytes.fromhex(one.log_key))
    if alarm is None and kept is not None:
        _require_news(one, head, kept)
    with transaction.atomic():
        grew = kept is None or head.size > kept.size
        said: dict[str, Any] = {"log_seen_at": clock.now(), "log_alarm": alarm or ""}
        if alarm is None and grew:
            said["log_owed_at"] = None
        if not turn.held().update(**said):
            raise Lost
        if alarm is not None:
            _raise_alarm(one, alarm, head, kept)
        elif grew:
            _keep(one, head)
    if alarm is not None:
        raise Trouble(WORDS[alarm], needs_person=True)


def _require_news(one: Connection, head: offline.Head, kept: PeerHead) -> None:
    """Raises Trouble, for now, where a head is older than what is kept, or for too long the same while objects come.

    It goes by our clock and by sizes: what the other server says of times may be as wrong as its log.
    """
    if head.size < kept.size:
        raise Trouble(_OLDER)
    if head.size == kept.size and one.log_owed_at is not None and clock.now() - one.log_owed_at > MOST_OWED:
        raise Trouble(_FROZEN)


def newest(one: Connection) -> PeerHead | None:
    """The largest head that was checked, None before the first."""
    return _of(one).order_by("-size").first()


def checked(some: Iterable[Connection]) -> set[UUID]:
    """Of these connections those of whose log a head was checked and is kept. One query."""
    found = PeerHead.unrestricted.filter(connection__in=[one.pk for one in some])
    return set(found.values_list("connection", flat=True).distinct())


def judged(head: offline.Head, kept: PeerHead | None, *, key: bytes) -> Alarm | None:
    """What is wrong with a head, beside the one that is kept; None where the log only grew.

    A smaller one that was signed before the kept one is no alarm: it may come from a copy that lags (`_require_news`).
    """
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


def _head(one: Connection, credential: str, kept: PeerHead | None) -> offline.Head:
    """The last head, with the proof from the one that is kept where it is larger and a proof is given. Raises Trouble.

    Copies of one server may lag: where one does not know the kept head and another answers with a larger one, the
    proof is asked for by itself, for just these two.
    """
    if kept is None:
        return _published(_say(one, credential, "head"))
    reply = _say(one, credential, f"head?first={kept.size}")
    if reply.status not in _NOT_THERE:
        return _published(reply)
    head = _published(_say(one, credential, "head"))
    if head.size <= kept.size:
        return head
    reply = _say(one, credential, f"consistency?first={kept.size}&second={head.size}")
    return head if reply.status in _NOT_THERE else _proven(head, reply)


def _say(one: Connection, credential: str, what: str) -> outbound.Reply:
    parts = urlsplit(one.url)
    there = f"{parts.scheme}://{parts.netloc}/api/v1/log/{what}"
    try:
        return remote.ask("GET", there, authorization=credential, accept="application/json")
    except remote.TooLong:
        raise Trouble("What it says of its log is longer than is read here.") from None


def _published(reply: outbound.Reply) -> offline.Head:
    """The head in an answer. Raises Trouble, for now, where there is none: a proxy says 404, too."""
    if reply.status == 404:
        raise Trouble("It shows no head of its log (404).")
    remote.require_ok(reply)
    try:
        head = offline.head_of(remote.document(reply.body))
        moment = _moment(head)
    except _UNREADABLE:
        raise Trouble(_UNREAD) from None
    if not 0 < head.size <= _MOST_SIZE:
        raise Trouble(_UNREAD)
    if moment - clock.now() > _MOST_AHEAD:
        raise Trouble("The head of its log says that it was signed in the future: its clock is wrong, or ours.")
    return head


def _proven(head: offline.Head, reply: outbound.Reply) -> offline.Head:
    """The same head with the proof that an answer gives."""
    remote.require_ok(reply)
    try:
        said = remote.document(reply.body)
        return replace(head, first=int(said["first"]), proof=tuple(bytes.fromhex(step) for step in said["proof"]))
    except _UNREADABLE:
        raise Trouble(_UNREAD) from None


def _moment(head: offline.Head) -> datetime:
    """When it was signed. Raises ValueError, also for a time without a zone; OverflowError."""
    moment = datetime.fromisoformat(head.at)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


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


def _raise_alarm(one: Connection, alarm: Alarm, head: offline.Head, kept: PeerHead | None) -> None:
    log.error("connection.log_alarm", connection=str(one.pk), alarm=alarm.value)
    audit.record(
        audit.Verb.CONNECTION_ALARMED,
        by=None,
        target=f"connection:{one.pk}",
        about=one.partner_id,
        alarm=alarm.value,
        url=one.url,
        size=head.size,
        root=head.root.hex(),
        kept=None
        if kept is None
        else {"size": kept.size, "root": bytes(kept.root).hex(), "at": clock.rfc3339(kept.at)},
    )
