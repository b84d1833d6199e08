"""The one way in: a batch of drafts becomes objects, tokens, audience and changes in one transaction.

    read -> gates -> audience -> what is new -> rows -> audit -> the log (order lock, last) -> hints

Every element of a batch gets an answer. What was acknowledged is committed; hints to matching and telling are
sent after the commit and may be lost, because both follow the log by themselves.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from django.db import transaction

from exchange import clock
from exchange.errors import Conflict
from indicators import changes, matching, notifying, storing
from indicators.door import gates
from indicators.models import Batch, Change, Quarantined
from indicators.stix.drafts import Draft, Quarantine, Refusal, Unreadable
from partners import audit
from partners.models import Group, Partner
from partners.scopes import Scope
from partners.sharing import AudienceSpec, Viewer, default_reach, intern_audience, may_share
from partners.tlp import Tlp

Status = Literal["accepted", "unchanged", "quarantined", "refused"]
STATUSES: tuple[Status, ...] = ("accepted", "unchanged", "quarantined", "refused")


@dataclass(frozen=True, slots=True)
class Reach:
    """The audience that a batch names for all its objects; `named` is false where it leaves that to the default."""

    named: bool = False
    tlp: Tlp | None = None
    everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a push repeatable: its key, if it has one, and the digest of what was sent."""

    digest: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one element of a batch."""

    index: int
    stix_id: str | None
    version: str | None
    status: Status
    verdict: Refusal | Quarantine | None = None

    def to_json(self) -> dict[str, Any]:
        """As the API answers it; a verdict names the rule and the field, never the value."""
        answer: dict[str, Any] = {
            "index": self.index,
            "id": self.stix_id,
            "version": self.version,
            "status": self.status,
        }
        if self.verdict is not None:
            answer |= {"code": self.verdict.code, "field": self.verdict.field, "message": self.verdict.message}
        return answer


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a batch; `results` is the JSON array as it was and will be answered."""

    batch_id: UUID
    received_at: datetime
    counts: Mapping[str, int]
    results: bytes
    replayed: bool = False


def publish(elements: Sequence[Draft | Unreadable], *, by: Viewer, reach: Reach, request: Request) -> Answer:
    """Publish a batch on behalf of `by`.

    Raises Forbidden or Refused where the batch as a whole may not be published (scope, audience), Conflict
    where its idempotency key was used for other content. All else is said per object.
    """
    by.require(Scope.PUBLISH)
    room = _Room(by, reach)
    received_at = clock.now()
    admitted, results = _examine(elements, by=by, room=room, received_at=received_at)
    with transaction.atomic():
        storing.lock_publisher(by.partner_id)
        if (earlier := _answered_before(by, request)) is not None:
            return earlier
        entering, settled = _compare_with_held(admitted, room=room, by=by)
        results += settled
        results.sort(key=lambda result: result.index)
        answer = _write_down(results, elements, by=by, request=request, received_at=received_at)
        if entering:
            _store(entering, by=by)
            transaction.on_commit(_hint, robust=True)  # committed is committed, whatever the broker says
    return answer


class _Room:
    """The audiences and policies of one batch, found once per marking."""

    def __init__(self, by: Viewer, reach: Reach) -> None:
        self._by = by
        self._reach = reach
        self._policies = dict(Group.objects.filter(pk__in=by.group_ids).values_list("pk", "policy"))
        self._specs: dict[Tlp, AudienceSpec] = {}
        self._ids: dict[Tlp, int] = {}
        if reach.named:  # a batch that may not go where it says is refused before any object is looked at
            may_share(
                by,
                tlp=reach.tlp if reach.tlp is not None else Tlp.AMBER_STRICT,
                everyone=reach.everyone,
                groups=reach.groups,
                partners=reach.partners,
            )

    def marking(self, draft: Draft) -> Tlp:
        """The object's own marking, or the publisher's default; the batch's marking may only narrow it."""
        own = Tlp.from_word(draft.tlp) if draft.tlp else None
        if own is None:
            return self._reach.tlp if self._reach.tlp is not None else self._by.default_tlp
        return own if self._reach.tlp is None else max(own, self._reach.tlp)

    def inherits(self, draft: Draft, *, held_tlp: int) -> bool:
        """Whether a revision names neither another audience nor another marking than the version that is held."""
        if self._reach.named or self._reach.tlp is not None:
            return False
        return draft.tlp is None or Tlp.from_word(draft.tlp) == held_tlp

    def spec(self, tlp: Tlp) -> AudienceSpec:
        if tlp not in self._specs:
            self._specs[tlp] = self._decide(tlp)
        return self._specs[tlp]

    def audience_id(self, tlp: Tlp) -> int:
        if tlp not in self._ids:
            self._ids[tlp] = intern_audience(self._by, self.spec(tlp))
        return self._ids[tlp]

    def policy(self, tlp: Tlp) -> str:
        """The strictest policy among the groups of the audience."""
        groups = self.spec(tlp).groups
        closed = Group.Policy.CLOSED_FACTS
        return closed if any(self._policies.get(group) == closed for group in groups) else Group.Policy.OPEN_CTI

    def _decide(self, tlp: Tlp) -> AudienceSpec:
        reach = self._reach
        if not reach.named:
            return default_reach(self._by, tlp)
        red = tlp is Tlp.RED  # an object that is RED in a batch for a group goes to the named partners only
        return may_share(
            self._by,
            tlp=tlp,
            everyone=reach.everyone and not red,
            groups=() if red else reach.groups,
            partners=reach.partners,
        )


