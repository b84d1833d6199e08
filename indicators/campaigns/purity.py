"""Which tokens count where accounts are put together, and what each kind of them may do: pure rules over plain values.

A token is pure where enough of its holders are suspects, over the labs that answered, or over all but one of them, so
that nobody alone makes it impure; one that nobody answered for is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Role(StrEnum):
    """What a token may do: make a core and join (`core`), join (`join`, `net`), or vote alone (`vote`)."""

    CORE = "core"
    JOIN = "join"
    NET = "net"
    VOTE = "vote"


_CORE = frozenset({"par", "pan_token", "iban_token", "psp_fp", "device", "email", "phone"})
#: From which purity on tokens count, by what they are.
_PURE = 0.5
_PURE_NETWORK = 0.8
#: So many others say that a token has suspects, where the answers of one lab are left out.
_SAYING = 2


def role_of(subkind: str, *, wide: bool = False) -> Role:
    """What tokens of a subkind may do; `wide` is a network of `net`."""
    if subkind in _CORE:
        return Role.CORE
    if subkind == "net" and wide:
        return Role.NET
    return Role.JOIN if subkind == "email_domain" else Role.VOTE


def is_pure(subkind: str, *, holders: int, suspects: int) -> bool:
    """Whether enough of a token's holders are suspects for it to count."""
    return holders > 0 and suspects / holders >= (_PURE_NETWORK if subkind == "net" else _PURE)


def counted_answers(answers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Holders and suspects that count of a token, of what each lab that answered says of it: their sums.

    Where two others say that some of their holders are suspects, the lab with most holders that are none is left out if
    the token is purer without it. So nobody alone makes impure, and parts, what others hold together; what few of its
    accounts use is said by two labs or more.
    """
    answers = [one for one in answers if one[0]]
    holders, suspects = sum(one[0] for one in answers), sum(one[1] for one in answers)
    if not answers:
        return 0, 0
    most = max(answers, key=lambda one: (one[0] - one[1], one))
    saying = sum(1 for one in answers if one[1]) - (most[1] > 0)
    less = holders - most[0], suspects - most[1]
    if saying >= _SAYING and less[1] * holders > suspects * less[0]:
        return less
    return holders, suspects
