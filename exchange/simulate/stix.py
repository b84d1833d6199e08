"""From findings to the STIX indicators that a lab publishes: by the tokeniser and the builders that every lab has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from exchange.client import build
from exchange.client.tokenising import Tokeniser
from exchange.simulate.world import Finding
from exchange.stix import words

_FRAMES = {"net": build.Frame(valid_for=timedelta(days=6))}
_OWN: dict[str, dict[str, Any]] = {
    "account-pattern": {"entry_program": "api", "severity": "medium"},
    "payment-fingerprint": {"instrument": "virtual_card", "accounts_per_instrument": "10^1", "severity": "high"},
    "prompt-signature": {"languages": ["en"], "severity": "high"},
}


def indicators(tokeniser: Tokeniser, findings: Sequence[Finding], *, identity_id: str) -> list[Any]:
    """Complete indicators of what one lab found in one step, tokenised together by subkind; a prompt has several."""
    found: list[Any] = []
    for subkind in dict.fromkeys(one.subkind for one in findings):
        found += _of_subkind(tokeniser, subkind, [one for one in findings if one.subkind == subkind], identity_id)
    return found


def _of_subkind(tokeniser: Tokeniser, subkind: str, findings: Sequence[Finding], identity_id: str) -> Iterator[Any]:
    if subkind not in words.TOKENISED:
        for one in findings:
            yield from build.net(one.secret, frame=_FRAMES["net"], shared_infra="vpn", **_said(one, identity_id))
        return
    for one, tokenised in zip(findings, tokeniser.tokenise(subkind, [each.secret for each in findings]), strict=True):
        for tokens in build.token_sets(subkind, tokenised):
            yield build.of_tokens(subkind, tokens, **_said(one, identity_id))


def _said(finding: Finding, identity_id: str) -> dict[str, Any]:
    """What an indicator of a finding says besides."""
    said = _OWN[finding.kind] | ({"elicitation": finding.elicitation} if finding.elicitation else {})
    return said | {
        "created_by_ref": identity_id,
        "confidence": finding.confidence,
        "control": "reseller_pool",
        "volume_bucket": "10^3",
        "publisher_action": "suspended" if finding.confidence > 75 else "observed",
        "techniques": ["AML.T0024.002"],
    }
