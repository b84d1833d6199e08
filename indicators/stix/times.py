"""What STIX 2.1 demands of timestamps: their order, and that each is a moment that exists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from indicators.stix.rule import Stix, Wrong

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", re.ASCII)
#: Pairs of timestamps: the second is not before the first; where `strictly`, it is after it.
_ORDERED: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "indicator": (("valid_from", "valid_until", True),),
    "malware-analysis": (("analysis_started", "analysis_ended", False),),
    "network-traffic": (("start", "end", False),),
    "observed-data": (("first_observed", "last_observed", False),),
    "relationship": (("start_time", "stop_time", True),),
    **dict.fromkeys(
        ("campaign", "infrastructure", "intrusion-set", "malware", "sighting", "threat-actor"),
        (("first_seen", "last_seen", False),),
    ),
}


def order(data: Stix) -> Iterable[Wrong]:
    """`modified` is not before `created` (§3.2), and an end is not before its beginning (the type's own section)."""
    created, modified = data.get("created"), data.get("modified")
    if modified is not None and created != modified and _is_before(modified, created, or_equal=False):
        yield "modified-before-created", "/modified"
    for first, last, strictly in _ORDERED.get(data["type"], ()):
        if last in data and _is_before(data[last], data.get(first), or_equal=strictly):
            yield "end-before-start", f"/{last}"


def _is_before(moment: Any, other: Any, *, or_equal: bool) -> bool:
    """Compared to the last digit that was written; what is no timestamp is not compared."""
    if isinstance(moment, str) and isinstance(other, str) and len(moment) == len(other) and moment > other:
        return False  # nearly always: written alike, and in order
    mine, theirs = _precise(moment), _precise(other)
    if mine is None or theirs is None:
        return False
    return mine <= theirs if or_equal else mine < theirs


def _precise(moment: Any) -> tuple[str, str] | None:
    found = _TIMESTAMP.fullmatch(moment) if isinstance(moment, str) else None
    return (found[1], (found[2] or "").rstrip("0")) if found else None


def dates(data: Stix) -> Iterable[Wrong]:
    """Each timestamp is a moment that exists (§2.15). Those that the columns need, the parser has read."""
    for name in TIMES.get(data["type"], ()):
        if name in data and not _exists(data[name]):
            yield "bad-timestamp", f"/{name}"


def _exists(moment: Any) -> bool:
    """Whether there is such a day and hour; what does not look like a timestamp is the schemas' to tell."""
    found = _TIMESTAMP.fullmatch(moment) if isinstance(moment, str) else None
    try:
        return found is None or datetime.fromisoformat(found[1].replace("T24", "T99")) is not None
    except ValueError:
        return found is not None and found[1].endswith("T23:59:60")  # a leap second (RFC 3339 §5.7)


TIMES: dict[str, tuple[str, ...]] = {
    "directory": ("atime", "ctime", "mtime"),
    "email-message": ("date",),
    "file": ("atime", "ctime", "mtime"),
    "language-content": ("object_modified",),
    "malware-analysis": ("analysis_ended", "analysis_started", "submitted"),
    "network-traffic": ("end", "start"),
    "observed-data": ("first_observed", "last_observed"),
    "process": ("created_time",),
    "relationship": ("start_time", "stop_time"),
    "report": ("published",),
    "user-account": (
        *("account_created", "account_expires", "account_first_login", "account_last_login"),
        "credential_last_changed",
    ),
    "windows-registry-key": ("modified_time",),
    "x509-certificate": ("validity_not_after", "validity_not_before"),
    **dict.fromkeys(
        ("campaign", "infrastructure", "intrusion-set", "malware", "sighting", "threat-actor"),
        ("first_seen", "last_seen"),
    ),
}


def inner_dates(data: Stix) -> Iterable[Wrong]:
    """The timestamps inside of a certificate's and a program's extensions exist, too (§6.7.6, §6.18.3)."""
    inside = data.get("x509_v3_extensions")
    for name in ("private_key_usage_period_not_before", "private_key_usage_period_not_after"):
        if isinstance(inside, dict) and name in inside and not _exists(inside[name]):
            yield "bad-timestamp", f"/x509_v3_extensions/{name}"
    extensions = data.get("extensions")
    binary = extensions.get("windows-pebinary-ext") if isinstance(extensions, dict) else None
    if isinstance(binary, dict) and not _exists(binary.get("time_date_stamp")):
        yield "bad-timestamp", "/extensions/windows-pebinary-ext/time_date_stamp"
