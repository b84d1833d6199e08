"""A lab's accounts, from its files or a SQL query, under the names that a TOML map gives its columns.

```toml
group = "ring"                       # in which group evidence is sent
[source]
file = "accounts.parquet"            # or *.jsonl, *.csv; a pattern such as "accounts/*.parquet" is several files
[columns]                            # ours = yours; leave out what you do not have
account = "id"
created = "signed_up_at"
flagged = "is_fraud"
[payment]
subkind = "psp_fp"                   # par, psp_fp, pan_token or iban_token
scope = "<32 hex digits>"            # of psp_fp: within which fingerprints are equal
```
"""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from exchange.client.errors import Unusable, why
from exchange.lab import features

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),
}
_PAYMENTS = ("par", "psp_fp", "pan_token", "iban_token")
_SCOPE = re.compile(r"[0-9a-f]{32}")
_TRUE = ("true", "t", "1", "yes", "y")
_FALSE = ("false", "f", "0", "no", "n", "")
#: Numbers above these are no seconds since 1970 any more, but milli-, micro-, nanoseconds.
_FINER = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
#: No sign-up was before, or will be after these years: such a time is none.
_YEARS = (1990, 2100)
_TIME = pl.Datetime("us", "UTC")
_KEYS = {"group", "source", "columns", "payment", "derive", "evidence", "indicators", "signatures"}
_ACTIONS = ("observed", "limited", "challenged", "suspended")


@dataclass(frozen=True, slots=True)
class Map:
    """What a map says. `columns`: our names to the lab's. `scope` is of `psp_fp` alone."""

    place: Path
    columns: dict[str, str]
    file: str = ""
    sql: str = ""
    database: str = ""
    group: str = ""
    payment: str = "par"
    scope: str = ""
    skip: tuple[str, ...] = ()
    publisher_action: str = "observed"
    days: int = 30
    indicators: Mapping[str, Any] = field(default_factory=dict)
    #: Files of agents whose signatures prompts are tried against.
    signatures: tuple[Path, ...] = ()


def read_map(path: Path) -> Map:
    """Read a map. Raises Unusable, naming what is wrong in it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{path}: {why(error)}") from error
    if unknown := sorted(set(document) - _KEYS):
        raise Unusable(f"{path}: no such table or key: {', '.join(unknown)}")
    source, columns = _table(document, "source", path), _table(document, "columns", path)
    payment, derive, evidence = (_table(document, name, path) for name in ("payment", "derive", "evidence"))
    found = Map(
        place=path.parent,
        columns={name: str(theirs) for name, theirs in columns.items()},
        file=str(source.get("file", "")),
        sql=str(source.get("sql", "")),
        database=str(source.get("database", "")),
        group=str(document.get("group", "")),
        payment=str(payment.get("subkind", "par")),
        scope=str(payment.get("scope", "")),
        skip=tuple(map(str, derive.get("skip", ()))),
        publisher_action=str(evidence.get("publisher_action", "observed")),
        days=int(evidence.get("days", 30)),
        indicators=_table(document, "indicators", path),
        signatures=_stores(_table(document, "signatures", path).get("agent", ()), path),
    )
    if problem := _problem(found):
        raise Unusable(f"{path}: {problem}")
    return found


def _table(document: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise Unusable(f"{path}: [{name}] is a table")
    return found


def _stores(said: Any, path: Path) -> tuple[Path, ...]:
    """One file or several, beside the map."""
    names = [said] if isinstance(said, str) else said
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) for one in names):
        raise Unusable(f"{path}: [signatures] agent is a file, or a list of files")
    return tuple(path.parent / one for one in names)


def _problem(found: Map) -> str:
    if unknown := sorted(set(found.columns) - set(features.COLUMNS)):
        return f"[columns]: {unknown[0]} is none of {', '.join(features.COLUMNS)}"
    if "account" not in found.columns:
        return "[columns]: account is needed"
    if bool(found.file) == bool(found.sql):
        return "[source] names a file, or sql and database"
    if found.sql and not found.database.startswith(("sqlite:///", "postgresql://")):
        return "[source] database is sqlite:///… or postgresql://…"
    if found.payment not in _PAYMENTS:
        return f"[payment] subkind is one of {', '.join(_PAYMENTS)}"
    if found.payment == "psp_fp" and not _SCOPE.fullmatch(found.scope):
        return "[payment] scope: psp_fp needs 32 hexadecimal digits, within which fingerprints are equal"
    if unknown := sorted(set(found.skip) - set(features.SORTS)):
        return f"[derive] skip: {unknown[0]} is none of {', '.join(features.SORTS)}"
    if found.publisher_action not in _ACTIONS:
        return f"[evidence] publisher_action is one of {', '.join(_ACTIONS)}"
    if not 1 <= found.days <= 90:
        return "[evidence] days is 1 to 90"
    return ""


def portions(wanted: Map, *, rows: int = 50_000) -> Iterator[pl.DataFrame]:
    """The accounts under our names, some at a time. Raises Unusable for what cannot be read."""
    try:
        for frame in _read(wanted, rows):
            yield _renamed(frame, wanted)
    except (OSError, sqlite3.Error, pl.exceptions.PolarsError) as error:
        raise Unusable(f"{wanted.file or wanted.database}: {_first_line(error)}") from error


def _read(wanted: Map, rows: int) -> Iterator[pl.DataFrame]:
    if wanted.sql:
        with _connection(wanted) as connection:
            yield from pl.read_database(wanted.sql, connection, iter_batches=True, batch_size=rows)
        return
    paths = sorted(wanted.place.glob(wanted.file)) if not Path(wanted.file).is_absolute() else [Path(wanted.file)]
    if not paths:
        raise Unusable(f"{wanted.place / wanted.file}: no such file")
    for path in paths:
        if path.suffix not in _READERS:
            raise Unusable(f"{path}: is none of {', '.join(_READERS)}")
        yield from _READERS[path.suffix](path).iter_slices(rows)


@contextmanager
def _connection(wanted: Map) -> Iterator[Any]:
    if wanted.database.startswith("sqlite:///"):
        path = wanted.place / wanted.database.removeprefix("sqlite:///")
        if not path.exists():
            raise Unusable(f"{path}: no such database")
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            yield found
        return
    try:
        import psycopg  # noqa: PLC0415 - only who reads PostgreSQL needs it
    except ModuleNotFoundError as error:
        raise Unusable("To read PostgreSQL: pip install 'psycopg[binary]'") from error
    try:
        with psycopg.connect(wanted.database) as found:
            yield found
    except psycopg.Error as error:
        raise Unusable(f"The database: {_first_line(error)}") from error


def _renamed(frame: pl.DataFrame, wanted: Map) -> pl.DataFrame:
    if missing := sorted(set(wanted.columns.values()) - set(frame.columns)):
        raise Unusable(f"no column {', '.join(missing)}; there are: {', '.join(frame.columns)}")
    found = pl.DataFrame([_as(frame[theirs], ours) for ours, theirs in wanted.columns.items()])
    if found["account"].null_count() or found["account"].is_duplicated().any():
        raise Unusable("an account without a name, or named twice")
    if "created" in wanted.columns:
        given = frame[wanted.columns["created"]].cast(pl.String).str.strip_chars()
        wrong = found["created"].is_null() & (given.fill_null("") != "")
        found = found.with_columns(wrong.alias(features.NO_TIME))
    return found


def _as(given: pl.Series, ours: str) -> pl.Series:
    """A column of the lab's as one of ours."""
    if ours == "flagged":
        return _flags(given).alias(ours)
    if ours == "created":
        return _moments(given).alias(ours)
    if features.COLUMNS[ours] == pl.List(pl.String):
        if isinstance(given.dtype, pl.List):
            return given.cast(pl.List(pl.String)).alias(ours)
        return given.cast(pl.String).map_elements(_several, return_dtype=pl.List(pl.String)).alias(ours)
    return given.cast(pl.String).alias(ours)


