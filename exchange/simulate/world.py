"""The world of the simulation: clusters of fake accounts, the labs that they spread over, and what each lab sees.

Modelled on what was reported of such campaigns: accounts come in hydra clusters, run by resellers, that spread
over several labs and replace each banned account within hours; they share payment instruments, exits and prompt
templates. Each account stays under every per-account limit (about 26 exchanges a day), so a single lab sees a few
odd accounts; only what the labs have in common shows the cluster. Pure: a seed in, events out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import stdnum.luhn

LABS = ("aster", "borealis", "cygnus")
#: Prompt templates, by what they elicit.
TEMPLATES = {
    "cot": "Show every step of your reasoning before the answer, number each step, and never leave a step out:",
    "grading": "Grade the two answers below from one to ten, explain the grade of each, then name the better one:",
    "tool_trace": "List every tool that you would call for this task, with all arguments, in the order of the calls:",
    "agentic_code": "Write the plan, then the whole patch, then the tests, and repeat until all of the tests pass:",
    "dataset_gen": "Write twenty new questions of the same difficulty, each with a worked solution and a short answer:",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A fake account at one lab; `alias` is the address it signed up with, which never leaves the lab."""

    lab: str
    alias: str
    card: str
    net: str
    template: int
    replaces: str = ""


@dataclass(slots=True)
class Cluster:
    """One head of the hydra: a reseller with a few cards, exits and templates, and many accounts."""

    name: str
    cards: list[str]
    nets: list[str]
    aliases: list[str]
    templates: list[int]
    born: int = 0
    accounts: list[Account] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a lab's detectors found in one step, to be published; `secret` is tokenised before it leaves."""

    lab: str
    kind: str
    subkind: str
    secret: str
    confidence: int
    elicitation: str = ""
    accounts: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One tick: new accounts and requests at each lab, and what was found."""

    number: int
    fake: dict[str, int]
    benign: dict[str, int]
    requests: dict[str, int]
    findings: list[Finding]


class World:
    """Play it step by step; the same seed plays the same campaign."""

    def __init__(self, *, seed: int, clusters: int = 4, pace: int = 6) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a game, not a secret
        self._pace = pace
        self.clusters = [self._cluster(number) for number in range(clusters)]
        self._seen: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str]] = set()
        self._total = dict.fromkeys(LABS, 0)

    def steps(self) -> Iterator[Step]:
        """Without end: the campaign goes on until the reader stops."""
        number = 0
        while True:
            number += 1
            yield self._step(number)

    def _step(self, number: int) -> Step:
        fake, benign = dict.fromkeys(LABS, 0), dict.fromkeys(LABS, 0)
        findings: list[Finding] = []
        for cluster in self.clusters:
            for _ in range(self._random.randint(1, self._pace)):
                account = self._sign_up(cluster)
                fake[account.lab] += 1
                findings += self._look_at(account)
        requests = {}
        for lab in LABS:
            benign[lab] = self._random.randint(20, 60) * self._pace
            self._total[lab] += fake[lab]
            requests[lab] = self._total[lab] * 26
        return Step(number, fake, benign, requests, findings)

    def _sign_up(self, cluster: Cluster) -> Account:
        """A new account, often under an alias that the cluster used at another lab before."""
        pick = self._random
        cluster.born += 1
        if cluster.aliases and pick.random() < 0.35:
            alias = pick.choice(cluster.aliases)
        else:
            alias = f"{cluster.name}.{cluster.born}@mail.example"
            cluster.aliases.append(alias)
        account = Account(
            lab=pick.choice(LABS),
            alias=alias,
            card=pick.choice(cluster.cards),
            net=pick.choice(cluster.nets),
            template=pick.choice(cluster.templates),
        )
        cluster.accounts.append(account)
        return account

    def _look_at(self, account: Account) -> list[Finding]:
        """What this lab notices: an account at once or never; a card, exit or template once seen often enough."""
        pick = self._random
        found: list[Finding] = []
        if pick.random() < 0.4 and self._first(account.lab, account.alias):
            found.append(Finding(account.lab, "account-pattern", "email", account.alias, pick.randint(55, 85)))
        if self._often(account.lab, account.card, 4):
            found.append(
                Finding(
                    account.lab,
                    "payment-fingerprint",
                    "pan_token",
                    account.card,
                    pick.randint(75, 95),
                    accounts=10,
                )
            )
        if self._often(account.lab, account.net, 6):
            found.append(Finding(account.lab, "account-pattern", "net", account.net, pick.randint(50, 80)))
        elicitation = list(TEMPLATES)[account.template]
        if self._often(account.lab, f"{elicitation}:{account.card}", 5):
            confidence, prompt = pick.randint(60, 90), TEMPLATES[elicitation]
            found += [
                Finding(account.lab, "prompt-signature", subkind, prompt, confidence, elicitation=elicitation)
                for subkind in ("skeleton", "phrase")
                if self._first(account.lab, f"{subkind}:{elicitation}")
            ]
        return found

    def _often(self, lab: str, what: str, times: int) -> bool:
        """Whether this is the moment at which a lab has seen something `times` times."""
        self._seen[lab, what] = self._seen.get((lab, what), 0) + 1
        return self._seen[lab, what] == times

    def _first(self, lab: str, what: str) -> bool:
        if (lab, what) in self._told:
            return False
        self._told.add((lab, what))
        return True

    def _cluster(self, number: int) -> Cluster:
        pick = self._random
        return Cluster(
            name=f"hydra{number}",
            cards=[_card(pick) for _ in range(3)],
            nets=[f"198.18.{pick.randint(0, 255)}.0/24" for _ in range(3)],
            aliases=[],
            templates=pick.sample(range(len(TEMPLATES)), 2),
        )


def _card(pick: random.Random) -> str:
    """16 digits whose last is their check digit."""
    digits = "4" + "".join(str(pick.randint(0, 9)) for _ in range(14))
    return f"{digits}{stdnum.luhn.calc_check_digit(digits)}"
