"""From a finding to the STIX indicator that a lab publishes. The secret itself never leaves: only its token does."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.simulate.world import Finding

EXTENSION_ID = "extension-definition--433655db-7720-5ad0-91a4-c4555836d02f"
_AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"  # TLP 2.0: for the group that it is published to
_TTL = {"net": timedelta(days=6)}
_OWN: dict[str, dict[str, Any]] = {
    "account-pattern": {"entry_program": "api"},
    "payment-fingerprint": {"instrument": "virtual_card", "accounts_per_instrument": "10^1"},
}


def token(secret: str, *, domain: str, epoch_key: bytes) -> str:
    """HMAC-SHA-256 under a key that the circle holds: equal values match, and nobody outside can guess them back."""
    return hmac.digest(epoch_key, f"{domain}\0{secret}".encode(), hashlib.sha256).hex()


def indicator(finding: Finding, *, identity_id: str, epoch_key: bytes, now: datetime | None = None) -> dict[str, Any]:
    """A complete indicator of one of the three kinds."""
    moment = (now or datetime.now(tz=UTC)).replace(microsecond=0)
    until = moment + _TTL.get(finding.subkind, timedelta(days=30))
    if finding.subkind == "net":
        carried: dict[str, Any] = {"value": finding.secret}
        pattern = f"[ipv4-addr:value ISSUBSET '{finding.secret}']"
    else:
        value = token(finding.secret, domain=finding.subkind, epoch_key=epoch_key)
        carried = {"token": {"scheme": "hmac-sha256", "key_epoch": "demo", "norm_version": "1", "value": value}}
        pattern = f"[x-exchange-token:value = '{value}']"
    own: dict[str, Any] = _OWN.get(finding.kind) or {"elicitation": finding.elicitation or "other", "languages": ["en"]}
    hour = moment.replace(minute=0, second=0)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created_by_ref": identity_id,
        "created": _stamp(moment),
        "modified": _stamp(moment),
        "name": finding.title,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": _stamp(moment),
        "valid_until": _stamp(until),
        "confidence": finding.confidence,
        "object_marking_refs": [_AMBER],
        "extensions": {
            EXTENSION_ID: {
                "extension_type": "property-extension",
                "kind": finding.kind,
                "subkind": finding.subkind,
                "schema_version": "1",
                **carried,
                **own,
                "severity": "high" if finding.kind != "account-pattern" else "medium",
                "control": "reseller_pool",
                "first_seen": _stamp(hour),
                "last_seen": _stamp(hour),
                "volume_bucket": "10^3",
                "review": "machine",
                "publisher_action": "suspended" if finding.confidence > 75 else "observed",
                "techniques": ["AML.T0024.002"],
                "attribution": "named",
            }
        },
    }


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
