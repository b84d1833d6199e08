"""Values as they are looked up: exact ones, tokens, hosts and networks, each with how strongly it is blocked."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exchange.agent import allowing
from exchange.agent.policy import KILL_SWITCH, NONE, STALE, Action, Statement, Verdict
from exchange.agent.tokening import Tokening
from exchange.lists import nets
from exchange.lists.lines import compared
from exchange.stix import words
from exchange.tokens import forms, normalising

_TOKEN_DIGITS = 64
_MAPPED = bytes(10) + b"\xff\xff"
_STRENGTH = {action: place for place, action in enumerate(Action)}


@dataclass(slots=True)
class _Nets:
    """Ranges of one version of IP by a number that begins with a 1 and goes on with the range's own bits."""

    bits: int
    ranges: dict[int, Verdict] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    shifts: tuple[tuple[int, int], ...] = ()

    def put(self, net: Any, verdict: Verdict | None) -> int:
        """Put a range in, or take it out; by how many ranges there are more."""
        key = (int(net.network_address) >> (self.bits - net.prefixlen)) | (1 << net.prefixlen)
        before = self.ranges.pop(key, None)
        if verdict is not None:
            self.ranges[key] = verdict
        more = (verdict is not None) - (before is not None)
        self.lengths[net.prefixlen] += more
        if self.lengths[net.prefixlen] in {0, 1}:
            longest = sorted((length for length, count in self.lengths.items() if count), reverse=True)
            self.shifts = tuple((self.bits - length, 1 << length) for length in longest)
        return more

    def of(self, address: int, *, from_length: int | None = None) -> Verdict | None:
        """Of the narrowest range with an address that means something: the strongest of those that hold it."""
        best: Verdict | None = None
        for shift, mark in self.shifts:
            found = self.ranges.get(address >> shift | mark)
            if found is not None and (from_length is None or self.bits - shift <= from_length):
                best = found if best is None else stronger(best, found)
        return best


def stronger(one: Verdict, other: Verdict) -> Verdict:
    """The one that blocks more; the first of equals."""
    return other if _weight(other) > _weight(one) else one


def of_two_tokens(one: Verdict, other: Verdict) -> Verdict:
    """What a value means that two tokens stand for: an allowlist that names one of them decides, else the stronger."""
    named = next((each for each in (one, other) if each.suppressed_by not in {"", KILL_SWITCH, STALE}), None)
    return named or stronger(one, other)


def _weight(verdict: Verdict) -> tuple[int, int]:
    done, would = verdict.action, verdict.would
    return (_STRENGTH[done] if done else -1, _STRENGTH[would] if would else -1)


class Tables:
    """Everything that look-ups read but for the signatures; replaced as a whole, or altered value by value."""

    def __init__(self, tokening: Tokening | None) -> None:
        self.tokens: dict[str, dict[bytes, Verdict]] = {subkind: {} for subkind in forms.OBLIVIOUS | forms.BY_GROUP}
        self.prompts: dict[str, dict[bytes, tuple[Verdict, Verdict]]] = {"phrase": {}, "skeleton": {}}
        self.clears: dict[str, dict[str, Verdict]] = {}
        self.nets = {4: _Nets(32), 6: _Nets(128)}
        self.entries = self.skipped = 0
        self.checks: dict[str, Callable[[str], Verdict | None]] = {}
        for subkind in words.KIND_OF:
            table = self.clears.setdefault(compared(subkind), {})
            if subkind in self.tokens:
                memory = tokening.memory(subkind) if tokening else {}
                self.checks[subkind] = by_token(self.tokens[subkind], memory)
            elif compared(subkind) == "net":
                self.checks[subkind] = by_address(self.nets)
            else:
                self.checks[subkind] = by_word(table, NORMAL.get(compared(subkind)))

    def put(self, same: Sequence[Statement], verdict: Verdict, together: Verdict) -> None:
        """Take in the verdict over what is said of one value; `together` holds where another kind was met as well."""
        first = same[0].said
        subkind = first.subkind
        if first.scheme and subkind in self.tokens:
            try:
                token = bytes.fromhex(first.value)
            except ValueError:
                self.skipped += 1
                return
            self.entries += token not in self.tokens[subkind]
            self.tokens[subkind][token] = verdict
            if subkind in self.prompts:
                self.prompts[subkind][token] = (verdict, together)
            return
        if compared(subkind) == "net" and (net := allowing.network(first.value)) is not None:
            if nets.is_zoned(first.value):
                self.skipped += 1
                return
            self.entries += self.nets[net.version].put(net, verdict)
            return
        table = self.clears.setdefault(compared(subkind), {})
        self.entries += first.value not in table
        table[first.value] = verdict

    def forget(self, value: str) -> None:
        """Take a value out, whatever it is."""
        for table in self.clears.values():
            self.entries -= table.pop(value, None) is not None
        if (net := allowing.network(value)) is not None:
            self.entries += self.nets[net.version].put(net, None)
        if len(value) == _TOKEN_DIGITS:
            with suppress(ValueError):
                token = bytes.fromhex(value)
                for tokens in self.tokens.values():
                    self.entries -= tokens.pop(token, None) is not None
                for prompts in self.prompts.values():
                    prompts.pop(token, None)


