"""What an importer finds: one value of one subkind, still raw, with what its source says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """One value that an indicator may carry.

    `carried` is there where the source has what an indicator carries already: tokens, a value in clear, a rule or a
    text. Else `raw` is the value itself, which is tokenised or put into its normal form before anything is sent.
    `says` are properties of the extension, and `confidence`. `source_id` is the source's own id of it, if it has one.
    """

    path: str
    subkind: str
    raw: str = ""
    carried: Mapping[str, Any] | None = None
    says: Mapping[str, Any] = field(default_factory=dict)
    tlp: str = ""
    valid_until: str = ""
    source_id: str = ""
