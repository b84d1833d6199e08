"""A filter between two programs: a line in, a verdict out. No value is written that was not read."""

from __future__ import annotations

import json
from typing import Any

from exchange.agent.blocklist import Blocklist
from exchange.agent.sidecar import document


def answer(blocklist: Blocklist, line: str, *, timeout_s: float = 0.0) -> dict[str, Any]:
    """The verdict over one line: `KIND TAB VALUE`, {"kind", "value"}, or {"prompt"}; or what is wrong with it."""
    text = line.rstrip("\r\n")
    if text.startswith("{"):
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return {"error": "the line is not JSON"}
        if isinstance(said.get("prompt"), str):
            met = blocklist.check_prompt(said["prompt"], timeout_s=timeout_s)
            return {**document(met.verdict), "signatures": [list(each) for each in met.signatures]}
        kind, value = said.get("kind"), said.get("value")
    else:
        kind, tab, value = text.partition("\t")
        if not tab:
            return {"error": "a line is a kind, a tab and a value"}
    if not isinstance(kind, str) or not isinstance(value, str):
        return {"error": "kind and value are texts"}
    try:
        return {"kind": kind, "value": value, **document(blocklist.check(kind, value, timeout_s=timeout_s))}
    except KeyError:
        return {"error": "kind is the subkind of a value, such as email, net or par; account with [suspects]"}
