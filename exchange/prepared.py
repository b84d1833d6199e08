"""Queries that PostgreSQL plans once per connection, however often they are asked (ADR 0025).

The hot queries of the exchange are long, and planning one takes longer than answering it. `rows` prepares a query on
its connection the first time and executes it from then on, in one message, with one plan for all values (the settings
say so for all connections).
"""

from __future__ import annotations

import itertools
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, connections
from psycopg import abc
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.generators import execute
from psycopg.types.datetime import TimestamptzLoader

from exchange import pooling, trimming

#: Prepared on one connection at most. Where that is reached, one that was not asked for in so many seconds makes room;
#: where there is none, a query goes unprepared: to prepare in turns would be dearer than not at all.
MOST = 128
UNUSED_S = 60.0

_Parameters = Mapping[str, Any] | Sequence[Any]
#: A statement without its values, which stand in between.
_Pieces = tuple[str, ...]

_PLACE = re.compile(r"%(?:\((\w+)\))?s|%%")
# PostgreSQL forgot the statement (DISCARD ALL), or a table that it reads was altered in between.
_STALE = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.FeatureNotSupported)


_FINE = (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)

_numbers = itertools.count()


class _Held:
    """What belongs to one connection: the names of what is prepared on it, by query, and what adapts its values."""

    def __init__(self, own: psycopg.Connection[Any]) -> None:
        self.names: OrderedDict[str, tuple[str, float]] = OrderedDict()  # and when it was last asked for
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


