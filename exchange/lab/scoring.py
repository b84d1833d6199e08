"""The score of an account: how much of what it carries is carried by parts of a campaign. Pure.

A token is pure where most of its holders are suspects. An account is a suspect where tokens of several groups (payment,
device, mail, net, prompts) say so, and would without the word of any one other lab; or where the lab's own counts say
so alone: nobody's answers make a lab find less than it finds alone. `Constants` is the one place of all numbers;
`exchange-lab fit` finds others on a lab's own labels.

Arrays: `a` accounts and `t` tokens of one lab, as numbers from 0. A *carry* is one account that holds one token.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Group(IntEnum):
    """What a token is about. Of each group only the best token counts."""

    PAY = 0
    DEV = 1
    MAIL = 2
    NET = 3
    PROMPT = 4


@dataclass(frozen=True, slots=True)
class Constants:
    """All numbers of the score. Weights are natural logarithms of odds."""

    #: The share of accounts that are parts of campaigns, before anything is known of one.
    prior: float = 0.02
    #: What a flag of the lab's own adds.
    flag: float = 6.3
    #: A flagged account counts so much as a suspect, in the first round; later, unless it is one.
    flagged_first: float = 0.94
    flagged_later: float = 0.3
    #: purity: (s + alpha) / (h + beta), within these bounds.
    alpha: float = 0.04
    beta: float = 2.0
    lowest: float = 1e-4
    highest: float = 0.995
    #: A sum that was told, a power of two, stands for so many times as many.
    told: float = 1.41
    #: Where fewer suspects than two flagged accounts hold a token, it weighs at most `few_weight`.
    few: float = 1.88
    few_weight: float = 1.0
    #: Of phrases, the so-many-th best counts.
    phrase_rank: int = 4
    #: What a group may add, at least and at most; networks less.
    least: float = -1.0
    most: float = 5.0
    most_net: float = 4.5
    #: While fewer of a lab's accounts than this share are suspects, its own counts alone suffice for a token.
    few_suspects: float = 0.0005
    #: A suspect: this total; two groups of `strong` (mail and networks alone are not enough: both are rented), or one
    #: and the flag (prompts alone are not enough for it); this total without the largest teller.
    total: float = 5.0
    strong: float = 2.5
    without_largest: float = 3.0
    #: A token that more than this share of accounts hold, and more than `popular_accounts`, never counts.
    popular: float = 0.02
    popular_accounts: int = 50
    #: Evidence: tokens that so many suspects of the lab hold (weighted; a domain more), and of whose holders this share
    #: are suspects, or so many times the lab's average.
    sent_suspects: float = 1.87
    sent_suspects_domain: float = 2.81
    sent_share: float = 0.10
    sent_lift: float = 20.0
    #: Rounds end when less than this share of suspects changes.
    settled: float = 0.001
    #: Whose verdict would change so many times in a row is no suspect for as many rounds.
    turns: int = 4
    #: An account with so many tokens that only one other lab published is on one lab's word.
    one_labs_word: int = 3

    @property
    def base(self) -> float:
        """The logarithm of the odds of `prior`."""
        return float(np.log(self.prior / (1 - self.prior)))


@dataclass(frozen=True, slots=True)
class Carries:
    """Who holds what at one lab. `account` and `token` are the carries, each pair once, in order of accounts.

    `group` and the two marks are of tokens. `flagged` is of accounts.
    """

    account: Ints
    token: Ints
    group: npt.NDArray[np.int8]
    is_phrase: Bools
    is_domain: Bools
    flagged: Bools

    @property
    def accounts(self) -> int:
        """How many accounts the lab has."""
        return len(self.flagged)

    @property
    def tokens(self) -> int:
        """How many tokens its accounts hold."""
        return len(self.group)


@dataclass(frozen=True, slots=True)
class Told:
    """What the group says of this lab's tokens (arrays over tokens); sums as told, powers of two or 0.

    `asked`: some lab of the group sends the token in this round. `one_word`: only one other lab published it.
    """

    asked: Bools
    holders: Floats
    suspects: Floats
    holders_less: Floats
    suspects_less: Floats
    one_word: Bools

    @classmethod
    def nothing(cls, tokens: int) -> Told:
        """Nobody said anything."""
        none = np.zeros(tokens)
        return cls(np.zeros(tokens, np.bool_), none, none, none, none, np.zeros(tokens, np.bool_))


@dataclass(frozen=True, slots=True)
class Own:
    """What the lab counts itself: of each token holders and the weight of suspects among them; of accounts `weight`."""

    holders: Floats
    suspects: Floats
    weight: Floats

    @property
    def total(self) -> float:
        """The lab's suspects, at least 1."""
        return max(1.0, float(self.weight.sum()))


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each account: `total`, what each group adds (`a` by 5), the total without the largest teller, and the verdict.

    `best` (`a` by 5) is the token that decided each group, -1 where none did. `alone`: it is a suspect by the lab's own
    counts only; then all numbers are of these.
    """

    total: Floats
    groups: Floats
    without_largest: Floats
    suspect: Bools
    best: npt.NDArray[np.int64]
    alone: Bools


def own_counts(carries: Carries, suspect: Bools | None, c: Constants) -> Own:
    """What the lab counts; `suspect` None is the first round, in which the flagged stand for suspects."""
    if suspect is None:
        weight = np.where(carries.flagged, c.flagged_first, 0.0)
    else:
        weight = np.where(suspect, 1.0, np.where(carries.flagged, c.flagged_later, 0.0))
    holders = np.bincount(carries.token, minlength=carries.tokens).astype(np.float64)
    heavy = weight[carries.account] > 0
    some = carries.token[heavy]
    suspects = np.bincount(some, weights=weight[carries.account[heavy]], minlength=carries.tokens)
    return Own(holders, suspects.astype(np.float64), weight)


def sendable(carries: Carries, own: Own, c: Constants) -> Bools:
    """Which tokens of suspects become evidence: on two suspects or more (domains three), and pure enough."""
    enough = own.suspects >= np.where(carries.is_domain, c.sent_suspects_domain, c.sent_suspects)
    share = own.suspects / np.maximum(own.holders, 1.0)
    average = own.total / max(carries.accounts, 1)
    found: Bools = enough & ((share >= c.sent_share) | (share >= c.sent_lift * average))
    return found


def weights(s: Floats, h: Floats, *, accounts: int, suspects: Floats | float, c: Constants) -> Floats:
    """What a token with `s` suspects among `h` holders says, for a lab of so many accounts and suspects."""
    h = np.maximum(h, s)
    p = np.clip((s + c.alpha) / (h + c.beta), c.lowest, c.highest)
    purity = np.log(p / (1 - p)) - c.base
    rest = np.maximum(accounts - suspects, 1.0)
    lift = np.log((s + 0.5) / (suspects + 1)) - np.log((np.maximum(h - s, 0) + 1) / rest)
    found = np.maximum(purity, lift)
    capped: Floats = np.where(s < c.few - 1e-9, np.minimum(found, c.few_weight), found)
    return capped


def popular(carries: Carries, own: Own, told: Told, c: Constants) -> Bools:
    """Tokens that too many hold to say anything; payment never."""
    held = own.holders + c.told * told.holders
    if _begins(carries, own, c):  # many of an operator's own accounts may be among those others have not looked at
        held = np.where(own.suspects >= c.few - 1e-9, own.holders, held)
    limit = max(c.popular * carries.accounts, float(c.popular_accounts))
    found: Bools = (held > limit) & (carries.group != Group.PAY)
    return found


def _begins(carries: Carries, own: Own, c: Constants) -> bool:
    """Whether a lab has found next to nothing yet: then its own counts alone suffice for what two suspects hold."""
    return own.total < c.few_suspects * carries.accounts


def score(carries: Carries, own: Own, told: Told, c: Constants) -> Scores:
    """All accounts of a lab: by what the group told, and by the lab's own counts alone."""
    begin = c.base + np.where(carries.flagged, c.flag, 0.0)
    some = _carried(carries, told.asked & ~popular(carries, own, told, c))
    told_all = _groups(carries, own, some, told.holders, told.suspects, c)
    less = _groups(carries, own, some, told.holders_less, told.suspects_less, c)
    total, without = begin + told_all.groups.sum(axis=1), begin + less.groups.sum(axis=1)
    by_group = (total >= c.total) & _agreed(carries, told_all.groups, c) & (without >= c.without_largest)
    nobody = Told.nothing(carries.tokens)
    some = _carried(carries, sendable(carries, own, c) & ~popular(carries, own, nobody, c))
    own_only = _groups(carries, own, some, nobody.holders, nobody.suspects, c)
    own_total = begin + own_only.groups.sum(axis=1)
    alone = (own_total >= c.total) & _agreed(carries, own_only.groups, c) & ~by_group
    return Scores(
        total=np.where(alone, own_total, total),
        groups=np.where(alone[:, None], own_only.groups, told_all.groups),
        without_largest=np.where(alone, own_total, without),
        suspect=by_group | alone,
        best=np.where(alone[:, None], own_only.best, told_all.best),
        alone=alone,
    )


