"""Which accounts belong together: pure rules over plain values, from scratch. `placing` does the same step by step.

    cores     accounts of one lab that a pure payment, device or mailbox token joins
    clusters  cores that three distinct tokens join, each on two accounts of both, again and again until none do;
              of the three at most one is a network, for these are rented out to several
    classes   parts of a cluster that stay together whichever single lab is not believed: these are corroborated
    votes     accounts that are in none: their rare tokens elect one campaign, or none; tokens of several campaigns
              abstain where one that may join says which it is

Which tokens are pure, and what each kind of them may do, says `purity`. Joining only ever adds reasons to join, so the
order in which clusters join changes nothing. Accounts, tokens and labs are any hashable values that can be sorted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

#: Two clusters join on so many distinct tokens, each on so many accounts of both.
TOKENS_TO_JOIN = 3
ACCOUNTS_TO_JOIN = 2
#: Of these tokens so many may be networks.
NETWORKS_TO_JOIN = 1
#: Of a lab that is not believed a core comes to a cluster with which it shares so many times more than with any other.
TIMES_TO_BE_CLEAR = 4
#: A campaign has so many accounts, of so many labs.
LEAST_ACCOUNTS = 10
LEAST_LABS = 2
#: A vote is won with such a share, of so many tokens; tokens on more accounts of evidence do not vote.
SHARE_TO_WIN = 0.6
TOKENS_TO_WIN = 2
RARE = 200


class Grade(StrEnum):
    """How well an account's place is founded."""

    CORROBORATED = "corroborated"
    WORD = "on_one_labs_word"


@dataclass(frozen=True, slots=True)
class Net:
    """A token that is a network: one of the `join` of an account, of which one alone counts."""

    token: Any


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a lab, with the pure tokens that it carries, by what they may do."""

    lab: Any
    core: tuple[Any, ...] = ()
    join: tuple[Any, ...] = ()
    vote: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where an account belongs: its cluster; its campaign, or None; and how well that is founded."""

    cluster: Any
    campaign: Any
    grade: Grade


class Sets[Item: Hashable]:
    """Disjoint sets: items that were united have the same `find`."""

    def __init__(self) -> None:
        self._over: dict[Item, Item] = {}

    def find(self, item: Item) -> Item:
        """The item that stands for the set."""
        over = self._over
        root = item
        while (above := over.get(root, root)) != root:
            root = above
        while item != root:
            over[item], item = root, over.get(item, item)
        return root

    def unite(self, kept: Item, other: Item) -> None:
        """The set of `other` goes into that of `kept`."""
        self._over[self.find(other)] = self.find(kept)


def cores(accounts: Mapping[Any, Account]) -> dict[Any, Any]:
    """By account, the core that it is in: named by its least account."""
    sets: Sets[Any] = Sets()
    first: dict[tuple[Any, Any], Any] = {}
    for name in sorted(accounts):
        account = accounts[name]
        for token in account.core:
            there = first.setdefault((account.lab, token), name)
            one, other = sorted((sets.find(there), sets.find(name)))
            sets.unite(one, other)
    return {name: sets.find(name) for name in accounts}


def counted(accounts: Mapping[Any, Account], core_of: Mapping[Any, Any]) -> dict[Any, Counter[Any]]:
    """By core, on how many of its accounts each token is that may join."""
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for name, account in accounts.items():
        found[core_of[name]].update((*account.core, *account.join))
    return found


@dataclass(slots=True)
class Closing:
    """Clusters on their way to where none join any more. `held`: by token, who has it on two accounts or more."""

    counts: dict[Any, Counter[Any]]
    least: int = TOKENS_TO_JOIN
    held: dict[Any, set[Any]] = field(default_factory=lambda: defaultdict(set))
    shared: dict[Any, Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))
    networks: dict[Any, Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))
    ready: list[tuple[Any, Any]] = field(default_factory=list)
    sets: Sets[Any] = field(default_factory=Sets)

    def close(self) -> dict[Any, Any]:
        """By node, the cluster that it ends in."""
        for node in sorted(self.counts):
            for token, count in self.counts[node].items():
                if count >= ACCOUNTS_TO_JOIN:
                    self._hold(node, token)
        nodes = list(self.counts)
        while self.ready:
            one, other = (self.sets.find(node) for node in self.ready.pop())
            if one != other:
                self._join(one, other)
        return {node: self.sets.find(node) for node in nodes}

    def _hold(self, node: Any, token: Any) -> None:
        """A token counts for a node from now on: with each other one that has it, it shares one more."""
        counted = self.networks if isinstance(token, Net) else self.shared
        for other in self.held[token]:
            counted[node][other] += 1
            counted[other][node] += 1
            if _weigh(self.shared[node][other], self.networks[node][other]) >= self.least:
                self.ready.append((node, other))
        self.held[token].add(node)

    def _join(self, one: Any, other: Any) -> None:
        """The smaller goes into the larger."""
        small, large = sorted((one, other), key=lambda node: (len(self.counts[node]), node))
        for counted in (self.shared, self.networks):
            for partner in counted.pop(small, {}):
                counted[partner].pop(small, None)
        small_counts, counts = self.counts.pop(small), self.counts[large]
        for token, count in small_counts.items():
            self.held[token].discard(small)
            before = counts[token]
            counts[token] = before + count
            if before < ACCOUNTS_TO_JOIN <= before + count:
                self._hold(large, token)
        self.sets.unite(large, small)


