"""What is kept equal to what: the list, its state, and how."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.agent import policy as policies
from exchange.agent.braking import Braked, Limits
from exchange.agent.damage import Damaged, alone_in
from exchange.agent.parts import Part
from exchange.agent.policy import Policy
from exchange.agent.rows import UNREADABLE
from exchange.agent.store import Store
from exchange.client.errors import Unusable
from exchange.stix import words

#: Answers that say: this cursor leads nowhere, begin again.
_LOST_CURSOR = frozenset({"bad-cursor", "cursor-gone", "start-over"})
#: Clocks that differ by less are taken for equal, in seconds.
_CLOCK_S = 30.0
#: An answer that says a time further away is not believed: it would end, or begin, what is held at once.
_MOST_AHEAD_S = 86_400.0
#: States of the store: by how many seconds the exchange's clock is ahead, and by how many it says so beyond belief.
_CLOCK, CLOCK_REFUSED = "clock", "clock refused"


class Differs(Exception):
    """The set hash is not the exchange's."""


def _tell_nobody(_words: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be kept equal to what."""

    path: Path
    state_dir: Path
    form: str = "text"
    feed: str = ""
    kind: str = ""
    min_confidence: int = 0
    max_shrink: float = 0.5
    allow_shrink: bool = False
    hook: bool = False  # whether a command is to be run after the list was replaced
    page: int = 2_000
    policy: Policy = policies.UNJUDGED
    policy_file: str = ""
    progress: Callable[[str], None] = field(default=_tell_nobody, compare=False)  # told now and then while it is filled

    @property
    def store_path(self) -> Path:
        """The store of this list."""
        return self.state_dir / f"{self.path.name}.sqlite"

    @property
    def name(self) -> str:
        """What the store holds, as the log told it; another filter is filled from the beginning."""
        return f"feed={self.feed};kind={self.kind}"

    @property
    def proved_name(self) -> str:
        """The same, as the delta told it: of all kinds, of which the list has those that are wanted."""
        return f"delta;feed={self.feed}"

    @property
    def part(self) -> Part:
        """What of the store is listed."""
        return Part(self.kind, self.min_confidence)

    @property
    def limits(self) -> Limits | None:
        """How much may be missing after a fill from the beginning; None where a person lets it through."""
        return None if self.allow_shrink else Limits(self.max_shrink, floor=self.min_confidence)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    changes: int
    entries: int
    written: bool
    started_over: bool = False
    refused: int = 0  # values that are not plain, and so are in no list
    held: int = 0  # objects, whatever of them is listed
    braked: tuple[Braked, ...] = ()


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """One agent per list: a second one would write an older state over a newer one."""
    job.state_dir.mkdir(parents=True, exist_ok=True)
    with locked(job.state_dir / f"{job.path.name}.lock", keeps=job.path):
        yield


@contextmanager
def locked(path: Path, *, keeps: Path) -> Iterator[None]:
    """A lock that one process has at a time. Raises Unusable where another has it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"Another agent keeps {keeps}.") from None
        yield


def known_job(path: Path, *, state: Path | None = None) -> Job:
    """The job of a list as its agent last did it. Raises Unusable where no agent keeps one there."""
    job = Job(path=path, state_dir=state_dir(path, state))
    if not job.store_path.exists():
        raise Unusable(
            f"No `sync` keeps {path}: there is no {job.store_path}. If `run` does, see its /status, or give --config"
            " where a command takes it."
        )
    store = open_store(job)
    try:
        settings, name = store.get("settings"), store.get("name")
    finally:
        store.close()
    job = replace(job, feed=name.partition("feed=")[2].partition(";")[0])
    if not settings:
        return job
    form, floor, hook, kind, file, without = json.loads(settings)
    policy = policies.chosen(file, without)
    return replace(job, form=form, min_confidence=floor, hook=hook, kind=kind, policy_file=file, policy=policy)


def feed_of(word: str) -> str:
    """The feed that a setting names by its id, nothing for `all`. Raises Unusable, also for an empty one.

    A variable that was not set must not list everything.
    """
    if word == "all":
        return ""
    try:
        return str(UUID(word))
    except ValueError:
        raise Unusable(f"{word or 'An empty word'} is no feed: give the id of one, or all.") from None


def kind_of(word: str) -> str:
    """A kind that a setting names. Raises Unusable."""
    if word not in words.SUBKINDS:
        raise Unusable(f"{word or 'An empty word'} is no kind. There are {', '.join(words.SUBKINDS)}.")
    return word


def state_dir(path: Path, given: Path | None) -> Path:
    """Where the state of a list is kept, if nothing else was said."""
    return (given or path.parent / f".{path.name}.state").resolve()


def open_store(job: Job) -> Store:
    """The store of this job; one that is damaged is begun anew. Raises OSError, sqlite3.OperationalError."""
    job.state_dir.mkdir(parents=True, exist_ok=True)
    with alone_in(job.state_dir):  # else one reads a file that another deletes, with the log of the new one
        try:
            return Store(job.store_path, alone=True)
        except Damaged:
            forget(job.store_path)
            return Store(job.store_path, alone=True)


def note_lag(store: Store, changes: Sequence[Mapping[str, Any]]) -> None:
    """Seconds from the moment when the exchange had the last change until it was applied here."""
    try:
        if added := max(filter(None, (change.get("date_added") for change in changes)), default=None):
            store.put("lag", f"{max(0.0, (now(store) - datetime.fromisoformat(added)).total_seconds()):.3f}")
    except UNREADABLE:  # a row whose date cannot be read
        return


def note_clock(store: Store, headers: Mapping[str, str], came_at: datetime) -> None:
    """By how many seconds the exchange's clock is ahead of this machine's, if by more than an answer may take.

    `headers` are those of a verified page, which came at `came_at` by this machine's clock. Where the two are more than
    a day apart, this machine's clock is used, and `status` says so.
    """
    try:
        ahead = (parsedate_to_datetime(headers["Date"]) - came_at).total_seconds()
    except (KeyError, *UNREADABLE):
        return
    is_believed = abs(ahead) <= _MOST_AHEAD_S
    store.note(_CLOCK, f"{ahead:.0f}" if is_believed and abs(ahead) > _CLOCK_S else "")
    store.note(CLOCK_REFUSED, "" if is_believed else f"{ahead:.0f}")


def now(store: Store) -> datetime:
    """The time of this machine, put right by the exchange's where the two are far apart."""
    return _now() + ahead(store)


def is_stale(store: Store) -> bool:
    """Whether it is longer ago than the exchange says it should be that it told anything."""
    last, most_s = store.get("last success"), int(store.get("stale after") or 0)
    return bool(last and most_s) and _now() - datetime.fromisoformat(last) > timedelta(seconds=most_s)


def ahead(store: Store) -> timedelta:
    """By how much the exchange's clock is ahead; nothing where an agent of before noted more than is believed."""
    seconds = float(store.get(_CLOCK) or 0)
    return timedelta(seconds=seconds if abs(seconds) <= _MOST_AHEAD_S else 0)


def _now() -> datetime:
    return datetime.now(tz=UTC)


def forget(path: Path) -> None:
    """Delete a damaged state: what it held is told anew."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
