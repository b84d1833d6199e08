"""Whole indicators of version 1 of our extension, as publishers wrote them."""

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
    """An account pattern; `carrier` is what it matches on, by default a random token, or an example."""
    return _indicator("account-pattern", subkind, carrier, {"entry_program": "api"}, **more)


def payment_fingerprint(subkind: str = "pan_token", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """A payment fingerprint."""
    own = {"instrument": "virtual_card", "accounts_per_instrument": "10^2"}
    if subkind == "psp_fp":
        own["psp_scope"] = "example-psp/merchant-7"
    return _indicator("payment-fingerprint", subkind, carrier, own, **more)


def prompt_signature(subkind: str = "skeleton", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """A prompt signature."""
    return _indicator("prompt-signature", subkind, carrier, {"elicitation": "cot", "languages": ["en"]}, **more)


_NOVA = """rule StepByStepTransfer
{
    keywords:
        $steps = "show every step of your reasoning"
        $format = /answer:\\s*<[a-z_]+>/i
    condition:
        keywords.$steps and keywords.$format
}"""

#: An example of what each subkind carries; those that are not listed carry a token.
_CARRIERS: dict[str, Stix] = {
    "email_domain": {"value": "quick-signup.example"},
    "net": {"value": "198.51.100.7/32"},
    "client_fp": {"value": "t13d1516h2_8daaf6152771_b186095e22b6"},
    "gateway_host": {"value": "relay.reseller.example"},
    "cluster_rule": {
        "rule": {
            "all": [
                {"feature": "sync_score", "op": ">=", "value": 0.9},
                {"feature": "accounts_per_token", "op": ">", "value": 20},
                {"feature": "geo_mismatch", "op": "=", "value": True},
            ]
        }
    },
    "crypto_addr": {"value": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"},
    "bin_range": {"value": "411111-411119"},
    "billing_rule": {"rule": {"all": [{"feature": "decline_ratio", "op": ">", "value": 0.6}]}},
    "minhash": {"signature": {"minhash": [(place * 2654435761 + 97) % 2**32 for place in range(128)]}},
    "regex": {"signature": {"regex": "(?i)show every step of your reasoning, then answer: <[a-z_]+>"}},
    "nova_rule": {"signature": {"nova": _NOVA}},
    "feature_rule": {"rule": {"all": [{"feature": "rotation_rate", "op": ">=", "value": 5}]}},
}


def _indicator(
    kind: str,
    subkind: str,
    carrier: Mapping[str, Any] | None,
    own: Mapping[str, Any],
    *,
    at: datetime | None = None,
    valid_for: timedelta = timedelta(days=7),
    tlp_word: str | None = None,
    extension: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Stix:
    moment = (at or datetime.now(tz=UTC)).replace(microsecond=0)
    carried = dict(carrier or _CARRIERS.get(subkind) or {"token": token(uuid.uuid4().hex + uuid.uuid4().hex)})
    pattern, pattern_type = _pattern(subkind, carried)
    made: Stix = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": _stamp(moment),
        "modified": _stamp(moment),
        "name": f"{kind}: {subkind}",
        "pattern": pattern,
        "pattern_type": pattern_type,
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
                **(extension or {}),
            }
        },
    }
    if tlp_word:
        made["object_marking_refs"] = [tlp.ID_OF[tlp_word]]
    return made | properties


def _pattern(subkind: str, carried: Mapping[str, Any]) -> tuple[str, str]:
    """What a STIX indicator must have besides our extension, for readers that know only STIX."""
    if "token" in carried:
        return f"[{vocabulary.TOKEN_TYPE}:value = '{carried['token']['value']}']", "stix"
    value = carried.get("value", "")
    if subkind in {"email_domain", "gateway_host"}:
        return f"[domain-name:value = '{value}']", "stix"
    if subkind == "net" and not value.startswith("as"):
        return f"[ipv{6 if ':' in value else 4}-addr:value = '{value}']", "stix"
    signature = carried.get("signature", {})
    if "regex" in signature:
        return signature["regex"], "re2"
    if "nova" in signature:
        return signature["nova"], "nova"
    return f"{subkind}: see the extension", "x-exchange"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
