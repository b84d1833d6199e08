"""Where the list goes: files, Redis or Valkey, a PostgreSQL table, a webhook.

An output is told of differences: what came, what changed, what went. What it was told is kept beside it and noted only
after it took it, so whatever is interrupted is told again, and telling twice changes nothing. Before it is told, it is
noted of what: of this it may have taken a part, so that it is told again, or taken out, whatever the list says then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import httpx

from exchange.agent import output
from exchange.client.errors import Unusable
from exchange.lists import formats
from exchange.lists.lines import Line, Said
from exchange.lists.lines import of as lines_of

_AT_ONCE = 1_000
_TIMEOUT_S = 30  # of a server that does not answer, or a table that another holds
_UNKNOWN = b""  # the digest of what an output may have or not
_CREDENTIALS = re.compile(r"(?<=://)[^/]*@|\b(user|password)=('[^']*'|\S+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list: its name, by which it replaces an older one, and its content as JSON."""

    name: str
    document: str


class Failed(Exception):
    """The output did not take it; it is told again."""


class Sink(Protocol):
    """An output that is told of differences. `place` is where it is, without who asks there."""

    kind: ClassVar[str]

    @property
    def place(self) -> str:
        """Another place knows nothing of what this one was told."""

    def tell(self, put: Sequence[Entry], gone: Sequence[str], about: Mapping[str, Any]) -> None:
        """Take these in and those out; `about` says where the list stands. Raises Failed."""


@dataclass(slots=True)
class File:
    """A file in one of the formats of lists, replaced at once."""

    kind: ClassVar[str] = "file"
    path: Path
    form: str = "text"

    def write(self, said: Iterable[Said]) -> bool:
        """Whether it changed."""
        rendered = output.render(said, form=formats.ALIASES.get(self.form, self.form))
        if output.holds(self.path, rendered.content):
            return False
        output.replace(self.path, rendered.content)
        return True


@dataclass(slots=True)
class Redis:
    """A hash per subkind, `PREFIX:SUBKIND`, of values with what is said of them as JSON; and `PREFIX:about`."""

    kind: ClassVar[str] = "redis"
    url: str
    prefix: str = "exchange:blocklist"

    @property
    def place(self) -> str:
        """The server and the prefix."""
        return f"{_CREDENTIALS.sub('', self.url)} {self.prefix}"

    def tell(self, put: Sequence[Entry], gone: Sequence[str], about: Mapping[str, Any]) -> None:
        """In one MULTI."""
        try:
            import redis  # noqa: PLC0415 - installed by who uses it
        except ImportError:
            raise Unusable("The output redis needs its client: pip install '.[redis]' in a checkout.") from None
        try:
            with (
                closing(redis.Redis.from_url(self.url, socket_timeout=_TIMEOUT_S)) as server,
                server.pipeline(transaction=True) as pipe,
            ):
                for one in put:
                    document = json.loads(one.document)
                    pipe.hset(f"{self.prefix}:{document['subkind']}", document["value"], one.document)
                for name in gone:
                    subkind, value = _parts(name)
                    pipe.hdel(f"{self.prefix}:{subkind}", value)
                pipe.set(f"{self.prefix}:about", json.dumps(dict(about)))
                pipe.execute()
        except redis.RedisError as error:
            raise Failed(f"redis: {error}") from error


@dataclass(slots=True)
class Postgres:
    """A table with a row for each value, made if it is not there; changed in one transaction."""

    kind: ClassVar[str] = "postgres"
    dsn: str
    table: str = "exchange_blocklist"

    @property
    def place(self) -> str:
        """The database and the table."""
        return f"{_CREDENTIALS.sub('', self.dsn)} {self.table}"

    def tell(self, put: Sequence[Entry], gone: Sequence[str], about: Mapping[str, Any]) -> None:
        """In one transaction with a row in TABLE_about."""
        try:
            import psycopg  # noqa: PLC0415 - installed by who uses it
            from psycopg import conninfo, sql  # noqa: PLC0415
        except ImportError:
            raise Unusable("The output postgres needs its client: pip install '.[postgres]' in a checkout.") from None
        try:
            conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:  # whose words repeat what is wrong, with the password in it
            raise Failed("postgres: dsn is no address of a database (postgresql://… or host=… dbname=…).") from None
        names = {"table": sql.Identifier(self.table), "about": sql.Identifier(f"{self.table}_about")}
        try:
            with psycopg.connect(self.dsn, connect_timeout=_TIMEOUT_S) as connection, connection.cursor() as cursor:
                cursor.execute(_BOUNDS)
                cursor.execute(sql.SQL(_TABLES).format(**names))
                documents = [json.loads(one.document) for one in put]
                rows = [(each["subkind"], each["value"], json.dumps(each)) for each in documents]
                cursor.executemany(sql.SQL(_PUT).format(**names), rows)
                cursor.executemany(sql.SQL(_GONE).format(**names), [_parts(name) for name in gone])
                cursor.execute(sql.SQL(_ABOUT).format(**names), [json.dumps(dict(about))])
        except psycopg.Error as error:
            raise Failed(f"postgres: {error}") from error


