"""What a receiver of webhooks checks (Standard Webhooks, v1): in the standard library, so it can be copied."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

_TOLERANCE_S = 300
#: What is further off than this is no clock that is wrong.
_TOLD_BELOW_S = 10**11


def verify(secret: str, message_id: str, *, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether the message was signed with `secret` and is not older (or newer) than five minutes."""
    return not fault_of(secret, message_id, timestamp=timestamp, signature=signature, body=body)


def fault_of(secret: str, message_id: str, *, timestamp: str, signature: str, body: bytes) -> str:
    """Why a message is not to be believed, for whoever sets a receiver up; empty for a good one."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return "The secret is not whsec_ and base64."
    try:
        sent_at = int(timestamp.encode("ascii"))
    except ValueError:
        return "The timestamp is not a number of seconds since 1970."
    # In whole seconds: a number of any length is compared without becoming a fraction.
    late_s = int(time.time()) - sent_at
    if abs(late_s) > _TOLERANCE_S:
        far = f"{abs(late_s):,} s" if abs(late_s) < _TOLD_BELOW_S else "out of reach"
        return f"Too {'old' if late_s > 0 else 'new'} ({far}; {_TOLERANCE_S} s at most)."
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [part.removeprefix("v1,") for part in signature.split(" ") if part.startswith("v1,")]
    if any(hmac.compare_digest(wanted.encode(), one.encode()) for one in given):
        return ""
    return "No signature fits this secret, id, timestamp and body (the raw bytes as they came)."
