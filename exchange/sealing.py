"""Sealed values: what leaves in a client's hands, or lies in the store, and must be neither read nor altered.

AES-SIV (RFC 5297) under a key derived from SECRET_KEY: no nonce to misuse, equal inputs give equal outputs, and
the `bound` strings are authenticated without being carried. SECRET_KEY_FALLBACKS still open what they sealed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Broken(ValueError):
    """The value was not sealed here for this purpose, or was altered."""


def seal(value: bytes, *, purpose: str, bound: Sequence[bytes] = ()) -> bytes:
    """Encrypt and authenticate; 16 bytes longer than `value`, which may not be empty."""
    return _cipher(settings.SECRET_KEY, purpose).encrypt(value, list(bound))


def unseal(sealed: bytes, *, purpose: str, bound: Sequence[bytes] = ()) -> bytes:
    """Undo `seal`. Raises Broken."""
    for secret in _secrets():
        try:
            return _cipher(secret, purpose).decrypt(sealed, list(bound))
        except (InvalidTag, ValueError):
            continue
    raise Broken("not sealed here")


def reseal(sealed: bytes, *, purpose: str, bound: Sequence[bytes] = ()) -> bytes:
    """The same value under the present SECRET_KEY; the same bytes where it is under that. Raises Broken."""
    return seal(unseal(sealed, purpose=purpose, bound=bound), purpose=purpose, bound=bound)


@contextmanager
def present_alone() -> Iterator[None]:
    """Open nothing by SECRET_KEY_FALLBACKS meanwhile, as if they were given up."""
    before = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(before)


_alone: ContextVar[bool] = ContextVar("exchange-sealing-alone", default=False)


def fingerprint(secret: str) -> str:
    """Eight hex digits by which a person tells one secret from another; they say nothing else of it."""
    derived = HKDF(algorithm=SHA256(), length=4, salt=None, info=b"exchange:fingerprint").derive(secret.encode())
    return derived.hex()


def _secrets() -> Iterator[str]:
    yield settings.SECRET_KEY
    if not _alone.get():
        yield from settings.SECRET_KEY_FALLBACKS


@lru_cache(maxsize=32)
def _cipher(secret: str, purpose: str) -> AESSIV:
    key = HKDF(algorithm=SHA256(), length=64, salt=None, info=f"exchange:{purpose}".encode()).derive(secret.encode())
    return AESSIV(key)
