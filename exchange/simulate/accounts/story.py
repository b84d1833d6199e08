"""One story: how many accounts, which operators, how payment is seen, who lies; the same seed tells the same story."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exchange.simulate.accounts import benign, lying, operators
from exchange.simulate.accounts import words as texts
from exchange.simulate.accounts.operators import Operator, Surroundings
from exchange.simulate.accounts.rows import Block, Ids, Ints, Prompts, join, join_prompts
from exchange.simulate.accounts.told import LABS, Told

#: The share of operators' accounts that each lab's own detectors flag.
DETECTION = (0.40, 0.34, 0.28, 0.24, 0.20)


@dataclass(slots=True)
class Story:
    """All accounts of all labs, with the truth in `accounts.operator`."""

    told: Told
    accounts: Block
    prompts: Prompts
    who: list[Operator]
    words: texts.Words
    _spans: tuple[Ints, Ints, Ints] = field(init=False)

    def __post_init__(self) -> None:
        self._spans = self.words.spans()

    def at(self, lab: int) -> Ints:
        """The numbers of the accounts of one lab."""
        return np.flatnonzero(self.accounts.lab == lab)

    def prompts_at(self, lab: int) -> Ints:
        """The numbers of the prompts at one lab."""
        return np.flatnonzero(self.accounts.lab[self.prompts.account] == lab)

    def pieces_of(self, some: Ints) -> tuple[Ints, Ints]:
        """The pieces of these prompts, one after the other, and where each prompt begins (and the last ends)."""
        starts, lengths, stream = self._spans
        said = self.prompts
        wrapped = said.wrapper[some] >= 0
        first = np.where(wrapped, starts[said.wrapper[some]], 0)
        first_length = np.where(wrapped, lengths[said.wrapper[some]], 0)
        body = said.body[some]
        skipped = np.minimum(said.start[some], np.maximum(lengths[body] - 6, 0))
        second = starts[body] + skipped
        second_length = np.minimum(said.length[some], lengths[body] - skipped)
        begin = np.stack([first, second], axis=1).ravel()
        length = np.stack([first_length, second_length], axis=1).ravel()
        share = np.stack([said.slips[some], said.noise[some]], axis=1).ravel()
        ends = np.cumsum(length)
        place = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - length, length)
        pieces = stream[np.repeat(begin, length) + place]
        drawn = _mixed(np.repeat(np.repeat(some, 2) * 2 + np.tile((0, 1), len(some)), length), place)
        replaced = (drawn >> np.uint64(40)).astype(np.float64) / (1 << 24) < np.repeat(share, length)
        other = (drawn & np.uint64(0xFF_FFFF_FFFF)) % np.uint64(len(self.words.pieces))
        bounds = np.concatenate([[0], ends[1::2]]).astype(np.int64)
        return np.where(replaced, other.astype(np.int64), pieces), bounds

    def texts_of(self, some: Ints) -> Iterator[str]:
        """These prompts as text."""
        pieces, bounds = self.pieces_of(some)
        known = self.words.pieces
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            yield " ".join([known[one] for one in pieces[begin:end].tolist()])


def tell(told: Told) -> Story:
    """Make up all accounts and prompts of a story. A million accounts take half a minute."""
    rng, pick = np.random.default_rng(told.seed), random.Random(told.seed)  # noqa: S311 - a game, not a secret
    words, ids = texts.Words(), Ids()
    around = Surroundings(
        homes=ids.ipv4_nets(rng, benign.homes(told.accounts)),
        vpn_exits=np.concatenate(
            [net + np.arange(1, 60) for net in ids.ipv4_nets(rng, max(3, told.accounts // 40_000)).tolist()]
        ),
        words=words,
        corpus=texts.corpus(words),
        ids=ids,
    )
    blocks, prompts, who = _operators(rng, pick, told, around)
    first = sum(map(len, blocks))
    for block in benign.everyone(rng, pick, told.accounts - told.fraudulent, around):
        prompts.append(benign.prompts_of(rng, pick, block, first, around))
        blocks.append(block)
        first += len(block)
    accounts = join(blocks)
    accounts.flagged &= _seen(rng, told, accounts)
    story = Story(told, accounts, join_prompts(prompts), who, words)
    return lying.added(rng, story) if told.lie else story


def _operators(
    rng: np.random.Generator, pick: random.Random, told: Told, around: Surroundings
) -> tuple[list[Block], list[Prompts], list[Operator]]:
    count = told.campaigns
    sizes = _sizes(rng, told.fraudulent, count)
    sellers = operators.resellers(rng, operators=count, accounts=told.fraudulent, ids=around.ids)
    blocks, prompts, who = [], [], []
    first = 0
    for number, size in enumerate(sizes):
        one = operators.recruit(rng, pick, number, accounts=size, sellers=sellers, around=around, careful=told.careful)
        blocks.append(operators.accounts_of(rng, pick, one, count=size, detection=list(DETECTION), around=around))
        prompts.append(operators.prompts_of(rng, one, np.arange(first, first + size), around))
        who.append(one)
        first += size
    return blocks, prompts, who


def _sizes(rng: np.random.Generator, fraudulent: int, count: int) -> list[int]:
    shares = rng.dirichlet(np.full(count, 6.0))
    sizes = np.maximum((shares * fraudulent).astype(np.int64), 20)
    sizes[0] += fraudulent - sizes.sum()
    return [int(size) for size in sizes]


def _seen(rng: np.random.Generator, told: Told, accounts: Block) -> npt.NDArray[np.bool_]:
    """Which flags remain: a share of all, none at a lab that is blind."""
    kept = rng.random(len(accounts)) < told.flags
    for lab in told.blind:
        kept &= accounts.lab != LABS.index(lab)
    return kept


def _mixed(number: Ints, place: Ints) -> npt.NDArray[np.uint64]:
    """A fixed random-looking number of a prompt's half and a place in it (splitmix64)."""
    mixed: npt.NDArray[np.uint64] = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + place.astype(
        np.uint64
    ) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    final: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return final
