"""Suspects that the lab found itself: looked up by account, beside what feeds say of values.

The file is the one that `exchange-lab run --output suspects.jsonl` replaces whole after each round. It is about the
lab's own accounts, under its own names. What a suspect means is the lab's decision; nothing of it is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exchange.agent.policy import NONE, Action, Mode, Verdict

#: What a suspect may mean.
ACTIONS = (Action.LOG, Action.CHALLENGE, Action.BLOCK)
#: What a look-up of an account is called, beside the subkinds of values.
ACCOUNT = "account"
_KIND = "suspect"
_RULE = "suspects"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files, what a suspect means, and from which score on."""

    files: tuple[Path, ...] = ()
    action: Action = Action.LOG
    least_score: float = 0.0


#: No file is named: accounts are nothing that is looked up.
NOBODY = Wanted()


class Suspects:
    """The accounts in these files; one that does not exist yet holds none. `verdict` may be asked from any thread."""

    def __init__(self, wanted: Wanted, *, mode: Mode) -> None:
        shadow = mode is Mode.SHADOW
        action, would = (None, wanted.action) if shadow else (wanted.action, None)
        self._verdict = Verdict(action, would, rule=_RULE, kind=_KIND, subkind=ACCOUNT)
        self.wanted = wanted
        #: Of each file: which one was looked at last, and the accounts of the last that could be used.
        self._as_of: dict[Path, tuple[int, int, int] | None] = {}
        self._accounts: dict[Path, frozenset[str]] = {path: frozenset() for path in wanted.files}
        self._problems: dict[Path, str] = {}
        self.renew()

    def __len__(self) -> int:
        return len(frozenset[str]().union(*self._accounts.values()))

    @property
    def problem(self) -> str:
        """Why the newest of a file is not used; then its accounts are those of before."""
        return next(iter(self._problems.values()), "")

    def verdict(self, account: str) -> Verdict:
        """What an account means here."""
        return self._verdict if any(account in accounts for accounts in self._accounts.values()) else NONE

    def renew(self) -> None:
        """Read each file that was replaced since. One that is not as `exchange-lab` writes it changes nothing.

        Nor does one that cannot be read, such as for its mode; that one alone is tried again each time.
        """
        for path in self.wanted.files:
            as_of = _as_of(path)
            if path in self._as_of and self._as_of[path] == as_of:
                continue
            try:
                self._accounts[path] = frozenset(_accounts(path, least_score=self.wanted.least_score))
                self._as_of[path] = as_of
                self._problems.pop(path, None)
            except OSError as error:
                self._problems[path] = f"{type(error).__name__}: cannot be read"
            except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
                self._as_of[path] = as_of
                self._problems[path] = f"{type(error).__name__}: not as exchange-lab writes suspects (JSON Lines)"


def _as_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _accounts(path: Path, *, least_score: float) -> Iterator[str]:
    """Those that are suspects by the rule; who is so on one lab's word alone is enforced by nobody."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            if one["suspect"] is True and float(one["score"]) >= least_score:
                yield str(one["account"])
