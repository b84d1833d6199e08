"""Whole indicators of ours, as a publisher would write them: for tests, benchmarks and the documentation."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from indicators.stix import tlp, vocabulary

Stix = dict[str, Any]

_EPOCH = "2026q4"


def token(value: str) -> Stix:
    """A token property; `value` is 64 hexadecimal digits."""
    return {"scheme": "hmac-sha256", "key_epoch": _EPOCH, "norm_version": "1", "value": value}


def account_pattern(subkind: str = "email", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """An account pattern; `carrier` is what it matches on, by default a random token."""
    return _indicator("account-pattern", subkind, carrier, {"entry_program": "api"}, **more)


def payment_fingerprint(subkind: str = "pan_token", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """A payment fingerprint."""
    own = {"instrument": "virtual_card", "accounts_per_instrument": "10^2"}
    return _indicator("payment-fingerprint", subkind, carrier, own, **more)


def prompt_signature(subkind: str = "skeleton", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """A prompt signature."""
    return _indicator("prompt-signature", subkind, carrier, {"elicitation": "cot", "languages": ["en"]}, **more)


def _indicator(
    kind: str,
    subkind: str,
    carrier: Mapping[str, Any] | None,
    own: Mapping[str, Any],
    *,
    at: datetime | None = None,
    valid_for: timedelta = timedelta(days=7),
    tlp_word: str | None = None,
    **properties: Any,
) -> Stix:
    moment = (at or datetime.now(tz=UTC)).replace(microsecond=0)
    carried = dict(carrier) if carrier else {"token": token(uuid.uuid4().hex + uuid.uuid4().hex)}
    made: Stix = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": _stamp(moment),
        "modified": _stamp(moment),
        "name": f"{kind}: {subkind}",
        "pattern": _pattern(carried),
        "pattern_type": "stix",
        "valid_from": _stamp(moment),
        "valid_until": _stamp(moment + valid_for),
        "confidence": 80,
        "extensions": {
            vocabulary.EXTENSION_ID: {
                "extension_type": "property-extension",
                "kind": kind,
                "subkind": subkind,
                "schema_version": "1",
                **carried,
                "severity": "high",
                "control": "actor_controlled",
                "review": "one_analyst",
                "publisher_action": "suspended",
                "attribution": "named",
                **own,
            }
        },
    }
    if tlp_word:
        made["object_marking_refs"] = [tlp.ID_OF[tlp_word]]
    return made | properties


def _pattern(carried: Mapping[str, Any]) -> str:
    value = carried["token"]["value"] if "token" in carried else carried.get("value", "see-extension")
    return f"[{vocabulary.TOKEN_TYPE}:value = '{value}']"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