def close(counts: Mapping[Any, Mapping[Any, int]], *, least: int = TOKENS_TO_JOIN) -> dict[Any, Any]:
    """By node, the cluster that it ends in, where nodes join on three tokens (`least`) each on two accounts of both."""
    return Closing({node: Counter(held) for node, held in counts.items()}, least).close()


def shares(one: Mapping[Any, int], other: Mapping[Any, int]) -> int:
    """How many tokens join two clusters, of networks one at most."""
    small, large = sorted((one, other), key=len)
    both = [
        isinstance(token, Net)
        for token, count in small.items()
        if count >= ACCOUNTS_TO_JOIN and large.get(token, 0) >= ACCOUNTS_TO_JOIN
    ]
    return _weigh(both.count(False), both.count(True))


def _weigh(others: int, networks: int) -> int:
    return others + min(networks, NETWORKS_TO_JOIN)


def refine(labs: Mapping[Any, Any], counts: Mapping[Any, Mapping[Any, int]]) -> dict[Any, Any]:
    """By core of one cluster, its class: what stays together whichever single lab is not believed.

    A lab that is not believed joins nothing: its cores come to the one cluster of the others with which they clearly
    share most, or to none: that accounts of two clusters are one core of its own is the lab's own word, too. `labs`: by
    core, whose it is.
    """
    keys: dict[Any, list[Any]] = {core: [] for core in labs}
    for left_out in sorted(set(labs.values())):
        closed = close({core: counts[core] for core, lab in labs.items() if lab != left_out})
        sums = _summed(closed, counts)
        for core, lab in labs.items():
            its = _attached(core, counts[core], sums, times=TIMES_TO_BE_CLEAR) if lab == left_out else closed[core]
            keys[core].append(its)
    first: dict[tuple[Any, ...], Any] = {}
    return {core: first.setdefault(tuple(keys[core]), core) for core in sorted(labs)}


def _summed(place: Mapping[Any, Any], counts: Mapping[Any, Mapping[Any, int]]) -> dict[Any, Counter[Any]]:
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for core, cluster in place.items():
        found[cluster].update(counts[core])
    return found


def _attached(core: Any, counts: Mapping[Any, int], sums: Mapping[Any, Mapping[Any, int]], *, times: int = 1) -> Any:
    """The cluster of others that a core shares most with, `times` as much as with any other that it could join.

    Itself where it shares too little, or with several.
    """
    most, second, best = TOKENS_TO_JOIN - 1, 0, core
    for cluster in sorted(sums):
        shared = shares(counts, sums[cluster])
        if shared > most:
            most, second, best = shared, most, cluster
        else:
            second = max(second, shared)
    return core if times > 1 and second >= TOKENS_TO_JOIN and times * second > most else best


def campaigns(
    classes: Mapping[Any, Any],
    labs: Mapping[Any, Any],
    counts: Mapping[Any, Mapping[Any, int]],
    sizes: Mapping[Any, int],
) -> dict[Any, tuple[Any, Grade]]:
    """By core of one cluster, the campaign that it is in, if any, and how well founded.

    A class of ten accounts and two labs is a corroborated campaign. Cores that are in none belong, on one lab's word,
    to the one with which they share most. Where there is none, the whole cluster is a campaign on one lab's word, if it
    has ten accounts of two labs.
    """
    members: dict[Any, list[Any]] = defaultdict(list)
    for core, its in classes.items():
        members[its].append(core)
    kept = {its: held for its, held in members.items() if _is_campaign(held, labs, sizes)}
    if not kept:
        whole = list(classes)
        if not whole or not _is_campaign(whole, labs, sizes):
            return {}
        return dict.fromkeys(whole, (min(whole), Grade.WORD))
    placed = {core: (its, Grade.CORROBORATED) for its, held in kept.items() for core in held}
    sums = _summed({core: its for core, (its, _) in placed.items()}, counts)
    for core in classes:
        if core not in placed and (near := _attached(core, counts[core], sums)) != core:
            placed[core] = (near, Grade.WORD)
    return placed


def part(
    labs: Mapping[Any, Any], counts: Mapping[Any, Mapping[Any, int]], sizes: Mapping[Any, int], *, least: int
) -> dict[Any, Any] | None:
    """By core of one campaign, its part where cores join on so many tokens; None where that makes no two campaigns.

    Cores that are in neither come to the one with which they share most, or to the largest.
    """
    closed = close({core: counts[core] for core in labs}, least=least)
    members: dict[Any, list[Any]] = defaultdict(list)
    for core, its in closed.items():
        members[its].append(core)
    kept = {its: held for its, held in members.items() if _is_campaign(held, labs, sizes)}
    if len(kept) < 2:
        return None
    placed = {core: its for its, held in kept.items() for core in held}
    sums = _summed(placed, counts)
    largest = max(sorted(kept), key=lambda its: sum(sizes[core] for core in kept[its]))
    for core in labs:
        if core not in placed:
            near = _attached(core, counts[core], sums)
            placed[core] = largest if near == core else near
    return placed


