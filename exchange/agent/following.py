"""Keep a list equal to a feed for as long as the process lives.

Three threads: the main one asks the exchange; the clock writes the list when an entry begins or ends by itself, also
when the exchange cannot be reached, and when a person released what the brake kept; the hook's runs what is owed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exchange.agent import acknowledging, hook, jobs, output, status, sync
from exchange.agent.aside import Aside
from exchange.agent.damage import Damaged
from exchange.agent.pacing import LONGEST_S, Pace
from exchange.agent.store import Store
from exchange.client.api import Client
from exchange.client.errors import ApiError, Unreachable

_WAIT_S = 25
#: How often what did not change is acknowledged again.
_ACK_S = 30.0
#: How often the clock looks whether a person released anything.
_LOOK_S = 1.0
#: What another try does not mend.
_FINAL = frozenset({401, 403, 404, 422})


@dataclass(frozen=True, slots=True)
class Means:
    """What is done around a pass. `say` prints a line for the operator; `warn` one that tells of trouble."""

    say: Callable[[jobs.Pass], None]
    warn: Callable[[str], None]
    command: str = ""
    command_timeout_s: float = 60.0
    health_file: Path | None = None
    metrics_file: Path | None = None
    version: str = ""


def once(client: Client, job: jobs.Job, means: Means) -> jobs.Pass:
    """One pass with all that belongs to it. Raises HookFailed after the list was written, and as `sync.run_once`."""
    try:
        done = attempt(client, job)
        means.say(done)
        if job.hook:
            with _opened(job) as store:
                hook.settle(store, means.command, timeout_s=means.command_timeout_s)
        acknowledge(client, job, means)  # after the command: a list that it did not load is applied nowhere
    finally:
        publish(job, means)
    return done


def attempt(client: Client, job: jobs.Job, *, wait_s: int = 0) -> jobs.Pass:
    """One pass, and a note of how it went."""
    try:
        done = sync.run_once(client, job, wait_s=wait_s)
    except (ApiError, Unreachable) as problem:
        with _opened(job) as store:
            status.note_failure(store, problem)
        raise
    with _opened(job) as store:
        status.note_success(store)
    return done


def acknowledge(client: Client, job: jobs.Job, means: Means) -> str:
    """Tell the exchange what is in force here, and return its set hash, "" where none was told.

    The list is in its place, so what goes wrong here is said and fails nothing.
    """
    with _opened(job) as store:
        place = acknowledging.in_force(job, store)
        if place is None:
            return ""
        said = acknowledging.said(place, store, state=job.state_dir, version=means.version)
        said |= acknowledging.counts(store)
        if late := acknowledging.late([("command", hook.owed_s(store))]):
            said["late"] = late
    try:
        acknowledging.tell(client, job.feed or "all", said)
    except (ApiError, Unreachable) as problem:
        if not (isinstance(problem, ApiError) and problem.status == 404):  # an exchange that takes none
            means.warn(f"what is in force could not be acknowledged: {problem}")
            return ""
    return place.set_hash


def publish(job: jobs.Job, means: Means) -> None:
    """Write the metrics, and touch the health file if nothing waits for a person or for another try."""
    if means.health_file is None and means.metrics_file is None:
        return
    with _opened(job) as store:
        found = status.after_writing(job, store)
    if means.metrics_file:
        output.replace(means.metrics_file, status.metrics(found, version=means.version))
    if means.health_file and found.good:
        means.health_file.touch()


def follow(client: Client, job: jobs.Job, means: Means) -> None:
    """Pass after pass, each waiting at the exchange for something new. Ends by an exception only."""
    stop, owed = threading.Event(), threading.Event()
    owed.set()  # a former process may have left a run of the hook
    acks = Aside("acks", _Acks(client, job, means).tell, stop=stop)
    threads = [threading.Thread(target=_clock, args=(job, means, stop, owed), daemon=True)]
    if job.hook:
        threads.append(threading.Thread(target=_hook, args=(job, means, stop, owed, acks), daemon=True))
    for thread in threads:
        thread.start()
    try:
        _ask(client, job, means, owed, acks)
    finally:
        stop.set()
        owed.set()


class _Acks:
    """Acknowledges beside what goes on: at once where what is in force is another set, else every half minute."""

    def __init__(self, client: Client, job: jobs.Job, means: Means) -> None:
        self._client, self._job, self._means = client, job, means
        self._at, self._set_hash = 0.0, ""

    def tell(self) -> bool:
        """Never to be called again for a failure: the next pass wakes it."""
        try:
            with _opened(self._job) as store:
                place = acknowledging.in_force(self._job, store)
            if place and (place.set_hash != self._set_hash or time.monotonic() - self._at >= _ACK_S):
                self._set_hash, self._at = acknowledge(self._client, self._job, self._means), time.monotonic()
        except (Damaged, OSError, sqlite3.Error):  # the main thread says it
            pass
        return False


def _ask(client: Client, job: jobs.Job, means: Means, owed: threading.Event, acks: Aside) -> None:
    pace, wait_s = Pace(), 0
    while True:
        pace.asks()
        try:
            done = attempt(client, job, wait_s=wait_s)
        except (ApiError, Unreachable) as problem:
            owed.set()  # the list was written all the same, if an entry began or ended
            publish(job, means)
            if isinstance(problem, ApiError) and problem.status in _FINAL:
                raise
            pause_s = pace.pause_s(problem)
            means.warn(f"{problem}; again in {pause_s:.0f} s")
            time.sleep(pause_s)
            continue
        means.say(done)
        owed.set()
        publish(job, means)
        acks.wake()
        with _opened(job) as store:
            rest_s = pace.rest_s(store, news=not wait_s or bool(done.changes))
        time.sleep(rest_s)
        wait_s = _WAIT_S


def _clock(job: jobs.Job, means: Means, stop: threading.Event, owed: threading.Event) -> None:
    """Write the list at each beginning and end that comes by itself, and after a release."""
    turn: datetime | None = None
    now = datetime.now(tz=UTC)
    releases = "  False"
    pause_s = 0.0
    while not stop.wait(pause_s):
        pause_s = _LOOK_S
        try:
            with _opened(job) as store:
                now = jobs.now(store)
                if (turn is not None and turn <= now) or releases != _released(store):
                    done = sync.put(job, store)
                    means.say(done)
                    owed.set()
                    publish(job, means)
                releases = _released(store)
                turn = store.next_turn(now=now)
        except Damaged:  # the main thread fills it anew
            continue
        except (OSError, sqlite3.OperationalError) as error:
            means.warn(local(error, job.path))
            continue
        if turn is not None:
            pause_s = min(_LOOK_S, max(0.0, (turn - now).total_seconds()))


def _released(store: Store) -> str:
    """Changes whenever a person releases something or switches something off or on, and when what is held is old."""
    return f"{store.get('releases')} {store.get('killed')} {jobs.is_stale(store)}"


def _hook(job: jobs.Job, means: Means, stop: threading.Event, owed: threading.Event, acks: Aside) -> None:
    """Run the command whenever it is owed; where it fails, again and again, with longer and longer pauses."""
    pause_s = 1.0
    while owed.wait() and not stop.is_set():
        owed.clear()
        try:
            with _opened(job) as store:
                ran = hook.settle(store, means.command, timeout_s=means.command_timeout_s)
        except hook.HookFailed as failed:
            means.warn(f"{failed} Again in {pause_s:.0f} s.")
            stop.wait(pause_s)
            pause_s = min(pause_s * 2, LONGEST_S)
            owed.set()
            continue
        except (Damaged, OSError, sqlite3.OperationalError):  # the main thread says it
            stop.wait(pause_s)
            continue
        pause_s = 1.0
        if ran:
            publish(job, means)
            acks.wake()


def local(error: OSError | sqlite3.Error, path: Path) -> str:
    """One sentence about what this machine does not let us do."""
    if isinstance(error, OSError):
        return f"{error.filename or path}: {error.strerror or error}"
    return f"The store of {path} cannot be used: {error}"


@contextmanager
def _opened(job: jobs.Job) -> Iterator[Store]:
    """The store of a job, opened for a moment."""
    store = Store(job.store_path)
    try:
        yield store
    finally:
        store.close()
