"""What a lab keeps beside its tokens, sealed: made tokens, so that none is asked for twice, and what it published.

One SQLite file. Names are keyed hashes and contents are sealed (XSalsa20-Poly1305, by PyNaCl) under a key in a file
beside it that its owner alone may read: the file of tokens alone tells nothing.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path
from typing import Any, Self

import nacl.encoding
import nacl.exceptions
import nacl.hash
import nacl.secret
import nacl.utils

from exchange.client.errors import Unusable


def state_dir() -> Path:
    """Where a partner's own files lie: EXCHANGE_STATE_DIR, else `~/.local/share/exchange`."""
    return Path(os.environ.get("EXCHANGE_STATE_DIR") or "~/.local/share/exchange").expanduser()


_TABLES = """
CREATE TABLE IF NOT EXISTS token (name BLOB PRIMARY KEY, sealed BLOB NOT NULL, ends TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS published (name BLOB PRIMARY KEY, sealed BLOB NOT NULL, ends TEXT NOT NULL) WITHOUT ROWID;
"""
_AT_ONCE = 500
#: So many are one transaction: a disk takes some milliseconds for each.
_WRITTEN_AT_ONCE = 5_000


class Kept:
    """The sealed file; safe to use from several threads of one process."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_dir() / "tokens.db"
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = _key(self.path.with_suffix(".key"))
        self._names, self._box = nacl.hash.blake2b(key, digest_size=32, encoder=_RAW), nacl.secret.SecretBox(key)
        self._lock = threading.Lock()
        try:
            self._store = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
            self.path.chmod(0o600)
            self._store.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise Unusable(f"{self.path}: is no file of kept tokens") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._store.close()

    def tokens(self, epoch: str, inputs: Sequence[bytes]) -> dict[bytes, bytes]:
        """The token values that are kept, by input bytes."""
        names = {self._name(epoch, one): one for one in inputs}
        found: dict[bytes, bytes] = {}
        for some in _parts(list(names)):
            marks = ",".join("?" * len(some))
            with self._lock:
                rows = self._store.execute(f"SELECT name, sealed FROM token WHERE name IN ({marks})", some).fetchall()
            found |= {names[name]: self._open(sealed) for name, sealed in rows}
        return found

    def keep_tokens(self, epoch: str, made: Mapping[bytes, bytes], *, ends: datetime) -> None:
        """Keep token values by input bytes, until their epoch's key answers no more."""
        rows = [(self._name(epoch, one), bytes(self._box.encrypt(value)), _day(ends)) for one, value in made.items()]
        with self._lock, self._store:
            self._store.executemany("INSERT OR REPLACE INTO token VALUES (?, ?, ?)", rows)
            self._store.execute("DELETE FROM token WHERE ends < ?", [_day(datetime.now(UTC))])

    def publish(self, published: Iterable[tuple[str, Mapping[str, Any], datetime]]) -> None:
        """Keep what published indicators were made of: to make their tokens anew under the next key.

        Each by its id, with what it was made of and until when it is kept. Many are written to the disk at once.
        """
        rows = (
            (self._name("", stix_id.encode()), bytes(self._box.encrypt(json.dumps(document).encode())), _day(ends))
            for stix_id, document, ends in published
        )
        for some in batched(rows, _WRITTEN_AT_ONCE):
            with self._lock, self._store:
                self._store.executemany("INSERT OR REPLACE INTO published VALUES (?, ?, ?)", some)

    def published_as(self, stix_id: str) -> dict[str, Any] | None:
        """What was kept of one indicator; None of what is not known, or has ended and was forgotten."""
        with self._lock:
            row = self._store.execute(
                "SELECT sealed FROM published WHERE name = ?", [self._name("", stix_id.encode())]
            ).fetchone()
        found: dict[str, Any] | None = json.loads(self._open(row[0])) if row else None
        return found

    def uuid_of(self, said: str) -> uuid.UUID:
        """Always the same for the same text and this file's key; a random one to whoever has not the key."""
        return uuid.UUID(bytes=self._name("uuid", said.encode())[:16], version=4)

    def published(self) -> Iterator[dict[str, Any]]:
        """What was kept of indicators that have not ended."""
        with self._lock:
            rows = self._store.execute("SELECT sealed FROM published ORDER BY name").fetchall()
        for (sealed,) in rows:
            yield json.loads(self._open(sealed))

    def forget(self, stix_ids: Iterable[str]) -> None:
        """Keep no more of indicators that have ended."""
        with self._lock, self._store:
            self._store.executemany(
                "DELETE FROM published WHERE name = ?", [(self._name("", one.encode()),) for one in stix_ids]
            )

    def _name(self, epoch: str, value: bytes) -> bytes:
        named: bytes = nacl.hash.blake2b(epoch.encode() + b"\0" + value, key=self._names, encoder=_RAW)
        return named

    def _open(self, sealed: bytes) -> bytes:
        try:
            return self._box.decrypt(sealed)
        except nacl.exceptions.CryptoError as error:
            raise Unusable(f"{self.path}: was sealed with another key than the one beside it") from error


def sealed_box(path: Path) -> nacl.secret.SecretBox:
    """The box of a key file, made if new; for other files that a lab keeps."""
    return nacl.secret.SecretBox(_key(path))


def _key(path: Path) -> bytes:
    """32 random bytes in a file that its owner alone may read, made if new. Raises Unusable."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(nacl.utils.random(nacl.secret.SecretBox.KEY_SIZE))
    except FileExistsError:
        pass
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Unusable(f"{path} can be read by others: chmod 600 it.")
    key = path.read_bytes()
    if len(key) != nacl.secret.SecretBox.KEY_SIZE:
        raise Unusable(f"{path}: is no key")
    return key


def _parts(values: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


_RAW = nacl.encoding.RawEncoder
