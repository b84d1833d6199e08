"""From raw values to tokens: what leaves is blinded points alone, each of which is asked about once.

with Client(url, key) as client, Kept() as kept:
    tokeniser = Tokeniser(client, kept=kept, group="ring")
    made = tokeniser.tokenise("email", ["anna@example.org"])
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from exchange.client.errors import Unusable
from exchange.client.keeping import Kept
from exchange.client.pinning import KeyNotTrusted, KeyNotYet, Pins, take_in
from exchange.tokens import epochs, forms, oprf, padding, prompts, ristretto
from exchange.tokens.forms import Scheme

#: Requests under way at once: while the key service works on one, the next is blinded.
_AT_ONCE = 2
#: As many tokens as an indicator holds.
MOST_TOKENS = 4


class Asks(Protocol):
    """What a tokeniser needs of a client."""

    def token_keys(self) -> dict[str, Any]:
        """As `Client.token_keys`."""

    def evaluate(self, subkind: str, epoch: str, points: Sequence[bytes]) -> oprf.Evaluated:
        """As `Client.evaluate`."""

    def group_keys(self, group: str) -> list[dict[str, Any]]:
        """As `Client.group_keys`."""

    def consistency(self, first: int, second: int) -> Sequence[str]:
        """As `Client.consistency`."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token, as an indicator carries it."""

    scheme: str
    key_epoch: str
    value: str
    norm_version: str = forms.NORM_VERSION

    def document(self) -> dict[str, str]:
        """As JSON has it."""
        return {
            "scheme": self.scheme,
            "key_epoch": self.key_epoch,
            "norm_version": self.norm_version,
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class Tokenised:
    """What became of one raw value: its forms with the tokens of each, or why there are none.

    The forms of an e-mail address belong into one indicator (`tokens`); each phrase of a prompt into one of its own.
    """

    forms: tuple[str, ...] = ()
    by_form: tuple[tuple[Token, ...], ...] = ()
    problem: str = ""

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of all forms, each once."""
        return tuple(dict.fromkeys(token for tokens in self.by_form for token in tokens))


@dataclass(slots=True)
class Tokeniser:
    """Makes tokens of raw values through one exchange. `pins` is the file of pinned public keys."""

    client: Asks
    kept: Kept | None = None
    group: str = ""
    pins: Path | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _pinned: Pins | None = field(default=None, init=False)
    _public: dict[str, bytes] = field(default_factory=dict, init=False)

    def tokenise(self, subkind: str, values: Sequence[str], *, look_up: bool = False) -> list[Tokenised]:
        """The tokens of each value, in order, under the keys that are published under now.

        With `look_up`, under every key under which a live token may be: for asking, not for publishing. Raises
        ApiError, Unreachable, KeyNotTrusted, Unusable.
        """
        found = [read(subkind, value) for value in values]
        made = self.of_forms(subkind, [form for one in found for form in one.forms], look_up=look_up)
        return [
            Tokenised(one.forms, tuple(made[form] for form in one.forms)) if not one.problem else one for one in found
        ]

    def of_forms(self, subkind: str, wanted: Sequence[str], *, look_up: bool = False) -> dict[str, tuple[Token, ...]]:
        """The tokens of normal forms, each asked about once."""
        return self._made(subkind, list(dict.fromkeys(wanted)), look_up=look_up)

    def published_under(self) -> tuple[str, ...]:
        """The quarters whose keys are published under now."""
        return epochs.published_under(self.now())

    def group_epochs(self) -> list[str]:
        """The epochs of the group's keys that are published under now."""
        return [epoch for epoch, _ in self.group_keys(look_up=False)]

    def _made(self, subkind: str, wanted: Sequence[str], *, look_up: bool) -> dict[str, tuple[Token, ...]]:
        if forms.scheme_of(subkind) is Scheme.GROUP:
            keys = self.group_keys(look_up=look_up)
            return {form: tuple(_by_group_key(subkind, form, epoch, key) for epoch, key in keys) for form in wanted}
        now = self.now()
        quarters = epochs.looked_up_under(now) if look_up else epochs.published_under(now)
        found = {quarter: self._oblivious(subkind, quarter, wanted) for quarter in quarters}
        return {
            form: tuple(Token(Scheme.OBLIVIOUS, quarter, found[quarter][form]) for quarter in quarters)
            for form in wanted
        }

    def _oblivious(self, subkind: str, quarter: str, wanted: Sequence[str]) -> dict[str, str]:
        inputs = {forms.input_bytes(subkind, form): form for form in wanted}
        kept = self.kept.tokens(quarter, list(inputs)) if self.kept else {}
        missing = [one for one in inputs if one not in kept]
        if missing:
            made = self._asked(subkind, quarter, missing)
            if self.kept:
                self.kept.keep_tokens(quarter, made, ends=epochs.ends(quarter) + epochs.LONGEST_LIFE)
            kept |= made
        return {form: kept[one].hex() for one, form in inputs.items()}

    def _asked(self, subkind: str, quarter: str, inputs: Sequence[bytes]) -> dict[bytes, bytes]:
        """Ask the key service about inputs, in requests of fixed sizes."""
        public_key = self._public_key(forms.OBLIVIOUS[subkind], quarter)

        def ask(batch: tuple[Sequence[bytes], int]) -> list[bytes]:
            some, size = batch
            blinded = [oprf.blind(one) for one in some]
            filling = [ristretto.random_point() for _ in range(size - len(some))]
            answer = self.client.evaluate(subkind, quarter, [*(one.point for one in blinded), *filling])
            try:
                return oprf.finalise(blinded, answer, public_key=public_key, padding=filling) if blinded else []
            except oprf.BadProof as error:
                raise KeyNotTrusted(f"The answer was not made with the key of the log: {error}.") from error

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outputs = [one for some in pool.map(ask, batches(inputs)) for one in some]
        return {one: output[: oprf.TOKEN_BYTES] for one, output in zip(inputs, outputs, strict=True)}

    def _public_key(self, kind: str, quarter: str) -> bytes:
        name = f"{kind} {quarter}"
        if name not in self._public:
            pins = self._pinned or (Pins.load(self.pins) if self.pins else Pins())
            self._public |= take_in(self.client.token_keys(), pins, consistency=self.client.consistency)
            self._pinned = pins
            if self.pins:
                pins.save(self.pins)
        if name not in self._public:
            raise KeyNotYet(f"The exchange has no key for {name} in its log, or none yet: try again in a minute.")
        return self._public[name]

    def group_keys(self, *, look_up: bool = False) -> list[tuple[str, bytes]]:
        """The group's keys that are published under now, with their epochs; with `look_up`, all that answer still.

        Raises Unusable where no group is named.
        """
        if not self.group:
            raise Unusable("Tokens of this subkind are made under a group's key: say which group.")
        keys = self.client.group_keys(self.group)
        return [(one["epoch"], base64.b64decode(one["key"])) for one in keys if look_up or one["publishes"]]


def read(subkind: str, value: str) -> Tokenised:
    """The normal forms of a value, without tokens yet; of phrases, those that ordinary prompts hold are left out.

    Raises Unusable for a subkind that is not tokenised.
    """
    try:
        found = forms.of(subkind, value)
        return Tokenised(tuple(one for one in found if one not in prompts.broad()) if subkind == "phrase" else found)
    except KeyError:
        raise Unusable(f"{subkind}: not a subkind that is tokenised.") from None
    except ValueError as error:
        return Tokenised(problem=str(error) if "'" not in str(error) else "not of this kind")


def batches(inputs: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], int]]:
    """Stretches of the inputs with the size of the request that asks about each; the last may be of fillings alone."""
    start = 0
    for size in padding.batches(len(inputs)):
        yield inputs[start : start + size], size
        start += size


def _by_group_key(subkind: str, form: str, epoch: str, key: bytes) -> Token:
    return Token(Scheme.GROUP, epoch, hmac.digest(key, forms.input_bytes(subkind, form), "sha256").hex())


def documents(tokens: Sequence[Token]) -> list[Mapping[str, str]]:
    """Tokens as an indicator lists them: by scheme, epoch, value; where they are more than it holds, the newest keys'.

    Of a group of which several members left in one fortnight more keys are published under than fit.
    """
    newest = sorted(dict.fromkeys(tokens), key=lambda one: epochs.age_of(one.key_epoch))[-MOST_TOKENS:]
    ordered = sorted(newest, key=lambda one: (one.scheme, one.key_epoch, one.value))
    return [one.document() for one in ordered]
