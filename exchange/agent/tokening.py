"""Tokens of raw values at look-up: what was asked about before is known here; new values cost one batched evaluation.

Two memories: the sealed file of made tokens (`exchange.client.keeping`), and a bounded one of this process. A value
that is in neither waits with all others of its subkind for one request to the key service, which a thread of its own
makes; who asks waits as long as they said, and is answered `unknown` where that was too short. The next look-up finds
it.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from exchange.client.errors import ExchangeClientError
from exchange.client.tokenising import Tokeniser
from exchange.tokens import epochs, forms

#: Values whose tokens this process remembers, by subkind.
MOST_REMEMBERED = 200_000
#: How long keys of the group are believed, in seconds.
_KEYS_S = 600.0
#: A failed evaluation is not repeated earlier, in seconds.
_PAUSE_S = 2.0

type Tokens = tuple[bytes, ...]


class Tokening:
    """Makes tokens of raw values. Safe to use from several threads; `close` ends its thread."""

    def __init__(self, tokeniser: Tokeniser) -> None:
        self._tokeniser = tokeniser
        self._memory: dict[str, dict[str, Tokens]] = defaultdict(dict)
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._turn = threading.Condition()
        self._ended = False
        self._keys: tuple[float, list[tuple[str, bytes]]] = (0.0, [])
        self.evaluations = self.failures = 0
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """End the thread."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        if self._thread:
            self._thread.join()

    def memory(self, subkind: str) -> dict[str, Tokens]:
        """What is known by heart of a subkind, for a look-up that costs a look into a dictionary."""
        return self._memory[subkind]

    def tokens(self, subkind: str, raw: str, *, timeout_s: float) -> Tokens | None:
        """The tokens of a value; None where they are not known within the time. Raises ValueError as `forms.of`."""
        known = self._memory[subkind].get(raw)
        if known is not None:
            return known
        found = self._kept(subkind, forms.of(subkind, raw))
        if found is None:
            return self._asked(subkind, raw, timeout_s=timeout_s)
        self._remember(subkind, raw, found)
        return found

    def _kept(self, subkind: str, wanted: Sequence[str]) -> Tokens | None:
        """Tokens that can be made without asking: under the group's keys, or that are kept sealed."""
        inputs = [forms.input_bytes(subkind, form) for form in wanted]
        if forms.scheme_of(subkind) is forms.Scheme.GROUP:
            return tuple(hmac.digest(key, one, "sha256") for one in inputs for _, key in self._group_keys())
        if self._tokeniser.kept is None:
            return None
        found: list[bytes] = []
        for quarter in epochs.looked_up_under(self._tokeniser.now()):
            made = self._tokeniser.kept.tokens(quarter, inputs)
            if len(made) < len(set(inputs)):
                return None
            found += made.values()
        return tuple(found)

    def _group_keys(self) -> list[tuple[str, bytes]]:
        asked_at, keys = self._keys
        if not self._tokeniser.group or time.monotonic() - asked_at < _KEYS_S:
            return keys
        try:
            keys = self._tokeniser.group_keys(look_up=True)
        except ExchangeClientError:
            self.failures += 1
        self._keys = (time.monotonic(), keys)
        return keys

    def _asked(self, subkind: str, raw: str, *, timeout_s: float) -> Tokens | None:
        deadline = time.monotonic() + timeout_s
        with self._turn:
            if self._ended:
                return None
            if self._thread is None:
                self._thread = threading.Thread(target=self._evaluate, name="tokens", daemon=True)
                self._thread.start()
            self._waiting[subkind].add(raw)
            self._turn.notify_all()
            while raw not in self._memory[subkind]:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._ended:
                    return None
                self._turn.wait(left_s)
            return self._memory[subkind][raw]

    def _evaluate(self) -> None:
        """One request for all that wait of a subkind; while it is under way, others gather."""
        while True:
            with self._turn:
                while not self._ended and not any(self._waiting.values()):
                    self._turn.wait()
                if self._ended:
                    return
                subkind = next(name for name, values in self._waiting.items() if values)
                values = sorted(self._waiting.pop(subkind))
            try:
                made = self._tokeniser.tokenise(subkind, values, look_up=True)
                self.evaluations += 1
            except ExchangeClientError:
                self.failures += 1
                with self._turn:
                    self._turn.wait(_PAUSE_S)
                continue
            with self._turn:
                for raw, one in zip(values, made, strict=True):
                    self._remember(subkind, raw, tuple(bytes.fromhex(token.value) for token in one.tokens))
                self._turn.notify_all()

    def _remember(self, subkind: str, raw: str, tokens: Tokens) -> None:
        memory = self._memory[subkind]
        if len(memory) >= MOST_REMEMBERED:
            for old in list(memory)[: MOST_REMEMBERED // 10]:
                memory.pop(old, None)
        memory[raw] = tokens
