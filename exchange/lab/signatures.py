"""Which accounts sent prompts that signatures match: by the database that an agent of the lab's keeps up to date.

The agent follows the exchange's signatures and compiles them into one database; here the same is read. What a match
says is shown beside a suspect's reasons, and is no part of the score: a signature is another lab's finding already.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from exchange.agent.blocklist import Blocklist
from exchange.agent.parts import Part
from exchange.client.errors import Unusable

_KIND = "prompt-signature"


class Signatures:
    """The regexes and NOVA rules in these files of agents. Raises Unusable."""

    def __init__(self, stores: Sequence[Path]) -> None:
        for path in stores:
            if not path.exists():
                raise Unusable(f"{path}: no such file; an agent that follows a feed makes it")
        self._paths = stores
        try:
            self._blocklist = Blocklist(stores, parts=[Part(_KIND)] * len(stores))
        except sqlite3.Error as error:
            raise Unusable(f"{', '.join(map(str, stores))}: {error}") from error

    def renew(self) -> str:
        """Take in what the agent has now, at the cost of what is new; a digest of the ids of all signatures."""
        self._blocklist.update(())
        return hashlib.sha256("\n".join(self._blocklist.signatures()).encode()).hexdigest()

    def met(self, frame: pl.DataFrame) -> dict[str, list[str]]:
        """By account of a frame (`account`, `prompts`), the ids of the signatures that its prompts match; each once."""
        if "prompts" not in frame.columns:
            return {}
        texts = frame.select("account", "prompts").explode("prompts", empty_as_null=True, keep_nulls=True).drop_nulls()
        names = {
            text: [name for _, name in self._blocklist.check_prompt(text).signatures]
            for text in texts["prompts"].unique()
        }
        found: dict[str, set[str]] = {}
        for account, text in texts.iter_rows():
            if names[text]:
                found.setdefault(account, set()).update(names[text])
        return {account: sorted(some) for account, some in found.items()}