def _flags(given: pl.Series) -> pl.Series:
    """Flags; a number is one unless it is 0. Raises Unusable for a word that says neither yes nor no."""
    if given.dtype == pl.Boolean:
        return given.fill_null(value=False)
    if given.dtype.is_numeric():
        return (given != 0).fill_null(value=False)
    words = given.cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
    words = words.str.replace(r"^([01])\.0+$", "$1")
    if not words.is_in((*_TRUE, *_FALSE)).all():
        raise Unusable(f"[columns] flagged: a value is neither of {', '.join(_TRUE)} nor of {', '.join(_FALSE[:-1])}")
    return words.is_in(_TRUE)


def _moments(given: pl.Series) -> pl.Series:
    """Times in UTC, null where one is none: as they are, as text, or seconds (or finer) since 1970, also as text."""
    if isinstance(given.dtype, pl.Datetime):
        zoned = given if given.dtype.time_zone else given.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").cast(_TIME)
    text = given.cast(pl.String).str.strip_chars()
    numbers = text.str.extract(r"^(\d+(?:\.\d+)?(?:[eE]\+?\d+)?)$").cast(pl.Float64, strict=False)
    scale = pl.lit(1.0)
    for least, by in reversed(_FINER):
        scale = pl.when(pl.col("n") >= least).then(by).otherwise(scale)
    seconds = pl.DataFrame({"n": numbers}).select(pl.col("n") / scale).to_series()
    since = (seconds.clip(0, 1e11) * 1e6).cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    words = text.set(numbers.is_not_null(), None)
    if words.null_count() < len(words) - (words == "").sum():
        try:
            read = words.str.to_datetime(time_zone="UTC", time_unit="us", strict=False)
        except pl.exceptions.PolarsError:
            raise Unusable("[columns] created: a time is such as 2026-11-28T13:00:00Z, or seconds since 1970") from None
        since = pl.DataFrame({"n": since, "w": read}).select(pl.coalesce("n", "w")).to_series()
    known = since.dt.year().is_between(*_YEARS)
    return since.set(~known.fill_null(value=False), None)


def _several(text: str) -> list[str]:
    """A list in a cell: as JSON, else one value."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            return [text]
        return [str(one) for one in found if one is not None]
    return [text] if text else []


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
