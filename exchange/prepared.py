"""Queries that PostgreSQL plans once per connection, however often they are asked (ADR 0025).

The hot queries of the exchange are long, and planning one takes longer than answering it. `rows` prepares a query on
its connection the first time and executes it from then on, in one message, with one plan for all values (the settings
say so for all connections).
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, models
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.generators import execute
from psycopg.types.datetime import TimestamptzLoader

#: Prepared on one connection at most; the one that was not asked for longest makes room.
MOST = 64

_Parameters = Mapping[str, Any] | Sequence[Any]

_PLACE = re.compile(r"%(?:\((\w+)\))?s|%%")
# PostgreSQL forgot the statement (DISCARD ALL), or a table that it reads was altered in between.
_STALE = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.FeatureNotSupported)


_FINE = (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)

_numbers = itertools.count()


class _Held:
    """What belongs to one connection: the names of what is prepared on it, by query, and what adapts its values."""

    def __init__(self, own: psycopg.Connection[Any]) -> None:
        self.names: OrderedDict[str, str] = OrderedDict()
        self.transformer = Transformer.from_context(_Adapting(own))


class _Adapting:
    """How the connection adapts values, but for timestamps, for which psycopg has a compiled loader."""

    def __init__(self, own: psycopg.Connection[Any]) -> None:
        self.connection, self.adapters = own, AdaptersMap(own.adapters)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)


def _held() -> _Held:
    """Of the present connection; it goes with it."""
    own = connection.connection
    held = own.__dict__.get(_ATTRIBUTE)
    if held is None:
        held = own.__dict__[_ATTRIBUTE] = _Held(own)
    found: _Held = held
    return found


_ATTRIBUTE = "_exchange_prepared"


class Planner:
    """Settings under which a query is planned; they hold for its message alone."""

    def __init__(self, **settings: str) -> None:
        self.local = "".join(f"SET LOCAL {name} = {value}; " for name, value in settings.items()).encode()
        self.before = "".join(f"SET {name} = {value}; " for name, value in settings.items())
        self.after = "".join(f"; RESET {name}" for name in settings)
        self.count = len(settings)


_AS_IT_IS = Planner()


def rows(sql: str, parameters: _Parameters, *, called: str, planner: Planner = _AS_IT_IS) -> list[tuple[Any, ...]]:
    """All rows of a query whose parameters are written `%s` or `%(name)s`; of a mapping only those that it names.

    One query, and with the first time on a connection one message more. What it is `called`, the server's views show.
    """
    try:
        return _execute(sql, parameters, called, planner)
    except DatabaseError as error:
        if not isinstance(error.__cause__, _STALE) or connection.in_atomic_block:
            raise
        connection.connection.__dict__.pop(_ATTRIBUTE, None)
        return _execute(sql, parameters, called, planner)


def _execute(sql: str, parameters: _Parameters, called: str, planner: Planner) -> list[tuple[Any, ...]]:
    numbered, names = _numbered(sql)
    values = [parameters[name] for name in names] if isinstance(parameters, Mapping) else list(parameters)
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    name = _name_of(numbered, called)
    if database.in_atomic_block or database.queries_logged or database.execute_wrappers:
        return _by_cursor(name, values, planner)
    with database.wrap_database_errors:
        return _by_libpq(database.connection, name, values, planner)


def _by_cursor(name: str, values: list[Any], planner: Planner) -> list[tuple[Any, ...]]:
    """Through Django, which counts; in a transaction, whose end is not that of the settings."""
    given = f" ({', '.join(['%s'] * len(values))})" if values else ""
    with connection.cursor() as cursor:
        cursor.execute(f"{planner.before}EXECUTE {name}{given}{planner.after}", values)
        own: psycopg.Cursor[Any] = cursor.cursor
        own.set_result(planner.count)
        return own.fetchall() if own.pgresult is not None and own.pgresult.nfields else []


def _by_libpq(own: psycopg.Connection[Any], name: str, values: list[Any], planner: Planner) -> list[tuple[Any, ...]]:
    """The same with half the work of a cursor: the message is one transaction, and its last result is what we want."""
    transformer = _held().transformer
    given = b" (" + b", ".join(map(transformer.as_literal, values)) + b")" if values else b""
    result = own.pgconn.exec_(planner.local + b"EXECUTE " + name.encode() + given)
    _require_fine(own, result)
    if not result.nfields:
        return []
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def _require_fine(own: psycopg.Connection[Any], result: psycopg.pq.abc.PGresult) -> None:
    if own.pgconn.status == psycopg.pq.ConnStatus.BAD:
        raise psycopg.OperationalError("the connection was lost")
    if result.status not in _FINE:
        raise psycopg.errors.error_from_result(result, encoding="utf-8")


class Reply:
    """What one statement of a message was answered."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []


