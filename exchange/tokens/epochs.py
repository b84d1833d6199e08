"""The time of keys: calendar quarters, UTC. Pure; the moment is always given.

An oblivious key is published under during its quarter, and in the 14 days before it too, beside the ending one. It
answers for look-ups until the last token under it has ended, 90 days after its quarter.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

#: Before a quarter begins, and after a member left a group: so long both keys are published under.
OVERLAP = timedelta(days=14)
#: The longest life of an indicator that carries tokens.
LONGEST_LIFE = timedelta(days=90)
#: The form of a group's short name, which begins the epochs of its keys: at most 60 characters.
GROUP = "[a-z0-9][a-z0-9-]{0,59}"
#: How long the epoch of a group's key can be.
LONGEST_EPOCH = 60 + len("-2026q4-") + 6
_QUARTER = re.compile(r"([2-9][0-9]{3})q([1-4])")
_OF_GROUP = re.compile(rf"({GROUP})-([2-9][0-9]{{3}}q[1-4])-([1-9][0-9]{{0,5}})")


def quarter_of(moment: datetime) -> str:
    """The quarter of a moment: `2026q4`."""
    at = moment.astimezone(UTC)
    return f"{at.year}q{(at.month - 1) // 3 + 1}"


def begins(quarter: str) -> datetime:
    """The first moment of a quarter. Raises ValueError for what is none."""
    found = _QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError("not a quarter such as 2026q4")
    return datetime(int(found[1]), int(found[2]) * 3 - 2, 1, tzinfo=UTC)


def ends(quarter: str) -> datetime:
    """The first moment that is no longer in a quarter."""
    return begins(following(quarter))


def following(quarter: str) -> str:
    """The quarter after."""
    return quarter_of(begins(quarter) + timedelta(days=93))


def published_under(moment: datetime) -> tuple[str, ...]:
    """The quarters whose keys make tokens for publishing now: one, and in its last 14 days the next one too."""
    present = quarter_of(moment)
    return (present, following(present)) if ends(present) - moment <= OVERLAP else (present,)


def is_published_under(quarter: str, moment: datetime) -> bool:
    """Whether a new indicator may carry tokens of this quarter."""
    return quarter in published_under(moment)


def answers(quarter: str, moment: datetime) -> bool:
    """Whether the key of a quarter makes tokens at all: for publishing, or still for look-ups."""
    return begins(quarter) - OVERLAP <= moment < ends(quarter) + LONGEST_LIFE


def looked_up_under(moment: datetime) -> tuple[str, ...]:
    """The quarters under which live tokens may exist, the newest first: a look-up asks under each."""
    quarter, found = quarter_of(moment - LONGEST_LIFE), []
    while begins(quarter) - OVERLAP <= moment:
        if answers(quarter, moment):
            found.append(quarter)
        quarter = following(quarter)
    return tuple(reversed(found))


def of_group(group: str, quarter: str, number: int) -> str:
    """The epoch of a group's key: `ring-2026q4-1`."""
    return f"{group}-{quarter}-{number}"


def parse_of_group(epoch: str) -> tuple[str, str, int]:
    """The group, quarter and number of such an epoch. Raises ValueError for what is none."""
    found = _OF_GROUP.fullmatch(epoch)
    if found is None:
        raise ValueError("not an epoch of a group's key")
    return found[1], found[2], int(found[3])


def age_of(epoch: str) -> tuple[str, int]:
    """What orders epochs of one scheme by their age: the newest last."""
    found = _OF_GROUP.fullmatch(epoch)
    return (epoch, 0) if found is None else (found[2], int(found[3]))
