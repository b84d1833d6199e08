"""Why an account is a suspect, in one sentence, and as a table for who looks closer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from exchange.lab import features, scoring
from exchange.lab.scoring import Bools, Carries, Constants, Group, Told
from exchange.lab.state import State

_SORTS = list(features.SORTS.values())
_PAIR = {
    "payment": "pays with a card that {count} accounts{labs} use",
    "device": "signed up on a device that {count} accounts{labs} use",
    "mailbox": "has a mailbox that {count} accounts{labs} use under other spellings",
    "domain": "has mail at a domain that {count} accounts{labs} use",
    "shape": "has a mail address built like those of {count} accounts{labs}",
    "burst_domain": "signed up within hours of {count} others at the same mail domain{labs}",
    "address": "comes from an address that {count} accounts{labs} use",
    "network": "comes from a network that {count} accounts{labs} use",
    "burst_network": "signed up within hours of {count} others from the same network{labs}",
    "skeleton": "sent a prompt that {count} accounts{labs} sent",
}
_WAITS = "; its verdict changed in every round, so it is no suspect until that stands"
_NAMES = list(features.SORTS)


@dataclass(frozen=True, slots=True)
class Reason:
    """One group's part of a score. `holders` and `suspects`: own and, read from sums, others'; without the account."""

    group: str
    sort: str
    weight: float
    holders: int
    suspects: int
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """All of one account."""

    account: str
    suspect: bool
    one_labs_word: bool
    flagged: bool
    total: float
    without_largest: float
    reasons: tuple[Reason, ...]
    sentence: str
    #: Ids of the signatures that its prompts match.
    signatures: tuple[str, ...] = ()


class Explainer:
    """Explains accounts of one state; what all have in common is computed once."""

    def __init__(self, state: State, constants: Constants) -> None:
        self._state, self._constants = state, constants
        scores = state.scores()
        self.scores: pl.DataFrame = scores if scores is not None else pl.DataFrame()
        self.carries: Carries = state.carries()
        self.told: Told = state.told(state.heard())
        suspects: Bools | None = state.suspects()
        self._own = scoring.own_counts(self.carries, suspects, constants)
        self._sort = state.tokens["sort"].to_numpy()
        ordered = self.carries.account
        self._met = state.met()
        self._begin = np.searchsorted(ordered, np.arange(self.carries.accounts + 1))

    def explain(self, number: int) -> Explained:
        """The account with this number."""
        row = self.scores.row(number, named=True)
        alone = bool(row.get("alone"))  # a state of before has no such column
        reasons = sorted(
            (self._reason(number, group, row, alone=alone) for group in Group if row[f"best_{group.name}"] >= 0),
            key=lambda one: -one.weight,
        )
        flagged = bool(self.carries.flagged[number])
        return Explained(
            account=self._state.accounts["account"][number],
            suspect=row["suspect"],
            one_labs_word=row["one_word"],
            flagged=flagged,
            total=round(row["total"], 2),
            without_largest=round(row["without_largest"], 2),
            reasons=tuple(reasons),
            sentence=self._sentence(number, reasons, flagged=flagged, one_word=row["one_word"], alone=alone)
            + (_WAITS if row.get("turns", 0) >= self._constants.turns and not row["suspect"] else ""),
            signatures=self._signatures(number),
        )

    def _reason(self, number: int, group: Group, row: dict[str, float], *, alone: bool) -> Reason:
        token = int(row[f"best_{group.name}"])
        told = 0.0 if alone else self._constants.told
        others = told * self.told.holders[token]
        weight = self._own.weight[number]
        suspects = self._own.suspects[token] - weight + told * self.told.suspects[token]
        return Reason(
            group=group.name,
            sort=_NAMES[self._sort[token]],
            weight=round(float(row[f"group_{group.name}"]), 2),
            holders=round(float(self._own.holders[token] - 1 + others)),
            suspects=round(float(suspects)),
            elsewhere=bool(others > 0),
        )

    def _sentence(self, number: int, reasons: list[Reason], *, flagged: bool, one_word: bool, alone: bool) -> str:
        strong = [one for one in reasons if one.weight >= self._constants.strong] or [
            one for one in reasons if one.weight > 0
        ]
        parts = [self._part(number, one) for one in strong]
        if flagged:
            parts.insert(0, "was flagged here")
        if one_word and not parts:
            parts = [f"holds {self._words(number)} tokens that only one other lab published"]
        if count := len(self._signatures(number)):
            parts.append(
                f"sent prompts that {count} signatures match" if count > 1 else "sent a prompt that a signature matches"
            )
        if alone:
            parts.append("by this lab's own counts alone: with the others' sums it would be none")
        return "; ".join(parts) if parts else "holds nothing that suspects hold"

    def _signatures(self, number: int) -> tuple[str, ...]:
        return tuple(self._met.get(self._state.accounts["account"][number], ()))

    def _part(self, number: int, one: Reason) -> str:
        labs = " of at least three labs" if one.elsewhere else ""
        if one.sort == "phrase":
            count = self._phrases(number)
            share = "only" if one.suspects >= 0.9 * one.holders else "mostly"
            return f"{count} phrases seen {share} in this campaign{labs}"
        return _PAIR[one.sort].format(count=one.holders + 1, labs=labs)

    def _phrases(self, number: int) -> int:
        """How many of the account's phrases that count are held by suspects for the most part."""
        tokens = self._tokens(number)
        tokens = tokens[self.carries.is_phrase[tokens] & self.told.asked[tokens]]
        held = self._own.holders[tokens] + self._constants.told * self.told.holders[tokens]
        suspects = self._own.suspects[tokens] + self._constants.told * self.told.suspects[tokens]
        return int((suspects >= held / 2).sum())

    def _words(self, number: int) -> int:
        return int(self.told.one_word[self._tokens(number)].sum())

    def _tokens(self, number: int) -> scoring.Ints:
        return self.carries.token[self._begin[number] : self._begin[number + 1]]
