"""Accounts of the story as columns: what operators and benign people both write into."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Shares of all accounts at the five labs.
LAB_SHARES = (0.24, 0.22, 0.20, 0.18, 0.16)
DAYS = 42
DAY_S = 86_400
#: From this number on an address is an IPv6 network, below it is IPv4.
IPV6_FROM = 1 << 32


@dataclass(slots=True)
class Block:
    """Some accounts. One row is one account; `-1` in `payment` and `device` is none. Times are seconds of the story.

    `addresses`: at most three an account, `-1` none. `operator`: -1 benign, -2 invented by a liar.
    """

    lab: Ints
    created: Ints
    mail: list[str]
    payment: Ints
    device: Ints
    addresses: Ints
    agent: Ints
    flagged: npt.NDArray[np.bool_]
    operator: Ints
    kind: str = ""

    def __len__(self) -> int:
        return len(self.lab)


@dataclass(slots=True)
class Prompts:
    """Prompts as spans of the words: of account `account`, first the span of text `wrapper` (-1 none), then `body`.

    `noise`: the share of the body's pieces that are replaced by others; `slips`: the same of the wrapper's.
    `start` and `length` say which part of the body is sent.
    """

    account: Ints
    wrapper: Ints
    body: Ints
    start: Ints
    length: Ints
    noise: Floats
    slips: Floats


@dataclass(slots=True)
class Ids:
    """Fresh numbers of cards, devices and networks: nobody gets another's."""

    card: int = 0
    device: int = 0
    ipv6: int = IPV6_FROM
    nets_taken: set[int] = field(default_factory=set)

    def cards(self, count: int) -> Ints:
        """So many fresh cards."""
        self.card += count
        return np.arange(self.card - count, self.card)

    def devices(self, count: int) -> Ints:
        """So many fresh devices."""
        self.device += count
        return np.arange(self.device - count, self.device)

    def ipv6_nets(self, count: int) -> Ints:
        """So many fresh /64 networks."""
        self.ipv6 += count
        return np.arange(self.ipv6 - count, self.ipv6)

    def ipv4_nets(self, rng: np.random.Generator, count: int) -> Ints:
        """So many fresh /24 networks, as their first addresses, outside of what is special or nobody's."""
        found: list[int] = []
        while len(found) < count:
            some = rng.integers(20 << 16, 220 << 16, size=2 * (count - len(found)) + 8)
            first = some >> 16
            free = some[
                (first != 100)
                & (first != 127)
                & (first != 169)
                & (first != 172)
                & (first != 192)
                & (first != 198)
                & (first != 203)
            ]
            for one in free.tolist():
                if one not in self.nets_taken and len(found) < count:
                    self.nets_taken.add(one)
                    found.append(one)
        return np.array(found, dtype=np.int64) << 8


def join(blocks: list[Block]) -> Block:
    """All accounts in one block, in order."""
    return Block(
        lab=np.concatenate([one.lab for one in blocks]),
        created=np.concatenate([one.created for one in blocks]),
        mail=[address for one in blocks for address in one.mail],
        payment=np.concatenate([one.payment for one in blocks]),
        device=np.concatenate([one.device for one in blocks]),
        addresses=np.concatenate([one.addresses for one in blocks]),
        agent=np.concatenate([one.agent for one in blocks]),
        flagged=np.concatenate([one.flagged for one in blocks]),
        operator=np.concatenate([one.operator for one in blocks]),
    )


def join_prompts(some: list[Prompts]) -> Prompts:
    """All prompts, in order."""
    return Prompts(
        **{
            name: np.concatenate([getattr(one, name) for one in some])
            for name in ("account", "wrapper", "body", "start", "length", "noise", "slips")
        }
    )


def weighted(rng: np.random.Generator, count: int, *, among: int, skew: float = 1.0) -> Ints:
    """`count` draws of `among` things, some of which are used more than others."""
    weights = rng.gamma(skew, size=max(among, 1)) + 1e-9
    return rng.choice(max(among, 1), size=count, p=weights / weights.sum())