def _examine(
    elements: Sequence[Draft | Unreadable], *, by: Viewer, room: _Room, received_at: datetime
) -> tuple[list[Draft], list[Result]]:
    """Through the gates: the drafts that may enter, and an answer for each element that may not."""
    identities = frozenset(Partner.objects.values_list("identity_id", flat=True))
    doors: dict[str, gates.Door] = {}
    admitted: list[Draft] = []
    results: list[Result] = []
    for element in elements:
        if isinstance(element, Unreadable):
            results.append(Result(element.index, element.stix_id, None, "refused", element.refusal))
            continue
        policy = room.policy(room.marking(element))
        if policy not in doors:
            doors[policy] = gates.Door(
                now=received_at,
                publisher_identity=by.identity_id,
                partner_identities=identities,
                policy=policy,
            )
        verdict = gates.examine(element, doors[policy])
        if verdict is None:
            admitted.append(element)
        else:
            status: Status = "quarantined" if isinstance(verdict, Quarantine) else "refused"
            results.append(Result(element.index, element.stix_id, element.version, status, verdict))
    return admitted, results


def _compare_with_held(drafts: Sequence[Draft], *, room: _Room, by: Viewer) -> tuple[list[_Entering], list[Result]]:
    """Which drafts are new versions, given what the publisher holds and what came earlier in the batch."""
    held = storing.holdings(by.partner_id, {draft.stix_id for draft in drafts})
    seen: dict[str, _Line] = {}
    entering: list[_Entering] = []
    results: list[Result] = []
    for draft in drafts:
        line = seen.get(draft.stix_id)
        if line is None:
            line = seen[draft.stix_id] = _Line(held.get(draft.stix_id, {}))
        sha256 = hashlib.sha256(draft.raw).digest()
        verdict = line.judge(draft, sha256)
        if verdict == "unchanged":
            results.append(Result(draft.index, draft.stix_id, draft.version, "unchanged"))
        elif isinstance(verdict, Refusal):
            results.append(Result(draft.index, draft.stix_id, draft.version, "refused", verdict))
        else:
            new = _Entering(draft, sha256, _audience(draft, room=room, line=line), line, first=line.newest is None)
            line.add(new)
            entering.append(new)
            results.append(Result(draft.index, draft.stix_id, draft.version, "accepted"))
    return entering, results


def _audience(draft: Draft, *, room: _Room, line: _Line) -> int:
    """Who may see the draft: as its batch says; a revision that says nothing new keeps the audience it had."""
    held = line.stored_latest
    if held is not None and room.inherits(draft, held_tlp=held.tlp):
        return held.audience_id
    return room.audience_id(room.marking(draft))


class _Line:
    """The versions of one id in the publisher's holding: what is stored, and what this batch adds."""

    def __init__(self, held: storing.Holding) -> None:
        self._digests = {modified: version.sha256 for modified, version in held.items()}
        self.stored_latest = next((version for version in held.values() if version.latest), None)
        self._revoked = self.stored_latest is not None and self.stored_latest.revoked
        self.newest: datetime | Literal["unversioned"] | None = None
        for modified, version in held.items():
            if version.latest:
                self.newest = modified or "unversioned"
        self.entering_latest: _Entering | None = None

    def judge(self, draft: Draft, sha256: bytes) -> Refusal | Literal["unchanged"] | None:
        """None if the draft is a new version; else why it is not."""
        field = "/modified" if "modified" in draft.data else "/id"
        if draft.modified in self._digests:
            if self._digests[draft.modified] == sha256:
                return "unchanged"
            return Refusal(
                "version-conflict", field, "You gave other content under this id and version before; raise `modified`."
            )
        if (draft.modified is None or self.newest == "unversioned") and self._digests:
            return Refusal("version-conflict", field, "This id is held both with and without a version.")
        newer = draft.modified is None or not isinstance(self.newest, datetime) or draft.modified > self.newest
        if self._revoked and newer:
            return Refusal("revoked-is-final", "/id", "You have revoked this object; a revoked object stays revoked.")
        return None

    def add(self, new: _Entering) -> None:
        draft = new.draft
        self._digests[draft.modified] = new.sha256
        if not isinstance(self.newest, datetime) or (draft.modified is not None and draft.modified > self.newest):
            self.newest = draft.modified or "unversioned"
            self.entering_latest = new
            self._revoked = draft.revoked


