"""Operators: who run fake accounts in number, with pools of cards, devices, domains, exits and wrapper phrases.

As reported of such campaigns: accounts come in batches, through resellers of exits; each stays under every limit; a
banned one is replaced within a day, by new mail and often the same card; about half of the traffic moves to a new
model within 24 hours of its release.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from exchange.simulate.accounts import words as texts
from exchange.simulate.accounts.rows import DAY_S, DAYS, Block, Ids, Ints, Prompts, join, weighted
from exchange.simulate.accounts.told import LABS
from exchange.simulate.accounts.words import Corpus, Words

#: The day on which a lab releases a model.
RELEASE_DAY = 28
_LANGUAGES = ("en", "en", "zh", "zh", "ru", "es", "de")


@dataclass(slots=True)
class Surroundings:
    """What operators share with everybody: residential networks, commercial VPN exits, words."""

    homes: Ints
    vpn_exits: Ints
    words: Words
    corpus: Corpus
    ids: Ids


@dataclass(slots=True)
class Reseller:
    """Rents out exits (/24 networks): each to one operator, and one in ten to a second one as well."""

    nets: list[int]
    let: list[int]

    def rent(self, pick: random.Random, count: int) -> list[int]:
        """So many networks, most of them for this operator alone."""
        again = [net for net in self.let if pick.random() < 0.1]
        fresh, self.nets = self.nets[:count], self.nets[count:]
        self.let += fresh
        return fresh + again


@dataclass(slots=True)
class Operator:
    """One operator and their pools."""

    number: int
    name: str
    cards: Ints
    devices: Ints
    domains: list[str]
    mailboxes: list[str]
    nets: Ints
    wrappers: list[int]
    agents: Ints
    shape: int
    careful: bool
    labs: Ints = field(default_factory=lambda: np.arange(len(LABS)))


def resellers(rng: np.random.Generator, *, operators: int, accounts: int, ids: Ids) -> list[Reseller]:
    """Two to five resellers, whose exits are enough for all."""
    count = min(5, 2 + operators // 4)
    each = accounts // 80 + 4 * operators
    return [Reseller(ids.ipv4_nets(rng, each).tolist(), []) for _ in range(count)]


def recruit(
    rng: np.random.Generator,
    pick: random.Random,
    number: int,
    *,
    accounts: int,
    sellers: list[Reseller],
    around: Surroundings,
    careful: bool,
) -> Operator:
    """An operator for so many accounts."""
    bought = pick.sample(sellers, min(len(sellers), pick.choice((1, 1, 2))))
    rented = [net for one in bought for net in one.rent(pick, max(2, accounts // (160 * len(bought))))]
    languages = pick.sample(_LANGUAGES, 2)
    label = texts.name(pick, syllables=3)
    return Operator(
        number=number,
        name=label,
        cards=around.ids.cards(accounts * 3 if careful else max(3, accounts // 12)),
        devices=around.ids.devices(max(4, accounts // 6)),
        domains=[
            f"{texts.name(pick, syllables=pick.choice((2, 3)))}{pick.choice(('-mail', '', 'box', 'hub'))}."
            f"{pick.choice(('com', 'net', 'xyz', 'top', 'online', 'site'))}"
            for _ in range(max(4, accounts // 60))
        ],
        mailboxes=[
            f"{texts.name(pick, syllables=3)}{texts.name(pick, syllables=2)}{pick.randint(10, 999)}"
            for _ in range(max(3, accounts // 15))
        ],
        nets=np.array(rented),
        wrappers=[
            texts.wrapper(around.words, pick, pick.choice(languages)) for _ in range(max(3, min(12, accounts // 120)))
        ],
        agents=rng.integers(0, 40, size=3),
        shape=pick.randrange(3),
        careful=careful,
    )


def accounts_of(
    rng: np.random.Generator,
    pick: random.Random,
    who: Operator,
    *,
    count: int,
    detection: list[float],
    around: Surroundings,
) -> Block:
    """All accounts of an operator: batches of sign-ups, then replacements of those that were banned."""
    first = max(1, int(count * 0.75))
    batches = _batches(rng, first)
    made = _sign_up(rng, pick, who, batches, around)
    made.flagged = rng.random(first) < np.array(detection)[made.lab]
    banned = np.flatnonzero(made.flagged)
    wanted = count - first
    if wanted <= 0:
        return made
    replaced = rng.choice(banned, size=wanted) if len(banned) else rng.integers(0, first, size=wanted)
    after = rng.exponential(3 * DAY_S, size=wanted) + rng.uniform(600, DAY_S, size=wanted)
    late = _Batches(
        lab=made.lab[replaced],
        created=np.minimum(made.created[replaced] + after.astype(np.int64), DAYS * DAY_S - 1),
        batch=np.arange(wanted) + int(batches.batch.max()) + 1,
    )
    again = _sign_up(rng, pick, who, late, around)
    same_card = (rng.random(wanted) < 0.5) & (not who.careful)
    again.payment = np.where(same_card, made.payment[replaced], again.payment)
    same_device = rng.random(wanted) < 0.4
    again.device = np.where(same_device, made.device[replaced], again.device)
    again.flagged = rng.random(wanted) < np.array(detection)[again.lab]
    return join([made, again])


@dataclass(slots=True)
class _Batches:
    """When and where sign-ups take place, and in which batch."""

    lab: Ints
    created: Ints
    batch: Ints


def _batches(rng: np.random.Generator, count: int) -> _Batches:
    sizes = rng.geometric(1 / 12, size=count)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), count)) + 1]
    batch = np.repeat(np.arange(len(sizes)), sizes)[:count]
    begins = rng.uniform(0, DAYS * DAY_S - 2 * 3600, size=len(sizes))
    taste = rng.dirichlet(np.full(len(LABS), 2.0))
    lab = rng.choice(len(LABS), size=len(sizes), p=taste)
    released = int(rng.integers(len(LABS)))
    moves = (begins >= RELEASE_DAY * DAY_S) & (begins < (RELEASE_DAY + 3) * DAY_S) & (rng.random(len(sizes)) < 0.5)
    lab[moves] = released
    spread = rng.random(count) < 0.25
    return _Batches(
        lab=np.where(spread, rng.choice(len(LABS), size=count, p=taste), lab[batch]),
        created=(begins[batch] + rng.uniform(0, 2 * 3600, size=count)).astype(np.int64),
        batch=batch,
    )


def _sign_up(rng: np.random.Generator, pick: random.Random, who: Operator, at: _Batches, around: Surroundings) -> Block:
    count = len(at.lab)
    every = int(at.batch.max()) + 1
    of_batch = rng.integers(0, len(who.domains), size=every)[at.batch]
    if who.careful:
        payment = around.ids.cards(count)
    else:
        payment = who.cards[weighted(rng, count, among=len(who.cards), skew=1.5)]
    device = who.devices[weighted(rng, count, among=len(who.devices), skew=1.5)]
    own_device = rng.random(count) < 0.15
    device[own_device] = around.ids.devices(int(own_device.sum()))
    return Block(
        lab=at.lab,
        created=at.created,
        mail=[_mail(pick, who, int(domain)) for domain in of_batch],
        payment=payment,
        device=device,
        addresses=_addresses(rng, who, at, around),
        agent=who.agents[rng.integers(0, len(who.agents), size=count)],
        flagged=np.zeros(count, dtype=np.bool_),
        operator=np.full(count, who.number),
    )


def _mail(pick: random.Random, who: Operator, domain: int) -> str:
    kind = pick.random()
    given, family = pick.choice(texts.sentences()["given"]), pick.choice(texts.sentences()["family"])
    if kind < 0.15:  # one Gmail mailbox under many spellings
        local = pick.choice(who.mailboxes)
        at = pick.randrange(1, len(local))
        dotted = f"{local[:at]}.{local[at:]}"
        return f"{dotted}+{texts.name(pick, syllables=2)}@gmail.com" if pick.random() < 0.5 else f"{dotted}@gmail.com"
    if kind < 0.45:  # a fresh mailbox of a provider that everybody uses
        return f"{given}{family}{pick.randint(100, 99_999)}@{pick.choice(texts.sentences()['freemail'])}"
    local = (
        f"{given}{family}{pick.randint(1000, 9999)}",
        f"{texts.name(pick, syllables=3)}{pick.randint(10, 99)}",
        f"{given[0]}{family}.{pick.randint(100, 999)}",
    )[who.shape]
    return f"{local}@{who.domains[domain]}"


def _addresses(rng: np.random.Generator, who: Operator, at: _Batches, around: Surroundings) -> Ints:
    """Up to three addresses of each account: rented exits (a batch from one), residential proxies, commercial VPN."""
    count = len(at.lab)
    of_batch = rng.integers(0, len(who.nets), size=int(at.batch.max()) + 1)[at.batch]
    found = np.full((count, 3), -1, dtype=np.int64)
    for column, share in enumerate((1.0, 0.6, 0.3)):
        kind = rng.random(count)
        net = np.where(rng.random(count) < 0.7, of_batch, rng.integers(0, len(who.nets), size=count))
        rented = who.nets[net] + 10 + rng.integers(0, 40, size=count)
        home = around.homes[rng.integers(0, len(around.homes), size=count)] + rng.integers(1, 255, size=count)
        vpn = around.vpn_exits[rng.integers(0, len(around.vpn_exits), size=count)]
        through = np.where(kind < 0.5, rented, np.where(kind < 0.75, home, vpn))
        found[:, column] = np.where(rng.random(count) < share, vpn if who.careful else through, -1)
    return found


def prompts_of(rng: np.random.Generator, who: Operator, accounts: Ints, around: Surroundings) -> Prompts:
    """Three to eight prompts of each account: mostly real prompts behind one of the operator's wrappers."""
    each = rng.integers(3, 9, size=len(accounts))
    account = np.repeat(accounts, each)
    count = len(account)
    wrapper = np.array(who.wrappers)[weighted(rng, count, among=len(who.wrappers), skew=2.0)]
    bodies = np.array(around.corpus.benchmark + around.corpus.chats)
    return Prompts(
        account=account,
        wrapper=np.where(rng.random(count) < 0.8, wrapper, -1),
        body=bodies[rng.integers(0, len(bodies), size=count)],
        start=np.zeros(count, dtype=np.int64),
        length=rng.integers(8, 30, size=count),
        noise=np.where(rng.random(count) < 0.3, 0.15, 0.0),
        slips=np.where(rng.random(count) < 0.5, 0.04, 0.0),
    )
