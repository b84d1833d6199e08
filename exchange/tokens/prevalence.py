"""How many accounts hold a token: what a lab answers, and what others are told of the answers. Pure.

A lab answers two powers of two. Each lab is told sums over the *other* labs, rounded down again, and only where two or
more of them answered; so no number of one lab alone is told but where exactly two others answered (the group's terms
say so). Client, server and benchmark share these rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: So many other labs must have answered before sums are told.
LEAST_LABS = 2
#: A changed sum is told only when so many labs' answers changed since it was told last.
LEAST_CHANGED = 2


class Answer(NamedTuple):
    """What one lab says of one token: accounts that hold it, and suspects among these; 0, or powers of two."""

    holders: int
    suspects: int


class Sums(NamedTuple):
    """What a lab is told of one token: sums over the other labs, rounded down to powers of two (or 0).

    `…_less` leave out the lab with most suspects.
    """

    holders: int
    suspects: int
    holders_less: int
    suspects_less: int


def bucket(count: int) -> int:
    """0, or the power of two at or below. Raises ValueError for a negative count."""
    if count < 0:
        raise ValueError("a count below zero")
    return 1 << (count.bit_length() - 1) if count else 0


def is_bucket(number: int) -> bool:
    """Whether a number is one that `bucket` gives."""
    return number >= 0 and bucket(number) == number


def answer(holders: int, suspects: int) -> Answer:
    """The answer of a lab that counted so many. Raises ValueError for more suspects than holders."""
    if suspects > holders:
        raise ValueError("more suspects than holders")
    return Answer(bucket(holders), bucket(suspects))


def sums(others: Iterable[Answer]) -> Sums | None:
    """What a lab is told of the answers of all others; None where fewer than two of them hold the token."""
    held = sorted((one for one in others if one.holders), key=lambda one: (one.suspects, one.holders))
    if len(held) < LEAST_LABS:
        return None
    holders, suspects = sum(one.holders for one in held), sum(one.suspects for one in held)
    largest = held[-1]
    return Sums(
        bucket(holders), bucket(suspects), bucket(holders - largest.holders), bucket(suspects - largest.suspects)
    )


def may_tell(told: Sums | None, now: Sums | None, *, changed_labs: int, since_told_s: float, interval_s: float) -> bool:
    """Whether a lab is told `now` after `told`: a new sum at once; a change once per interval, of two labs' answers.

    `changed_labs` is how many other labs' answers changed since `told`. A sum that went (two no longer hold the token)
    is a change like others.
    """
    if told is None:
        return now is not None
    return now != told and changed_labs >= LEAST_CHANGED and since_told_s >= interval_s
