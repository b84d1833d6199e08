"""The versions of one holding: which drafts are new ones, which are known, and which contradict what is there.

Within one publisher's holding of an id the newest `modified` wins, and all versions are kept. A revoked version ends
the holding, whenever it comes: of several the newest stands, and what is not revoked but dated after one is seen by
nobody. So what is seen does not depend on the order in which versions come. What was withdrawn is asleep: it counts for
nothing but its bytes and its revocation, until somebody asks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import msgspec

from indicators import stored
from indicators.models import Hidden, Holding
from indicators.publishing.reach import Reach
from indicators.stix import oasis
from indicators.stix.drafts import Draft, Refusal
from partners.audiences import AudienceSpec

#: Other bytes under an id and version that are held.
VERSION_CONFLICT = "version-conflict"


class History:
    """The versions of one id in the publisher's holding: what is stored, and what this batch adds."""

    def __init__(self, stix_id: str, held: stored.Versions) -> None:
        self.stix_id = stix_id
        one = next(iter(held.values()), None)
        #: The holding as it is stored; None where it begins with this batch.
        self.holding_id = None if one is None else one.holding_id
        self.attribution = None if one is None else one.attribution
        self._digests = {modified: version.sha256 for modified, version in held.items()}
        self._corrections = {modified: version.correction for modified, version in held.items()}
        self.entering: list[Entering] = []
        #: What the batch corrects: stored versions by key, and those that enter before what takes their place.
        self.corrected: list[int] = []
        self.superseded: set[Entering] = set()
        self._stored = dict(held)
        self._written = {modified: version.written for modified, version in held.items()}
        self.stored_latest = next((version for version in held.values() if version.latest), None)
        #: The age of the earliest revoked version, asleep or not: nothing that is not revoked and younger is seen.
        self._ends_at = min((_age(modified) for modified, version in held.items() if version.revoked), default=None)
        if one is not None and one.state == Holding.State.REVOKED and self.stored_latest is None:
            self._ends_at = _age(None)  # it ended without a version that says so
        self._disarmed = one is not None and one.state == Holding.State.DISARMED
        #: Whether all that is stored is withdrawn: what enters wakes the holding.
        self.slept = self.sleeps
        self._lead: tuple[bool, datetime] | None = None
        self.newest: datetime | Literal["unversioned"] | None = None
        for modified, version in held.items():
            if version.latest:
                self.newest = modified or "unversioned"
                self._lead = (version.revoked, _age(modified))
        self.entering_latest: Entering | None = None
        self.moves = False
        #: The kind of what a revocation has ended in this batch whose own bytes are not kept; empty if there is none.
        self.closed = ""

    @property
    def sleeps(self) -> bool:
        """Whether all that is held is withdrawn."""
        return bool(self._stored) and all(version.withdrawn for version in self._stored.values())

    @property
    def is_disarmed(self) -> bool:
        """Whether it has ended with many others, which somebody is to decide on, and nothing wakes it."""
        return self._disarmed and not self.entering

    @property
    def overtaken(self) -> list[int]:
        """The stored versions, not revoked, that are dated after a revocation, by key: nobody sees them any more."""
        return [
            held.object_id
            for modified, held in self._stored.items()
            if not held.withdrawn and not held.revoked and self.is_over(modified)
        ]

    def is_over(self, modified: datetime | None) -> bool:
        """Whether a version of this age is dated after a revocation."""
        return self._ends_at is not None and _age(modified) >= self._ends_at

    @property
    def holds(self) -> bool:
        """Whether there is any version, asleep or not."""
        return bool(self._digests)

    @property
    def is_closed(self) -> bool:
        """Whether it has ended and there is nothing to see of it."""
        return self._ends_at is not None and self._lead is None

    def close(self, kind: str, *, instead_of: Entering | None = None) -> bool:
        """End the holding, which is of this kind, without a version that says so; False if there is nothing to end.

        `instead_of` is a revoked version of this batch that does not enter after all.
        """
        lives = self._lead is not None and not self._lead[0]
        if instead_of is None and not lives and (self._ends_at is not None or not self._digests):
            return False
        self.closed = kind
        self._stored = {modified: replace(version, withdrawn=True) for modified, version in self._stored.items()}
        self._ends_at = _age(None)
        self._lead = self.newest = self.entering_latest = None
        return True

    def asleep(self, draft: Draft) -> stored.Version | None:
        """The stored version that the draft would take up again.

        That is one which is withdrawn, or a revoked one that the holding has outlived.
        """
        if self.correction(draft):
            return None
        held = self._stored.get(draft.modified)
        outlived = held is not None and held.revoked and self._lead is not None and not self._lead[0]
        return held if held is not None and (held.withdrawn or outlived) else None

    def correction(self, draft: Draft) -> int:
        """Which correction the draft is of what has no `modified` to raise, from 1 on; 0 if it is none."""
        held = self._digests.get(draft.modified)
        if held is None or not may_be_corrected(draft) or held == hashlib.sha256(draft.raw).digest():
            return 0
        return self._corrections[draft.modified] + 1

    def judge(
        self, draft: Draft, sha256: bytes, *, wake: bool = False
    ) -> Refusal | Literal["unchanged", "withdrawn"] | None:
        """None if the draft is a new version; else why it is not. With `wake`, what is withdrawn may come back."""
        field = "/modified" if "modified" in draft.data else "/id"
        if draft.modified in self._digests:
            if self._digests[draft.modified] == sha256:
                if self.asleep(draft) is None:
                    return "unchanged"
            elif not may_be_corrected(draft):
                return self._conflict(draft, field)
        elif (draft.modified is None or self.newest == "unversioned") and self._digests:
            return Refusal(VERSION_CONFLICT, field, "This id is held both with and without a version.")
        if not draft.revoked and self._ends_at is not None and (self._lead is None or self.is_over(draft.modified)):
            return Refusal("revoked-is-final", "/id", "You have revoked this object; a revoked object stays revoked.")
        held = self.asleep(draft)
        if not wake and (self.sleeps or (held is not None and held.withdrawn)):
            return "withdrawn"
        return None

    def _conflict(self, draft: Draft, field: str) -> Refusal:
        if _below_microseconds(draft.version) != _below_microseconds(self._written[draft.modified]):
            return Refusal("version-too-fine", field, "Versions are told apart by the microsecond: this one is held.")
        words = "You gave other content under this id and version before; raise `modified`."
        return Refusal(VERSION_CONFLICT, field, words)

    def add(self, new: Entering) -> None:
        """Take in a draft that was judged to be a new version."""
        draft = new.draft
        self._take_the_place_of(new)
        self._digests[draft.modified], self._corrections[draft.modified] = new.sha256, new.correction
        self.entering.append(new)
        self._written[draft.modified] = draft.version
        if draft.revoked:
            age = _age(draft.modified)
            self._ends_at = age if self._ends_at is None else min(self._ends_at, age)
        lead = (draft.revoked, _age(draft.modified))  # what is revoked comes before what is newer
        if self._lead is None or lead > self._lead or (new.correction and lead == self._lead):
            self._lead = lead
            self.newest = draft.modified or "unversioned"
            self.entering_latest = new

    def _take_the_place_of(self, new: Entering) -> None:
        """Of what a correction takes the place of, its publisher alone keeps the bytes; what is withdrawn stays so."""
        stored = self._stored.pop(new.draft.modified, None)
        if new.correction and stored is not None and not stored.withdrawn:
            self.corrected.append(stored.object_id)
        if new.correction:
            self.superseded.update(one for one in self.entering if one.draft.modified == new.draft.modified)


