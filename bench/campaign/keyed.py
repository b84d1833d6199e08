"""Tokens under one key, for measuring a lab without a key service: what is measured is the lab."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.lab.making import keyed
from exchange.tokens.forms import Scheme

_KEY = bytes(32)


class Keyed:
    """Makes tokens of all subkinds by HMAC."""

    def epochs(self, scheme: Scheme) -> tuple[str, ...]:
        return ("2026q4",) if scheme is Scheme.OBLIVIOUS else ("ring-2026q4-1",)

    def both(self) -> dict[Scheme, tuple[str, ...]]:
        return {scheme: self.epochs(scheme) for scheme in Scheme}

    def values(self, subkind: str, wanted: Sequence[str]) -> list[tuple[bytes, ...]]:
        return keyed(subkind, wanted, [_KEY])