@dataclass(frozen=True, slots=True, eq=False)
class _Entering:
    """A draft that becomes a row."""

    draft: Draft
    sha256: bytes
    audience_id: int
    line: _Line
    first: bool

    @property
    def latest(self) -> bool:
        return self.line.entering_latest is self

    @property
    def moves_from(self) -> int | None:
        """The audience that the holding leaves with this version, if it leaves one."""
        held = self.line.stored_latest
        return None if held is None or held.audience_id == self.audience_id else held.audience_id

    def seen_by(self, alone: int) -> int:
        """Its audience; a version that is already history keeps it only while the newest version has the same."""
        newest = self.line.entering_latest or self.line.stored_latest
        same = newest is not None and newest.audience_id == self.audience_id
        return self.audience_id if self.latest or same else alone


def _store(entering: Sequence[_Entering], *, by: Viewer) -> None:
    """Objects and tokens, then, last and under the order lock, their places in the log."""
    moved = [new for new in entering if new.latest and new.moves_from is not None]
    alone = intern_audience(by, AudienceSpec(Tlp.RED)) if any(not new.latest for new in entering) or moved else 0
    keys = storing.store(
        by.partner_id,
        [storing.NewObject(new.draft, new.seen_by(alone), new.sha256, new.latest) for new in entering],
        superseded=[new.line.stored_latest.object_id for new in entering if new.latest and new.line.stored_latest],
    )
    storing.hide_history(by.partner_id, [new.draft.stix_id for new in moved], audience_id=alone, keep=keys)
    changes.append([*_lost_sight(moved, by=by), *_entered(keys, entering, by=by)])


def _lost_sight(moved: Sequence[_Entering], *, by: Viewer) -> list[changes.NewChange]:
    """A remove for the audience that each re-addressed holding had; whoever sees the new version is told of it next."""
    return [
        changes.NewChange(
            object_id=held.object_id,
            publisher_id=by.partner_id,
            audience_id=held.audience_id,
            op=Change.Op.REMOVE,
            reason=Change.Reason.NARROWED,
        )
        for new in moved
        if (held := new.line.stored_latest) is not None
    ]


def _entered(keys: Sequence[int], entering: Sequence[_Entering], *, by: Viewer) -> list[changes.NewChange]:
    return [
        changes.NewChange(
            object_id=key,
            publisher_id=by.partner_id,
            audience_id=new.audience_id,
            op=Change.Op.REMOVE if new.draft.revoked and new.latest else Change.Op.UPSERT,
            reason=_reason(new),
        )
        for key, new in zip(keys, entering, strict=True)
    ]


def _reason(new: _Entering) -> Change.Reason:
    if new.draft.revoked and new.latest:  # an old revocation that arrives late withdraws nothing
        return Change.Reason.REVOKED
    return Change.Reason.PUBLISHED if new.first else Change.Reason.REVISED


def _answered_before(by: Viewer, request: Request) -> Answer | None:
    """The first answer to this idempotency key. Raises Conflict if it answered other content."""
    if request.idempotency_key is None:
        return None
    batch = Batch.objects.of(by).filter(idempotency_key=request.idempotency_key).first()
    if batch is None:
        return None
    if bytes(batch.request_digest) != request.digest:
        raise Conflict(
            "This Idempotency-Key was used for another request.", code="idempotency-key-reused", at="/Idempotency-Key"
        )
    return answer_of(batch, replayed=True)


def answer_of(batch: Batch, *, replayed: bool = False) -> Answer:
    """The answer that a stored batch was given."""
    return Answer(batch.pk, batch.received_at, batch.counts, batch.results.encode(), replayed)


def _write_down(
    results: Sequence[Result],
    elements: Sequence[Draft | Unreadable],
    *,
    by: Viewer,
    request: Request,
    received_at: datetime,
) -> Answer:
    """The batch with its answer, what it left in quarantine, and the audit record."""
    tally = Counter(result.status for result in results)
    counts: dict[str, int] = {status: tally[status] for status in STATUSES}
    body = orjson.dumps([result.to_json() for result in results])
    batch = Batch.unrestricted.create(
        id=uuid.uuid4(),
        partner_id=by.partner_id,
        actor=by.actor,
        idempotency_key=request.idempotency_key,
        request_digest=request.digest,
        received_at=received_at,
        counts=counts,
        results=body.decode(),
    )
    quarantined = {result.index: result for result in results if result.status == "quarantined"}
    Quarantined.unrestricted.bulk_create(
        _quarantined(element, quarantined[element.index].verdict, batch=batch)
        for element in elements
        if isinstance(element, Draft) and element.index in quarantined
    )
    audit.record(audit.Verb.BATCH_PUBLISHED, by=by, target=f"batch:{batch.pk}", counts=counts)
    return Answer(batch.pk, received_at, counts, body)


def _quarantined(draft: Draft, verdict: Refusal | Quarantine | None, *, batch: Batch) -> Quarantined:
    if verdict is None:
        raise ValueError("what is quarantined has a reason")
    return Quarantined(
        partner_id=batch.partner_id,
        batch=batch,
        stix_id=draft.stix_id,
        body=draft.raw.decode(),
        code=verdict.code,
        field=verdict.field,
        message=verdict.message,
    )


def _hint() -> None:
    """Wake who follows the log; a hint that is lost is made good by their own sweep."""
    matching.hint()
    notifying.hint()
