"""What goes back to the exchange from `run`: acknowledgements of what is in force, sightings, dissent."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from exchange.agent import acknowledging, jobs, reporting, verdicts
from exchange.agent.configuration import REPORT_S, Settings
from exchange.agent.damage import Damaged
from exchange.agent.in_force import LOOK_UPS, InForce
from exchange.agent.store import Store
from exchange.client.api import Client
from exchange.client.errors import ApiError, Unreachable

_ACK_S = 30.0
#: After entries were counted, so many times as long passes until they are again.
_COUNT_SHARE = 50


@dataclass(slots=True)
class Returns:
    """Of one agent. What is wrong is said by `warn`."""

    settings: Settings
    in_force: InForce
    say: Callable[[str], None]
    warn: Callable[[str], None]
    version: str = ""
    _acked: dict[str, tuple[float, str]] = field(default_factory=dict)
    _reported_at: float = 0.0
    _counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _count_at: float = 0.0
    _troubled: bool = False

    def tell(self) -> bool:
        """Acknowledge every feed. Not to be called again for a failure: the next answer of the exchange wakes it."""
        with Client(self.settings.found.url, self.settings.found.api_key, retries=0) as client:
            for job in self.settings.jobs:
                try:
                    self.acknowledge(client, job)
                except (ApiError, Unreachable, OSError, sqlite3.Error, Damaged) as problem:
                    self.warn(f"{job.path.name}: what is in force could not be acknowledged: {problem}")
        return False

    def acknowledge(self, client: Client, job: jobs.Job, *, at_once: bool = False) -> None:
        """Tell the exchange what every part holds: at once where the set is another, else every half minute.

        Where a part has taken nothing since the start and is late, it is what was told before the start.
        """
        late = self._late(job.path.name)
        place = self.in_force.place(job.path.name) or (self._told_before(job) if late else None)
        acked_at, set_hash = self._acked.get(job.path.name, (0.0, ""))
        is_told = place and place.set_hash == set_hash and time.monotonic() - acked_at < _ACK_S
        if place is None or (is_told and not at_once):
            return
        with closing(jobs.open_store(job)) as store:
            said = acknowledging.said(place, store, state=self.settings.state, version=self.version)
            met = self._met(store)
        more = {name: value for name, value in (("met", met), ("late", late)) if value}
        try:
            acknowledging.tell(client, job.feed or "all", {**said, **self._entries(job.path.name), **more})
            reporting.note_told(self.settings.state, met)
        except ApiError as error:
            if error.status != 404:  # an exchange that takes none
                raise
        self._acked[job.path.name] = (time.monotonic(), place.set_hash)
        with closing(jobs.open_store(job)) as store:
            acknowledging.note_told(store, place)

    def _entries(self, feed: str) -> dict[str, int]:
        """How many values of a feed are blocked, would be, or are suppressed: as of the last half minute or so.

        Where to count takes long, it is done the more seldom.
        """
        if (began_at := time.monotonic()) >= self._count_at:
            self._counts = verdicts.by_feed(self.settings)
            self._count_at = time.monotonic() + max(_ACK_S, _COUNT_SHARE * (time.monotonic() - began_at))
        return self._counts[feed]

    def _told_before(self, job: jobs.Job) -> acknowledging.Reached | None:
        with closing(jobs.open_store(job)) as store:
            return acknowledging.in_force(job, store)

    def _late(self, feed: str) -> list[dict[str, Any]]:
        """Which parts lack something of a feed for too long, by their kinds."""
        kinds = {name: sink.kind for name, sink in self.settings.outputs}
        behind = self.in_force.behind(feed)
        return acknowledging.late((kinds.get(part, LOOK_UPS), one.behind_s) for part, one in behind.items())

    def _met(self, store: Store) -> list[dict[str, Any]]:
        if not self.settings.report.met:
            return []
        try:
            found = reporting.untold(self.settings.state, now=jobs.now(store))
        except (OSError, sqlite3.Error) as problem:
            if not self._troubled:
                self.warn(f"counts to tell: {problem}; again in a moment")
            self._troubled = True
            return []
        self._troubled = False
        return found

    def report(self, client: Client, job: jobs.Job) -> None:
        """Send what the settings say is sent by itself, every few minutes: each hour once it is over."""
        wanted = self.settings.report
        if not (wanted.sightings or wanted.false_positives) or time.monotonic() - self._reported_at < REPORT_S:
            return
        self._reported_at = time.monotonic()
        with closing(jobs.open_store(job)) as store:
            now = jobs.now(store)
        try:
            sent = reporting.send(
                client,
                self.settings.state,
                sightings=wanted.sightings,
                false_positives=wanted.false_positives,
                now=now,
            )
        except ApiError as problem:
            if problem.status != 403:
                raise
            self.warn(f"report: {problem}")
            return
        if sent.sightings or sent.opinions:
            self.say(f"reported {sent.sightings} sightings, {sent.opinions} false positives")
