"""Several labs and what is told between them, in one process: the rules of the exchange over arrays, for measuring.

Rows of every table are tokens that are asked about, columns are labs. The rules are those of
`exchange.tokens.prevalence`; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exchange.lab import scoring
from exchange.lab.scoring import Bools, Carries, Constants, Floats, Own, Scores, Told
from exchange.tokens import prevalence

Table = npt.NDArray[np.int64]
#: A lie of a lab about its answers: from token numbers, holders and suspects to what it says.
Lie = Callable[[Table, Table, Table], tuple[Table, Table]]


@dataclass(slots=True)
class Lab:
    """One lab: what its accounts carry; of each token its number among all labs' tokens, and its sort."""

    carries: Carries
    everywhere: Table
    sorts: Table = field(default_factory=lambda: np.zeros(0, np.int64))
    suspect: Bools | None = None
    turns: scoring.Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    scores: Scores | None = None
    told: Told | None = None
    own: Own | None = None
    sent: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    lie: Lie | None = None

    @property
    def sources(self) -> Bools:
        """Whose tokens are sent: suspects; in the first round the flagged."""
        return self.carries.flagged if self.suspect is None else self.suspect


@dataclass(slots=True)
class Round:
    """What one round did: tokens asked about, suspects in all, and whether it changed next to nothing."""

    number: int
    asked: int
    suspects: int
    settled: bool


class Together:
    """Five labs, say, and `tokens` different tokens in all."""

    def __init__(self, labs: list[Lab], tokens: int, constants: Constants | None = None) -> None:
        self.labs = labs
        self.constants = constants or Constants()
        self._tokens = tokens
        self._row = np.full(tokens, -1, dtype=np.int64)
        self._last: list[tuple[Table, Table] | None] = [None] * len(labs)
        self.holders = self.suspects = np.zeros((0, len(labs)), dtype=np.int64)
        self.publishers = np.zeros((0, len(labs)), np.bool_)
        self.asked = np.zeros(0, dtype=np.int64)

    def rounds(self, *, at_most: int = 30) -> list[Round]:
        """Rounds until next to nothing changes."""
        done: list[Round] = []
        while len(done) < at_most and not (done and done[-1].settled):
            done.append(self.round(len(done) + 1))
        return done

    def round(self, number: int) -> Round:
        """One round of all labs: evidence, answers, sums, scores."""
        self._gather()
        settled = True
        for at, lab in enumerate(self.labs):
            lab.told = self._tell(at, lab)
            assert lab.own is not None
            lab.scores = scoring.score(lab.carries, lab.own, lab.told, self.constants)
        for lab in self.labs:
            assert lab.scores is not None
            before = lab.sources
            turns = lab.turns if len(lab.turns) else np.zeros(len(before), np.int32)
            found, lab.turns = scoring.steady(before, lab.scores.suspect, turns, self.constants)
            settled &= lab.suspect is not None and scoring.has_settled(before, found, self.constants)
            lab.suspect = found
        suspects = sum(int(lab.suspect.sum()) for lab in self.labs if lab.suspect is not None)
        return Round(number, len(self.asked), suspects, settled)

    def alone(self, at: int) -> Bools:
        """What one lab finds without the others: the same rounds with itself."""
        lab = self.labs[at]
        single = Together([Lab(lab.carries, lab.everywhere)], self._tokens, self.constants)
        single.rounds()
        found = single.labs[0].suspect
        assert found is not None
        return found

    def _gather(self) -> None:
        """Which tokens are asked about, who published them, and what each lab that holds one answers."""
        asked = np.zeros(self._tokens, np.bool_)
        for lab in self.labs:
            lab.own = scoring.own_counts(lab.carries, lab.suspect, self.constants)
            lab.sent = _sent(lab, self.constants)
            asked[lab.everywhere[lab.sent]] = True
        self.asked = np.flatnonzero(asked)
        before = self._row
        self._row = np.full(self._tokens, -1, dtype=np.int64)
        self._row[self.asked] = np.arange(len(self.asked))
        self._move(before)
        shape = (len(self.asked), len(self.labs))
        self.holders, self.suspects = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.publishers = np.zeros(shape, np.bool_)
        for at, lab in enumerate(self.labs):
            rows = self._row[lab.everywhere]
            mine = np.flatnonzero(rows >= 0)
            holders, suspects = answers(lab.carries, lab.sources, mine)
            if lab.lie:
                holders, suspects = lab.lie(mine, holders, suspects)
            self.holders[rows[mine], at], self.suspects[rows[mine], at] = bucketed(holders), bucketed(suspects)
            self.publishers[rows[lab.sent], at] = True

    def _move(self, before: Table) -> None:
        """Keep what was told last, under the rows that tokens have now; what is asked anew was never told."""
        old = before[self.asked]
        for at, last in enumerate(self._last):
            if last is not None:
                known = old >= 0
                moved = tuple(np.full((len(self.asked), len(self.labs)), -1, np.int64) for _ in range(2))
                for new, table in zip(moved, last, strict=True):
                    new[known] = table[old[known]]
                self._last[at] = (moved[0], moved[1])

    def _tell(self, at: int, lab: Lab) -> Told:
        """What a lab is told, in its own numbers of tokens."""
        said = self._say(at)
        others = np.delete(self.publishers, at, axis=1).sum(axis=1)
        rows = self._row[lab.everywhere]
        held = rows >= 0
        row = rows[held]

        def spread(values: npt.NDArray[np.generic]) -> Floats:
            found = np.zeros(len(rows))
            found[held] = values[row]
            return found

        sums = sums_of(np.delete(said[0], at, axis=1), np.delete(said[1], at, axis=1))
        one_word = spread(others == 1) > 0
        holders, suspects, holders_less, suspects_less = (spread(one) for one in sums.numbers)
        return Told(held, holders, suspects, holders_less, suspects_less, one_word)

    def _say(self, at: int) -> tuple[Table, Table]:
        """The answers that this lab's sums are made of: a change counts once two other labs' answers changed."""
        last = self._last[at]
        if last is None:
            self._last[at] = (self.holders.copy(), self.suspects.copy())
        else:
            differs = (last[0] != self.holders) | (last[1] != self.suspects)
            differs[:, at] = False
            before = sums_of(np.delete(last[0], at, axis=1), np.delete(last[1], at, axis=1)).told
            renewed = (differs.sum(axis=1) >= prevalence.LEAST_CHANGED) | ~before | (last[0] < 0).any(axis=1)
            last[0][renewed], last[1][renewed] = self.holders[renewed], self.suspects[renewed]
        told = self._last[at]
        assert told is not None
        return told


