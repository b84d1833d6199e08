"""Ask the issuers of sign-ons, in a worker: no request of a browser waits for somebody else's server.

A row is a question: where an issuer's pages are (`discover`), or who somebody is that came back from it (`identify`).
The answer is written into the row, or, of where the pages are, into the sign-on. Of one partner SHARE questions are
under way at a time, and MOST of all. The only writer of Question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from structlog import get_logger

from exchange import clock, hints, sealing
from exchange.celery import app
from exchange.errors import Refused
from partners.identity import oidc, signing_on
from partners.models import Question, SignOn

log = get_logger()

SHARE = 2
MOST = 8
#: How long a question and its answer are of use; a person waits for less.
LIFE = timedelta(minutes=2)
_CLAIM = timedelta(seconds=30)
_TURN_S = 60.0
_SEALED_FOR = "question"
#: Key of the advisory lock under which questions are claimed: "issu".
_CLAIM_LOCK = 0x69737375


@dataclass(frozen=True, slots=True)
class Answer:
    """Who it is at the issuer, or why that is not known; one of them is empty."""

    subject: str
    trouble: str


def discover(sign_on: SignOn) -> None:
    """Have an issuer asked where its pages are."""
    _ask(sign_on, Question.Kind.DISCOVER, {})


def identify(sign_on: SignOn, attempt: oidc.Attempt, answer: Mapping[str, str], *, again: bool) -> UUID:
    """Have an issuer asked who came back from it with this answer; returns the question."""
    said = {name: str(answer[name])[:4_000] for name in ("code", "iss", "state") if name in answer}
    return _ask(sign_on, Question.Kind.IDENTIFY, {"attempt": asdict(attempt), "answer": said, "again": again})


def answer_to(question_id: UUID) -> Answer | None:
    """The answer, which is forgotten with it; None while there is none."""
    with transaction.atomic():
        question = Question.objects.select_for_update().filter(pk=question_id).first()
        if question is None:
            return Answer("", signing_on.NO_ANSWER)
        if not question.answer:
            return None
        question.delete()
    return Answer(**json.loads(_unsealed(question.answer, question_id)))


def _ask(sign_on: SignOn, kind: Question.Kind, content: Mapping[str, object]) -> UUID:
    moment = clock.now()
    row = Question(sign_on=sign_on, partner_id=sign_on.partner_id, kind=kind, until=moment + LIFE)
    row.content = sealing.seal(json.dumps(content).encode(), purpose=_SEALED_FOR, bound=[row.pk.bytes])
    row.save(force_insert=True)
    transaction.on_commit(lambda: hint())  # noqa: PLW0108 - looked up when it is called
    return row.pk


def answer_next() -> bool:
    """Claim the next question and ask it; whether there was one."""
    question = _claim()
    if question is None:
        return False
    client = signing_on.client_of(question.sign_on)
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, while the issuer takes its time
    mine = Question.objects.filter(pk=question.pk, claimed_until=question.claimed_until)
    if question.kind == Question.Kind.DISCOVER:
        _note(question.sign_on, *_endpoint(client))
        mine.delete()
        return True
    answer = _identified(client, json.loads(_unsealed(question.content, question.pk)))
    mine.update(
        answer=sealing.seal(json.dumps(asdict(answer)).encode(), purpose=_SEALED_FOR, bound=[question.pk.bytes])
    )
    return True


def _endpoint(client: oidc.Client) -> tuple[str, str]:
    """Where an issuer's people sign in, and what was wrong."""
    try:
        return oidc.discover(client.issuer).authorization_endpoint, ""
    except Refused as refused:
        return "", refused.detail


def _note(asked: SignOn, endpoint: str, trouble: str) -> None:
    """What an issuer said of itself; a failure leaves what it said before. Nothing, if another one was named since."""
    rows = SignOn.objects.filter(pk=asked.pk, issuer=asked.issuer)
    if trouble:
        log.warning("sign-on.not-discovered", sign_on=str(asked.pk))
        rows.update(trouble=trouble[:300])
    else:
        rows.update(authorization_endpoint=endpoint, trouble="")


def _identified(client: oidc.Client, asked: Mapping[str, object]) -> Answer:
    attempt, said, again = oidc.Attempt(**asked["attempt"]), asked["answer"], bool(asked["again"])  # type: ignore[arg-type]
    try:
        return Answer(oidc.subject(client, attempt, said, again=again, now_s=time.time()), "")  # type: ignore[arg-type]
    except Refused as refused:
        return Answer("", refused.detail)


@transaction.atomic
def _claim() -> Question | None:
    """Take the next question, of the partner with the fewest under way; forget those that nobody waits for any more."""
    moment = clock.now()
    asked: dict[str, datetime | int] = {"now": moment, "until": moment + _CLAIM, "share": SHARE, "most": MOST}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        cursor.execute("DELETE FROM partners_question WHERE until < %s", [moment])
        cursor.execute(_CLAIM_NEXT, asked)
        claimed = cursor.fetchone()
    return Question.objects.select_related("sign_on").get(pk=claimed[0]) if claimed else None


_CLAIM_NEXT = """
WITH at_work AS (
    SELECT partner_id, count(*) AS all_of_it FROM partners_question
    WHERE claimed_until >= %(now)s AND answer IS NULL GROUP BY partner_id
), next AS (
    SELECT q.id FROM partners_question q LEFT JOIN at_work w ON w.partner_id = q.partner_id
    WHERE q.answer IS NULL AND (q.claimed_until IS NULL OR q.claimed_until < %(now)s)
      AND coalesce(w.all_of_it, 0) < %(share)s AND (SELECT coalesce(sum(all_of_it), 0) FROM at_work) < %(most)s
    ORDER BY coalesce(w.all_of_it, 0), q.created_at, q.id LIMIT 1 FOR UPDATE OF q SKIP LOCKED
)
UPDATE partners_question q SET claimed_until = %(until)s FROM next WHERE q.id = next.id RETURNING q.id
"""


def _unsealed(sealed: bytes | memoryview, pk: UUID) -> bytes:
    return sealing.unseal(bytes(sealed), purpose=_SEALED_FOR, bound=[pk.bytes])


def hint() -> None:
    """Ask a worker to look at the questions; to be called after the commit."""
    hints.SENDER.send_soon(work)


@app.task(name="partners.identity.asking.work")
def work() -> None:
    """Ask what there is to ask, one after another."""
    until = time.monotonic() + _TURN_S
    while answer_next() and time.monotonic() < until:
        pass


@app.task(name="partners.identity.asking.refresh")
def refresh() -> None:
    """Ask every issuer anew where its pages are."""
    for sign_on in SignOn.objects.filter(partner__state="active").order_by("pk"):
        discover(sign_on)
