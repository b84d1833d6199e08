"""Who keeps the keys: the one interface that an HSM or KMS fills in, and the keeper that seals keys in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.keyservice.store import Store
from exchange.tokens import oprf

_SEED_BYTES = 32


class Keeper(Protocol):
    """What the service needs of whoever holds the keys; a key is named by its kind and epoch.

    An HSM that multiplies points of ristretto255 does all of it inside. A KMS that only wraps keys replaces the sealing
    of `SealedKeys`. `KEY_SERVICE_KEEPER=module:function` names a function that takes the environment and returns one.
    """

    def public_key(self, kind: str, epoch: str) -> bytes:
        """The public key, made with its secret if there is none yet; 32 bytes, the same for ever."""

    def evaluate(self, kind: str, epoch: str, points: Sequence[bytes]) -> oprf.Evaluated:
        """Apply the key to points, with one proof. Raises `oprf.BadPoint`."""


class SealedKeys:
    """Keys whose seeds lie in PostgreSQL, sealed (AES-SIV) under a secret that only this process has."""

    def __init__(self, store: Store, *, secret: bytes) -> None:
        self._store = store
        key = HKDF(algorithm=SHA256(), length=64, salt=None, info=b"exchange:key-service").derive(secret)
        self._cipher = AESSIV(key)
        self._pair = lru_cache(maxsize=64)(self._opened)

    def public_key(self, kind: str, epoch: str) -> bytes:
        """As `Keeper` says."""
        return self._pair(kind, epoch).public

    def evaluate(self, kind: str, epoch: str, points: Sequence[bytes]) -> oprf.Evaluated:
        """As `Keeper` says."""
        return oprf.evaluate(self._pair(kind, epoch), points)

    def _opened(self, kind: str, epoch: str) -> oprf.KeyPair:
        """Raises `cryptography.exceptions.InvalidTag` where the secret is not the one that sealed it."""
        bound = [kind.encode(), epoch.encode()]
        sealed = self._store.sealed(kind, epoch)
        if sealed is None:
            made = self._cipher.encrypt(secrets.token_bytes(_SEED_BYTES), bound)
            sealed = self._store.keep(kind, epoch, made)  # another process may have been first
        return oprf.derive_key_pair(self._cipher.decrypt(sealed, bound), hashlib.sha256(b"\0".join(bound)).digest())
