"""Webhook signatures by the Standard Webhooks specification (v1, symmetric)."""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks.webhooks import Webhook

#: 24 to 64 bytes are allowed; the specification recommends at least 192 bits.
_SECRET_BYTES = 32


def new_secret() -> str:
    """A new signing secret, as both sides keep it: `whsec_` and base 64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def headers(*, secret: str, message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The three headers that a receiver verifies."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }
