"""Issue, read and revoke API keys. The only writer of ApiKey.

A key reads `exk_<id>_<secret><checksum>`: a prefix that secret scanners can find, a public id of 8 base-32
characters, 160 random bits in base 32, and the CRC-32 of all before it in 7 base-32 characters, so that a
mistyped or truncated key is told from an unknown one without asking the database.
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction

from exchange import clock
from partners import audit
from partners.models import ApiKey, Partner
from partners.scopes import Scope
from partners.sharing import Viewer

_SHAPE = re.compile(r"exk_([a-z2-7]{8})_([a-z2-7]{32})([a-z2-7]{7})")
_MAX_LIFE = timedelta(days=366)


def issue(
    partner: Partner, *, name: str, scopes: Iterable[Scope], expires_in: timedelta, by: Viewer | None = None
) -> tuple[ApiKey, str]:
    """Make a key. The second value is the key itself: shown once, stored nowhere."""
    if not timedelta(0) < expires_in <= _MAX_LIFE:
        raise ValueError("a key lives between a moment and a year")
    public_id = _base32(secrets.token_bytes(5))
    body = f"exk_{public_id}_{_base32(secrets.token_bytes(20))}"
    presented = body + _checksum(body)
    with transaction.atomic():
        key = ApiKey.objects.create(
            partner=partner,
            name=name,
            public_id=public_id,
            digest=digest(presented),
            scopes=sorted(scopes),
            expires_at=clock.now() + expires_in,
        )
        audit.record(
            audit.Verb.KEY_ISSUED,
            by=by,
            target=f"key:{public_id}",
            about=partner.pk,
            scopes=key.scopes,
            expires_at=clock.rfc3339(key.expires_at),
        )
    return key, presented


def revoke(key: ApiKey, *, by: Viewer | None = None) -> None:
    """Make a key worthless from the next request on."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now()):
            audit.record(audit.Verb.KEY_REVOKED, by=by, target=f"key:{key.public_id}", about=key.partner_id)


def public_id_of(presented: str) -> str | None:
    """The public id in a well-formed key, or None if it cannot be one of ours."""
    shape = _SHAPE.fullmatch(presented)
    if shape is None or not hmac.compare_digest(_checksum(presented[: -len(shape[3])]), shape[3]):
        return None
    return shape[1]


def digest(presented: str) -> bytes:
    """SHA-256: the key holds 160 random bits, so a slow hash would only slow the exchange."""
    return hashlib.sha256(presented.encode()).digest()


def _checksum(body: str) -> str:
    return _base32(zlib.crc32(body.encode()).to_bytes(4))


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()
