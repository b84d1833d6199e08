"""Ids as holdings are found by, and ids of cyber-observables that follow from what they say (STIX 2.1 §2.9).

Two producers of one fact give it one id by that.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
#: An id as it may be written: a type, `--` and a UUID (§2.9).
ID = re.compile(rf"[a-z0-9][a-z0-9_-]{{1,248}}[a-z0-9]--{_UUID}")
#: The id of a marking definition.
MARKING = re.compile(rf"marking-definition--{_UUID}")
_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")


def folded(stix_id: str) -> str:
    """An id as its holdings are found by: a UUID in capitals is the same UUID (RFC 9562 §4)."""
    return stix_id.lower()


def canonical(stix_ids: Iterable[str]) -> list[str]:
    """The same for several, each once."""
    return list(dict.fromkeys(map(folded, stix_ids)))


def deterministic(stix_type: str, contributing: Mapping[str, Any]) -> str:
    """The id that follows from the contributing properties: UUIDv5 over their RFC 8785 form.

    Values are strings, or objects of strings, with ASCII keys: for these, sorted compact JSON is the canonical form.
    """
    name = orjson.dumps(contributing, option=orjson.OPT_SORT_KEYS).decode()
    return f"{stix_type}--{uuid.uuid5(_NAMESPACE, name)}"