def blocks(verdict: Verdict) -> bool:
    """Whether anything is kept out by it."""
    return verdict.action in (Action.BLOCK, Action.CHALLENGE)


def by_word(table: dict[str, Verdict], normal: Callable[[str], str] | None) -> Callable[[str], Verdict | None]:
    """How a word is looked up, in its normal form."""
    get = table.get
    if normal is None:
        return lambda value: get(value, NONE)

    def look(value: str) -> Verdict | None:
        found = get(value)
        if found is not None:
            return found
        if value.isascii() and value.islower() and value[-1] != ".":
            return NONE
        try:
            return get(normal(value), NONE)
        except ValueError:
            return NONE

    return look


NORMAL: dict[str, Callable[[str], str]] = {"host": normalising.host, "crypto_addr": normalising.crypto_addr}


def at(stamp: str) -> datetime:
    """The moment that a stamp says."""
    return datetime.fromisoformat(stamp).astimezone(UTC)


def by_token(
    table: dict[bytes, Verdict], memory: Mapping[str | bytes, tuple[bytes, ...]]
) -> Callable[[str], Verdict | None]:
    """How a token is looked up: in hexadecimal digits, or a value whose token is known."""
    read, known, get = bytes.fromhex, memory.get, table.get

    def look(value: str) -> Verdict | None:
        tokens = known(value)
        if tokens is not None:
            best: Verdict | None = None
            for token in tokens:
                if (found := get(token)) is not None and found is not best:
                    best = found if best is None else of_two_tokens(best, found)
            return NONE if best is None else best
        if len(value) == _TOKEN_DIGITS:
            try:
                return table.get(read(value), NONE)
            except ValueError:
                return None
        return None

    return look


def by_address(nets: Mapping[int, _Nets]) -> Callable[[str], Verdict | None]:
    """How an address or a network is looked up: by the narrowest network that holds it."""
    of4, of6, parse, version4, version6 = nets[4].of, nets[6].of, socket.inet_pton, socket.AF_INET, socket.AF_INET6
    number = int.from_bytes

    def look(value: str) -> Verdict | None:
        try:
            if ":" in value:
                packed = parse(version6, value)
                if packed[:12] == _MAPPED:
                    return of4(number(packed[12:])) or NONE
                return of6(number(packed)) or NONE
            return of4(number(parse(version4, value))) or NONE
        except (OSError, ValueError):
            return _of_range(nets, value)

    return look


def _of_range(nets: Mapping[int, _Nets], value: str) -> Verdict:
    """Of a whole range: what a range that holds it means."""
    net = allowing.network(value)
    if net is None:
        return NONE
    return nets[net.version].of(int(net.network_address), from_length=net.prefixlen) or NONE
