"""A version as it is stored, with what its holding is now: plain values, read by `publishing.storing`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Version:
    """One version that a publisher has stored, with what its holding is now."""

    holding_id: int
    object_id: int
    sha256: bytes
    state: str  # of its holding, a Holding.State
    latest: bool
    revoked: bool  # as its bytes say
    audience_id: int
    tlp: int
    withdrawn: bool = False  # nobody sees it
    alone: bool = False  # its publisher alone sees it
    attribution: int = 0
    groups: list[UUID] | None = None  # of what is held under a pseudonym
    written: str | None = None  # the version as written
    correction: int = 0  # which one it is of what has no `modified`


#: What a publisher has stored under one id, by version; of what was corrected, the last bytes.
Versions = dict[datetime | None, Version]