def _is_campaign(held: Sequence[Any], labs: Mapping[Any, Any], sizes: Mapping[Any, int]) -> bool:
    return len({labs[core] for core in held}) >= LEAST_LABS and sum(sizes[core] for core in held) >= LEAST_ACCOUNTS


class Ballot(NamedTuple):
    """Of one token: on how many accounts it is, how many members each campaign has among them, by lab; its role.

    `joins`: it is one that may join clusters, and not a prompt, a phrase or a single address.
    """

    carried: int
    members: Mapping[tuple[Any, Any], int]
    joins: bool


def elect(lab: Any, ballots: Sequence[Ballot]) -> tuple[Any, Grade] | None:
    """The campaign that an account's rare tokens elect, and whether they do without any one other lab. None: none."""
    elected = _winner(ballots, without=None)
    if elected is None:
        return None
    others = {of for ballot in ballots for _, of in ballot.members} - {lab}
    stands = bool(others) and all(_winner(ballots, without=each) == elected for each in others)
    return elected, Grade.CORROBORATED if stands else Grade.WORD


def _winner(ballots: Sequence[Ballot], *, without: Any) -> Any:
    """Who wins by all tokens; if nobody does, by those that are one campaign's, where one of these may join.

    Many prompts are common to operators: their votes go to several campaigns, and take from each its share.
    """
    counted = [(ballot, _members(ballot, without=without)) for ballot in ballots]
    best = _most_voted([(ballot.carried, members) for ballot, members in counted])
    if best is not None:
        return best
    decided = [(ballot, _decided(members)) for ballot, members in counted]
    kept = [(ballot, members) for ballot, members in decided if members]
    best = _most_voted([(ballot.carried, members) for ballot, members in kept])
    may_join = any(ballot.joins and members.most_common(1)[0][0] == best for ballot, members in kept)
    return best if may_join else None


def _members(ballot: Ballot, *, without: Any) -> Counter[Any]:
    counted: Counter[Any] = Counter()
    for (campaign, of), count in ballot.members.items():
        if of != without:
            counted[campaign] += count
    return counted


def _decided(members: Counter[Any]) -> Counter[Any]:
    """These members where enough of them are one campaign's; none otherwise."""
    return members if members and max(members.values()) >= SHARE_TO_WIN * members.total() else Counter()


def _most_voted(ballots: Iterable[tuple[int, Counter[Any]]]) -> Any:
    votes: dict[Any, float] = defaultdict(float)
    tokens: Counter[Any] = Counter()
    for carried, members in ballots:
        for campaign, count in members.items():
            votes[campaign] += count / members.total() / math.log2(1 + carried)
            tokens[campaign] += 1
    best = max(sorted(votes), key=votes.__getitem__, default=None)
    if best is None or tokens[best] < TOKENS_TO_WIN or votes[best] < SHARE_TO_WIN * sum(votes.values()):
        return None
    return best


def propose(accounts: Mapping[Any, Account]) -> dict[Any, Assignment]:
    """By account, where it belongs: everything above, from scratch."""
    core_of = cores(accounts)
    counts = counted(accounts, core_of)
    cluster_of = close(counts)
    sizes = Counter(core_of.values())
    labs = {core: accounts[core].lab for core in sizes}
    together: dict[Any, list[Any]] = defaultdict(list)
    for core, cluster in cluster_of.items():
        together[cluster].append(core)
    placed: dict[Any, tuple[Any, Grade]] = {}
    for held in together.values():
        if _is_campaign(held, labs, sizes):
            its = {core: labs[core] for core in held}
            placed |= campaigns(refine(its, counts), its, counts, sizes)
    found = {
        name: Assignment(cluster_of[core], *placed.get(core, (None, Grade.WORD))) for name, core in core_of.items()
    }
    return found | dict(_elected(accounts, found))


def _elected(accounts: Mapping[Any, Account], found: Mapping[Any, Assignment]) -> Iterable[tuple[Any, Assignment]]:
    carried: Counter[Any] = Counter()
    members: dict[Any, Counter[tuple[Any, Any]]] = defaultdict(Counter)
    clusters = {place.campaign: place.cluster for place in found.values()}
    for name, account in accounts.items():
        tokens = (*account.core, *account.join, *account.vote)
        carried.update(tokens)
        if (campaign := found[name].campaign) is not None:
            for token in tokens:
                members[token][campaign, account.lab] += 1
    for name, account in accounts.items():
        if found[name].campaign is None:
            own = [(one, True) for one in (*account.core, *account.join)] + [(one, False) for one in account.vote]
            ballots = [
                Ballot(carried[one], members[one], joins) for one, joins in own if carried[one] <= RARE and members[one]
            ]
            if (elected := elect(account.lab, ballots)) is not None:
                yield name, Assignment(clusters[elected[0]], *elected)
