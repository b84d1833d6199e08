"""What each element of a batch is answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from indicators.door import entries
from indicators.publishing import markings
from indicators.stix.drafts import Draft, Quarantine, Refusal, Revocation, Unreadable

Status = Literal["accepted", "unchanged", "withdrawn", "waiting", "quarantined", "refused"]
STATUSES: tuple[Status, ...] = ("accepted", "unchanged", "withdrawn", "waiting", "quarantined", "refused")
Element = Draft | Unreadable | Revocation
NOT_HELD = Refusal("not-found", "", "You hold no such object.")
OF_OTHER_GROUPS = Refusal("key-limited-to-groups", "/id", "It is shared with groups that this key is not for.")


class Result(msgspec.Struct, frozen=True):
    """The answer to one element of a batch."""

    index: int
    stix_id: str | None
    version: str | None
    status: Status
    verdict: Refusal | Quarantine | None = None
    marks: tuple[Refusal, ...] = ()
    suppressed_by: tuple[str, ...] = ()  # what keeps values of it out of lists

    def to_json(self) -> dict[str, Any]:
        """As the API answers it; a verdict names the rule and the field, never the value."""
        answer: dict[str, Any] = {
            "index": self.index,
            "id": self.stix_id,
            "version": self.version,
            "status": self.status,
        }
        if self.verdict is not None:
            answer |= _told(self.verdict)
        if self.marks:
            answer["marks"] = [_told(mark) for mark in self.marks]
        if self.suppressed_by:
            answer["suppressed_by"] = self.suppressed_by
        return answer


def _told(verdict: Refusal | Quarantine) -> dict[str, str]:
    return {"code": verdict.code, "field": verdict.field, "message": verdict.message}


def answered(drafts: Iterable[Draft | None], status: Status) -> list[Result]:
    """The answers to drafts of one status, with their marks and what keeps values of theirs out of lists."""
    return [
        Result(
            draft.index,
            draft.stix_id,
            draft.version,
            status,
            marks=draft.marks + markings.note(draft),
            suppressed_by=entries.told(draft),
        )
        for draft in drafts
        if draft is not None
    ]


@dataclass(frozen=True, slots=True)
class How:
    """What was decided before, and what is asked for: see `publishing.publish`."""

    confirmed: bool
    wake: bool
    for_good: bool
