"""From normal forms to tokens, inside the lab: HMAC under the group's keys here, the key service for the rest."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from exchange.client.tokenising import Tokeniser
from exchange.tokens import forms
from exchange.tokens.forms import Scheme

#: So many normal forms are handed to the key service's client at once.
_AT_ONCE = 20_000


class Makes(Protocol):
    """What makes tokens. Of each scheme there are one or two epochs: two while a key is replaced."""

    def epochs(self, scheme: Scheme) -> tuple[str, ...]:
        """The epochs under which tokens are made now."""

    def values(self, subkind: str, wanted: Sequence[str]) -> list[tuple[bytes, ...]]:
        """Of each normal form its tokens, one an epoch, in that order."""


@dataclass(slots=True)
class Maker:
    """Makes tokens through an exchange. Raises ApiError, Unreachable, KeyNotTrusted, Unusable."""

    tokeniser: Tokeniser
    _keys: list[tuple[str, bytes]] | None = None

    def epochs(self, scheme: Scheme) -> tuple[str, ...]:
        """As `Makes`."""
        if scheme is Scheme.OBLIVIOUS:
            return self.tokeniser.published_under()
        return tuple(epoch for epoch, _ in self._group_keys())

    def both(self) -> dict[Scheme, tuple[str, ...]]:
        """The epochs of both schemes."""
        return {scheme: self.epochs(scheme) for scheme in Scheme}

    def values(self, subkind: str, wanted: Sequence[str]) -> list[tuple[bytes, ...]]:
        """As `Makes`."""
        if forms.scheme_of(subkind) is Scheme.GROUP:
            return keyed(subkind, wanted, [key for _, key in self._group_keys()])
        found: list[tuple[bytes, ...]] = []
        for begin in range(0, len(wanted), _AT_ONCE):
            some = wanted[begin : begin + _AT_ONCE]
            made = self.tokeniser.of_forms(subkind, some)
            found += [tuple(bytes.fromhex(one.value) for one in made[form]) for form in some]
        return found

    def _group_keys(self) -> list[tuple[str, bytes]]:
        if self._keys is None:
            self._keys = self.tokeniser.group_keys()
        return self._keys


def keyed(subkind: str, wanted: Sequence[str], keys: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Tokens of a group's keys."""
    inputs = [forms.input_bytes(subkind, form) for form in wanted]
    return list(zip(*([hmac.digest(key, one, "sha256") for one in inputs] for key in keys), strict=True))