@dataclass(frozen=True, slots=True)
class _Sums:
    told: Bools
    numbers: tuple[Table, Table, Table, Table]


def bucketed(counts: Table) -> Table:
    """`prevalence.bucket` of each."""
    powers = np.zeros(counts.shape, dtype=np.int64)
    some = counts > 0
    powers[some] = np.int64(1) << (np.frexp(counts[some].astype(np.float64))[1].astype(np.int64) - 1)
    return powers


def sums_of(holders: Table, suspects: Table) -> _Sums:
    """`prevalence.sums` of each row: `holders` and `suspects` are of the other labs, a column each."""
    holders = np.maximum(holders, 0)
    suspects = np.where(holders > 0, np.maximum(suspects, 0), 0)
    told = (holders > 0).sum(axis=1) >= prevalence.LEAST_LABS
    if not holders.shape[1]:
        none = np.zeros(len(holders), np.int64)
        return _Sums(told, (none, none, none, none))
    largest = np.argmax(suspects * (np.int64(1) << 40) + holders, axis=1)[:, None]
    all_holders, all_suspects = holders.sum(axis=1), suspects.sum(axis=1)
    less_holders = all_holders - np.take_along_axis(holders, largest, axis=1)[:, 0]
    less_suspects = all_suspects - np.take_along_axis(suspects, largest, axis=1)[:, 0]
    numbers = tuple(
        np.where(told, bucketed(one), 0) for one in (all_holders, all_suspects, less_holders, less_suspects)
    )
    return _Sums(told, (numbers[0], numbers[1], numbers[2], numbers[3]))


def answers(carries: Carries, sources: Bools, tokens: Table) -> tuple[Table, Table]:
    """Holders and suspects of these tokens at a lab, exact: they leave it as powers of two alone."""
    holders = np.bincount(carries.token, minlength=carries.tokens)
    suspects = np.bincount(carries.token[sources[carries.account]], minlength=carries.tokens)
    return holders[tokens], suspects[tokens]


def _sent(lab: Lab, c: Constants) -> Bools:
    """The tokens that a lab publishes: those that suffice, on one of the accounts that it sends."""
    assert lab.own is not None
    held = np.zeros(lab.carries.tokens, np.bool_)
    held[lab.carries.token[lab.sources[lab.carries.account]]] = True
    return scoring.sendable(lab.carries, lab.own, c) & held
