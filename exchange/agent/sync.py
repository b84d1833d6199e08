"""One pass: fetch what changed, apply it, put the list in its place. Safe to interrupt anywhere and to repeat."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exchange.agent import output
from exchange.agent import policy as policies
from exchange.agent.policy import Policy
from exchange.agent.store import Braked, Damaged, Limits, Store
from exchange.client.api import Client, Making
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable, Unusable
from exchange.lists.lines import Said

#: Answers that say: this cursor leads nowhere, begin again.
_LOST_CURSOR = frozenset({"bad-cursor", "cursor-gone", "start-over"})
#: How often one pass begins again before it gives up.
_MOST_BEGINNINGS = 3
_NOT_FOUND = 404
#: How long a beginner waits for a snapshot that is being made; then it reads the delta from the beginning.
_MAKING_S = 60.0
#: How long an exchange that has no delta is asked for its log instead.
_ASK_AGAIN = timedelta(hours=1)
#: Clocks that differ by less are taken for equal, in seconds.
_CLOCK_S = 30.0
_WRITING = threading.Lock()


class Differs(Exception):
    """The set hash is not the exchange's."""


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
    braked: tuple[Braked, ...] = ()


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
    """Bring the list up to date. Raises ApiError, Unreachable; then the list holds what was known, ended by its end.

    A cursor that the exchange does not take (another key, another filter, a store that was restored) is no reason to
    have no list: the store is filled from the beginning beside the old entries, and the fill then takes their place.
    Changes that the log tells are applied whatever their number; what is merely missing after such a fill passes the
    brake (`Store.switch`).
    """
    if rehearse:
        with _copy(job) as copied:
            return _pass(client, copied, wait_s=wait_s, rehearse=True)
    return _pass(client, job, wait_s=wait_s)


def _pass(client: Client, job: Job, *, wait_s: int, rehearse: bool = False) -> Pass:
    store = open_store(job)
    try:
        if job.allow_shrink:
            store.release()
        try:
            changes, started_over = follow(client, job, store, wait_s=wait_s)
        except ExchangeClientError:
            if not rehearse:
                put(job, store)
            raise
        except Damaged:
            store.close()
            _forget(job.store_path)
            store = open_store(job)
            changes, started_over = follow(client, job, store, wait_s=0)
        return put(job, store, changes=changes, rehearse=rehearse, started_over=started_over)
    finally:
        store.close()


def put(job: Job, store: Store, *, changes: int = 0, rehearse: bool = False, started_over: bool = False) -> Pass:
    """Write the list as it is at this moment by what the store knows; the exchange is not asked.

    A store that was never filled has no list: the file then stays as it is.
    """
    if not store.get("name"):
        return Pass(changes, 0, written=False)
    with _WRITING:  # from reading to writing, so that no thread puts an older list in the place of a newer one
        rendered = output.render(wanted(job, store), form=job.form)
        written = not rehearse and not output.holds(job.path, rendered.content)
        if written:
            if job.hook:
                store.owe_hook()
            output.replace(job.path, rendered.content)
    if not rehearse:
        store.note("entries", str(rendered.entries))
        without = sorted(job.policy.without_floors) if not job.policy_file else []
        settings = [job.form, job.min_confidence, job.hook, job.kind, job.policy_file, without]
        store.note("settings", json.dumps(settings))
    return Pass(
        changes,
        rendered.entries,
        written,
        started_over=started_over,
        refused=rendered.refused,
        braked=tuple(store.braked()),
    )


def wanted(job: Job, store: Store, *, shadow: bool = False) -> Iterator[Said]:
    """What the list is to hold at this moment; with `shadow`, what it would hold if the policy were enforced."""
    killed = store.killed()
    if "*" in killed:
        return iter(())
    if job.policy is policies.UNJUDGED and not killed:
        return store.said(now=now(store), min_confidence=job.min_confidence, kind=job.kind)
    said = store.statements(now=now(store), min_confidence=job.min_confidence, kind=job.kind)
    return policies.listed(said, job.policy.when(old=is_stale(store)), killed=killed, shadow=shadow)


def stated(client: Client, job: Job, store: Store) -> tuple[int, str] | None:
    """The exchange's set hash at the store's place, where nothing is new there. Raises Unusable where something is."""
    if store.get("name") != job.proved_name:
        raise Unusable("This list follows the log of an older exchange, which states no set hash.")
    page = client.delta(store.get("cursor"), feed=job.feed or "all", limit=job.page)
    if page.rows:
        raise Unusable(f"{len(page.rows)} changes or more are not applied yet: let the agent run, and verify then.")
    trailer = page.trailer
    if trailer.set_count is None or trailer.set_hash is None:
        return None
    return trailer.set_count, trailer.set_hash


