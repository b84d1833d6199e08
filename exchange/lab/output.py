"""What leaves for the lab's own systems: suspects as a file that is replaced whole, or by a signed webhook."""

from __future__ import annotations

import base64
import csv
import hmac
import io
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from exchange.client.errors import Unreachable, Unusable
from exchange.lab.reasons import Explained, Explainer
from exchange.lab.state import State
from exchange.lab.transport import InCampaign

_COLUMNS = ("account", "score", "campaign", "grade", "reason")


class Form(StrEnum):
    """How suspects are written: text is one account a line."""

    JSONL = "jsonl"
    CSV = "csv"
    TEXT = "text"


def suspects(
    state: State, explainer: Explainer, campaigns: dict[str, InCampaign], *, one_labs_word: bool = False
) -> Iterator[dict[str, Any]]:
    """All suspects, or who is on one lab's word, with score, campaign and reason; the highest score first."""
    if explainer.scores.is_empty():
        return
    wanted = explainer.scores["one_word" if one_labs_word else "suspect"].to_numpy()
    total = explainer.scores["total"].to_numpy()
    some = np.flatnonzero(wanted)
    names = state.accounts["account"]
    pseudonyms = state.known_pseudonyms()
    for number in some[np.argsort(-total[some], kind="stable")].tolist():
        found = explainer.explain(number)
        yield entry(found, campaigns.get(pseudonyms.get(names[number], "")), one_labs_word=one_labs_word)


def entry(found: Explained, where: InCampaign | None, *, one_labs_word: bool) -> dict[str, Any]:
    """One suspect."""
    return {
        "account": found.account,
        "suspect": found.suspect,
        "score": found.total,
        "campaign": where.name if where else "",
        "grade": "one_labs_word" if one_labs_word else where.grade if where else "",
        "reason": found.sentence,
        "parts": [asdict(one) for one in found.reasons],
        "signatures": list(found.signatures),
    }


def write(some: Sequence[dict[str, Any]], path: Path, form: Form) -> None:
    """Write a file whole or not at all: readers see the old one or the new one. Raises Unusable."""
    text = rendered(some, form)
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def rendered(some: Iterable[dict[str, Any]], form: Form) -> str:
    """As text."""
    if form is Form.TEXT:
        return "".join(f"{one['account']}\n" for one in some)
    if form is Form.JSONL:
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in some)
    into = io.StringIO()
    writer = csv.DictWriter(into, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(some)
    return into.getvalue()


def post(url: str, secret: str, some: Sequence[dict[str, Any]]) -> None:
    """Tell a system of the lab's of new suspects, signed as Standard Webhooks has it. Raises Unreachable."""
    body = json.dumps({"type": "suspects.found", "suspects": list(some)}, ensure_ascii=False).encode()
    identity, moment = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    headers = {"content-type": "application/json", "webhook-id": identity, "webhook-timestamp": moment}
    if secret:
        signed = hmac.digest(_key(secret), b".".join((identity.encode(), moment.encode(), body)), "sha256")
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    try:
        httpx.post(url, content=body, headers=headers, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise Unreachable(f"{url}: {error}") from error


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise Unusable("The webhook's secret is whsec_ and base64.") from None


def secret_from(environment: str = "EXCHANGE_LAB_WEBHOOK_SECRET") -> str:
    """The webhook's secret; never an argument."""
    return os.environ.get(environment, "")
