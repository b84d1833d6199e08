"""The one way to PostgreSQL for SQL written by hand: psycopg's own cursors, prepared statements and pipeline.

Values are always bound by the server. Each query is prepared on its connection the first time; psycopg keeps count of
what is prepared and lets go of what was used longest ago (ADR 0025). What Django's ORM asks goes its own way, over the
same connection and in the same transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError, OperationalError, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.numeric import Int8Dumper

from exchange import pooling, trimming

Parameters = Mapping[str, Any] | Sequence[Any]

_AS_IT_IS: Mapping[str, str] = MappingProxyType({})
#: From this size on, what a message leaves behind in a connection is given back.
_LARGE_BYTES = 1_048_576
# PostgreSQL forgot the statement (DISCARD ALL), or a table that it reads was altered in between.
_STALE = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.FeatureNotSupported)


class Reply:
    """What one statement of a message was answered, once it is sent."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []


class Message:
    """Statements that are sent together and answered together: one round trip (libpq's pipeline).

    They are done in this order, in the transaction that is open; each sees what those before it did, and what others
    committed until it began.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Parameters, Reply]] = []

    def add(self, sql: str, parameters: Parameters = ()) -> Reply:
        """A statement, its parameters written `%s` or `%(name)s`; its reply is filled by `send`."""
        reply = Reply()
        self._waiting.append((sql, parameters, reply))
        return reply

    def send(self) -> None:
        """Have all that was added done. Without any, nothing is sent.

        Raises OperationalError where the server forgot what was prepared: it is to be tried again.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        lent = _lent()
        try:
            with lent.wrap_database_errors:
                with lent.connection.pipeline():
                    cursors = [_executed(lent, sql, parameters) for sql, parameters, _ in waiting]
                for cursor, (*_, reply) in zip(cursors, waiting, strict=True):
                    reply.rows = _fetched(cursor)
        except DatabaseError as error:
            raise _raised(lent, error) from error.__cause__
        _note(lent, "; ".join(sql for sql, *_ in waiting))
        _tidy(lent, sum(_size(parameters) for _, parameters, _ in waiting))


def ask(sql: str, parameters: Parameters = (), *, settings: Mapping[str, str] = _AS_IT_IS) -> list[tuple[Any, ...]]:
    """All rows of one query, in one round trip; of a mapping only the parameters that it names are sent.

    It is planned under these settings of the server, which hold for it alone.

    Raises OperationalError where the server forgot in a transaction what was prepared: it is to be tried again.
    """
    lent = _lent()
    try:
        found = _answered(lent, sql, parameters, settings)
    except _Stale:
        if lent.in_atomic_block:
            raise
        lent.close()  # what is prepared goes with it
        lent = _lent()
        found = _answered(lent, sql, parameters, settings)
    _note(lent, sql)
    _tidy(lent, _size(parameters))
    return found


