"""Webhook signatures by the Standard Webhooks specification (v1, symmetric)."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from secrets import token_bytes

from standardwebhooks.webhooks import Webhook

#: 24 to 64 bytes are allowed; the specification recommends at least 192 bits.
_SECRET_BYTES = 32


def new_secret() -> str:
    """A new signing secret, as both sides keep it: `whsec_` and base 64."""
    return "whsec_" + base64.b64encode(token_bytes(_SECRET_BYTES)).decode()


def headers(*, secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The three headers that a receiver verifies; with several secrets, a signature by each, so that one may change."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(each).sign(message_id, at, body.decode()) for each in secrets),
    }
