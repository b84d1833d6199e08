"""Look-up: what a value means here, a million times a second; and what a prompt means.

    blocklist = Blocklist([Path("state/all.sqlite")], policy=policy)
    if blocklist.check("net", "198.51.100.7").action == "block":

Tables in memory, by subkind: a verdict per value. Equal verdicts are one object, so an entry costs its key alone.
Values stand in normal form; what is not known as it stands is brought into it. A value that has a keyed token is looked
up by the token (64 hexadecimal digits), or raw with `Tokening`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from exchange.agent import allowing, jobs
from exchange.agent import policy as policies
from exchange.agent.lookup_tables import NORMAL, Tables, blocks, of_two_tokens, stronger
from exchange.agent.parts import Part
from exchange.agent.policy import NONE, UNKNOWN, Floor, Policy, Statement, Verdict
from exchange.agent.reporting import Counts
from exchange.agent.signatures import Signature, Signatures
from exchange.agent.store import Store
from exchange.agent.suspects import ACCOUNT, NOBODY, Suspects, Wanted
from exchange.agent.tokening import Tokening
from exchange.lists.lines import compared

_PROMPT = "prompt-signature"
#: So many different values are counted between two looks at them.
_MOST_MET = 50_000


@dataclass(frozen=True, slots=True)
class Met:
    """What a prompt met: the strongest verdict, and each signature that matches, by subkind and STIX id or token."""

    verdict: Verdict
    signatures: tuple[tuple[str, str], ...] = ()


class Blocklist:
    """The verdicts over what one or several stores hold. `check` may be called from any thread."""

    def __init__(
        self,
        stores: Sequence[Path],
        *,
        policy: Policy | None = None,
        tokening: Tokening | None = None,
        parts: Sequence[Part] = (),
        noting: bool = False,
        suspects: Wanted = NOBODY,
    ) -> None:
        self._paths, self._policy, self._tokening = tuple(stores), policy or Policy(), tokening
        self._parts = tuple(parts) or (Part(),) * len(self._paths)  # of each store
        self._together = replace(self._policy, without_floors=self._policy.without_floors | {Floor.PROMPTS_ALONE})
        self._allows = bool(self._policy.allowed.values or self._policy.allowed.nets)
        self._hits: Counter[int] = Counter()
        self._noting = noting  # what was met, for a report by object; raw values stay in memory, and for a moment
        self._met: Counter[tuple[str, str]] = Counter()
        self._met_ids: Counter[tuple[str, Verdict]] = Counter()
        self._taken: Counter[int] = Counter()
        self._same: dict[Verdict, Verdict] = {NONE: NONE}
        #: Accounts that the lab found itself; looked up as `account`, and told to nobody.
        self.suspects = Suspects(suspects, mode=self._policy.mode)
        self._tables = Tables(tokening)
        self._checks = self._checks_of(self._tables)
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
            best = verdict if best in (NONE, UNKNOWN) else stronger(best, verdict)
        return Met(best, tuple(found))

    def signatures(self) -> list[str]:
        """The STIX ids of the signatures that texts are tried against now."""
        return sorted(stix_id for _, stix_id, _ in self._compiled[1].values())

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
        if subkind != ACCOUNT and len(self._met) < _MOST_MET:
            self._met[subkind, value] += 1

    def taken_met(self) -> dict[str, Counts]:
        """How often each object was met since this was last called, by its id. What has ended meanwhile is left out."""
        met, self._met = self._met, Counter()
        by_id, self._met_ids = self._met_ids, Counter()
        found: dict[str, Counts] = {}
        for (stix_id, verdict), count in by_id.items():
            found.setdefault(stix_id, Counts()).add(count, blocked=blocks(verdict), allowed=False)
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
                found.setdefault(stix_id, Counts()).add(count, blocked=blocks(verdict), allowed=allowed)
        return found

    def _stored_as(self, subkind: str, value: str) -> Iterator[str]:
        """The values of entries that a looked-up value meets."""
        tables = self._tables
        if subkind in tables.tokens:
            known = self._tokening.known(subkind, value) if self._tokening else None
            yield from (token.hex() for token in known or () if token in tables.tokens[subkind])
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
            if (normal := NORMAL.get(compared(subkind))) is not None:
                with suppress(ValueError):
                    yield normal(value)

    def _said_by[Counted](self, words: Mapping[tuple[str, str], Counted]) -> Iterator[tuple[str, Counted]]:
        """The ids of what says these values, each with what is counted of it."""
        values = sorted({word for _, word in words})
        stores = [Store(path) for path in self._paths] if values else []
        try:
            for start in range(0, len(values), 400):
                told: set[tuple[str, str]] = set()
                for one in self._about(values[start : start + 400], stores):
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
        tables = Tables(self._tokening)
        stores = [Store(path) for path in self._paths]
        try:
            self._killed = frozenset(name for store in stores for name in store.killed())
            self._age(stores)
            merged = heapq.merge(*map(self._statements, stores, self._parts), key=lambda one: one.said.value)
            for same in policies.by_value(merged):
                self._put(tables, same)
            self._tables, self._checks = tables, self._checks_of(tables)
            self._compile(stores)
        finally:
            for store in stores:
                store.close()

    def _checks_of(self, tables: Tables) -> dict[str, Callable[[str], Verdict | None]]:
        """How each subkind is looked up; accounts, too, where the settings name files of suspects."""
        return tables.checks | ({ACCOUNT: self._account} if self.suspects.wanted.files else {})

    def _account(self, account: str) -> Verdict:
        return NONE if "*" in self._killed else self._shared(self.suspects.verdict(account))

    def _age(self, stores: Sequence[Store]) -> None:
        """Judge from now on as the policy says of what is old, if every feed is."""
        old = all(jobs.is_stale(store) for store in stores)
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
        off = {store.path.stem for store in stores if "*" in store.killed()}
        found = [one for one in self._about(values, stores) if one.feed not in off]
        left = set(values)
        for value in left:
            self._tables.forget(value)
        for same in policies.by_value(sorted(found, key=lambda one: one.said.value)):
            if same[0].said.value in left:
                self._put(self._tables, same)

    def _put(self, tables: Tables, same: Sequence[Statement]) -> None:
        verdict = self._shared(self._policy.judge(same, killed=self._killed))
        together = verdict
        if verdict.floor == Floor.PROMPTS_ALONE:
            together = self._shared(self._together.judge(same, killed=self._killed))
        tables.put(same, verdict, together)

    def _about(self, values: Sequence[str], stores: Sequence[Store]) -> Iterator[Statement]:
        """What the stores' parts say of these values now, also of what is switched off."""
        for store, part in zip(stores, self._parts, strict=True):
            for one in store.about(values, now=jobs.now(store)):
                if part.has(one):
                    yield one._replace(feed=store.path.stem)

    def _statements(self, store: Store, part: Part) -> Iterator[Statement]:
        if "*" in store.killed():
            return
        for one in store.statements(now=jobs.now(store), min_confidence=part.min_confidence, kind=part.kind):
            yield one._replace(feed=store.path.stem)

    def _compile(self, stores: Sequence[Store]) -> None:
        """Compile the signatures that are in force."""
        signed: dict[str, tuple[str, str, tuple[Verdict, Verdict]]] = {}
        wanted: list[Signature] = []
        by_pattern: dict[tuple[str, str], list[Statement]] = {}
        for store, part in zip(stores, self._parts, strict=True):
            now = jobs.now(store)
            for one, begins in store.signatures():
                said = one.said
                if (begins and begins > now) or (said.valid_until and said.valid_until <= now) or "*" in store.killed():
                    continue
                if not part.takes(_PROMPT, said.confidence):
                    continue
                by_pattern.setdefault((said.subkind, said.value), []).append(one._replace(feed=store.path.stem))
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
            tokens, whole = self._tokening.sought(subkind, value, timeout_s=timeout_s)
        except ValueError:  # not of this kind, so nobody can have published it
            return NONE
        table = self._tables.tokens[subkind]
        if met := [table[token] for token in tokens if token in table]:
            return self._hit(subkind, value, reduce(of_two_tokens, met))
        return NONE if whole else UNKNOWN

    def _hit(self, subkind: str, value: str, found: Verdict) -> Verdict:
        """Count it; a value on an allowlist is let through, though the range that it lies in is not."""
        if self._allows and (found.action or found.would) and (by := self._policy.allowed.by(subkind, value)):
            found = self._shared(replace(found, action=None, would=None, suppressed_by=by))
        self._hits[id(found)] += 1
        if self._noting:
            self._note(subkind, value)
        return found
