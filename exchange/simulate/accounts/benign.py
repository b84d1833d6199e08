"""Everybody else: single people, households, companies, schools, people behind shared addresses, benchmark runners.

They collide with each other and with operators in what they carry: a company's egress and card, a school's machines
and exercises, an address of a mobile carrier, a VPN's exit, a device that looks like a thousand others, a prompt that
everybody copies.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from exchange.simulate.accounts import words as texts
from exchange.simulate.accounts.operators import Surroundings
from exchange.simulate.accounts.rows import DAY_S, DAYS, LAB_SHARES, Block, Ints, Prompts
from exchange.simulate.accounts.told import LABS

#: Shares of all benign accounts, by the kind of people.
SHARES = {"single": 0.667, "household": 0.12, "company": 0.13, "school": 0.08, "runner": 0.003}
#: One detector's false alarms, by kind.
FALSE_FLAGS = {"single": 0.0008, "household": 0.0005, "company": 0.0008, "school": 0.0015, "runner": 0.12}
_PEOPLE_PER_NET = 20
_CARRIER_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group of people each account is of, and how many groups there are."""

    of: Ints
    count: int


def everyone(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> list[Block]:
    """So many benign accounts, in blocks by kind."""
    made = {kind: int(count * share) for kind, share in SHARES.items()}
    made["single"] += count - sum(made.values())
    return [
        _singles(rng, pick, made["single"], around),
        _households(rng, pick, made["household"], around),
        _companies(rng, pick, made["company"], around),
        _schools(rng, pick, made["school"], around),
        _runners(rng, pick, made["runner"], around),
    ]


def _singles(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> Block:
    """One person has accounts at one to three labs, with the same mail, card and device."""
    person = np.repeat(np.arange(count), rng.choice((1, 2, 3), size=count, p=(0.75, 0.18, 0.07)))[:count]
    people = int(person.max()) + 1 if count else 0
    mails = [_personal_mail(pick) for _ in range(people)]
    card = np.where(rng.random(people) < 0.6, around.ids.cards(people), -1)
    device = around.ids.devices(people)
    common = rng.random(people) < 0.04  # a device that many others' look like
    looks = around.ids.devices(max(1, people // 1500))
    device[common] = looks[rng.integers(0, len(looks), size=int(common.sum()))]
    home = _home_addresses(rng, people, around)
    addresses = np.full((count, 3), -1, dtype=np.int64)
    addresses[:, 0] = home[person]
    mobile = rng.random(count) < 0.3
    addresses[mobile, 1] = _home_addresses(rng, int(mobile.sum()), around)
    vpn = rng.random(count) < 0.07
    addresses[vpn, 2] = around.vpn_exits[rng.integers(0, len(around.vpn_exits), size=int(vpn.sum()))]
    return _block(
        rng,
        "single",
        mail=[mails[one] for one in person],
        payment=card[person],
        device=device[person],
        addresses=addresses,
    )


def _households(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> Block:
    """Two to four people: one address, mostly one card, sometimes one device."""
    home = _groups(rng.integers(2, 5, size=count), count)
    card = around.ids.cards(home.count)[home.of]
    own_card = rng.random(count) < 0.3
    card[own_card] = around.ids.cards(int(own_card.sum()))
    device = around.ids.devices(count)
    shared = rng.random(count) < 0.3
    device[shared] = around.ids.devices(home.count)[home.of][shared]
    addresses = np.full((count, 3), -1, dtype=np.int64)
    addresses[:, 0] = _home_addresses(rng, home.count, around)[home.of]
    return _block(
        rng,
        "household",
        mail=[_personal_mail(pick) for _ in range(count)],
        payment=card,
        device=device,
        addresses=addresses,
    )


def _companies(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> Block:
    """Five to some hundred people: one domain, one egress, team cards, sign-ups on the same days."""
    sizes = np.clip(rng.lognormal(3.0, 1.0, size=max(4, count // 8)), 5, 600).astype(np.int64)
    firm = _groups(sizes, count)
    domains = [
        f"{texts.name(pick, syllables=3)}.{pick.choice(('com', 'io', 'co', 'de', 'eu'))}" for _ in range(firm.count)
    ]
    team = firm.of * 40 + rng.integers(0, 40, size=count) % np.maximum(1, np.bincount(firm.of)[firm.of] // 25)
    _, team = np.unique(team, return_inverse=True)
    cards = around.ids.cards(int(team.max()) + 1 if count else 0)[team]
    egress = around.ids.ipv4_nets(rng, firm.count) + 1
    addresses = np.full((count, 3), -1, dtype=np.int64)
    addresses[:, 0] = egress[firm.of] + rng.integers(0, 2, size=count)
    away = rng.random(count) < 0.4
    addresses[away, 1] = _home_addresses(rng, int(away.sum()), around)
    block = _block(
        rng,
        "company",
        mail=[_office_mail(pick, domains[one]) for one in firm.of],
        payment=np.where(rng.random(count) < 0.85, cards, -1),
        device=around.ids.devices(count),
        addresses=addresses,
    )
    begins = rng.uniform(0, DAYS * DAY_S - DAY_S, size=firm.count)[firm.of]
    together = rng.random(count) < 0.5
    block.created = np.where(together, (begins + rng.uniform(0, 8 * 3600, size=count)), block.created).astype(np.int64)
    taste = rng.choice(len(LABS), size=(firm.count, 2), p=LAB_SHARES)
    block.lab = taste[firm.of, rng.integers(0, 2, size=count)]
    return block


def _schools(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> Block:
    """Fifty to a thousand pupils: one domain, one NAT, numbered mail, machines that many use, no card."""
    sizes = np.clip(rng.lognormal(5.0, 0.8, size=max(2, count // 40)), 50, 1000).astype(np.int64)
    school = _groups(sizes, count)
    domains = [f"{texts.name(pick, syllables=3)}.edu" for _ in range(school.count)]
    nat = around.ids.ipv4_nets(rng, school.count) + 5
    machines = around.ids.devices(school.count * 30).reshape(school.count, 30)
    device = around.ids.devices(count)
    lab_room = rng.random(count) < 0.4
    device[lab_room] = machines[school.of, rng.integers(0, 30, size=count)][lab_room]
    addresses = np.full((count, 3), -1, dtype=np.int64)
    addresses[:, 0] = nat[school.of] + rng.integers(0, 3, size=count)
    home = rng.random(count) < 0.6
    addresses[home, 1] = _home_addresses(rng, int(home.sum()), around)
    block = _block(
        rng,
        "school",
        mail=[f"s{pick.randint(100_000, 999_999)}@{domains[one]}" for one in school.of],
        payment=np.full(count, -1),
        device=device,
        addresses=addresses,
    )
    lesson = rng.integers(0, 12, size=count)
    begins = (school.of * 7919 + lesson * 104_729) % (DAYS - 1) * DAY_S + 9 * 3600
    block.created = (begins + rng.uniform(0, 3600, size=count)).astype(np.int64)
    return block


def _runners(rng: np.random.Generator, pick: random.Random, count: int, around: Surroundings) -> Block:
    """Who runs public benchmarks: many prompts of a known collection behind a known harness."""
    addresses = np.full((count, 3), -1, dtype=np.int64)
    addresses[:, 0] = _home_addresses(rng, count, around)
    return _block(
        rng,
        "runner",
        mail=[_personal_mail(pick) for _ in range(count)],
        payment=around.ids.cards(count),
        device=around.ids.devices(count),
        addresses=addresses,
    )


def _block(
    rng: np.random.Generator, kind: str, *, mail: list[str], payment: Ints, device: Ints, addresses: Ints
) -> Block:
    count = len(mail)
    return Block(
        lab=rng.choice(len(LABS), size=count, p=LAB_SHARES),
        created=rng.integers(0, DAYS * DAY_S, size=count),
        mail=mail,
        payment=payment,
        device=device,
        addresses=addresses,
        agent=rng.integers(0, 60, size=count),
        flagged=rng.random(count) < FALSE_FLAGS[kind],
        operator=np.full(count, -1),
        kind=kind,
    )


def prompts_of(
    rng: np.random.Generator, pick: random.Random, block: Block, first: int, around: Surroundings
) -> Prompts:
    """What the accounts of a block ask; `first` is the number of its first account."""
    count = len(block)
    each = rng.integers(10, 30, size=count) if block.kind == "runner" else 1 + rng.poisson(1.2, size=count)
    account = np.repeat(np.arange(count), each)
    many = len(account)
    chats, corpus = np.array(around.corpus.chats), around.corpus
    body = chats[rng.integers(0, len(chats), size=many)]
    noise = np.full(many, 0.3)
    copied = rng.random(many)
    popular = np.array(corpus.popular)
    body = np.where(copied < 0.05, popular[_zipf(rng, many, len(popular))], body)
    noise = np.where(copied < 0.15, 0.0, noise)  # a tenth are sent as everybody finds them
    wrapper = np.full(many, -1)
    length = rng.integers(6, 26, size=many)
    if block.kind == "runner":
        body = np.array(corpus.benchmark)[rng.integers(0, len(corpus.benchmark), size=many)]
        wrapper = np.array(corpus.harnesses)[rng.integers(0, len(corpus.harnesses), size=count)[account]]
        noise, length = np.zeros(many), np.full(many, 60)
    elif block.kind in {"company", "school"}:
        group = _by_domain(block.mail)
        made = _group_texts(pick, int(group.max()) + 1 if count else 0, block.kind, around)
        said = (
            np.array(made)[group[account], rng.integers(0, len(made[0]) if made else 1, size=many)] if made else wrapper
        )
        uses = rng.random(many) < 0.45
        if block.kind == "company":
            wrapper = np.where(uses, said, wrapper)
        else:
            body, noise = np.where(uses, said, body), np.where(uses, 0.02, noise)
    return Prompts(
        account=account + first,
        wrapper=wrapper,
        body=body,
        start=np.where(noise > 0.2, rng.integers(0, 12, size=many), 0),
        length=length,
        noise=noise,
        slips=np.full(many, 0.01),
    )


def _group_texts(pick: random.Random, groups: int, kind: str, around: Surroundings) -> list[list[int]]:
    if kind == "company":
        return [
            [texts.company_template(around.words, pick, texts.name(pick, syllables=3)) for _ in range(3)]
            for _ in range(groups)
        ]
    return [
        [
            texts.assignment(around.words, pick, " ".join(texts.name(pick, syllables=2) for _ in range(14)))
            for _ in range(8)
        ]
        for _ in range(groups)
    ]


def _by_domain(mail: list[str]) -> Ints:
    _, group = np.unique(np.array([one.partition("@")[2] for one in mail]), return_inverse=True)
    return group.astype(np.int64)


def _groups(sizes: Ints, count: int) -> Groups:
    """Groups of these sizes until `count` people are in one."""
    of = np.repeat(np.arange(len(sizes)), sizes)[:count]
    if len(of) < count:
        of = np.concatenate([of, np.full(count - len(of), len(sizes))])
    return Groups(of, int(of.max()) + 1 if count else 0)


def _home_addresses(rng: np.random.Generator, count: int, around: Surroundings) -> Ints:
    """A line of one's own, a carrier's address that some hundred share, or a /64 of one's own."""
    kind = rng.random(count)
    own = around.homes[rng.integers(0, len(around.homes), size=count)] + rng.integers(1, 255, size=count)
    carriers = around.homes[: max(1, len(around.homes) // 40)]
    carrier = carriers[rng.integers(0, len(carriers), size=count)] + 1 + rng.integers(0, 4, size=count)
    return np.where(kind < _CARRIER_SHARE, carrier, np.where(kind < 0.85, own, around.ids.ipv6_nets(count)))


def _personal_mail(pick: random.Random) -> str:
    given, family = pick.choice(texts.sentences()["given"]), pick.choice(texts.sentences()["family"])
    if pick.random() < 0.12:
        return f"{given}@{texts.name(pick, syllables=3)}{family}.{pick.choice(('net', 'org', 'me', 'dev'))}"
    local = pick.choice(
        (
            f"{given}.{family}{pick.randint(1, 9999)}",
            f"{given}{family}{pick.randint(1, 99_999)}",
            f"{texts.name(pick, syllables=2)}{given}{pick.randint(1, 999)}",
        )
    )
    return f"{local}@{pick.choice(texts.sentences()['freemail'])}"


def _office_mail(pick: random.Random, domain: str) -> str:
    given, family = pick.choice(texts.sentences()["given"]), pick.choice(texts.sentences()["family"])
    return f"{given}.{family}{pick.choice(('', '', pick.randint(2, 99)))}@{domain}"


def _zipf(rng: np.random.Generator, count: int, among: int) -> Ints:
    return np.minimum(rng.zipf(1.4, size=count) - 1, among - 1)


def homes(count: int) -> int:
    """How many residential /24 networks so many accounts live in."""
    return max(40, count // _PEOPLE_PER_NET)