def let_go(entering: Iterable[Entering]) -> None:
    """Take what enters from its histories once it is written and nobody asks them any more.

    Each holds the other, so all that a batch was would else stay, bytes and all, until the collector finds it; and its
    rounds, each over what some thirty pushes left, stop the whole process for tens of milliseconds.
    """
    for new in entering:
        new.history.entering.clear()
        new.history.superseded.clear()
        new.history.entering_latest = None


def may_be_corrected(draft: Draft) -> bool:
    """Whether an object has no `modified` that could be raised: observables, marking definitions (STIX 2.1 §3.2)."""
    if draft.data.get("modified") is not None:
        return False
    return draft.modified is None or draft.stix_type == "marking-definition" or draft.stix_type in oasis.SCOS


def _age(modified: datetime | None) -> datetime:
    return modified or datetime.min.replace(tzinfo=UTC)


def _below_microseconds(version: str | None) -> str:
    """The digits of a timestamp that its column cannot hold."""
    return (version or "").partition(".")[2].rstrip("Zz")[6:].rstrip("0")


class Entering(msgspec.Struct, frozen=True, eq=False):
    """A draft that becomes a row."""

    draft: Draft
    sha256: bytes
    audience_id: int
    history: History
    first: bool
    correction: int = 0  # which one it is of what has no `modified`; 0: none
    source: int = 0  # how it is shown, an Attribution
    spec: AudienceSpec | None = None  # where it goes; None for what only withdraws
    wakes: int | None = None  # the key of the version that is stored already, withdrawn
    asked: Reach | None = None  # of what waits for the definition of a marking: where it is to go then

    @property
    def latest(self) -> bool:
        """Whether it is the newest version that the holding will have."""
        return self.history.entering_latest is self

    @property
    def moves_from(self) -> int | None:
        """The audience that the holding leaves with this version, if it leaves one."""
        held = self.history.stored_latest
        return None if held is None or held.audience_id == self.audience_id else held.audience_id

    @property
    def overtaken(self) -> bool:
        """Whether it is dated after a revocation that came in the same batch."""
        return not self.draft.revoked and self.history.is_over(self.draft.modified)

    @property
    def hidden_from(self) -> Hidden.From | None:
        """Who of those that see the holding does not see it.

        A version that is already old is shown only while the newest version has the same audience.
        """
        if self.overtaken:
            return Hidden.From.ALL
        if self in self.history.superseded:
            return Hidden.From.OTHERS
        newest = self.history.entering_latest or self.history.stored_latest
        same = newest is not None and newest.audience_id == self.audience_id and not self.history.moves
        return None if self.latest or same else Hidden.From.OTHERS

    def told_to(self, alone: int, *, nobody: int) -> int:
        """The audience of its change in the log: that of who sees it, of its publisher `alone`, or `nobody`."""
        return {None: self.audience_id, Hidden.From.OTHERS: alone, Hidden.From.ALL: nobody}[self.hidden_from]
