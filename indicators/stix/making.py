"""Whole indicators of ours, as a publisher would write them: for tests, benchmarks and the documentation."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.stix import words
from exchange.stix.patterns import pattern_of
from exchange.tokens import epochs
from indicators.stix import tlp, vocabulary

Stix = dict[str, Any]


def token(value: str, *, at: datetime | None = None) -> Stix:
    """A token property, under the key of a moment, by default of now; `value` is 64 hexadecimal digits."""
    epoch = epochs.quarter_of(at or datetime.now(UTC))
    return {"scheme": "hmac-sha256", "key_epoch": epoch, "norm_version": words.NORM_VERSION, "value": value}


def account_pattern(subkind: str = "email", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """An account pattern; `carrier` is what it matches on, by default a random token, or an example.

    `{"token": …}` stands for a list of this one.
    """
    own = {"entry_program": "api"} | ({"shared_infra": "none"} if subkind == "net" else {})
    return _indicator("account-pattern", subkind, carrier, own, **more)


def payment_fingerprint(subkind: str = "pan_token", *, carrier: Mapping[str, Any] | None = None, **more: Any) -> Stix:
    """A payment fingerprint."""
    own = {"instrument": "virtual_card", "accounts_per_instrument": "10^2"}
    if subkind == "psp_fp":
        own["psp_scope"] = "6f1ed002ab5595859014ebf0951522d9"
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
    drawn = token(uuid.uuid4().hex + uuid.uuid4().hex, at=moment)
    carried = dict(carrier or _CARRIERS.get(subkind) or {"token": drawn})
    if "token" in carried:
        carried["tokens"] = [carried.pop("token")]
    said = {"kind": kind, "subkind": subkind, "schema_version": words.SCHEMA_VERSION, **carried}
    said |= {**_JUDGED, **own, **(extension or {})}
    pattern, pattern_type = _pattern(said)
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
                **said,
            }
        },
    }
    if tlp_word:
        made["object_marking_refs"] = [tlp.ID_OF[tlp_word]]
    return made | properties


_JUDGED = {
    "severity": "high",
    "control": "actor_controlled",
    "review": "one_analyst",
    "publisher_action": "suspended",
    "attribution": "named",
}


def _pattern(extension: Stix) -> tuple[str, str]:
    """What follows from the extension; of a wrong one, as tests make them, something that can be read."""
    try:
        return pattern_of(extension)
    except (AttributeError, KeyError, TypeError, ValueError):
        return f"[{vocabulary.TOKEN_TYPE}:value = 'none']", "stix"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
