"""Tokens of raw values at look-up: what was asked about before is known here; new values cost one batched evaluation.

Two memories: the sealed file of made tokens (`exchange.client.keeping`), and a bounded one of this process. A value
that is in neither waits with all others of its subkind for one request to the exchange, which a thread of its own
makes; who asks waits as long as they said, and is answered `unknown` where that was too short. The next look-up finds
it. Tokens are remembered under the keys that they were made with: once a look-up asks under others, because a quarter
begins or ends or a group has a new key, they are made anew.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from exchange.client.tokenising import Tokeniser
from exchange.tokens import epochs, forms

#: Values whose tokens this process remembers, and tokens of all of them, by subkind.
MOST_REMEMBERED, MOST_TOKENS = 200_000, 1_000_000
#: More values than these do not wait at once, by subkind.
_MOST_WAITING = 5_000
#: A value that is longer, in characters, is remembered by its digest.
_LONG = 256
#: How long keys of the group are believed, in seconds.
_KEYS_S = 600.0
#: So often is looked whether tokens are made under other keys, in seconds.
_LOOK_S = 60.0
#: What failed is not tried again earlier, in seconds.
_PAUSE_S = 2.0

type Tokens = tuple[bytes, ...]
type Memory = dict[str | bytes, Tokens]


class Tokening:
    """Makes tokens of raw values. Safe to use from several threads; `close` ends its thread."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        self._tokeniser = tokeniser
        self._memory: dict[str, Memory] = defaultdict(dict)
        self._remembered: Counter[str] = Counter()
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._turn = threading.Condition()
        self._ended = False
        self._quarters = epochs.looked_up_under(tokeniser.now())
        #: The group's keys; None until they are there.
        self._keys: tuple[tuple[str, bytes], ...] | None = None if tokeniser.group else ()
        self._keys_at = 0.0
        self.evaluations = self.failures = 0
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """End the thread."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        if self._thread:
            self._thread.join()

    def memory(self, subkind: str) -> Memory:
        """What is known by heart of a subkind, for a look-up that costs a look into a dictionary; no long values."""
        return self._memory[subkind]

    def known(self, subkind: str, raw: str) -> Tokens | None:
        """The tokens of a value where they are known by heart."""
        return self._memory[subkind].get(_name(raw))

    def tokens(self, subkind: str, raw: str, *, timeout_s: float) -> Tokens | None:
        """The tokens of a value; None where they are not known within the time. Raises ValueError as `forms.of`."""
        found, whole = self.sought(subkind, raw, timeout_s=timeout_s)
        return found if whole else None

    def sought(self, subkind: str, raw: str, *, timeout_s: float) -> tuple[Tokens, bool]:
        """The tokens of a value that are there within the time, and whether they are all. Raises as `tokens`."""
        known = self.known(subkind, raw)
        if known is not None:
            return known, True
        self._begin()
        under = self._under(subkind)
        found, whole = self._kept(subkind, raw)
        if whole:
            self._remember(subkind, raw, found, under=under)
        elif (asked := self._asked(subkind, raw, timeout_s=timeout_s)) is not None:
            return asked, True
        return found, whole

    def _under(self, subkind: str) -> object:
        """What tokens of a subkind are made under now: the same object until that changes."""
        return self._keys if forms.scheme_of(subkind) is forms.Scheme.GROUP else self._quarters

    def _kept(self, subkind: str, raw: str) -> tuple[Tokens, bool]:
        """Tokens under the group's keys, or that are kept sealed; and whether they are all."""
        inputs = [forms.input_bytes(subkind, form) for form in forms.of(subkind, raw)]
        if forms.scheme_of(subkind) is forms.Scheme.GROUP:
            keys = self._keys
            made = tuple(hmac.digest(key, one, "sha256") for one in inputs for _, key in keys or ())
            return made, keys is not None
        if self._tokeniser.kept is None:
            return (), False
        found: list[bytes] = []
        for quarter in self._quarters:
            found += self._tokeniser.kept.tokens(quarter, inputs).values()
        return tuple(found), len(found) == len(set(inputs)) * len(self._quarters)

    def _begin(self) -> None:
        with self._turn:
            if self._thread is None and not self._ended:
                self._look()
                self._thread = threading.Thread(target=self._work, name="tokens", daemon=True)
                self._thread.start()

    def _asked(self, subkind: str, raw: str, *, timeout_s: float) -> Tokens | None:
        deadline = time.monotonic() + timeout_s
        with self._turn:
            if self._ended or len(self._waiting[subkind]) >= _MOST_WAITING:
                return None
            self._waiting[subkind].add(raw)
            self._turn.notify_all()
            while (known := self.known(subkind, raw)) is None:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._ended:
                    return None
                self._turn.wait(left_s)
            return known

    # -- the thread

    def _work(self) -> None:
        """Make what waits, and forget what was made under other keys, until the end; nothing that fails ends it."""
        while not self._ended:
            try:
                with self._turn:
                    self._turn.wait_for(lambda: self._ended or any(self._waiting.values()), _LOOK_S)
                self._look()
                self._make()
            except Exception:  # noqa: BLE001 - else every new value would be unknown until this process is restarted
                self.failures += 1
                with self._turn:
                    self._turn.wait_for(lambda: self._ended, _PAUSE_S)

    def _look(self) -> None:
        """Forget tokens where others are asked for by now."""
        quarters = epochs.looked_up_under(self._tokeniser.now())
        if quarters != self._quarters:
            with self._turn:
                self._quarters = quarters
                self._forget(forms.OBLIVIOUS)
        if self._keys_at and time.monotonic() - self._keys_at >= _KEYS_S:
            self._fetch()

    def _fetch(self) -> None:
        """Ask for the group's keys. Where they do not come, those of before are believed on."""
        self._keys_at = time.monotonic()
        keys = tuple(self._tokeniser.group_keys(look_up=True))
        if keys != self._keys:
            with self._turn:
                self._keys = keys
                self._forget(forms.BY_GROUP)

    def _make(self) -> None:
        """One request for all that wait of a subkind; while it is under way, others gather."""
        with self._turn:
            subkind = next((name for name, values in self._waiting.items() if values), "")
            if self._ended or not subkind:
                return
            values = sorted(self._waiting.pop(subkind))
        if forms.scheme_of(subkind) is forms.Scheme.GROUP:
            self._fetch()
            under = self._under(subkind)
            made = [self._kept(subkind, raw)[0] for raw in values]
        else:
            under = self._under(subkind)
            tokenised = self._tokeniser.tokenise(subkind, values, look_up=True)
            made = [tuple(bytes.fromhex(token.value) for token in one.tokens) for one in tokenised]
        self.evaluations += 1
        with self._turn:
            for raw, tokens in zip(values, made, strict=True):
                self._remember(subkind, raw, tokens, under=under)
            self._turn.notify_all()

    def _remember(self, subkind: str, raw: str, tokens: Tokens, *, under: object) -> None:
        with self._turn:
            if under is not self._under(subkind):
                return
            memory, name = self._memory[subkind], _name(raw)
            self._remembered[subkind] += len(tokens) - len(memory.pop(name, ()))
            memory[name] = tokens
            while len(memory) > 1 and (len(memory) > MOST_REMEMBERED or self._remembered[subkind] > MOST_TOKENS):
                for old in list(memory)[: len(memory) // 10 or 1]:
                    self._remembered[subkind] -= len(memory.pop(old))

    def _forget(self, subkinds: Iterable[str]) -> None:
        for subkind in subkinds:
            self._memory[subkind].clear()
            self._remembered[subkind] = 0


def _name(raw: str) -> str | bytes:
    """What a value is remembered by: itself, or its digest, so that 200,000 whole prompts are no gigabytes."""
    return raw if len(raw) <= _LONG else hashlib.blake2b(raw.encode("utf-8", "surrogatepass"), digest_size=32).digest()
