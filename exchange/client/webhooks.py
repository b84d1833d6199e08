"""What a receiver of webhooks checks (Standard Webhooks, v1): in the standard library, so it can be copied."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

_TOLERANCE_S = 300


def verify(secret: str, message_id: str, *, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether the message was signed with `secret` and is not older (or newer) than five minutes."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        sent_at = int(timestamp.encode("ascii"))
    except (binascii.Error, ValueError):
        return False
    if abs(time.time() - sent_at) > _TOLERANCE_S:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [part.removeprefix("v1,") for part in signature.split(" ") if part.startswith("v1,")]
    return any(hmac.compare_digest(wanted.encode(), one.encode()) for one in given)
