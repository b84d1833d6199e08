"""What a lab says to the exchange and hears from it. Nothing but tokens, pseudonyms and powers of two passes here.

Two implementations: `rest` (the exchange's API) and `local` (a group in one process, for trying and measuring).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from exchange.tokens.prevalence import Answer, Sums


class Token(NamedTuple):
    """One token. `scope` is of `psp_fp`, within which it is equal; `wide` says of a `net` that it is a network."""

    subkind: str
    scheme: str
    epoch: str
    value: str
    scope: str = ""
    wide: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two tokens equal."""
        return (self.subkind, self.epoch, self.value, self.scope)

    def document(self) -> dict[str, str | bool]:
        """As JSON has it."""
        found: dict[str, str | bool] = {
            "subkind": self.subkind,
            "scheme": self.scheme,
            "key_epoch": self.epoch,
            "value": self.value,
        }
        if self.scope:
            found["psp_scope"] = self.scope
        if self.wide:
            found["wide"] = True
        return found


class Evidence(NamedTuple):
    """What one suspect carries, under a pseudonym; the purest tokens first."""

    account: str
    tokens: Sequence[Token]
    basis: str
    publisher_action: str
    until: str

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "account": self.account,
            "tokens": [one.document() for one in self.tokens],
            "basis": self.basis,
            "publisher_action": self.publisher_action,
            "until": self.until,
        }


@dataclass(slots=True)
class Asked:
    """A stretch of what is asked about, and no longer."""

    asked: list[Token] = field(default_factory=list)
    ended: list[Token] = field(default_factory=list)
    cursor: str = ""
    more: bool = False


@dataclass(slots=True)
class SumsTold:
    """A stretch of sums, of tokens that only one other lab published, and of what is told no longer."""

    sums: list[tuple[Token, Sums]] = field(default_factory=list)
    one_labs_word: list[Token] = field(default_factory=list)
    ended: list[Token] = field(default_factory=list)
    cursor: str = ""
    more: bool = False


class InCampaign(NamedTuple):
    """Where one account is: the campaign's id and name, and the grade of what joins it."""

    id: str
    name: str
    grade: str


class Transport(Protocol):
    """One lab's way to one group. All calls may be repeated."""

    def last_round(self) -> int:
        """The number of the last round in which this lab sent evidence; 0 if none."""

    def finish(self, number: int) -> None:
        """What was sent in rounds before this one and not in it is gone: what a lab with a new state says."""

    def send(self, number: int, evidence: Iterable[Evidence], gone: Iterable[str]) -> None:
        """Evidence of round `number` that is new or changed, and pseudonyms that are no longer suspects."""

    def asked(self, cursor: str) -> Asked:
        """What the group asks about, after a cursor; "" is the beginning."""

    def answer(self, answers: Iterable[tuple[Token, Answer]]) -> None:
        """Prevalence of tokens that are asked about and held here; 0 holders takes an answer back."""

    def sums(self, cursor: str) -> SumsTold:
        """What is told of other labs' answers, after a cursor."""

    def campaigns(self) -> dict[str, InCampaign]:
        """The campaigns that the exchange sees in the group, by the pseudonyms of own accounts that are in one."""
