"""The typed, frozen values that leave the parser: past it nobody reads raw JSON again.

What is made for each object of a batch is a `msgspec.Struct`, here and in `publishing`: a frozen dataclass of as many
fields takes thirteen times as long to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

#: `suppressed_by` of a value that is there to be matched only: another of the same object is listed.
MATCH_ONLY = "match-only"
#: `suppressed_by` of the hash of a rule or text: two that say the same match by it, and no list holds it.
PATTERN_HASH = "pattern-hash"


class TokenValue(msgspec.Struct, frozen=True):
    """One normalised value that an indicator matches on.

    `domain` names what is compared ("email", "net", "domain-name:value" …); values match only when
    domain (as `exchange.lists` compares it), scheme, key_epoch, value and psp_scope are equal. `scheme` is "clear" for
    what may travel in clear, and "sha256" for the pattern of a rule or text. `suppressed_by` is what keeps it out of
    lists, "" for what is listed. `psp_scope` is that of a `psp_fp`, "" for all others.
    """

    domain: str
    scheme: str
    key_epoch: str
    value: str
    suppressed_by: str = ""
    psp_scope: str = ""


class Ref(NamedTuple):
    """One reference: a JSON pointer (RFC 6901) within the object, and the id pointed to, in lower case."""

    path: str
    target: str


class Draft(msgspec.Struct, frozen=True):
    """One STIX object as read from a batch: the producer's exact bytes and what was extracted from them."""

    index: int
    raw: bytes
    data: Mapping[str, Any]
    stix_id: str  # in lower case, however it was written
    stix_type: str
    version: str | None  # `modified`, else `created`, as written; None where the type has neither
    created: datetime | None
    modified: datetime | None  # `modified`, else `created`: microseconds, UTC
    spec_version: str = "2.1"  # `2.0` or `2.1`, as written or implied
    revoked: bool = False
    created_by_ref: str | None = None
    title: str = ""
    tlp: str | None = None  # strictest marking: clear, green, amber, amber+strict, red; None if unmarked
    kind: str | None = None
    subkind: str | None = None
    severity: str | None = None
    confidence: int | None = None
    pattern_type: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    tokens: tuple[TokenValue, ...] = ()
    markings: tuple[str, ...] = ()  # every marking that it names, TLP or not
    unresolved: tuple[str, ...] = ()  # of these, in lower case, the ones whose definition its publisher has not sent
    references: tuple[Ref, ...] = ()  # every id that it points to, with its place
    extension: Mapping[str, Any] | None = None  # ours, as it was written, where it has one
    detector: str | None = None  # the id of the one that our extension names
    facets: tuple[str, ...] = ()  # what filters ask of it beside the columns (`stix.facets`)
    marks: "tuple[Refusal, ...]" = ()  # what STIX 2.1 says is wrong with it


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that may not enter: a stable code, the field (JSON pointer inside the object), the rule in words."""

    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """An object that waits for its own partner to mend it: same fields as a refusal."""

    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An element of a batch that did not become a draft; `stix_id` where one could be read."""

    index: int
    stix_id: str | None
    refusal: Refusal
    revoked: bool = False  # whether it says that it is


@dataclass(frozen=True, slots=True)
class Revocation:
    """The wish to end a holding without a version that says so, because none could be made."""

    index: int
    stix_id: str
    revoked: bool = True
