"""Public keys of the key service: believed only as leaves of the log, and only while they stay what they were.

So an exchange cannot show two labs two keys, which would tell their tokens apart: it would have to sign two logs, and
whoever compares heads sees that (docs: log.md). The first key of the log is taken on trust unless one is given.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.client import merkle, statements
from exchange.client.errors import Unusable

_VERB = "token-key.published"
#: Asked for the proof that the head of one size is extended by that of another.
Consistency = Callable[[int, int], Sequence[str]]


class KeyNotTrusted(Unusable):
    """A public key, or the log that it stands in, is not what was pinned; nothing was tokenised."""


class KeyNotYet(KeyNotTrusted):
    """A new key is in the log within a minute or two: whoever waits can go on then."""


@dataclass(slots=True)
class Pins:
    """What was believed before: keys of the log by id, the last head, public keys by kind and epoch."""

    log_keys: dict[str, str] = field(default_factory=dict)
    size: int = 0
    root: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Pins:
        """Those in a file; none where there is no file. Raises Unusable."""
        try:
            return cls(**json.loads(path.read_text())) if path.exists() else cls()
        except (OSError, ValueError, TypeError) as error:
            raise Unusable(f"{path}: is no file of pinned keys") from error

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        document = {"log_keys": self.log_keys, "size": self.size, "root": self.root, "keys": self.keys}
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(json.dumps(document, indent=1) + "\n")
        os.replace(beside, path)  # noqa: PTH105 - atomic, as Path.replace


def take_in(document: Mapping[str, Any], pins: Pins, *, consistency: Consistency | None = None) -> dict[str, bytes]:
    """Check an answer of `/tokens/keys` against the pins and add to them; the public keys by `kind epoch`.

    `consistency` is asked where the log has grown since. Raises KeyNotTrusted.
    """
    try:
        head = document["head"]
        if head is None:
            return {}
        _check_head(document, pins)
        _check_growth(head, pins, consistency)
        found = {f"{one['kind']} {one['epoch']}": _checked(one, head) for one in document["keys"] if _is_covered(one)}
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise KeyNotTrusted("The list of public keys is not what it should be.") from error
    for name, key in found.items():
        if pins.keys.setdefault(name, key.hex()) != key.hex():
            raise KeyNotTrusted(f"The exchange shows another key for {name} than the one that is pinned.")
    return found


def _check_head(document: Mapping[str, Any], pins: Pins) -> None:
    head = document["head"]
    shown = {one["id"]: one["public_key"] for one in document["log_keys"]}
    trusted = pins.log_keys or shown
    key = base64.b64decode(trusted.get(head["key"], ""), validate=True)
    if not key:
        raise KeyNotTrusted(
            "The log is signed by a key that is not pinned. For another exchange than before, such as a demo that was "
            "made anew, set EXCHANGE_STATE_DIR to a directory of its own. If this exchange announced a new key, and "
            f"{head['key']} is its id, delete pins.json there: what is shown then is pinned."
        )
    text = statements.head_text(size=head["size"], root=head["root"], at=head["at"])
    if statements.key_id(key) != head["key"] or not statements.is_signed(
        text, signature=head["signature"], public_key=key
    ):
        raise KeyNotTrusted("The head of the log is not signed by its key.")
    pins.log_keys.setdefault(head["key"], base64.b64encode(key).decode())


def _check_growth(head: Mapping[str, Any], pins: Pins, consistency: Consistency | None) -> None:
    size, root = int(head["size"]), str(head["root"])
    if size < pins.size or (size == pins.size and root != pins.root):
        raise KeyNotTrusted("The log is not the one that was seen before, or went back.")
    if 0 < pins.size < size and consistency is not None:
        proof = [bytes.fromhex(one) for one in consistency(pins.size, size)]
        roots = {"first_root": bytes.fromhex(pins.root), "second_root": bytes.fromhex(root)}
        if not merkle.extends(pins.size, size, proof=proof, **roots):
            raise KeyNotTrusted("The log does not extend the one that was seen before.")
    if consistency is not None or pins.size == 0:
        pins.size, pins.root = size, root


def _is_covered(one: Mapping[str, Any]) -> bool:
    return one["index"] is not None


def _checked(one: Mapping[str, Any], head: Mapping[str, Any]) -> bytes:
    entry = json.loads(one["entry"])
    details = {name: one[name] for name in ("kind", "epoch", "public_key")}
    leaf = merkle.leaf_hash(one["entry"].encode())
    proof = [bytes.fromhex(step) for step in one["proof"]]
    under = merkle.includes(leaf, one["index"], head["size"], proof=proof, root=bytes.fromhex(head["root"]))
    if entry["verb"] != _VERB or entry["partner"] is not None or entry["details"] != details or not under:
        raise KeyNotTrusted(f"The key for {one['kind']} {one['epoch']} is not in the log.")
    return bytes.fromhex(one["public_key"])
