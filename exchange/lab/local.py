"""A group of labs in one process, with the exchange's rules: for trying, and for measuring without a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exchange.lab.transport import Asked, Evidence, InCampaign, SumsTold, Token
from exchange.tokens import prevalence
from exchange.tokens.prevalence import Answer, Sums

_Key = tuple[str, str, str, str]


@dataclass(slots=True)
class _Last:
    """What one lab was told of one token, when, and the others' answers then; kept also where that has `ended`."""

    sums: Sums | None = None
    at: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)
    ended: bool = False


class LocalGroup:
    """What the exchange keeps for one group: evidence, answers, and what was told."""

    def __init__(self, *, interval_s: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.evidence: dict[str, dict[str, Evidence]] = {}
        self.answers: dict[_Key, dict[str, Answer]] = {}
        self.rounds: dict[str, dict[str, int]] = {}
        self._tokens: dict[_Key, Token] = {}
        self._told: dict[tuple[str, _Key], _Last] = {}
        self._interval_s, self._now = interval_s, now

    def lab(self, name: str) -> LocalLab:
        """One lab's way to the group."""
        self.evidence.setdefault(name, {})
        self.rounds.setdefault(name, {})
        return LocalLab(self, name)

    def publishers(self) -> dict[_Key, set[str]]:
        """Whose evidence carries each token that is asked about."""
        found: dict[_Key, set[str]] = {}
        for lab, accounts in self.evidence.items():
            for one in accounts.values():
                for token in one.tokens:
                    found.setdefault(token.key, set()).add(lab)
                    self._tokens.setdefault(token.key, token)
        return found

    def token(self, key: _Key) -> Token:
        """The token of a key that was once sent."""
        return self._tokens[key]

    def tell(self, lab: str) -> SumsTold:
        """All that this lab is told now; each call tells it whole."""
        told, publishers = SumsTold(), self.publishers()
        for key, whose in sorted(publishers.items()):
            last = self._told.setdefault((lab, key), _Last())
            last.ended = False
            others = {name: one for name, one in self.answers.get(key, {}).items() if name != lab}
            self._renew(last, others)
            if last.sums is not None:
                told.sums.append((self._tokens[key], last.sums))
            if len(whose - {lab}) == 1:
                told.one_labs_word.append(self._tokens[key])
        for (name, key), last in self._told.items():
            if name == lab and key not in publishers and not last.ended:
                told.ended.append(self._tokens[key])
                last.ended = True
        return told

    def _renew(self, last: _Last, others: dict[str, Answer]) -> None:
        now = prevalence.sums(others.values())
        changed = sum(others.get(name) != last.answers.get(name) for name in others.keys() | last.answers.keys())
        moment = self._now()
        if prevalence.may_tell(
            last.sums, now, changed_labs=changed, since_told_s=moment - last.at, interval_s=self._interval_s
        ):
            last.sums, last.at, last.answers = now, moment, dict(others)


class LocalLab:
    """A lab's transport into a `LocalGroup`."""

    def __init__(self, group: LocalGroup, name: str) -> None:
        self._group, self._name = group, name

    def last_round(self) -> int:
        """As `Transport`."""
        return max(self._group.rounds[self._name].values(), default=0)

    def finish(self, number: int) -> None:
        """As `Transport`."""
        rounds = self._group.rounds[self._name]
        self.send(number, (), [account for account, sent in rounds.items() if sent < number])

    def send(self, number: int, evidence: Iterable[Evidence], gone: Iterable[str]) -> None:
        """As `Transport`."""
        mine, rounds = self._group.evidence[self._name], self._group.rounds[self._name]
        for one in evidence:
            mine[one.account], rounds[one.account] = one, number
        for account in gone:
            mine.pop(account, None)

    def asked(self, cursor: str) -> Asked:
        """As `Transport`; the cursor says nothing: each call tells all."""
        publishers = self._group.publishers()
        ended = [self._group.token(key) for key in sorted(self._group.answers) if key not in publishers]
        return Asked([self._group.token(key) for key in sorted(publishers)], ended)

    def answer(self, answers: Iterable[tuple[Token, Answer]]) -> None:
        """As `Transport`."""
        for token, one in answers:
            said = self._group.answers.setdefault(token.key, {})
            if one.holders:
                said[self._name] = one
            else:
                said.pop(self._name, None)

    def sums(self, cursor: str) -> SumsTold:
        """As `Transport`; the cursor says nothing: each call tells all."""
        return self._group.tell(self._name)

    def campaigns(self) -> dict[str, InCampaign]:
        """As `Transport`: the clusters are the exchange's work, which is not here."""
        return {}
