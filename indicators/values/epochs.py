"""When the key of an epoch is in use, read from the epoch's name where a scheme gives names that say it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

#: Its epochs are calendar quarters, UTC (vocabulary, "Tokens").
OBLIVIOUS = "oprf-ristretto255-sha512"
_QUARTER = re.compile(r"(2[0-9]{3})q([1-4])")


class Time(NamedTuple):
    """From when on, and up to when, a key is in use; None where the name does not say it."""

    begins: datetime | None
    ends: datetime | None


def time_of(scheme: str, name: str) -> Time:
    """The time of an epoch. Keys of groups end when a member leaves, and words of version 1 say nothing."""
    found = _QUARTER.fullmatch(name) if scheme == OBLIVIOUS else None
    if found is None:
        return Time(None, None)
    year, quarter = int(found[1]), int(found[2])
    begins = datetime(year, 3 * quarter - 2, 1, tzinfo=UTC)
    ends = datetime(year + quarter // 4, 3 * (quarter % 4) + 1, 1, tzinfo=UTC)
    return Time(begins, ends)
