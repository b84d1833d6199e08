"""The versions of one holding: which drafts are new ones, which are known, and which contradict what is there.

Within one publisher's holding of an id the newest `modified` wins, all versions are kept, and revoked is final.
What was withdrawn is asleep: it counts for nothing but its bytes and its revocation, until the same bytes come again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from indicators import storing
from indicators.stix.drafts import Draft, Refusal
from partners.sharing import AudienceSpec


class Line:
    """The versions of one id in the publisher's holding: what is stored, and what this batch adds."""

    def __init__(self, held: storing.Holding) -> None:
        self._digests = {modified: version.sha256 for modified, version in held.items()}
        self._stored = dict(held)
        self._written = {modified: version.version for modified, version in held.items()}
        self.stored_latest = next((version for version in held.values() if version.latest), None)
        final = self.stored_latest or (held[max(held, key=_age)] if held else None)
        self._revoked = final is not None and final.revoked
        self.newest: datetime | Literal["unversioned"] | None = None
        for modified, version in held.items():
            if version.latest:
                self.newest = modified or "unversioned"
        self.entering_latest: Entering | None = None
        self.moves = False
        self.attribution = next((version.attribution for version in held.values()), None)

    @property
    def sleeps(self) -> bool:
        """Whether all that is held is withdrawn."""
        return bool(self._stored) and all(version.withdrawn for version in self._stored.values())

    def asleep(self, draft: Draft) -> storing.Held | None:
        """The version that the draft would wake."""
        held = self._stored.get(draft.modified)
        return held if held is not None and held.withdrawn else None

    def judge(self, draft: Draft, sha256: bytes) -> Refusal | Literal["unchanged"] | None:
        """None if the draft is a new version; else why it is not."""
        field = "/modified" if "modified" in draft.data else "/id"
        if draft.modified in self._digests:
            if self._digests[draft.modified] != sha256:
                if _below_microseconds(draft.version) != _below_microseconds(self._written[draft.modified]):
                    return Refusal(
                        "version-too-fine", field, "Versions are told apart by the microsecond: this one is held."
                    )
                return Refusal(
                    "version-conflict",
                    field,
                    "You gave other content under this id and version before; raise `modified`.",
                )
            if self.asleep(draft) is None:
                return "unchanged"
        elif (draft.modified is None or self.newest == "unversioned") and self._digests:
            return Refusal("version-conflict", field, "This id is held both with and without a version.")
        newer = draft.modified is None or not isinstance(self.newest, datetime) or draft.modified > self.newest
        if self._revoked and newer and not (draft.revoked and self.asleep(draft)):
            return Refusal("revoked-is-final", "/id", "You have revoked this object; a revoked object stays revoked.")
        return None

    def add(self, new: Entering) -> None:
        """Take in a draft that was judged to be a new version."""
        draft = new.draft
        self._digests[draft.modified] = new.sha256
        self._stored.pop(draft.modified, None)
        self._written[draft.modified] = draft.version
        if not isinstance(self.newest, datetime) or (draft.modified is not None and draft.modified > self.newest):
            self.newest = draft.modified or "unversioned"
            self.entering_latest = new
            self._revoked = draft.revoked


def _age(modified: datetime | None) -> datetime:
    return modified or datetime.min.replace(tzinfo=UTC)


def _below_microseconds(version: str | None) -> str:
    """The digits of a timestamp that its column cannot hold."""
    return (version or "").partition(".")[2].rstrip("Zz")[6:].rstrip("0")


@dataclass(frozen=True, slots=True, eq=False)
class Entering:
    """A draft that becomes a row."""

    draft: Draft
    sha256: bytes
    audience_id: int
    line: Line
    first: bool
    source: int = 0  # how it is shown, an Attribution
    spec: AudienceSpec | None = None  # where it goes; None for what only withdraws
    wakes: int | None = None  # the key of the row that is there already, withdrawn

    @property
    def latest(self) -> bool:
        """Whether it is the newest version that the holding will have."""
        return self.line.entering_latest is self

    @property
    def moves_from(self) -> int | None:
        """The audience that the holding leaves with this version, if it leaves one."""
        held = self.line.stored_latest
        return None if held is None or held.audience_id == self.audience_id else held.audience_id

    def seen_by(self, alone: int) -> int:
        """Its audience; a version that is already history keeps it only while the newest version has the same."""
        newest = self.line.entering_latest or self.line.stored_latest
        same = newest is not None and newest.audience_id == self.audience_id and not self.line.moves
        return self.audience_id if self.latest or same else alone
