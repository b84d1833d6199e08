"""A round of one lab: evidence of its suspects, answers to what the group asks about, sums, and new verdicts.

Each lab goes through its rounds in its own time; what others answered meanwhile is in the next sums.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from exchange.lab import scoring
from exchange.lab.scoring import Bools, Carries, Constants, Own, Scores
from exchange.lab.state import State
from exchange.lab.transport import Evidence, Token, Transport
from exchange.tokens import prevalence
from exchange.tokens.prevalence import Answer

#: So many tokens of one account are evidence at most, the purest first.
MOST_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """What evidence says besides tokens; it ends after `days` unless a later round repeats it."""

    publisher_action: str = "observed"
    days: int = 30


@dataclass(frozen=True, slots=True)
class Done:
    """What one round did: accounts sent anew or changed, and taken back; answers; tokens asked about; suspects.

    `settled`: next to no verdict changed, and next to nothing was sent or answered that others do not know yet. A lab
    that has found nobody has not settled: the others may only begin.
    """

    number: int
    sent: int
    gone: int
    answers: int
    asked: int
    suspects: int
    new: int
    one_word: int
    settled: bool


def play(
    state: State, transport: Transport, *, constants: Constants, settings: Settings, now: datetime | None = None
) -> Done:
    """One round. Raises ApiError and Unreachable; then the state is as before, and the round is played again."""
    moment = now or datetime.now(UTC)
    carries, before = state.carries(), state.suspects()
    sources = carries.flagged if before is None else before
    sent_before = state.sent()
    number = (state.get("round") or transport.last_round()) + 1
    lines = list(evidence(state, carries, constants=constants, settings=settings, now=moment))
    digests = {one.account: digest(one) for one in lines}
    changed = [one for one in lines if sent_before.get(one.account) != digests[one.account]]
    gone = sorted(sent_before.keys() - digests.keys())
    transport.send(number, changed, gone)
    if state.get("round") is None:
        transport.finish(number)
    state.put(round=number)
    state.keep_sent(digests, gone)
    pull_asked(state, transport)
    heard = state.heard()
    said = list(answers(heard, carries, sources))
    transport.answer(said)
    state.answered(said)
    pull_sums(state, transport)
    scores, one_word = verdicts(state, carries, before, constants)
    found, turns = scoring.steady(sources, scores.suspect, state.turns(), constants)
    scores = replace(scores, suspect=found)
    state.keep_scores(scores, one_word, turns)
    was = np.zeros(len(found), np.bool_) if before is None else before
    return Done(
        number=number,
        sent=len(changed),
        gone=len(gone),
        answers=len(said),
        asked=len(heard),
        suspects=int(found.sum()),
        new=int((found & ~was).sum()),
        one_word=int(one_word.sum()),
        settled=before is not None
        and bool(found.any())
        and scoring.has_settled(before, found, constants)
        and len(changed) + len(gone) + len(said) <= constants.settled * (len(lines) + len(heard)),
    )


def verdicts(state: State, carries: Carries, before: Bools | None, constants: Constants) -> tuple[Scores, Bools]:
    """Scores of all accounts with what the group told, and who is on one lab's word."""
    told = state.told(state.heard())
    own = scoring.own_counts(carries, before, constants)
    scores = scoring.score(carries, own, told, constants)
    return scores, scoring.on_one_labs_word(carries, told, scores.suspect, constants)


def evidence(
    state: State, carries: Carries, *, constants: Constants, settings: Settings, now: datetime
) -> Iterator[Evidence]:
    """What would be sent of each suspect, or in the first round of each flagged account; no tokens, no line."""
    before = state.suspects()
    sources = carries.flagged if before is None else before
    own = scoring.own_counts(carries, before, constants)
    until = (now + timedelta(days=settings.days)).strftime("%Y-%m-%dT00:00:00Z")
    carried = list(_carried(carries, own, sources, constants))
    names = state.accounts["account"]
    pseudonyms = state.pseudonyms(names[account] for account, _ in carried)
    known: dict[int, tuple[Token, ...]] = {}
    for account, numbers in carried:
        tokens: list[Token] = []
        for number in numbers:
            if number not in known:
                known[number] = state.token(number)
            tokens += known[number]
        yield Evidence(
            account=pseudonyms[names[account]],
            tokens=tuple(dict.fromkeys(tokens))[:MOST_TOKENS],
            basis="own_flag" if carries.flagged[account] else "scored",
            publisher_action=settings.publisher_action,
            until=until,
        )


def _carried(carries: Carries, own: Own, sources: Bools, constants: Constants) -> Iterator[tuple[int, list[int]]]:
    """Accounts that are sent, with the numbers of their tokens, the purest first."""
    sendable = scoring.sendable(carries, own, constants)
    some = np.flatnonzero(sources[carries.account] & sendable[carries.token])
    account, token = carries.account[some], carries.token[some]
    purity = own.suspects[token] / np.maximum(own.holders[token], 1.0)
    order = np.lexsort((token, -own.suspects[token], -purity, account))
    account, token = account[order], token[order]
    begins = np.flatnonzero(np.diff(account, prepend=-1))
    for begin, end in pairwise([*begins.tolist(), len(account)]):
        yield int(account[begin]), token[begin:end].tolist()


def answers(heard: pl.DataFrame, carries: Carries, sources: Bools) -> Iterator[tuple[Token, Answer]]:
    """Prevalence of what is asked about and held here, where it differs from what was answered."""
    holders = np.bincount(carries.token, minlength=carries.tokens)
    suspects = np.bincount(carries.token[sources[carries.account]], minlength=carries.tokens)
    for row in heard.drop_nulls("token").iter_rows(named=True):
        now = prevalence.answer(int(holders[row["token"]]), int(suspects[row["token"]]))
        if now != (row["answered_holders"], row["answered_suspects"]):
            token = Token(row["subkind"], row["scheme"], row["epoch"], row["value"], row["scope"], row["wide"])
            yield token, now


def pull_asked(state: State, transport: Transport) -> None:
    """Follow what the group asks about."""
    more = True
    while more:
        page = transport.asked(state.get("asked", ""))
        state.hear_asked(page.asked, page.ended)
        state.put(asked=page.cursor)
        more = page.more


def pull_sums(state: State, transport: Transport) -> None:
    """Follow the sums of other labs."""
    more = True
    while more:
        page = transport.sums(state.get("sums", ""))
        state.hear_sums(page.sums, page.one_labs_word, page.ended)
        state.put(sums=page.cursor)
        more = page.more


def digest(one: Evidence) -> str:
    """Of what a line says: the same line is not sent twice. Its end counts by the week, to be renewed in time."""
    said = one.document()
    week = datetime.fromisoformat(one.until).isocalendar()
    return hashlib.sha256(json.dumps(said | {"until": f"{week[0]}-{week[1]}"}, sort_keys=True).encode()).hexdigest()
