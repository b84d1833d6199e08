"""The key that signs the log: AUDIT_SIGNING_KEY, known to the web and worker processes and to no database."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.checks import Error, register
from django.core.exceptions import ImproperlyConfigured
from nacl.signing import SigningKey

from exchange.client import statements

_ADVICE = "python -c 'import secrets; print(secrets.token_hex(32))'"


def public_key() -> bytes:
    """The present public key."""
    return bytes(_signer(_seed()).verify_key)


def key_id() -> str:
    """The name of the present key."""
    return statements.key_id(public_key())


def sign(text: bytes) -> bytes:
    """The Ed25519 signature of a text from `exchange.client.statements`."""
    return _signer(_seed()).sign(text).signature


def sign_text(text: bytes) -> str:
    """The same, as documents carry it."""
    return base64.b64encode(sign(text)).decode()


def _seed() -> bytes:
    """The configured seed; a demonstration and the tests derive one, so that they need no further secret."""
    if settings.AUDIT_SIGNING_KEY:
        return bytes(settings.AUDIT_SIGNING_KEY)
    if settings.PRODUCTION:
        raise ImproperlyConfigured(f"AUDIT_SIGNING_KEY: must be set: 64 hex digits, as from {_ADVICE}")
    return hashlib.sha256(b"exchange log signing key\0" + settings.SECRET_KEY.encode()).digest()


@lru_cache(maxsize=4)
def _signer(seed: bytes) -> SigningKey:
    return SigningKey(seed)


@register()
def the_log_can_be_signed(app_configs: Any, **options: Any) -> list[Error]:
    """In production the key is a secret of its own: whoever holds SECRET_KEY alone must not be able to sign."""
    if settings.PRODUCTION and not settings.AUDIT_SIGNING_KEY:
        return [Error("AUDIT_SIGNING_KEY is not set: nothing signs the log.", hint=_ADVICE, id="partners.E001")]
    return []