def _carried(carries: Carries, tokens: Bools) -> tuple[Ints, Ints]:
    """The carries of these tokens: accounts, and tokens."""
    some = np.flatnonzero(tokens[carries.token])
    return carries.account[some], carries.token[some]


def _agreed(carries: Carries, groups: Floats, c: Constants) -> Bools:
    """Whether enough groups speak for each account; some are not enough without another one (`_besides`).

    A mail domain and a network come from one landlord, who lets them to others, too. Who copies the same prompts need
    have nothing in common.
    """
    strong = groups >= c.strong
    rented = strong[:, Group.MAIL] & strong[:, Group.NET] & (strong.sum(axis=1) == 2)
    two = (strong.sum(axis=1) >= 2) & (~rented | _besides(groups, Group.MAIL, Group.NET))
    found: Bools = two | (strong.any(axis=1) & carries.flagged & _besides(groups, Group.PROMPT))
    return found


def _besides(groups: Floats, *some: Group) -> Bools:
    """Whether any group but these speaks for an account."""
    found: Bools = (np.delete(groups, some, axis=1) > 0).any(axis=1)
    return found


def on_one_labs_word(carries: Carries, told: Told, suspect: Bools, c: Constants) -> Bools:
    """Accounts that hold three or more tokens that only one other lab published, and are no suspects by the rule."""
    marked = told.one_word[carries.token]
    count = np.bincount(carries.account[marked], minlength=carries.accounts)
    return (count >= c.one_labs_word) & ~suspect


