"""What may leave a lab, asked of every byte that it sent: tokens, pseudonyms and powers of two."""

from __future__ import annotations

import json
import re
import uuid

import polars as pl

from exchange.lab import rounds
from exchange.tokens import prevalence

_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


def raw_values(said: bytes, frame: pl.DataFrame) -> dict[str, list[str]]:
    """Values of a lab's accounts that are among these bytes, by column."""
    text = said.decode()
    beginnings = {text[place : place + 6] for place in range(len(text))}

    def left(raw: pl.Series) -> list[str]:
        assert min(raw.drop_nulls().str.len_bytes()) >= 6
        return [one for one in raw.drop_nulls() if one[:6] in beginnings and one in text]

    assert left(pl.Series([text[100:140]]))
    found = {column: left(frame[column]) for column in ("account", "email", "payment", "device")}
    found["addresses"] = left(frame["addresses"].explode(empty_as_null=True))
    return {column: values for column, values in found.items() if values}


def tokens_of(method: str, body: bytes) -> tuple[list[dict], list[str]]:
    """Tokens and pseudonyms of one request of a lab; fails where a line holds anything else."""
    tokens, accounts = [], []
    for line in body.splitlines():
        one = json.loads(line)
        assert method == "POST"
        if "token" in one:
            assert set(one) == {"token", "holders", "suspects"}
            assert prevalence.is_bucket(one["holders"])
            assert prevalence.is_bucket(one["suspects"])
            tokens.append(one["token"])
        elif "gone" in one:
            assert set(one) == {"account", "gone"}
        else:
            assert set(one) == {"account", "tokens", "basis", "publisher_action", "until"}
            assert one["basis"] in {"own_flag", "scored"}
            assert one["until"].endswith("T00:00:00Z")
            assert 1 <= len(one["tokens"]) <= rounds.MOST_TOKENS
            tokens += one["tokens"]
        if "account" in one:
            assert uuid.UUID(one["account"]).version == 4
            accounts.append(one["account"])
    for token in tokens:
        assert set(token) <= {"subkind", "scheme", "key_epoch", "value", "psp_scope", "wide"}
        assert _HEXADECIMAL.fullmatch(token["value"])
        assert ("psp_scope" in token) is (token["subkind"] == "psp_fp")
    return tokens, accounts
