"""`exchange-agent run`: any number of feeds, one policy, several outputs, look-ups; by one file of settings.

A thread a feed follows the exchange and applies what changed. One thread judges what changed and brings the look-up
tables up to date; it also does so when an entry begins or ends by itself, and after the kill switch. Each output, which
may hang, has a thread of its own, and so have the sidecar and the acknowledgements, which say what is in force in all
of them. What is killed anywhere goes on where it stood: rows and place are one transaction.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from exchange.agent import acknowledging, jobs, output, outputs, policy, reporting, status, sync
from exchange.agent.aside import Aside
from exchange.agent.blocklist import Blocklist
from exchange.agent.configuration import SWITCH_S, Settings
from exchange.agent.counting import instance, save_hits, summed
from exchange.agent.damage import Damaged
from exchange.agent.in_force import LOOK_UPS, InForce
from exchange.agent.loading import looking_up
from exchange.agent.pacing import Pace
from exchange.agent.policy import Statement
from exchange.agent.returning import Returns
from exchange.agent.sidecar import Sidecar
from exchange.agent.store import Store
from exchange.agent.telling import progress
from exchange.client.api import Client
from exchange.client.errors import ApiError, Unreachable
from exchange.lists.lines import Said

_WAIT_S = 25
_LOOK_S, _LEAST_S = 1.0, 0.2
#: How long what is being written is waited for at the end.
_LAST_S = 2.0
#: How often the file of metrics is written where nothing changes.
_METRICS_S = 15.0
_SLACK = timedelta(seconds=2)


@dataclass(slots=True)
class Agent:
    """Everything of one file of settings, while it runs. `warn` tells of trouble, `say` of what was done."""

    settings: Settings
    say: Callable[[str], None]
    warn: Callable[[str], None]
    version: str = ""
    blocklist: Blocklist | None = None
    _changed: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _touched: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _final: Exception | None = None
    _acks: Aside | None = None
    in_force: InForce = field(init=False)
    returns: Returns = field(init=False)
    _unsaved: Counter[policy.Verdict] = field(default_factory=Counter)
    _troubles: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.in_force = InForce([*([LOOK_UPS] if self._serves else []), *(name for name, _ in self.settings.outputs)])
        told = (self.settings, self.in_force, self.say, self.warn)
        self.returns = Returns(*told, version=self.version)

    @property
    def _serves(self) -> bool:
        return bool(self.settings.unix or self.settings.lines or self.settings.port is not None)

    def once(self) -> bool:
        """One pass over all feeds, and all outputs; whether all of them took it."""
        with self._client(retries=5) as client:
            for job in self.settings.jobs:
                self._pull(client, job, wait_s=0)
            failed = [name for name, sink in self.settings.outputs if self._bring(name, sink)]
            self._write_metrics()
            if would := len({(one.subkind, one.value) for one in self.said(shadow=True)}):
                self.say(f"shadow: {would} would be blocked; `exchange-agent explain VALUE` says why")
            for job in self.settings.jobs:
                self.returns.acknowledge(client, job, at_once=True)
        return not failed

    def run(self) -> None:
        """Until `stop`, or until the exchange refuses the key or a feed of which nothing was ever held.

        Where something is held, a refusal is a failure like others, tried again: what is held is looked up and ends
        meanwhile, and a partner that was suspended for an hour goes on by itself.
        """
        for job in self.settings.jobs:
            with closing(jobs.open_store(job)) as store:
                self.in_force.applied(job.path.name, acknowledging.applied(job, store))
        self._acks = Aside("acks", self.returns.tell, stop=self._stop)
        threads = [
            threading.Thread(target=self._follow, args=(job,), name=job.path.name, daemon=True)
            for job in self.settings.jobs
        ]
        for thread in threads:
            thread.start()
        try:
            with ExitStack() as stack:
                switched = self._state()[1]  # before look-ups are loaded: what turns meanwhile is seen to have turned
                if self._serves:
                    self._serve(stack.enter_context(looking_up(self.settings)))
                self._keep(switched=switched)
        finally:
            self._stop.set()
            self._save_hits()
        if self._final is not None:
            raise self._final

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._changed.set()

    def stop_soon(self) -> None:
        """End it within a second. For a handler of signals: it interrupts the thread that waits for changes."""
        self._stop.set()

    @contextmanager
    def _client(self, *, retries: int) -> Iterator[Client]:
        found = self.settings.found
        with Client(found.url, found.api_key, retries=retries) as client:
            yield client

    # -- feeds

    def _pull(self, client: Client, job: jobs.Job, *, wait_s: int) -> int:
        """How many changes were applied."""
        with closing(jobs.open_store(job)) as store:
            try:
                told = replace(job, progress=progress(job.path.name, to=self.say))
                came, _ = sync.follow(client, told, store, wait_s=wait_s)
            except (ApiError, Unreachable) as problem:
                status.note_failure(store, problem)
                raise
            finally:  # of a pull that breaks, the pages before are applied, and no later pull tells them again
                with self._lock:
                    self._touched |= store.touched
                    if store.touched:
                        self._changed.set()
                    place = acknowledging.applied(job, store)
                    self.in_force.applied(job.path.name, place, altered=bool(store.touched))
            status.note_success(store)
            return came

    def _follow(self, job: jobs.Job) -> None:
        pace, wait_s = Pace(), 0
        with self._client(retries=0) as client:
            while not self._stop.is_set():
                pace.asks()
                try:
                    came = self._pull(client, job, wait_s=wait_s)
                    self._wake_acks()
                    if job is self.settings.jobs[0]:
                        self.returns.report(client, job)
                except (ApiError, Unreachable) as problem:
                    refused = isinstance(problem, ApiError) and problem.status in {401, 403, 404}
                    if refused and not _is_filled(job):
                        self._final = problem
                        self.stop()
                        return
                    pause_s = pace.pause_s(problem)
                    self.warn(f"{job.path.name}: {problem}; again in {pause_s:.0f} s")
                    self._stop.wait(pause_s)
                    continue
                except Exception as problem:  # noqa: BLE001 - a thread must not end in silence
                    self.warn(f"{job.path.name}: {type(problem).__name__}: {problem}")
                    self._stop.wait(pace.pause_s(problem))
                    continue
                rest_s = _LOOK_S
                with self._unharmed("state"), closing(jobs.open_store(job)) as store:
                    rest_s = pace.rest_s(store, news=not wait_s or bool(came))
                self._stop.wait(max(_LEAST_S, rest_s))
                wait_s = _WAIT_S

    def _wake_acks(self) -> None:
        if self._acks is not None:
            self._acks.wake()

    def counts(self) -> dict[str, int]:
        """How often look-ups blocked, would have blocked, or were suppressed."""
        return summed(self.blocklist.hits() if self.blocklist is not None else {})

    # -- outputs

    def _keep(self, *, switched: str) -> None:
        """Bring everything up to date whenever something changed, began, ended, or was switched since `switched`."""
        asides = [
            Aside(name, partial(self._bring_aside, name, sink), stop=self._stop) for name, sink in self.settings.outputs
        ]
        measured_at = 0.0
        turns: list[datetime | None] = [None] * len(self.settings.jobs)
        heard, failing = True, True
        looked_at: list[datetime] = []
        while not self._stop.is_set():
            with self._unharmed("state"):
                looked_at = looked_at or self._clocks()
                now_turns, now_switched = self._state()
                due = any(turn and turn <= now for turn, now in zip(turns, self._clocks(), strict=True))
                if heard or due or failing or switched != now_switched:
                    self._changed.clear()
                    failing = True  # until all is done
                    clocks = self._clocks()
                    self._look_up(looked_at, anew=switched != now_switched)
                    looked_at, switched = clocks, now_switched
                    for each in asides:
                        each.wake()
                    failing, measured_at = False, 0.0
                turns = now_turns
                if self.blocklist is not None:
                    self.blocklist.suspects.renew()
            if time.monotonic() - measured_at >= _METRICS_S or not measured_at:
                measured_at = time.monotonic()
                self._write_metrics()
            self._save_hits()
            if "state" in self._troubles:  # what changed is still to be done, and not a thousand times a second
                self._stop.wait(_LOOK_S)
            heard = self._changed.wait(_LOOK_S)
        until = time.monotonic() + _LAST_S
        for each in asides:  # a file that is half written would be left beside the list
            each.join(max(0.0, until - time.monotonic()))

    def _look_up(self, since: Sequence[datetime], *, anew: bool) -> None:
        """Take into look-ups what was touched, and what turned since then; or everything anew."""
        with self._lock:
            touched, self._touched = self._touched, set()
            places = self.in_force.now()
        if self.blocklist is None:
            return
        try:
            if anew or "*" in touched:
                self.blocklist.reload()
            else:
                self.blocklist.update(touched | self._turned(since))
        except BaseException:
            with self._lock:
                self._touched |= touched | {"*"}
            raise
        self.in_force.holds(LOOK_UPS, places)
        self._wake_acks()

    def _write_metrics(self) -> None:
        if self.settings.metrics_file:
            with self._unharmed("metrics_file"):
                output.replace(self.settings.metrics_file, self.metrics())

    def _bring(self, name: str, sink: outputs.File | outputs.Sink) -> bool:
        """Write one; whether it failed."""
        places = self.in_force.now()  # what is read after this is that, or newer
        try:
            if isinstance(sink, outputs.File):
                if sink.write(self.said()):
                    self.say(f"{sink.path} replaced")
            else:
                with closing(outputs.Told(self.settings.state / "outputs.sqlite")) as told:
                    came, went = told.bring(name, sink, outputs.entries(self.said()), self.about())
                if came or went:
                    self.say(f"{name}: {came} put, {went} removed")
        except (outputs.Failed, OSError, sqlite3.Error, Damaged) as error:
            self.in_force.fails(name, str(error))
            self.warn(f"{name}: {error}; again in a moment")
            return True
        self.in_force.holds(name, places)
        self._wake_acks()
        return False

    def _bring_aside(self, name: str, sink: outputs.File | outputs.Sink) -> bool:
        try:
            return self._bring(name, sink)
        except Exception as problem:  # noqa: BLE001 - a thread must not end in silence
            self._final = problem
            self.stop()
            return False

    @contextmanager
    def _unharmed(self, what: str) -> Iterator[None]:
        """What cannot be read or written here ends nothing: it is told once, and tried again."""
        try:
            yield
        except (OSError, sqlite3.Error, Damaged) as problem:
            if what not in self._troubles:
                self.warn(f"{what}: {problem}; again in a moment")
            self._troubles.add(what)
        else:
            self._troubles.discard(what)

    def said(self, *, shadow: bool = False) -> Iterator[Said]:
        """What is to be blocked at this moment, by value, over all feeds; with `shadow`, what would be."""
        with _opened(self.settings) as stores:
            killed = frozenset(name for store in stores for name in store.killed())
            merged = heapq.merge(
                *(_statements(store, job) for store, job in zip(stores, self.settings.jobs, strict=True)),
                key=lambda one: one.said.value,
            )
            old = all(jobs.is_stale(store) for store in stores)
            yield from policy.listed(merged, self.settings.policy.when(old=old), killed=killed, shadow=shadow)

    def about(self) -> dict[str, Any]:
        """Where each feed stands."""
        with _opened(self.settings) as stores:
            feeds = {}
            for store, job in zip(stores, self.settings.jobs, strict=True):
                found = status.after_writing(job, store)
                feeds[job.path.name] = {"held": found.held, "set_hash": found.set_hash, "lag_s": found.lag_s}
                feeds[job.path.name] |= {"failing": found.failing, "stale": found.stale}
                feeds[job.path.name]["verified"] = found.verified.isoformat() if found.verified else None
        suspects = {}
        if self.blocklist is not None and (own := self.blocklist.suspects).wanted.files:
            suspects["suspects"] = {"accounts": len(own), "problem": own.problem}
        return {"feeds": feeds, "instance": instance(self.settings.state), **suspects, **self.counts()}

    def stands(self) -> dict[str, Any]:
        """The same, and for how long each part lacks something of it: for who runs this, and told to no output."""
        behind = sorted(self.in_force.behind().items())
        parts = {name: {"behind_s": round(one.behind_s, 3), "problem": one.problem} for name, one in behind}
        return {**self.about(), "parts": parts}

    def metrics(self) -> bytes:
        """Of each feed and part, in Prometheus' text format."""
        return status.feeds_metrics(self.stands())

    def _turned(self, since: Sequence[datetime]) -> set[str]:
        """The values that began or ended by themselves since then, as each feed's clock has it."""
        with _opened(self.settings) as stores:
            return {
                value
                for store, then in zip(stores, since, strict=True)
                for value in store.turned(since=then - _SLACK, now=jobs.now(store))
            }

    def _clocks(self) -> list[datetime]:
        with _opened(self.settings) as stores:
            return [jobs.now(store) for store in stores]

    def _state(self) -> tuple[list[datetime | None], str]:
        """When the next entry of each feed begins or ends, by its clock; and what is switched off, or old."""
        with _opened(self.settings) as stores:
            turns = [store.next_turn(now=jobs.now(store)) for store in stores]
            switches = [[sorted(store.killed()), jobs.is_stale(store), store.standing()] for store in stores]
            return turns, json.dumps(switches)

    def _save_hits(self) -> None:
        """Add what was counted to the days' counts, for `report`."""
        if self.blocklist is None:
            return
        self._unsaved.update(self.blocklist.taken_hits())
        if self._unsaved:
            with self._unharmed("counts"):
                save_hits(self.settings.state, self._unsaved)
                self._unsaved.clear()
                reporting.note(self.settings.state, self.blocklist.taken_met(), now=datetime.now(UTC))

    # -- look-ups

    def _serve(self, blocklist: Blocklist) -> None:
        """Answer look-ups from now on, soon, whatever else this process does meanwhile.

        The threads that follow feeds let go of the interpreter at once when a look-up comes, and what was loaded is not
        walked again by the garbage collector.
        """
        sys.setswitchinterval(SWITCH_S)
        gc.freeze()
        self.blocklist = blocklist
        sidecar = Sidecar(self.blocklist, self.settings.timeout_ms, told=self.stands, more_metrics=self.metrics)

        async def serve() -> None:
            await sidecar.serve(unix=self.settings.unix, port=self.settings.port, lines=self.settings.lines)
            await asyncio.Event().wait()

        threading.Thread(target=lambda: asyncio.run(serve()), name="sidecar", daemon=True).start()


def _statements(store: Store, job: jobs.Job) -> Iterator[Statement]:
    if "*" in store.killed():
        return
    for one in store.statements(now=jobs.now(store), min_confidence=job.min_confidence, kind=job.kind):
        yield one._replace(feed=job.path.name)


def _is_filled(job: jobs.Job) -> bool:
    with closing(jobs.open_store(job)) as store:
        return bool(store.get("name"))


@contextmanager
def _opened(settings: Settings) -> Iterator[list[Store]]:
    stores = [jobs.open_store(job) for job in settings.jobs]
    try:
        yield stores
    finally:
        for store in stores:
            store.close()


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """One agent per directory of state. Raises Unusable."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with jobs.locked(settings.state / "lock", keeps=settings.state):
        yield