def array_of(texts: Iterable[str]) -> str:
    """Texts as the literal of an array: for a list of them psycopg takes several times as long."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f"{{{','.join([f'"{text}"' for text in quoted])}}}"


def rows(sql: str, parameters: _Parameters, *, called: str, planner: Planner = _AS_IT_IS) -> list[tuple[Any, ...]]:
    """All rows of a query whose parameters are written `%s` or `%(name)s`; of a mapping only those that it names.

    One query, and with the first time on a connection one message more. What it is `called`, the server's views show.
    Raises OperationalError where the server forgot in a transaction what was prepared: it is to be tried again.
    """
    try:
        return _execute(sql, parameters, called, planner)
    except DatabaseError as error:
        if not _is_stale(error):
            raise
        if connection.in_atomic_block:
            raise OperationalError("a prepared statement is stale") from error
        return _execute(sql, parameters, called, planner)


def _is_stale(error: DatabaseError) -> bool:
    """Whether what is prepared on the present connection is worth nothing any more; then it is forgotten."""
    stale = isinstance(error.__cause__, _STALE)
    if stale:
        connection.connection.__dict__.pop(_ATTRIBUTE, None)
    return stale


def _execute(sql: str, parameters: _Parameters, called: str, planner: Planner) -> list[tuple[Any, ...]]:
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    pieces, values = _statement(sql, parameters, called)
    if database.in_atomic_block or database.queries_logged or database.execute_wrappers:
        return _by_cursor(pieces, values, planner)
    with database.wrap_database_errors:
        return _by_libpq(database.connection, pieces, values, planner)


def _statement(sql: str, parameters: _Parameters, called: str) -> tuple[_Pieces, list[Any]]:
    """What executes a query, prepared if it can be: what stands between its values, and these."""
    numbered, names = _numbered(sql)
    name = _name_of(numbered, called)
    if name is None:
        return _in_pieces(sql, parameters)
    values = [parameters[name] for name in names] if isinstance(parameters, Mapping) else list(parameters)
    pieces = (f"EXECUTE {name} (", *[", "] * (len(values) - 1), ")") if values else (f"EXECUTE {name}",)
    return pieces, values


def _in_pieces(sql: str, parameters: _Parameters) -> tuple[_Pieces, list[Any]]:
    pieces, names = _pieces(sql)
    return pieces, [parameters[name] for name in names] if isinstance(parameters, Mapping) else list(parameters)


def _as_template(pieces: _Pieces) -> str:
    """As cursors want it."""
    return "%s".join(piece.replace("%", "%%") for piece in pieces)


def _as_bytes(transformer: abc.Transformer, pieces: _Pieces, values: list[Any]) -> bytes:
    """With its values as literals."""
    literals = [*(_plain(value) or transformer.as_literal(value) for value in values), b""]
    return b"".join(part for pair in zip(map(str.encode, pieces), literals, strict=True) for part in pair)


def _plain(value: Any) -> bytes | None:
    """The literal of what needs no quoting, for which psycopg has Python only; None for all else."""
    kind = type(value)
    if kind is UUID:
        return b"'%b'::uuid" % value.hex.encode()
    if kind is datetime and value.tzinfo is not None:
        return b"'%b'::timestamptz" % value.isoformat().encode()
    if kind is not list:
        return None
    kinds = set(map(type, value))
    if kinds == {int}:
        return b"'{%b}'::bigint[]" % ",".join(map(str, value)).encode()
    if kinds == {UUID}:
        return b"'{%b}'::uuid[]" % ",".join([one.hex for one in value]).encode()
    if kinds == {bool}:
        return b"'{%b}'::bool[]" % ",".join(map(str, value)).encode()
    return None


def _by_cursor(pieces: _Pieces, values: list[Any], planner: Planner) -> list[tuple[Any, ...]]:
    """Through Django, which counts; in a transaction, whose end is not that of the settings."""
    with connection.cursor() as cursor:
        cursor.execute(f"{planner.before}{_as_template(pieces)}{planner.after}", values)
        own: psycopg.Cursor[Any] = cursor.cursor
        own.set_result(planner.count)
        return own.fetchall() if own.pgresult is not None and own.pgresult.nfields else []


def _by_libpq(
    own: psycopg.Connection[Any], pieces: _Pieces, values: list[Any], planner: Planner
) -> list[tuple[Any, ...]]:
    """The same with half the work of a cursor: the message is one transaction, and its last result is what we want."""
    transformer = _held().transformer
    message = planner.local + _as_bytes(transformer, pieces, values)
    result = own.pgconn.exec_(message)
    _note_size(own, len(message))
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
        self._statements: list[tuple[_Pieces, list[Any]]] = []
        self._replies: list[Reply] = []

    def add(self, sql: str, parameters: _Parameters = ()) -> Reply:
        """A statement; its reply is filled by `send`."""
        return self._added(*_in_pieces(sql, parameters))

    def add_prepared(self, sql: str, parameters: _Parameters, *, called: str) -> Reply:
        """The same for one that is worth preparing."""
        connection.ensure_connection()
        return self._added(*_statement(sql, parameters, called))

    def send(self, *, commits: bool = False) -> None:
        """Have all that was added done. Without any, nothing is sent.

        With `commits`, it is the last of its transaction, and the outermost ends with it: what is locked by it is free
        that much earlier. Nothing may be asked afterwards in the same `atomic` block.

        Raises OperationalError where the server forgot what was prepared: it is to be tried again.
        """
        statements, replies = self._statements, self._replies
        self._statements, self._replies = [], []
        if not replies:
            return
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        try:
            if connection.queries_logged or connection.execute_wrappers:
                _send_by_cursor(statements, replies)
            else:
                with connection.wrap_database_errors:
                    _send_by_libpq(
                        statements,
                        replies,
                        commits=commits and connection.in_atomic_block and not connection.savepoint_ids,
                    )
        except DatabaseError as error:
            if _is_stale(error):
                raise OperationalError("a prepared statement is stale") from error
            raise

    def _added(self, pieces: _Pieces, values: list[Any]) -> Reply:
        self._statements.append((pieces, values))
        self._replies.append(Reply())
        return self._replies[-1]


_Statements = Sequence[tuple[_Pieces, list[Any]]]


def _send_by_cursor(statements: _Statements, replies: Sequence[Reply]) -> None:
    text = "; ".join(_as_template(pieces) for pieces, _ in statements)
    with connection.cursor() as cursor:
        cursor.execute(text, [value for _, values in statements for value in values])
        own: psycopg.Cursor[Any] = cursor.cursor
        for place, reply in enumerate(replies):
            own.set_result(place)
            if own.pgresult is not None and own.pgresult.nfields:
                reply.rows = own.fetchall()


def _send_by_libpq(statements: _Statements, replies: Sequence[Reply], *, commits: bool) -> None:
    """The same with half the work of a cursor; where a transaction is to begin or to end, in the same message."""
    own, transformer = connection.connection, _held().transformer
    begins = not own.autocommit and own.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    parts = [b"BEGIN"] if begins else []
    parts += [_as_bytes(transformer, pieces, values) for pieces, values in statements]
    parts += [b"COMMIT"] if commits else []
    message = b"; ".join(parts)
    own.pgconn.send_query(message)
    results = own.wait(execute(own.pgconn))
    _note_size(own, len(message))
    for result in results:
        _require_fine(own, result)
    for result, reply in zip(results[begins : len(results) - commits], replies, strict=True):
        if result.nfields:
            transformer.set_pgresult(result)
            reply.rows = transformer.load_rows(0, result.ntuples, tuple)


#: From this size on, what a message has left behind is given back.
_LARGE_BYTES = 1_048_576


def _note_size(own: psycopg.Connection[Any], sent: int) -> None:
    if sent >= _LARGE_BYTES:
        pooling.retire(own)
        trimming.ask()


def _name_of(numbered: str, called: str) -> str | None:
    """The name under which the query is prepared on the present connection; None where there is no room for it."""
    held, moment = _held().names, time.monotonic()
    if (known := held.get(numbered)) is not None:
        held[numbered] = known[0], moment
        held.move_to_end(numbered)
        return known[0]
    if len(held) >= MOST and next(iter(held.values()))[1] > moment - UNUSED_S:
        return None
    name = f"{called}_{next(_numbers)}"
    with connection.wrap_database_errors:  # not through Django's cursor: it is no query, and none is counted
        if len(held) >= MOST:
            connection.connection.execute(f"DEALLOCATE {held.popitem(last=False)[1][0]}")
        connection.connection.execute(f"PREPARE {name} AS {numbered}")
    held[numbered] = name, moment
    return name


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The query with `$1`, `$2` …, and the names that these stand for; a name that returns keeps its number."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${names.setdefault(found[1] or str(len(names)), len(names) + 1)}"

    return _PLACE.sub(number, sql), tuple(names)


@lru_cache(maxsize=256)
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
