"""From a finding to the STIX indicator that a lab publishes. The secret itself never leaves: only its token does."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.simulate.world import Finding
from exchange.stix import words
from exchange.stix.patterns import pattern_of
from exchange.stix.words import EXTENSION_ID

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
        carried: dict[str, Any] = {"value": finding.secret, "shared_infra": "vpn"}
    else:
        value = token(finding.secret, domain=finding.subkind, epoch_key=epoch_key)
        epoch = f"ring-{moment.year}q{(moment.month + 2) // 3}-1"
        of_token = {"scheme": words.GROUP_KEY, "key_epoch": epoch, "norm_version": words.NORM_VERSION, "value": value}
        carried = {"tokens": [of_token]}
    own: dict[str, Any] = _OWN.get(finding.kind) or {"elicitation": finding.elicitation or "other", "languages": ["en"]}
    extension = {
        "extension_type": "property-extension",
        "kind": finding.kind,
        "subkind": finding.subkind,
        "schema_version": words.SCHEMA_VERSION,
        **carried,
        **own,
    }
    pattern, pattern_type = pattern_of(extension)
    hour = moment.replace(minute=0, second=0)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created_by_ref": identity_id,
        "created": _stamp(moment),
        "modified": _stamp(moment),
        "name": f"{finding.kind}: {finding.subkind}",
        "pattern": pattern,
        "pattern_type": pattern_type,
        "valid_from": _stamp(moment),
        "valid_until": _stamp(until),
        "confidence": finding.confidence,
        "object_marking_refs": [_AMBER],
        "extensions": {
            EXTENSION_ID: {
                **extension,
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
