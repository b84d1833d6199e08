"""What a lab keeps, in one SQLite file that its owner alone may read: tokens, who carries them, what the group told.

No raw value is in it: an account's own name, its flag, tokens. Large columns lie in it as compressed Parquet, a row a
table or, of what grows, a row a load.
"""

from __future__ import annotations

import io
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from exchange.client.errors import Unusable
from exchange.lab import features, scoring
from exchange.lab.making import Makes
from exchange.lab.scoring import Bools, Carries, Ints, Scores, Told
from exchange.lab.transport import Token
from exchange.tokens import forms
from exchange.tokens.forms import Scheme
from exchange.tokens.prevalence import Answer, Sums

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (id INTEGER PRIMARY KEY, name TEXT NOT NULL, frame BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pseudonym (account TEXT PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS met (account TEXT PRIMARY KEY, signatures TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (pseudonym TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    subkind TEXT, scheme TEXT, epoch TEXT, value TEXT, scope TEXT, wide INTEGER,
    asked INTEGER NOT NULL DEFAULT 0, one_word INTEGER NOT NULL DEFAULT 0,
    holders INTEGER, suspects INTEGER, holders_less INTEGER, suspects_less INTEGER,
    answered_holders INTEGER NOT NULL DEFAULT 0, answered_suspects INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subkind, epoch, value, scope)
) WITHOUT ROWID;
"""
_ACCOUNTS = {"account": pl.String, "flagged": pl.Boolean}
_TOKENS = {"sort": pl.UInt8, "first": pl.Binary, "second": pl.Binary}
_CARRIES = {"account": pl.UInt32, "token": pl.UInt32}
_SORTS = list(features.SORTS.values())
_SUMS = ("holders", "suspects", "holders_less", "suspects_less")


class State:
    """The file of one lab, and in memory what it holds."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.touch(mode=0o600, exist_ok=True)
            self._store = sqlite3.connect(path, timeout=30)
            self._store.executescript(_TABLES)
        except (OSError, sqlite3.DatabaseError) as error:
            raise Unusable(f"{path}: is no state of exchange-lab") from error
        self.path = path
        self.accounts = self._part("accounts", _ACCOUNTS)
        self.tokens = self._part("tokens", _TOKENS)
        self._pairs = self._part("carries", _CARRIES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    # What was said once

    def get(self, name: str, default: Any = None) -> Any:
        """A setting or counter of this state."""
        row = self._store.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def put(self, **values: Any) -> None:
        """Keep settings or counters."""
        with self._store:
            self._store.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, json.dumps(one)) for name, one in values.items()]
            )

    # Accounts and what they carry

    def begin(self, epochs: Mapping[Scheme, tuple[str, ...]], *, payment: str, scope: str) -> bool:
        """Get ready for tokens of these epochs; where they or the payment's subkind are new, all is loaded again.

        Returns whether the state was emptied.
        """
        wanted = {"epochs": {str(one): list(some) for one, some in epochs.items()}, "payment": payment, "scope": scope}
        known = self.get("tokens")
        if known == wanted:
            return False
        if any(len(some) > 2 for some in epochs.values()):
            raise Unusable("more than two epochs at once")
        with self._store:
            self._store.execute("DELETE FROM part")
            self._store.execute("DELETE FROM told")
            self._store.execute("DELETE FROM meta WHERE name IN ('asked', 'sums')")
        self.accounts, self.tokens = pl.DataFrame(schema=_ACCOUNTS), pl.DataFrame(schema=_TOKENS)
        self._pairs = pl.DataFrame(schema=_CARRIES)
        self.put(tokens=wanted)
        return known is not None

    def add(self, frame: pl.DataFrame, *, maker: Makes, skip: Iterable[str] = ()) -> dict[str, int]:
        """Take accounts in: new ones with what they carry, flags of known ones. Returns the wrong values by column."""
        if "flagged" not in frame.columns:
            frame = frame.with_columns(pl.lit(value=False).alias("flagged"))
        self._flag(frame)
        new = frame.join(self.accounts, on="account", how="anti")
        if new.is_empty():
            return {}
        derived = features.derive(new, skip=skip, payment=self.get("tokens")["payment"])
        made = self._tokenised(derived.carried, maker)
        tokens = self._numbered(made)
        pairs = made.join(tokens, on=("sort", "first"), how="inner").select(
            (pl.col("account") + len(self.accounts)).cast(pl.UInt32).alias("account"), "token"
        )
        grown = new.select(list(_ACCOUNTS))
        self._append("accounts", grown)
        self._append("carries", pairs)
        self.accounts, self._pairs = pl.concat([self.accounts, grown]), pl.concat([self._pairs, pairs])
        return derived.wrong

    def _tokenised(self, carried: pl.DataFrame, maker: Makes) -> pl.DataFrame:
        """Tokens in the place of normal forms: `account`, `sort`, `first` and, where there are two epochs, `second`."""
        done = []
        for (sort,), some in carried.group_by("sort", maintain_order=True):
            assert isinstance(sort, int)
            different = some["form"].unique()
            values = maker.values(self.subkind(sort), different.to_list())
            table = pl.DataFrame(
                {
                    "form": different,
                    "first": pl.Series([one[0] for one in values], dtype=pl.Binary),
                    "second": pl.Series([one[1] if len(one) > 1 else None for one in values], dtype=pl.Binary),
                }
            )
            done.append(some.join(table, on="form", how="inner").drop("form"))
        return pl.concat(done) if done else pl.DataFrame(schema={"account": pl.UInt32, **_TOKENS})

    def _numbered(self, made: pl.DataFrame) -> pl.DataFrame:
        """Numbers of the tokens of `made`; what is new gets one. Columns `sort`, `first`, `token`."""
        known = self.tokens.with_row_index("token").select("sort", "first", "token")
        new = made.select(list(_TOKENS)).unique(("sort", "first"), maintain_order=True)
        new = new.join(known, on=("sort", "first"), how="anti")
        self._append("tokens", new)
        self.tokens = pl.concat([self.tokens, new])
        return self.tokens.with_row_index("token").select("sort", "first", "token")

    def _flag(self, frame: pl.DataFrame) -> None:
        known = self.accounts.join(
            frame.select("account", pl.col("flagged").alias("now")), on="account", how="left", maintain_order="left"
        )
        flagged = known.select("account", pl.coalesce("now", "flagged").alias("flagged"))
        if not flagged.equals(self.accounts):
            self.accounts = flagged
            self._replace("accounts", flagged)

    def subkind(self, sort: int) -> str:
        """The vocabulary's subkind of a sort of token."""
        return str(self.get("tokens")["payment"]) if sort == features.NUMBERS["payment"] else _SORTS[sort].subkind

    def carries(self) -> Carries:
        """Who holds what, for the score."""
        ordered = self._pairs.sort("account", maintain_order=True)
        sort = self.tokens["sort"].to_numpy()
        groups = np.array([one.group for one in _SORTS], dtype=np.int8)
        return Carries(
            account=ordered["account"].to_numpy().astype(np.int32),
            token=ordered["token"].to_numpy().astype(np.int32),
            group=groups[sort],
            is_phrase=sort == features.NUMBERS["phrase"],
            is_domain=sort == features.NUMBERS["domain"],
            flagged=self.accounts["flagged"].to_numpy(),
        )

    def token(self, number: int) -> tuple[Token, ...]:
        """The tokens of one number as they are sent: one, or two while a key is replaced."""
        sort, first, second = self.tokens.row(number)
        said = self.get("tokens")
        subkind = self.subkind(sort)
        scheme = forms.scheme_of(subkind)
        epochs = said["epochs"][str(scheme)]
        scope = said["scope"] if subkind == "psp_fp" else ""
        values = [value for value in (first, second) if value is not None]
        return tuple(
            Token(subkind, str(scheme), epoch, value.hex(), scope, _SORTS[sort].wide)
            for epoch, value in zip(epochs, values, strict=False)
        )

    # What the group told

    def hear_asked(self, asked: Iterable[Token], ended: Iterable[Token]) -> None:
        """Tokens that are asked about from now on, and no longer."""
        with self._store:
            self._store.executemany(
                "INSERT INTO told (subkind, scheme, epoch, value, scope, wide, asked) VALUES (?, ?, ?, ?, ?, ?, 1)"
                " ON CONFLICT DO UPDATE SET asked = 1",
                [(one.subkind, one.scheme, one.epoch, one.value, one.scope, one.wide) for one in asked],
            )
            self._store.executemany(
                "DELETE FROM told WHERE subkind = ? AND epoch = ? AND value = ? AND scope = ?",
                [one.key for one in ended],
            )

    def hear_sums(self, sums: Iterable[tuple[Token, Sums]], one_word: Iterable[Token], ended: Iterable[Token]) -> None:
        """Sums of other labs, and marks of what only one of them published: of each token all that is told of it."""
        where = "WHERE subkind = ? AND epoch = ? AND value = ? AND scope = ?"
        nothing = "one_word = 0, holders = NULL, suspects = NULL, holders_less = NULL, suspects_less = NULL"
        told = list(sums)
        marked = [one.key for one in one_word]
        with self._store:
            self._store.executemany(f"UPDATE told SET {nothing} {where}", [*(one.key for one in ended), *marked])
            self._store.executemany(
                f"UPDATE told SET one_word = 0, holders = ?, suspects = ?, holders_less = ?, suspects_less = ? {where}",
                [(*numbers, *token.key) for token, numbers in told],
            )
            self._store.executemany(f"UPDATE told SET one_word = 1 {where}", marked)

    def answered(self, answers: Iterable[tuple[Token, Answer]]) -> None:
        """Keep what was answered, so that only what changed is answered again."""
        with self._store:
            self._store.executemany(
                "UPDATE told SET answered_holders = ?, answered_suspects = ?"
                " WHERE subkind = ? AND epoch = ? AND value = ? AND scope = ?",
                [(*one, *token.key) for token, one in answers],
            )

    def heard(self) -> pl.DataFrame:
        """All that the group asks about, with `token`, the number here, null where no account holds it."""
        rows = self._store.execute(
            "SELECT subkind, scheme, epoch, value, scope, wide, one_word, holders, suspects, holders_less,"
            " suspects_less, answered_holders, answered_suspects FROM told WHERE asked"
        ).fetchall()
        schema: dict[str, Any] = dict.fromkeys(("subkind", "scheme", "epoch", "value", "scope"), pl.String)
        schema |= {"wide": pl.Boolean, "one_word": pl.Boolean}
        schema |= dict.fromkeys((*_SUMS, "answered_holders", "answered_suspects"), pl.Int64)
        told = pl.DataFrame(
            [(*row[:5], bool(row[5]), bool(row[6]), *row[7:]) for row in rows], schema=schema, orient="row"
        )
        told = told.with_columns(pl.col("value").str.decode("hex").alias("bytes"))
        return told.join(self._by_value(), on=("subkind", "epoch", "scope", "bytes"), how="left").drop("bytes")

    def _by_value(self) -> pl.DataFrame:
        """Own tokens by subkind, epoch and value."""
        said = self.get("tokens")
        found = []
        numbered = self.tokens.with_row_index("token")
        for sort in range(len(_SORTS)):
            subkind = self.subkind(sort)
            epochs = said["epochs"][str(forms.scheme_of(subkind))]
            mine = numbered.filter(pl.col("sort") == sort)
            for epoch, column in zip(epochs, ("first", "second"), strict=False):
                found.append(
                    mine.select(
                        pl.lit(subkind).alias("subkind"),
                        pl.lit(epoch).alias("epoch"),
                        pl.lit(said["scope"] if subkind == "psp_fp" else "").alias("scope"),
                        pl.col(column).alias("bytes"),
                        "token",
                    ).drop_nulls()
                )
        return pl.concat(found)

    def told(self, heard: pl.DataFrame) -> Told:
        """What the group told of this lab's tokens, for the score. Of a token's two epochs the larger sums count."""
        count = len(self.tokens)
        mine = heard.drop_nulls("token")
        number = mine["token"].to_numpy()
        found = Told.nothing(count)
        found.asked[number] = True
        for name in _SUMS:
            np.maximum.at(getattr(found, name), number, mine[name].fill_null(0).to_numpy().astype(np.float64))
        found.one_word[number[mine["one_word"].to_numpy()]] = True
        return found

    # Pseudonyms and what was sent

    def pseudonyms(self, accounts: Iterable[str]) -> dict[str, str]:
        """The random pseudonym of each account: made once, the same in every round."""
        wanted = list(accounts)
        with self._store:
            self._store.executemany(
                "INSERT OR IGNORE INTO pseudonym VALUES (?, ?)", [(one, str(uuid.uuid4())) for one in wanted]
            )
        known = dict(self._store.execute("SELECT account, pseudonym FROM pseudonym"))
        return {one: known[one] for one in wanted}

    def known_pseudonyms(self) -> dict[str, str]:
        """The pseudonyms of all accounts that have one."""
        return dict(self._store.execute("SELECT account, pseudonym FROM pseudonym"))

    def account_of(self, pseudonym: str) -> str | None:
        """The account behind a pseudonym of this lab's."""
        row = self._store.execute("SELECT account FROM pseudonym WHERE pseudonym = ?", (pseudonym,)).fetchone()
        return str(row[0]) if row else None

    def sent(self) -> dict[str, str]:
        """Digests of the evidence that the exchange has, by pseudonym."""
        return dict(self._store.execute("SELECT pseudonym, digest FROM sent"))

    def keep_sent(self, digests: Mapping[str, str], gone: Iterable[str]) -> None:
        """Keep what was sent."""
        with self._store:
            self._store.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", list(digests.items()))
            self._store.executemany("DELETE FROM sent WHERE pseudonym = ?", [(one,) for one in gone])

    # Signatures

    def keep_met(self, accounts: Iterable[str], met: Mapping[str, Sequence[str]]) -> None:
        """Of these accounts, the ids of the signatures that their prompts match, in the place of what was known."""
        with self._store:
            self._store.executemany("DELETE FROM met WHERE account = ?", [(one,) for one in accounts])
            self._store.executemany(
                "INSERT INTO met VALUES (?, ?)", [(name, json.dumps(list(ids))) for name, ids in met.items()]
            )

    def met(self) -> dict[str, list[str]]:
        """By account whose prompts match signatures, their ids."""
        return {name: json.loads(ids) for name, ids in self._store.execute("SELECT account, signatures FROM met")}

    # Verdicts

    def keep_scores(self, scores: Scores, one_word: Bools, turns: Ints) -> None:
        """Keep the verdicts of a round, and how often in a row each would have changed."""
        columns = {"total": scores.total, "without_largest": scores.without_largest, "suspect": scores.suspect}
        columns["alone"] = scores.alone
        columns |= {f"group_{one.name}": scores.groups[:, one] for one in scoring.Group}
        columns |= {f"best_{one.name}": scores.best[:, one] for one in scoring.Group}
        self._replace("scores", pl.DataFrame(columns | {"one_word": one_word, "turns": turns}))

    def scores(self) -> pl.DataFrame | None:
        """The verdicts of the last round over the accounts that were known then, or None."""
        rows = self._store.execute("SELECT frame FROM part WHERE name = 'scores'").fetchall()
        return _read(rows[0][0]) if rows else None

    def turns(self) -> Ints:
        """How often in a row each verdict would have changed (`scoring.steady`)."""
        known = self.scores()
        found = np.zeros(len(self.accounts), np.int32)
        if known is not None and "turns" in known.columns:  # a state of before has no such column
            found[: len(known)] = known["turns"].to_numpy()
        return found

    def suspects(self) -> Bools | None:
        """Who is a suspect; accounts that came since are none. None before the first round."""
        known = self.scores()
        if known is None:
            return None
        found = np.zeros(len(self.accounts), np.bool_)
        found[: len(known)] = known["suspect"].to_numpy()
        return found

    def _part(self, name: str, schema: Mapping[str, Any]) -> pl.DataFrame:
        frames = [_read(row[0]) for row in self._rows(name)]
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def _rows(self, name: str) -> Iterator[tuple[bytes]]:
        yield from self._store.execute("SELECT frame FROM part WHERE name = ? ORDER BY id", (name,))

    def _append(self, name: str, frame: pl.DataFrame) -> None:
        with self._store:
            self._store.execute("INSERT INTO part (name, frame) VALUES (?, ?)", (name, _written(frame)))

    def _replace(self, name: str, frame: pl.DataFrame) -> None:
        with self._store:
            self._store.execute("DELETE FROM part WHERE name = ?", (name,))
            self._store.execute("INSERT INTO part (name, frame) VALUES (?, ?)", (name, _written(frame)))


def _written(frame: pl.DataFrame) -> bytes:
    into = io.BytesIO()
    frame.write_parquet(into, compression="zstd")
    return into.getvalue()


def _read(raw: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(raw))
