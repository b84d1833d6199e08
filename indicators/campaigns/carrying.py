"""What accounts carry, as the rules of `joining` take it: of each its pure tokens, by what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from indicators.campaigns import joining, purity
from indicators.campaigns.joining import Account
from indicators.campaigns.purity import Role
from indicators.campaigns.queueing import rows


@dataclass(frozen=True, slots=True)
class Carrier:
    """An account with its pure tokens, the core that it is in already, and its tokens that may join, pure or not.

    Those that are not pure are counted, too, for when they are.
    """

    account: Account
    core: int | None
    may_join: Sequence[int]


@dataclass(slots=True)
class _Read:
    partner: UUID
    core: int | None
    pure: dict[Role, list[Any]] = field(default_factory=lambda: {role: [] for role in Role})
    may_join: list[int] = field(default_factory=list)


def carried(suspects: Sequence[int]) -> dict[int, Carrier]:
    """By account, what it carries. One query."""
    found: dict[int, _Read] = {}
    for suspect, partner, core, token, subkind, wide, pure in rows(_CARRIED, suspects=list(suspects)):
        read = found.setdefault(suspect, _Read(partner, core))
        if token is None:
            continue
        role = purity.role_of(subkind, wide=wide)
        if role is not Role.VOTE:
            read.may_join.append(token)
        if pure:
            its_role = Role.JOIN if role is Role.NET else role
            read.pure[its_role].append(joining.Net(token) if role is Role.NET else token)
    return {
        suspect: Carrier(
            Account(read.partner, *(tuple(read.pure[role]) for role in (Role.CORE, Role.JOIN, Role.VOTE))),
            read.core,
            read.may_join,
        )
        for suspect, read in found.items()
    }


# A row for each account and token that it carries, pure or not; `core`: where the account is already.
_CARRIED = """
SELECT s.id, s.partner_id, p.core, t.id, t.subkind, t.wide, u.token IS NOT NULL
FROM indicators_suspect s
LEFT JOIN indicators_placed p ON p.suspect = s.id
LEFT JOIN indicators_carried c ON c.suspect = s.id
LEFT JOIN indicators_evidencetoken t ON t.id = c.token
LEFT JOIN indicators_puretoken u ON u.token = t.id
WHERE s.id = ANY(%(suspects)s)
"""
