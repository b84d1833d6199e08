"""The tables of what the agent holds, the statements that read and write them, and what a row says of an object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from exchange.agent.policy import UNKNOWN_PUBLISHER
from exchange.lists import sets
from exchange.lists.pages import is_text
from exchange.stix import words

#: Raised with every change of the tables; a store of another form is filled anew.
FORM = 4
_TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    publisher TEXT NOT NULL, stix_id TEXT NOT NULL, kind TEXT NOT NULL, subkind TEXT NOT NULL, scheme TEXT NOT NULL,
    key_epoch TEXT NOT NULL, value TEXT NOT NULL, publisher_name TEXT NOT NULL, named INTEGER NOT NULL,
    confidence INTEGER, valid_from TEXT, valid_until TEXT, kept INTEGER NOT NULL DEFAULT 0,
    control TEXT NOT NULL DEFAULT '', shared_infra TEXT NOT NULL DEFAULT '', review TEXT NOT NULL DEFAULT '',
    standing TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (publisher, stix_id, subkind, scheme, key_epoch, value)
) WITHOUT ROWID;
"""
_HELD = """
CREATE TABLE IF NOT EXISTS {name} (
    publisher TEXT NOT NULL, stix_id TEXT NOT NULL, sha256 TEXT NOT NULL, ends TEXT NOT NULL,
    publisher_name TEXT NOT NULL, named INTEGER NOT NULL, signature TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (publisher, stix_id)
) WITHOUT ROWID;
"""
SCHEMA = f"""
{_TABLE.format(name="entry")}
{_TABLE.format(name="fresh")}
{_HELD.format(name="held")}
{_HELD.format(name="fresh_held")}
CREATE INDEX IF NOT EXISTS held_signatures ON held (stix_id) WHERE signature <> '';
CREATE INDEX IF NOT EXISTS entry_by_beginning ON entry (valid_from) WHERE valid_from IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_by_value ON entry (value);
CREATE INDEX IF NOT EXISTS entry_by_id ON entry (stix_id);
CREATE INDEX IF NOT EXISTS entry_by_end ON entry (valid_until) WHERE valid_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_kept ON entry (publisher) WHERE kept;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {FORM};
"""
#: Whoever an entry came from whose publisher is not known: read from a list whose store was lost.
UNKNOWN = UNKNOWN_PUBLISHER
UNKNOWN_NAME = "unknown"


@dataclass(frozen=True, slots=True)
class Side:
    """The tables and the state of what is held now, or of a fill from the beginning."""

    entries: str
    held: str
    cursor: str
    sum: str


HELD_NOW = Side("entry", "held", "cursor", "sum")
FRESH = Side("fresh", "fresh_held", "fresh cursor", "fresh sum")


@dataclass(slots=True)
class Summed:
    """A set hash and the key under which it is made."""

    key: bytes
    of: sets.SetHash

    @classmethod
    def read(cls, stored: str) -> Self | None:
        """As it is kept in the state; None where no key is known yet."""
        if not stored:
            return None
        key, count, total = json.loads(stored)
        return cls(bytes.fromhex(key), sets.SetHash.read(count, total))

    def element(self, publisher: str, stix_id: str, sha256: str, end: str) -> int:
        """The number of one held object."""
        return sets.element(self.key, source=publisher, stix_id=stix_id, sha256=sha256, end=end)


@dataclass(frozen=True, slots=True)
class Facts:
    """What an indicator of ours says beside its values, as far as a policy asks for it. `signature` is JSON or ""."""

    control: str = ""
    shared_infra: str = ""
    review: str = ""
    signature: str = ""


def facts_of(change: Mapping[str, Any]) -> Facts:
    """Of what the exchange told; what is of another form than it should be says nothing."""
    said = change.get("object")
    extensions = said.get("extensions") if isinstance(said, Mapping) else None
    ours = extensions.get(words.EXTENSION_ID) if isinstance(extensions, Mapping) else None
    if not isinstance(said, Mapping) or not isinstance(ours, Mapping):
        return Facts()
    signature, (control, shared_infra, review) = "", (_text(ours, name) for name in FACTS_OF_POLICY)
    subkind, pattern = ours.get("subkind"), said.get("pattern")
    if subkind in words.SIGNATURES and is_text(pattern):
        until, begins = comparable(change.get("valid_until")), comparable(change.get("valid_from"))
        signature = json.dumps(
            [subkind, pattern, change.get("confidence"), begins, until, control, shared_infra, review]
        )
    return Facts(control, shared_infra, review, signature)


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    return found if is_text(found) else ""


COLUMNS = (
    "publisher, stix_id, kind, subkind, scheme, key_epoch, value, publisher_name, named, confidence, valid_from,"
    " valid_until"
)
#: The state that a fill from the beginning has of its own until it takes the place of what is held.
OWN_STATE = ("cursor", "sum", "standing")
FACTS_OF_POLICY = ("control", "shared_infra", "review")
FACTS = "control, shared_infra, review, standing"
#: At :now, and as sure as :floor.
IN_FORCE = (
    "(valid_from IS NULL OR valid_from <= :now) AND (valid_until IS NULL OR valid_until > :now)"
    " AND (:floor = 0 OR confidence >= :floor)"
)
#: Entries of objects that the fill from the beginning does not have.
MISSING = (
    "FROM entry WHERE CASE WHEN publisher = '' THEN value NOT IN (SELECT value FROM fresh) ELSE NOT EXISTS"
    " (SELECT 1 FROM fresh f WHERE f.publisher = entry.publisher AND f.stix_id = entry.stix_id) END"
)


def comparable(moment: str | None) -> str | None:
    """RFC 3339 as text that sorts by time."""
    return stamp(datetime.fromisoformat(moment)) if moment else None


def stamp(moment: datetime) -> str:
    """A moment as it is kept: text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