class Message:
    """Statements that go to PostgreSQL together and are answered together: one query.

    They are done in this order, in the transaction that is open; each sees what those before it did, and what others
    committed until it began.
    """

    def __init__(self) -> None:
        self._statements: list[tuple[tuple[str, ...], list[Any]]] = []
        self._replies: list[Reply] = []

    def add(self, sql: str, parameters: _Parameters = ()) -> Reply:
        """A statement; its reply is filled by `send`."""
        pieces, names = _pieces(sql)
        values = [parameters[name] for name in names] if isinstance(parameters, Mapping) else list(parameters)
        return self._added(pieces, values)

    def add_prepared(self, sql: str, parameters: _Parameters, *, called: str) -> Reply:
        """The same for one that is worth preparing."""
        numbered, names = _numbered(sql)
        values = [parameters[name] for name in names] if isinstance(parameters, Mapping) else list(parameters)
        connection.ensure_connection()
        name = _name_of(numbered, called)
        pieces = (f"EXECUTE {name} (", *[", "] * (len(values) - 1), ")") if values else (f"EXECUTE {name}",)
        return self._added(pieces, values)

    def send(self) -> None:
        """Have all that was added done. Without any, nothing is sent."""
        statements, replies = self._statements, self._replies
        self._statements, self._replies = [], []
        if not replies:
            return
        connection.ensure_connection()
        if connection.queries_logged or connection.execute_wrappers:
            _send_by_cursor(statements, replies)
        else:
            with connection.wrap_database_errors:
                _send_by_libpq(statements, replies)

    def _added(self, pieces: tuple[str, ...], values: list[Any]) -> Reply:
        self._statements.append((pieces, values))
        self._replies.append(Reply())
        return self._replies[-1]


_Statements = Sequence[tuple[tuple[str, ...], list[Any]]]


def _send_by_cursor(statements: _Statements, replies: Sequence[Reply]) -> None:
    text = "; ".join("%s".join(piece.replace("%", "%%") for piece in pieces) for pieces, _ in statements)
    with connection.cursor() as cursor:
        cursor.execute(text, [value for _, values in statements for value in values])
        own: psycopg.Cursor[Any] = cursor.cursor
        for place, reply in enumerate(replies):
            own.set_result(place)
            if own.pgresult is not None and own.pgresult.nfields:
                reply.rows = own.fetchall()


def _send_by_libpq(statements: _Statements, replies: Sequence[Reply]) -> None:
    """The same with half the work of a cursor; where a transaction is to begin, in the same message."""
    own, transformer = connection.connection, _held().transformer
    begins = not own.autocommit and own.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    parts = [b"BEGIN"] if begins else []
    for pieces, values in statements:
        literals = [*map(transformer.as_literal, values), b""]
        parts.append(b"".join(part for pair in zip(map(str.encode, pieces), literals, strict=True) for part in pair))
    own.pgconn.send_query(b"; ".join(parts))
    results = own.wait(execute(own.pgconn))
    for result in results:
        _require_fine(own, result)
    for result, reply in zip(results[begins:], replies, strict=True):
        if result.nfields:
            transformer.set_pgresult(result)
            reply.rows = transformer.load_rows(0, result.ntuples, tuple)


def instance[Model: models.Model](model: type[Model], row: Sequence[Any]) -> Model:
    """A row of a model's columns, in their order, as the ORM would read it."""
    fields = model._meta.concrete_fields  # noqa: SLF001 - the documented way to a model's fields
    values = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, row, strict=False)
    ]
    return model.from_db(connection.alias, [field.attname for field in fields], values)


def columns(model: type[models.Model], alias: str, *, but: Collection[str] = ()) -> str:
    """The columns that `instance` reads, as SQL; or of these not all."""
    names = [field.column for field in model._meta.concrete_fields]  # noqa: SLF001
    return ", ".join(f'{alias}."{name}"' for name in names if name not in but)


def _name_of(numbered: str, called: str) -> str:
    """The name under which the query is prepared on the present connection."""
    held = _held().names
    if (name := held.get(numbered)) is not None:
        held.move_to_end(numbered)
        return name
    name = f"{called}_{next(_numbers)}"
    with connection.wrap_database_errors:  # not through Django's cursor: it is no query, and none is counted
        if len(held) >= MOST:
            connection.connection.execute(f"DEALLOCATE {held.popitem(last=False)[1]}")
        connection.connection.execute(f"PREPARE {name} AS {numbered}")
    held[numbered] = name
    return name


@lru_cache(maxsize=1_024)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The query with `$1`, `$2` …, and the names that these stand for; a name that returns keeps its number."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${names.setdefault(found[1] or str(len(names)), len(names) + 1)}"

    return _PLACE.sub(number, sql), tuple(names)


@lru_cache(maxsize=1_024)
def _pieces(sql: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands between the parameters of a query, and their names."""
    pieces, names, end = [""], [], 0
    for found in _PLACE.finditer(sql):
        pieces[-1] += sql[end : found.start()]
        end = found.end()
        if found[0] == "%%":
            pieces[-1] += "%"
            continue
        pieces.append("")
        if found[1]:
            names.append(found[1])
    pieces[-1] += sql[end:]
    return tuple(pieces), tuple(names)
