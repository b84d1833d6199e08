"""The versions of one holding: which drafts are new ones, which are known, and which contradict what is there.

Within one publisher's holding of an id the newest `modified` wins, all versions are kept, and revoked is final.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from indicators import storing
from indicators.stix.drafts import Draft, Refusal


class Line:
    """The versions of one id in the publisher's holding: what is stored, and what this batch adds."""

    def __init__(self, held: storing.Holding) -> None:
        self._digests = {modified: version.sha256 for modified, version in held.items()}
        self._written = {modified: version.version for modified, version in held.items()}
        self.stored_latest = next((version for version in held.values() if version.latest), None)
        self._revoked = self.stored_latest is not None and self.stored_latest.revoked
        self.newest: datetime | Literal["unversioned"] | None = None
        for modified, version in held.items():
            if version.latest:
                self.newest = modified or "unversioned"
        self.entering_latest: Entering | None = None

    def judge(self, draft: Draft, sha256: bytes) -> Refusal | Literal["unchanged"] | None:
        """None if the draft is a new version; else why it is not."""
        field = "/modified" if "modified" in draft.data else "/id"
        if draft.modified in self._digests:
            if self._digests[draft.modified] == sha256:
                return "unchanged"
            if _below_microseconds(draft.version) != _below_microseconds(self._written[draft.modified]):
                return Refusal(
                    "version-too-fine", field, "Versions are told apart by the microsecond: this one is held."
                )
            return Refusal(
                "version-conflict", field, "You gave other content under this id and version before; raise `modified`."
            )
        if (draft.modified is None or self.newest == "unversioned") and self._digests:
            return Refusal("version-conflict", field, "This id is held both with and without a version.")
        newer = draft.modified is None or not isinstance(self.newest, datetime) or draft.modified > self.newest
        if self._revoked and newer:
            return Refusal("revoked-is-final", "/id", "You have revoked this object; a revoked object stays revoked.")
        return None

    def add(self, new: Entering) -> None:
        """Take in a draft that was judged to be a new version."""
        draft = new.draft
        self._digests[draft.modified] = new.sha256
        self._written[draft.modified] = draft.version
        if not isinstance(self.newest, datetime) or (draft.modified is not None and draft.modified > self.newest):
            self.newest = draft.modified or "unversioned"
            self.entering_latest = new
            self._revoked = draft.revoked


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
        same = newest is not None and newest.audience_id == self.audience_id
        return self.audience_id if self.latest or same else alone