_BOUNDS = f"SET LOCAL lock_timeout = '{_TIMEOUT_S}s'; SET LOCAL statement_timeout = '{_TIMEOUT_S}s'"
_TABLES = """
CREATE TABLE IF NOT EXISTS {table} (subkind text, value text, said jsonb NOT NULL, PRIMARY KEY (subkind, value));
CREATE TABLE IF NOT EXISTS {about} (one boolean PRIMARY KEY DEFAULT true CHECK (one), said jsonb NOT NULL);
"""
_PUT = "INSERT INTO {table} VALUES (%s, %s, %s) ON CONFLICT (subkind, value) DO UPDATE SET said = excluded.said"
_GONE = "DELETE FROM {table} WHERE subkind = %s AND value = %s"
_ABOUT = "INSERT INTO {about} (said) VALUES (%s) ON CONFLICT (one) DO UPDATE SET said = excluded.said"


@dataclass(slots=True)
class Webhook:
    """An address of one's own that is posted the differences, signed by Standard Webhooks if there is a secret."""

    kind: ClassVar[str] = "webhook"
    url: str
    secret: str = ""
    timeout_s: float = 10

    @property
    def place(self) -> str:
        """The address."""
        return _CREDENTIALS.sub("", self.url)

    def tell(self, put: Sequence[Entry], gone: Sequence[str], about: Mapping[str, Any]) -> None:
        """In messages of at most a thousand entries; removals first."""
        gone, put = list(gone), list(put)
        while gone or put:
            some, gone = gone[:_AT_ONCE], gone[_AT_ONCE:]
            more = _AT_ONCE - len(some)
            added, put = put[:more], put[more:]
            removed = [dict(zip(("subkind", "value"), _parts(name), strict=True)) for name in some]
            said = {"removed": removed, "put": [json.loads(one.document) for one in added], "about": dict(about)}
            self._post(json.dumps({"type": "blocklist.changed", "data": said}).encode())

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        if self.secret:
            name, moment = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
            key = base64.b64decode(self.secret.removeprefix("whsec_"))
            signed = hmac.digest(key, f"{name}.{moment}.".encode() + body, hashlib.sha256)
            headers |= {"webhook-id": name, "webhook-timestamp": moment}
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=self.timeout_s)
        except httpx.HTTPError as error:
            raise Failed(f"webhook: {error}") from error
        if not answer.is_success:
            raise Failed(f"webhook: answered {answer.status_code}")


class Told:
    """What each output was last told, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS told (output TEXT, name TEXT, digest BLOB, PRIMARY KEY (output, name))"
            " WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS place (output TEXT PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def bring(self, name: str, sink: Sink, entries: Iterable[Entry], about: Mapping[str, Any]) -> tuple[int, int]:
        """Tell an output what differs from what it was told; how much came or changed, and how much went."""
        key = self._place(name, sink.place)
        before: dict[str, bytes] = dict(self._db.execute("SELECT name, digest FROM told WHERE output = ?", [key]))
        put: list[tuple[Entry, bytes]] = []
        for one in entries:
            digest = _digest(one.document)
            if before.pop(one.name, None) != digest:
                put.append((one, digest))
        gone = sorted(before)
        if put or gone:
            names = [*(one.name for one, _ in put), *gone]
            self._note(key, ((each, _UNKNOWN) for each in names))
            sink.tell([one for one, _ in put], gone, about)
            self._note(key, ((one.name, digest) for one, digest in put), gone=gone)
        return len(put), len(gone)

    def _note(self, key: str, rows: Iterable[tuple[str, bytes]], *, gone: Iterable[str] = ()) -> None:
        with self._transaction():
            self._db.executemany("DELETE FROM told WHERE output = ? AND name = ?", ((key, each) for each in gone))
            self._db.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", ((key, *row) for row in rows))

    def _place(self, name: str, place: str) -> str:
        """The key of what was told there. A place that is new here may have, or not, what any output was ever told."""
        key = _digest(place).hex()
        if self._db.execute("SELECT 1 FROM place WHERE output = ?", [key]).fetchone() is None:
            with self._transaction():
                self._db.execute("INSERT OR IGNORE INTO told SELECT ?, name, ? FROM told", [key, _UNKNOWN])
                self._db.execute("DELETE FROM told WHERE output = ?", [name])  # as older agents noted it
                self._db.execute("INSERT INTO place VALUES (?)", [key])
        return key

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def entries(said: Iterable[Said]) -> Iterator[Entry]:
    """The lines of a list as entries; a value that is not plain is none."""
    for line in lines_of(said):
        if formats.is_plain(line):
            yield Entry(f"{line.subkind}\0{line.value}", json.dumps(_document(line), ensure_ascii=False))


def _document(line: Line) -> dict[str, Any]:
    said = {name: getattr(line, name) for name in formats.HEADER}
    return said | {"valid_until": line.valid_until.isoformat() if line.valid_until else None}


def _parts(name: str) -> tuple[str, str]:
    subkind, _, value = name.partition("\0")
    return subkind, value


def secret(said: Mapping[str, Any], *, beside: Path) -> str:
    """A secret of an output: from the environment or a file, never from the configuration itself."""
    if variable := said.get("secret_env"):
        return os.environ.get(str(variable), "")
    if file := said.get("secret_file"):
        try:
            return (beside / str(file)).read_text().strip()
        except OSError as error:
            raise Unusable(f"{file}: {error.strerror}") from error
    return ""