def _answered(
    lent: BaseDatabaseWrapper, sql: str, parameters: Parameters, settings: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    try:
        with lent.wrap_database_errors:
            if not settings:
                return _fetched(_executed(lent, sql, parameters))
            own = lent.connection
            with own.pipeline():  # one transaction, if none is open
                _execute(_set(tuple(settings.items())), (), False, {"cursor": psycopg.RawCursor(own)})
                cursor = _executed(lent, sql, parameters, settings)
                if lent.in_atomic_block:  # which goes on, without them
                    _execute(_unset(tuple(settings)), (), False, {"cursor": psycopg.RawCursor(own)})
            return _fetched(cursor)
    except DatabaseError as error:
        raise _raised(lent, error) from error.__cause__


@lru_cache(maxsize=16)
def _set(settings: tuple[tuple[str, str], ...]) -> str:
    """Sets these to the end of the transaction; names and values are constants of ours."""
    return f"SELECT {', '.join(f"set_config('{name}', '{value}', true)" for name, value in settings)}"


@lru_cache(maxsize=16)
def _unset(names: tuple[str, ...]) -> str:
    """Sets these to what they are by default, as SET LOCAL … TO DEFAULT does."""
    return f"SELECT {', '.join(f"set_config('{name}', NULL, true)" for name in names)}"


class _Stale(OperationalError):
    """What was prepared on this connection is worth nothing any more."""


def _raised(lent: BaseDatabaseWrapper, error: DatabaseError) -> DatabaseError:
    if not isinstance(error.__cause__, _STALE):
        return error
    pooling.retire(lent)
    return _Stale("a prepared statement is stale")


_where: ContextVar[str] = ContextVar("exchange-sql-where", default="default")


@contextmanager
def on(alias: str) -> Iterator[None]:
    """Ask another store of DATABASES meanwhile (`exchange.replicas`)."""
    before = _where.set(alias)
    try:
        yield
    finally:
        _where.reset(before)


def _lent() -> BaseDatabaseWrapper:
    """The thread's present connection, as Django keeps it; looked up once for each query, for that costs."""
    lent = connections[_where.get()]
    if lent.connection is None:
        lent.ensure_connection()
    lent.validate_no_broken_transaction()
    return lent


def _note(lent: BaseDatabaseWrapper, sql: str) -> None:
    """For whoever logs or counts queries, as Django does: a message is one."""
    if lent.queries_logged:
        lent.queries_log.append({"sql": sql, "time": ""})


def _executed(
    lent: BaseDatabaseWrapper, sql: str, parameters: Parameters, settings: Mapping[str, str] = _AS_IT_IS
) -> psycopg.Cursor[Any]:
    """Through the wrappers that somebody has put around this connection's queries (Django's `execute_wrapper`).

    Their context says under which `settings` the query is planned.
    """
    cursor = _Cursor(lent.connection)
    execute: Callable[..., Any] = _execute
    for wrapper in reversed(lent.execute_wrappers):
        execute = partial(wrapper, execute)
    execute(sql, parameters, False, {"connection": lent, "cursor": cursor, "settings": settings})
    return cursor


class _Cursor(psycopg.RawCursor[Any]):
    """A cursor that reads and writes values as psycopg does, where Django does it otherwise for the whole connection.

    How is said once for each connection: saying it again for each query took a twentieth of a poll.
    """

    @property
    def adapters(self) -> AdaptersMap:
        """What all cursors of this kind on the connection share."""
        if (shared := _adapters.get(self._conn)) is None:
            shared = _adapters[self._conn] = AdaptersMap(self._conn.adapters)
            shared.register_loader("timestamptz", TimestamptzLoader)  # psycopg's, which is compiled
            shared.register_dumper(int, Int8Dumper)  # of one type, whatever the number: one statement, not three
        return shared


_adapters: WeakKeyDictionary[Any, AdaptersMap] = WeakKeyDictionary()


def _execute(sql: str, parameters: Parameters, many: bool, context: dict[str, Any]) -> None:  # noqa: FBT001 - Django's
    numbered, names = _numbered(sql)
    values = [parameters[name] for name in names] if isinstance(parameters, Mapping) else parameters
    context["cursor"].execute(numbered, values, prepare=True)


_PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")


@lru_cache(maxsize=1_024)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """A text with the server's own placeholders ($1), and the names of its parameters in their order.

    psycopg does the same, and keeps it for no text longer than 4,096 characters, as are those that are asked most. As
    bytes, under which psycopg knows what is prepared: of the same ones the hash is reckoned once.
    """
    places: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${places.setdefault(found[1] or f' {len(places)}', len(places) + 1)}"

    return _PLACEHOLDER.sub(number, sql).encode(), tuple(places)


def _fetched(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    result = cursor.pgresult  # not `description`, which describes each column
    return cursor.fetchall() if result is not None and result.nfields else []


def _size(parameters: Parameters) -> int:
    """Bytes of the large values, roughly."""
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    return sum(len(value) for value in values if isinstance(value, str | bytes))


def _tidy(lent: BaseDatabaseWrapper, sent: int) -> None:
    if sent >= _LARGE_BYTES:
        pooling.retire(lent)
        trimming.ask()


def array_of(texts: Iterable[str | None]) -> str:
    """Texts as the literal of an array: for a list of them psycopg takes several times as long."""
    return f"{{{','.join(['NULL' if text is None else _quoted(text) for text in texts])}}}"


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def array_of_numbers(numbers: Iterable[int | None]) -> str:
    """The same of whole numbers; booleans are written as 0 and 1, which PostgreSQL reads as booleans, too."""
    return f"{{{','.join(['NULL' if number is None else f'{number:d}' for number in numbers])}}}"


def instance[Model: models.Model](model: type[Model], row: Sequence[Any]) -> Model:
    """A row that begins with a model's `columns`, as the ORM would read it."""
    fields = model._meta.concrete_fields  # noqa: SLF001 - the documented way to a model's fields
    values = [
        field.from_db_value(value, None, connections["default"]) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, row, strict=False)
    ]
    return model.from_db("default", [field.attname for field in fields], values)


def columns(model: type[models.Model], alias: str, *, but: Collection[str] = ()) -> str:
    """The columns that `instance` reads, as SQL; or of these not all."""
    names = [field.column for field in model._meta.concrete_fields]  # noqa: SLF001
    return ", ".join(f'{alias}."{name}"' for name in names if name not in but)