def fetched(client: Client, job: Job) -> set[tuple[str, str, str, str]]:
    """The whole feed as the exchange tells it to a beginner: publisher, id, SHA-256, end of each object."""
    with TemporaryDirectory(prefix="exchange-agent-") as directory:
        store = Store(Path(directory) / "fetched.sqlite")
        _start_over(_pull_proved, job.proved_name, client, replace(job, allow_shrink=True), store)
        found = set(store.held())
        store.close()
    return found


def known_job(path: Path, *, state: Path | None = None) -> Job:
    """The job of a list as its agent last did it. Raises Unusable where no agent keeps one there."""
    job = Job(path=path, state_dir=state_dir(path, state))
    if not job.store_path.exists():
        raise Unusable(f"No agent keeps {path}: there is no {job.store_path}.")
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


def state_dir(path: Path, given: Path | None) -> Path:
    """Where the state of a list is kept, if nothing else was said."""
    return (given or path.parent / f".{path.name}.state").resolve()


def open_store(job: Job) -> Store:
    """The store of this job; one that is damaged is begun anew. Raises OSError, sqlite3.OperationalError."""
    job.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        return Store(job.store_path)
    except Damaged:
        _forget(job.store_path)
        return Store(job.store_path)


def follow(client: Client, job: Job, store: Store, *, wait_s: int) -> tuple[int, bool]:
    """How many changes were applied, and whether it was from the beginning."""
    if store.get("no delta until") < _now().isoformat():
        try:
            return _follow_by(_pull_proved, job.proved_name, client, job, store, wait_s=wait_s)
        except ApiError as error:
            if error.status != _NOT_FOUND or store.get("name") == job.proved_name:
                raise
    done = _follow_by(_pull, job.name, client, job, store, wait_s=wait_s)
    if store.get("no delta until") < _now().isoformat():
        store.put("no delta until", (_now() + _ASK_AGAIN).isoformat())
    return done


def _follow_by(
    pull: Callable[..., int], name: str, client: Client, job: Job, store: Store, *, wait_s: int
) -> tuple[int, bool]:
    if store.get("name") == name:
        try:
            return pull(client, job, store, wait_s=wait_s), False
        except Differs:
            pass
        except ApiError as error:
            if error.code not in _LOST_CURSOR:
                raise
    return _start_over(pull, name, client, job, store), True


def _pull(client: Client, job: Job, store: Store, *, wait_s: int = 0, fresh: bool = False) -> int:
    """Fetch and apply to the end of the log; only the first request waits for something new."""
    total = 0
    while True:
        cursor = store.get("fresh cursor" if fresh else "cursor")
        stretch = client.changes(cursor, limit=job.page, wait_s=wait_s, feed=job.feed, kind=job.kind)
        total += store.apply(stretch["changes"], cursor=stretch["cursor"], fresh=fresh)
        if not fresh and stretch["changes"]:
            _note_lag(store, stretch["changes"])
        wait_s = 0
        if not stretch["more"]:
            return total


def _pull_proved(client: Client, job: Job, store: Store, *, wait_s: int = 0, fresh: bool = False) -> int:
    """The same by the delta, and compare the set hash at its end. Raises Differs where it is another."""
    total = 0
    while True:
        cursor = store.get("fresh cursor" if fresh else "cursor")
        page = client.delta(
            cursor, feed=job.feed or "all", limit=job.page, wait_s=wait_s, on_headers=partial(_note_clock, store)
        )
        trailer = page.trailer
        total += store.apply(page.rows, cursor=trailer.next_cursor, fresh=fresh, key=trailer.set_key)
        if page.skipped:
            store.put("skipped", str(int(store.get("skipped") or 0) + page.skipped))
        if not fresh and page.rows:
            _note_lag(store, page.rows)
        wait_s = 0
        if trailer.more:
            continue
        store.note("min wait", str(trailer.min_wait_s))
        store.note("stale after", str(trailer.stale_after_s))
        if trailer.set_hash is not None:
            if store.proof(fresh=fresh) != (trailer.set_count, trailer.set_hash):
                store.put("differed", str(int(store.get("differed") or 0) + 1))
                raise Differs("what is held is not what the exchange says is in force")
            store.put("verified", _now().isoformat())
        return total