def steady(before: Bools, found: Bools, turns: Ints, c: Constants) -> tuple[Bools, Ints]:
    """Verdicts of a round, without those that change in every round; and how often in a row each would have changed.

    Two accounts of which each is a suspect only where the other is one could else take turns for good: sums come a
    round late. A round without a change takes one from the count; in the end such an account is given another try.
    """
    now = np.where(found != before, turns + 1, np.maximum(turns - 1, 0)).astype(np.int32)
    held = (now >= c.turns) & (now < 2 * c.turns)
    now[now >= 2 * c.turns] = 0
    return found & ~held, now


def has_settled(before: Bools, after: Bools, c: Constants) -> bool:
    """Whether a round changed less than one suspect in a thousand."""
    changed = int((before != after).sum())
    return changed == 0 or changed < c.settled * max(1, int(after.sum()))


class _Grouped(NamedTuple):
    groups: Floats
    best: npt.NDArray[np.int64]


def _groups(
    carries: Carries, own: Own, some: tuple[Ints, Ints], holders: Floats, suspects: Floats, c: Constants
) -> _Grouped:
    """What each group adds to each account, and by which token: the best of its tokens; of phrases the fourth best.

    `some`: the carries that count. `holders` and `suspects`: the sums over others, of tokens.
    """
    account, token = some
    mine = own.weight[account]
    s = np.maximum(own.suspects[token] - mine, 0.0)
    h = own.holders[token] - 1.0
    # Whom the lab takes for a suspect is left out of its suspects as well: nobody is one in every other round.
    rest = np.maximum(own.weight.sum() - mine, 1.0)
    weight = weights(
        s + c.told * suspects[token], h + c.told * holders[token], accounts=carries.accounts, suspects=rest, c=c
    )
    if _begins(carries, own, c):
        # Others' holders whom nobody has looked at yet do not speak for a token that two suspects here hold.
        alone = weights(s, h, accounts=carries.accounts, suspects=rest, c=c)
        weight = np.where(s >= c.few - 1e-9, np.maximum(weight, alone), weight)
    phrase = carries.is_phrase[token]
    best = np.full((carries.accounts, len(Group)), -np.inf)
    by = np.full((carries.accounts, len(Group)), -1, dtype=np.int64)
    for group in Group:
        of_group = np.flatnonzero((carries.group[token] == group) & ~phrase)
        _keep_best(best[:, group], by[:, group], account[of_group], token[of_group], weight[of_group])
    ranked = np.flatnonzero(phrase & (weight > 0))
    at = _ranked(account[ranked], weight[ranked], rank=c.phrase_rank)
    chosen = ranked[at]
    _keep_best(best[:, Group.PROMPT], by[:, Group.PROMPT], account[chosen], token[chosen], weight[chosen])
    most = np.full(len(Group), c.most)
    most[Group.NET] = c.most_net
    return _Grouped(np.where(by >= 0, np.clip(best, c.least, most), 0.0), by)


def _keep_best(best: Floats, by: npt.NDArray[np.int64], account: Ints, token: Ints, weight: Floats) -> None:
    """Into `best` and `by`, the largest weight of each account and its token (the smallest number where equal)."""
    np.maximum.at(best, account, weight)
    wins = np.flatnonzero(weight == best[account])[::-1]
    by[account[wins]] = token[wins]


def _ranked(account: Ints, weight: Floats, *, rank: int) -> npt.NDArray[np.int64]:
    """Where the `rank`-th best of each account stands; accounts with fewer have none. `account` is in order.

    The best of each is taken away, again and again: linear, as sorting is not.
    """
    left = np.arange(len(account))
    for _ in range(rank - 1):
        left = np.delete(left, _best(account[left], weight[left]))
    return left[_best(account[left], weight[left])] if len(left) else left


def _best(account: Ints, weight: Floats) -> npt.NDArray[np.int64]:
    """Where the best of each account stands, the first where equal."""
    if not len(account):
        return np.zeros(0, np.int64)
    begins = np.flatnonzero(np.r_[True, account[1:] != account[:-1]])
    most = np.maximum.reduceat(weight, begins)
    found = np.flatnonzero(weight == np.repeat(most, np.diff(np.r_[begins, len(account)])))
    its = account[found]
    first: npt.NDArray[np.int64] = found[np.r_[True, its[1:] != its[:-1]]]
    return first
