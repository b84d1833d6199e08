"""Look-up: what a value means here, a million times a second; and what a prompt means.

    blocklist = Blocklist([Path("state/all.sqlite")], policy=policy)
    if blocklist.check("net", "198.51.100.7").action == "block":

Tables in memory, by subkind: a verdict per value. Equal verdicts are one object, so an entry costs its key alone.
Values stand in normal form; what is not known as it stands is brought into it. A value that has a keyed token is looked
up by the token (64 hexadecimal digits), or raw with `Tokening`.
"""

from __future__ import annotations

import heapq
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.agent import allowing, sync
from exchange.agent import policy as policies
from exchange.agent.policy import NONE, UNKNOWN, Action, Floor, Policy, Statement, Verdict
from exchange.agent.reporting import Counts
from exchange.agent.signatures import Signature, Signatures
from exchange.agent.store import Store
from exchange.agent.tokening import Tokening
from exchange.lists.lines import Said, compared
from exchange.stix import words
from exchange.tokens import forms, normalising

_PROMPT = "prompt-signature"
_TOKEN_DIGITS = 64
#: So many different values are counted between two looks at them.
_MOST_MET = 50_000
_MAPPED = bytes(10) + b"\xff\xff"
_STRENGTH = {action: place for place, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class Met:
    """What a prompt met: the strongest verdict, and each signature that matches, by subkind and STIX id or token."""

    verdict: Verdict
    signatures: tuple[tuple[str, str], ...] = ()


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
                best = found if best is None else _stronger(best, found)
        return best


def _stronger(one: Verdict, other: Verdict) -> Verdict:
    return other if _weight(other) > _weight(one) else one


def _weight(verdict: Verdict) -> tuple[int, int]:
    done, would = verdict.action, verdict.would
    return (_STRENGTH[done] if done else -1, _STRENGTH[would] if would else -1)


class _Tables:
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
                self.checks[subkind] = _by_token(self.tokens[subkind], memory)
            elif compared(subkind) == "net":
                self.checks[subkind] = _by_address(self.nets)
            else:
                self.checks[subkind] = _by_word(table, _NORMAL.get(compared(subkind)))

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


class Blocklist:
    """The verdicts over what one or several stores hold. `check` may be called from any thread."""

    def __init__(
        self,
        stores: Sequence[Path],
        *,
        policy: Policy | None = None,
        tokening: Tokening | None = None,
        kinds: Sequence[str] = (),
        noting: bool = False,
    ) -> None:
        self._paths, self._policy, self._tokening, self._kinds = tuple(stores), policy or Policy(), tokening, kinds
        self._together = replace(self._policy, without_floors=self._policy.without_floors | {Floor.PROMPTS_ALONE})
        self._allows = bool(self._policy.allowed.values or self._policy.allowed.nets)
        self._hits: Counter[int] = Counter()
        self._noting = noting  # what was met, for a report by object; raw values stay in memory, and for a moment
        self._met: Counter[tuple[str, str]] = Counter()
        self._met_ids: Counter[tuple[str, Verdict]] = Counter()
        self._taken: Counter[int] = Counter()
        self._same: dict[Verdict, Verdict] = {NONE: NONE}
        self._tables = _Tables(tokening)
        self._checks = self._tables.checks
        #: Signatures that are not tried, by subkind and id: too large, or no expression or rule that is understood.
        self.unusable: tuple[tuple[str, str], ...] = ()
        self.reload()

    # -- asking

    def check(self, subkind: str, value: str, *, timeout_s: float = 0.0) -> Verdict:
        """What a value means here: `action` is block, challenge, log or None; `known` is False for `unknown`.

        A raw value whose token is not known is asked about, together with others, and answered `unknown` where the
        answer does not come within `timeout_s`. Raises KeyError for a subkind that there is not.
        """
        found = self._checks[subkind](value)
        if found is NONE:
            return NONE
        if found is None:
            return self._raw(subkind, value, timeout_s)
        if self._allows:
            return self._hit(subkind, value, found)
        self._hits[id(found)] += 1
        if self._noting:
            self._note(subkind, value)
        return found

    def check_prompt(self, text: str, *, also: Iterable[Verdict] = (), timeout_s: float = 0.0) -> Met:
        """What a prompt means here. A signature alone blocks nothing, unless its floor is off.

        `also` are the verdicts over the request's other values: one of another kind lets a signature block.
        """
        together = any(one.kind not in {"", _PROMPT} and (one.action or one.would) for one in also)
        place = 1 if together else 0
        found: dict[tuple[str, str], Verdict] = {}
        known = True
        signatures, signed = self._compiled
        for key in signatures.matching(text):
            subkind, stix_id, verdicts = signed[key]
            found[subkind, stix_id] = verdicts[place]
        for subkind in ("phrase", "skeleton"):
            table = self._tables.prompts[subkind]
            if not table or self._tokening is None:
                continue
            with suppress(ValueError):  # a text without a word
                tokens = self._tokening.tokens(subkind, text, timeout_s=timeout_s)
                known &= tokens is not None
                for token in tokens or ():
                    if token in table:
                        found[subkind, token.hex()] = table[token][place]
        best = NONE if known else UNKNOWN
        for (subkind, name), verdict in found.items():
            self._hits[id(verdict)] += 1
            if self._noting and subkind in self._tables.prompts:
                self._note(subkind, name)
            elif self._noting:
                self._met_ids[name, verdict] += 1
            best = verdict if best in (NONE, UNKNOWN) else _stronger(best, verdict)
        return Met(best, tuple(found))

    def __len__(self) -> int:
        return self._tables.entries

    def hits(self) -> dict[Verdict, int]:
        """How often each verdict was met."""
        met = self._hits.copy()
        return {verdict: count for verdict in list(self._same) if (count := met[id(verdict)])}

    def taken_hits(self) -> dict[Verdict, int]:
        """How often since this was last called."""
        found = {verdict: count - self._taken[id(verdict)] for verdict, count in self.hits().items()}
        for verdict, count in found.items():
            self._taken[id(verdict)] += count
        return {verdict: count for verdict, count in found.items() if count}

    def _note(self, subkind: str, value: str) -> None:
        if len(self._met) < _MOST_MET:
            self._met[subkind, value] += 1

    def taken_met(self) -> dict[str, Counts]:
        """How often each object was met since this was last called, by its id. What has ended meanwhile is left out."""
        met, self._met = self._met, Counter()
        by_id, self._met_ids = self._met_ids, Counter()
        found: dict[str, Counts] = {}
        for (stix_id, verdict), count in by_id.items():
            found.setdefault(stix_id, Counts()).add(count, blocked=_blocks(verdict), allowed=False)
        words: dict[tuple[str, str], list[tuple[int, Verdict]]] = {}
        for (subkind, value), count in met.items():
            verdict = self._checks[subkind](value) or NONE
            if self._allows and (by := self._policy.allowed.by(subkind, value)):
                verdict = replace(verdict, action=None, would=None, suppressed_by=by)
            for word in self._stored_as(subkind, value):
                words.setdefault((compared(subkind), word), []).append((count, verdict))
        for stix_id, counted in self._said_by(words):
            for count, verdict in counted:
                allowed = bool(verdict.suppressed_by) and verdict.suppressed_by != policies.KILL_SWITCH
                found.setdefault(stix_id, Counts()).add(count, blocked=_blocks(verdict), allowed=allowed)
        return found

    def _stored_as(self, subkind: str, value: str) -> Iterator[str]:
        """The values of entries that a looked-up value meets."""
        tables = self._tables
        if subkind in tables.tokens:
            known = self._tokening.memory(subkind).get(value, ()) if self._tokening else ()
            yield from (token.hex() for token in known if token in tables.tokens[subkind])
            yield value
        elif compared(subkind) == "net" and (net := allowing.network(value)) is not None:
            for shift, mark in tables.nets[net.version].shifts:
                if (int(net.network_address) >> shift | mark) in tables.nets[net.version].ranges:
                    length = net.max_prefixlen - shift
                    if length <= net.prefixlen:
                        wide = net.supernet(new_prefix=length)
                        yield from (str(wide), str(wide.network_address)) if not shift else (str(wide),)
        else:
            yield value
            if (normal := _NORMAL.get(compared(subkind))) is not None:
                with suppress(ValueError):
                    yield normal(value)

    def _said_by[Counted](self, words: Mapping[tuple[str, str], Counted]) -> Iterator[tuple[str, Counted]]:
        """The ids of what says these values, each with what is counted of it."""
        values = sorted({word for _, word in words})
        stores = [Store(path) for path in self._paths] if values else []
        try:
            for start in range(0, len(values), 400):
                told: set[tuple[str, str]] = set()
                for store in stores:
                    for one in store.about(values[start : start + 400], now=sync.now(store)):
                        name = (compared(one.said.subkind), one.said.value)
                        if name in words and one.said.ids and (one.said.ids[0], one.said.value) not in told:
                            told.add((one.said.ids[0], one.said.value))
                            yield one.said.ids[0], words[name]
        finally:
            for store in stores:
                store.close()

    # -- keeping

    def reload(self) -> None:
        """Read everything anew, beside what is in use, and then use it."""
        tables = _Tables(self._tokening)
        stores = [Store(path) for path in self._paths]
        try:
            self._killed = frozenset(name for store in stores for name in store.killed())
            self._age(stores)
            merged = heapq.merge(*(self._statements(store) for store in stores), key=lambda one: one.said.value)
            for same in policies.by_value(merged):
                self._put(tables, same)
            self._tables, self._checks = tables, tables.checks
            self._compile(stores)
        finally:
            for store in stores:
                store.close()

    def _age(self, stores: Sequence[Store]) -> None:
        """Judge from now on as the policy says of what is old, if every feed is."""
        old = all(sync.is_stale(store) for store in stores)
        self._policy, self._together = self._policy.when(old=old), self._together.when(old=old)

    def update(self, values: Iterable[str], *, signatures: bool = True) -> None:
        """Read anew what is said of these values, and the signatures; costs what changed."""
        wanted = sorted(set(values))
        stores = [Store(path) for path in self._paths]
        try:
            if self._killed != (killed := frozenset(name for store in stores for name in store.killed())):
                self._killed = killed
                self.reload()
                return
            for start in range(0, len(wanted), 400):
                some = wanted[start : start + 400]
                self._again(some, stores)
            if signatures:
                self._compile(stores)
        finally:
            for store in stores:
                store.close()

    def _again(self, values: Sequence[str], stores: Sequence[Store]) -> None:
        found: list[Statement] = []
        for store in stores:
            if "*" in store.killed():
                continue
            said = store.about(values, now=sync.now(store))
            found += [
                one._replace(feed=store.path.stem) for one in said if not self._kinds or one.said.kind in self._kinds
            ]
        left = set(values)
        for value in left:
            self._tables.forget(value)
        for same in policies.by_value(sorted(found, key=lambda one: one.said.value)):
            if same[0].said.value in left:
                self._put(self._tables, same)

    def _put(self, tables: _Tables, same: Sequence[Statement]) -> None:
        verdict = self._shared(self._policy.judge(same, killed=self._killed))
        together = verdict
        if verdict.floor == Floor.PROMPTS_ALONE:
            together = self._shared(self._together.judge(same, killed=self._killed))
        tables.put(same, verdict, together)

    def _statements(self, store: Store) -> Iterator[Statement]:
        if "*" in store.killed():
            return
        for one in store.statements(now=sync.now(store)):
            if not self._kinds or one.said.kind in self._kinds:
                yield one._replace(feed=store.path.stem)

    def _compile(self, stores: Sequence[Store]) -> None:
        """Compile the signatures that are in force."""
        signed: dict[str, tuple[str, str, tuple[Verdict, Verdict]]] = {}
        wanted: list[Signature] = []
        by_pattern: dict[tuple[str, str], list[Statement]] = {}
        for store in stores:
            now = sync.now(store)
            for publisher, name, named, stix_id, (subkind, pattern, confidence, begins, ends) in store.signatures():
                if (begins and _at(begins) > now) or (ends and _at(ends) <= now) or "*" in store.killed():
                    continue
                end = _at(ends) if ends else None
                of = (publisher,) if named else ()
                said = Said(pattern, subkind, "", "", _PROMPT, (name,), of, confidence, end, (stix_id,))
                by_pattern.setdefault((subkind, pattern), []).append(Statement(said, publisher, feed=store.path.stem))
        for number, ((subkind, pattern), same) in enumerate(sorted(by_pattern.items())):
            key = str(number)
            verdicts = (self._policy.judge(same, killed=self._killed), self._together.judge(same, killed=self._killed))
            signed[key] = (subkind, same[0].said.ids[0], (self._shared(verdicts[0]), self._shared(verdicts[1])))
            wanted.append(Signature(key, subkind, pattern))
        compiled = Signatures.compiled(wanted)
        self.unusable = tuple(sorted(signed[key][:2] for key in compiled.unusable))
        self._compiled = compiled, signed

    def _shared(self, verdict: Verdict) -> Verdict:
        return self._same.setdefault(verdict, verdict)

    def _raw(self, subkind: str, value: str, timeout_s: float) -> Verdict:
        if self._tokening is None:
            return UNKNOWN
        try:
            tokens = self._tokening.tokens(subkind, value, timeout_s=timeout_s)
        except ValueError:  # not of this kind, so nobody can have published it
            return NONE
        if tokens is None:
            return UNKNOWN
        table = self._tables.tokens[subkind]
        found = next((table[token] for token in tokens if token in table), None)
        return NONE if found is None else self._hit(subkind, value, found)

    def _hit(self, subkind: str, value: str, found: Verdict) -> Verdict:
        """Count it; a value on an allowlist is let through, though the range that it lies in is not."""
        if self._allows and (found.action or found.would) and (by := self._policy.allowed.by(subkind, value)):
            found = self._shared(replace(found, action=None, would=None, suppressed_by=by))
        self._hits[id(found)] += 1
        if self._noting:
            self._note(subkind, value)
        return found


def _blocks(verdict: Verdict) -> bool:
    return verdict.action in (Action.BLOCK, Action.CHALLENGE)


def _by_word(table: dict[str, Verdict], normal: Callable[[str], str] | None) -> Callable[[str], Verdict | None]:
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


_NORMAL: dict[str, Callable[[str], str]] = {"host": normalising.host, "crypto_addr": normalising.crypto_addr}


def _at(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone(UTC)


def _by_token(table: dict[bytes, Verdict], memory: Mapping[str, tuple[bytes, ...]]) -> Callable[[str], Verdict | None]:
    read, known = bytes.fromhex, memory.get

    def look(value: str) -> Verdict | None:
        tokens = known(value)
        if tokens is not None:
            for token in tokens:
                if (found := table.get(token)) is not None:
                    return found
            return NONE
        if len(value) == _TOKEN_DIGITS:
            try:
                return table.get(read(value), NONE)
            except ValueError:
                return None
        return None

    return look


def _by_address(nets: Mapping[int, _Nets]) -> Callable[[str], Verdict | None]:
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