def _note_lag(store: Store, changes: Sequence[Mapping[str, Any]]) -> None:
    """Seconds from the moment when the exchange had the last change until it was applied here."""
    if added := max(filter(None, (change.get("date_added") for change in changes)), default=None):
        store.put("lag", f"{max(0.0, (now(store) - datetime.fromisoformat(added)).total_seconds()):.3f}")


def _note_clock(store: Store, headers: Mapping[str, str]) -> None:
    """By how many seconds the exchange's clock is ahead of this machine's, if by more than an answer may take."""
    try:
        ahead = (parsedate_to_datetime(headers["Date"]) - _now()).total_seconds()
    except (KeyError, ValueError, TypeError):
        return
    store.note("clock", f"{ahead:.0f}" if abs(ahead) > _CLOCK_S else "")


def now(store: Store) -> datetime:
    """The time of this machine, put right by the exchange's where the two are far apart."""
    return _now() + ahead(store)


def is_stale(store: Store) -> bool:
    """Whether it is longer ago than the exchange says it should be that it told anything."""
    last, most_s = store.get("last success"), int(store.get("stale after") or 0)
    return bool(last and most_s) and _now() - datetime.fromisoformat(last) > timedelta(seconds=most_s)


def ahead(store: Store) -> timedelta:
    """By how much the exchange's clock is ahead."""
    return timedelta(seconds=float(store.get("clock") or 0))


def _start_over(pull: Callable[..., int], name: str, client: Client, job: Job, store: Store) -> int:
    """Fill from the beginning, or go on with a fill that was interrupted, and switch."""
    if store.get("fresh name") != name:
        store.forget_fresh()
        store.put("fresh name", name)
    if pull is _pull_proved and not store.get("fresh cursor"):
        _from_snapshot(client, job, store)
    for beginning in range(1, _MOST_BEGINNINGS + 1):
        try:
            changes = pull(client, job, store, fresh=True)
            break
        except Differs as error:
            store.forget_fresh()
            if beginning == _MOST_BEGINNINGS:
                raise Unreachable(f"The exchange contradicts itself: {error}.") from error
        except ApiError as error:
            if error.code not in _LOST_CURSOR or beginning == _MOST_BEGINNINGS:
                raise
            store.forget_fresh()
    store.switch(name=name, now=now(store), limits=job.limits, from_list=_of_list(job, store))
    store.put("fills", str(int(store.get("fills") or 0) + 1))
    return changes


def _from_snapshot(client: Client, job: Job, store: Store) -> None:
    """Begin with the feed's file, if there is one soon and it is whole; the delta goes on from there, or begins."""
    until = time.monotonic() + _MAKING_S
    rows: list[Mapping[str, Any]] = []

    def take(row: Mapping[str, Any]) -> None:
        rows.append(row)
        if len(rows) >= job.page:
            store.apply(rows, cursor="", fresh=True)
            rows.clear()

    def tell(done: int, whole: int) -> None:
        store.note("filling", f"{100 * done // whole if whole else 0}")

    while True:
        try:
            page = client.snapshot(job.feed or "all", on_row=take, on_bytes=tell)
        except Making as making:
            if time.monotonic() + making.wait_s > until:
                return
            time.sleep(making.wait_s)
            continue
        except (ApiError, Unreachable):
            store.forget_fresh()
            store.note("filling", "")
            return
        break
    if page is not None:
        trailer = page.trailer
        store.apply(rows, cursor=trailer.next_cursor, fresh=True, key=trailer.set_key)
        if trailer.set_hash is not None and store.proof(fresh=True) != (trailer.set_count, trailer.set_hash):
            store.forget_fresh()
    store.note("filling", "")


def _of_list(job: Job, store: Store) -> Iterable[Said]:
    """What the list holds, where the store that knew it was lost: it stood there, so it was sure enough."""
    if store.get("name"):
        return ()
    least = job.min_confidence or None
    return (one._replace(confidence=one.confidence or least) for one in output.read(job.path, form=job.form))


@contextmanager
def _copy(job: Job) -> Iterator[Job]:
    """The same job with a copy of its store, which may be altered."""
    with TemporaryDirectory(prefix="exchange-agent-") as directory:
        copied = replace(job, state_dir=Path(directory))
        if job.store_path.exists():
            store = open_store(job)
            store.copy_to(copied.store_path)
            store.close()
        yield copied


def _forget(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(tz=UTC)
