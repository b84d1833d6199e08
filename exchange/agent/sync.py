"""One pass: fetch what changed, apply it, put the list in its place. Safe to interrupt anywhere and to repeat."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exchange.agent import output
from exchange.agent.store import Store
from exchange.client.api import Client
from exchange.client.errors import ApiError, Unusable

#: Answers that say: this cursor leads nowhere, begin again.
_LOST_CURSOR = frozenset({"bad-cursor", "cursor-gone"})
_FEW = 20


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
    page: int = 2_000

    @property
    def store_path(self) -> Path:
        """The store of this list."""
        return self.state_dir / f"{self.path.name}.sqlite"

    @property
    def name(self) -> str:
        """What the store holds, and in which form; another filter or form needs another store."""
        return f"feed={self.feed};kind={self.kind};store=2"


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    changes: int
    entries: int
    written: bool
    started_over: bool = False
    refused: int = 0  # values that are not plain, and so are in no list


class Shrunk(Unusable):
    """The list would lose more than is plausible; the old file is kept."""


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """One agent per list: a second one would write an older state over a newer one."""
    job.state_dir.mkdir(parents=True, exist_ok=True)
    with (job.state_dir / f"{job.path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"Another agent keeps {job.path}.") from None
        yield


def run_once(client: Client, job: Job, *, wait_s: int = 0, rehearse: bool = False) -> Pass:
    """Bring the list up to date. Raises Shrunk, ApiError, Unreachable; the file is then as it was.

    A cursor that the exchange does not take (another key, another filter, restored from an old backup) is no
    reason to have no list: a new store is filled from the beginning beside the old one, and then takes its place.
    """
    store = _open(job)
    try:
        try:
            changes = _pull(client, job, store, wait_s=wait_s)
            started_over = False
        except ApiError as error:
            if error.code not in _LOST_CURSOR:
                raise
            store.close()
            store, changes = _start_over(client, job)
            started_over = True
        return _put(job, store, changes=changes, rehearse=rehearse, started_over=started_over)
    finally:
        store.close()


def seconds_to_next_end(job: Job) -> float | None:
    """How long until an entry runs out by itself; None if none does."""
    store = _open(job)
    try:
        end = store.next_end(now=_now())
    finally:
        store.close()
    return None if end is None else max(0.0, (datetime.fromisoformat(end) - _now()).total_seconds())


def _pull(client: Client, job: Job, store: Store, *, wait_s: int = 0) -> int:
    """Fetch and apply to the end of the feed; only the first request waits for something new."""
    total = 0
    while True:
        stretch = client.changes(store.get("cursor"), limit=job.page, wait_s=wait_s, feed=job.feed, kind=job.kind)
        total += store.apply(stretch["changes"], cursor=stretch["cursor"])
        wait_s = 0
        if not stretch["more"]:
            return total


def _start_over(client: Client, job: Job) -> tuple[Store, int]:
    beside = job.store_path.with_suffix(".new")
    _forget(beside)
    fresh = _store(beside, job)
    changes = _pull(client, job, fresh)
    fresh.close()
    _forget(job.store_path)
    beside.replace(job.store_path)
    return _store(job.store_path, job), changes


def _put(job: Job, store: Store, *, changes: int, rehearse: bool, started_over: bool) -> Pass:
    rendered = output.render(store.said(now=_now(), min_confidence=job.min_confidence), form=job.form)
    written = False
    if not rehearse:
        _brake(job, rendered.entries)
        written = output.replace(job.path, rendered.content)
    return Pass(changes, rendered.entries, written, started_over=started_over, refused=rendered.refused)


def _brake(job: Job, entries: int) -> None:
    """Stop before a wrong answer (an empty feed by mistake, a key that sees less) unblocks everybody at once.

    Genuine withdrawals are few at a time: a list may always lose up to twenty entries, and larger losses up to the
    share that the operator set. `--allow-shrink` lets one through after a look.
    """
    before = output.count(job.path, form=job.form)
    lost = before - entries
    if not job.allow_shrink and lost > _FEW and lost > before * job.max_shrink:
        raise Shrunk(
            f"The list would go from {before} to {entries} entries; {job.path} is left as it was."
            " If that is right, run once with --allow-shrink."
        )


def _open(job: Job) -> Store:
    """The store of this job; one that is damaged or was filled with another filter is begun anew."""
    job.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        store = _store(job.store_path, job)
        if store.get("name") == job.name:
            return store
        store.close()
    except sqlite3.DatabaseError:
        pass
    _forget(job.store_path)
    return _store(job.store_path, job)


def _store(path: Path, job: Job) -> Store:
    store = Store(path)
    if not store.get("name"):
        store.put("name", job.name)
    return store


def _forget(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(tz=UTC)
