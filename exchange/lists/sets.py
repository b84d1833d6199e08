"""The set hash: 32 bytes that two sides compute of the same set, in any order, and keep while the set changes.

Each held object is one element, a number below 2^256: HMAC-SHA-256 under a random key of one feed and subscriber. The
hash is the sum of the elements mod 2^256, so that adding and taking away cost one HMAC. The key is what keeps a
publisher from making two sets of one hash: without it, sums of hashes are open to the generalised birthday attack
(Wagner, CRYPTO 2002). Protocol and vectors: exchange/docs/delta.md, delta-vectors.json.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

#: Begins the input of each element.
_DOMAIN = b"exchange-set-v1"
_MODULUS = 1 << 256
KEY_BYTES = 32


def element(key: bytes, *, source: str, stix_id: str, sha256: str, end: str) -> int:
    """The number of one held object. `sha256` is that of its bytes, in hexadecimal digits; `end` as `moment` writes it.

    None of them may hold NUL, which parts them.
    """
    parts = (source, stix_id, sha256, end)
    if any("\0" in part for part in parts):
        raise ValueError("an element's parts hold no NUL")
    message = b"\0".join((_DOMAIN, *(part.encode() for part in parts)))
    return int.from_bytes(hmac.digest(key, message, "sha256"))


def moment(at: datetime | str | None) -> str:
    """The end of validity as it goes into an element: UTC, six digits, `Z`; "" where there is none."""
    if not at:
        return ""
    parsed = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{parsed.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


@dataclass(slots=True)
class SetHash:
    """How many elements a set has, and their sum mod 2^256."""

    count: int = 0
    total: int = 0

    def add(self, number: int) -> None:
        """Take an element in."""
        self.count += 1
        self.total = (self.total + number) % _MODULUS

    def drop(self, number: int) -> None:
        """Take an element out that is in."""
        self.count -= 1
        self.total = (self.total - number) % _MODULUS

    @property
    def hex(self) -> str:
        """64 lower-case hexadecimal digits."""
        return f"{self.total:064x}"

    @classmethod
    def read(cls, count: int, written: str) -> SetHash:
        """A hash as `hex` wrote it."""
        return cls(count, int(written, 16) % _MODULUS)
