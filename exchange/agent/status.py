"""How the agent stands: for a person (`exchange-agent status`), a health check, and Prometheus' textfile collector.

All of it is read from the store and the list, so that it can be asked beside an agent that is at work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.agent import jobs, output, sync
from exchange.agent.braking import Braked
from exchange.agent.gone import KEPT
from exchange.agent.jobs import Job
from exchange.agent.store import Store

_WHY = "the floors, the policy or what was asked for: `exchange-agent floors`, `exchange-agent explain VALUE`"


@dataclass(frozen=True, slots=True)
class Status:
    """`differing` is by how many entries the list differs from the exchange's, as last told.

    These are what the brake keeps, and what the file has more or less than it should. `lag_s` is how long the last
    change was under way, in seconds; `fills` how often the list was filled from the beginning. `verified` is when the
    set hash was last found to be the exchange's, over `held` objects; `differed` how often it was not. `filling` says
    how far a fill from the beginning is, empty where none is under way. `clock_s` is by how much the exchange's clock
    is ahead of this machine's, `clock_refused_s` by how much it says so where that is not believed; `killed` what is
    switched off here.
    """

    filled: bool
    entries: int
    differing: int
    last_success: datetime | None
    failing: str
    braked: tuple[Braked, ...]
    hook_owed: bool
    lag_s: float | None
    fills: int
    verified: datetime | None = None
    held: int | None = None
    set_hash: str = ""
    differed: int = 0
    skipped: int = 0
    clock_s: float = 0.0
    clock_refused_s: float = 0.0
    killed: tuple[str, ...] = ()
    stale: bool = False
    filling: str = ""
    went: Mapping[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing waits for a person or for another try."""
        troubled = self.failing or self.braked or self.hook_owed or self.differing or self.clock_refused_s
        return self.filled and not troubled


def note_success(store: Store) -> None:
    """The exchange was asked, and all that it told is in the list."""
    store.put("last success", datetime.now(tz=UTC).isoformat())
    store.put("failing", "")


def note_failure(store: Store, problem: Exception) -> None:
    """It was not; `problem` says why."""
    store.put("failing", str(problem)[:500])


def of(job: Job, store: Store) -> Status:
    """The present state; the list is read and compared."""
    should = output.render(sync.wanted(job, store), form=job.form)
    found = after_writing(job, store)
    differing = found.differing + (_difference(job.path, should.content) if found.filled else 0)
    entries = output.count(job.path, form=job.form)
    return replace(found, entries=entries, differing=differing, went=store.went_by_reason())


def after_writing(job: Job, store: Store) -> Status:
    """The state where the list was just written: it is not read again."""
    filled, braked = bool(store.get("name")), tuple(store.braked())
    last, lag = store.get("last success"), store.get("lag")
    verified, proof = store.get("verified"), store.proof()
    return Status(
        filled=filled,
        entries=int(store.get("entries") or 0),
        differing=sum(each.entries for each in braked),
        last_success=datetime.fromisoformat(last) if last else None,
        failing=store.get("failing"),
        braked=braked,
        hook_owed=job.hook and bool(store.get("hook owed")),
        lag_s=float(lag) if lag else None,
        fills=int(store.get("fills") or 0),
        verified=datetime.fromisoformat(verified) if verified else None,
        held=proof[0] if proof else None,
        set_hash=proof[1] if proof else "",
        differed=int(store.get("differed") or 0),
        skipped=int(store.get("skipped") or 0),
        clock_s=jobs.ahead(store).total_seconds(),
        clock_refused_s=float(store.get(jobs.CLOCK_REFUSED) or 0),
        killed=tuple(_by_name(killed, store.publishers())) if (killed := store.killed()) else (),
        stale=jobs.is_stale(store),
        filling=store.get("filling"),
    )


def killed_words(killed: Iterable[str], publishers: Iterable[tuple[str, str]] = ()) -> str:
    """What is switched off, for a person; `publishers` are id and name of those of whom something is held."""
    off = _by_name(killed, publishers)
    return ", ".join("the whole feed" if word == "*" else word for word in off) or "nothing"


def _by_name(killed: Iterable[str], publishers: Iterable[tuple[str, str]]) -> list[str]:
    """What is switched off, without the ids of those who are in it by name as well."""
    off = set(killed)
    return sorted(off - {id_ for id_, name in publishers if name in off and id_ != name})


def _difference(path: Path, should: bytes) -> int:
    """How many lines one has and the other has not."""
    if output.holds(path, should):
        return 0
    there = path.read_bytes() if path.exists() else b""
    lines, wanted = Counter(there.splitlines()), Counter(should.splitlines())
    return (lines - wanted).total() + (wanted - lines).total()


def document(found: Status) -> dict[str, object]:
    """For programs."""
    return {
        "good": found.good,
        "filled": found.filled,
        "entries": found.entries,
        "differing": found.differing,
        "last_success": found.last_success.isoformat() if found.last_success else None,
        "failing": found.failing,
        "braked": [{"publisher": each.name, "entries": each.entries} for each in found.braked],
        "hook_owed": found.hook_owed,
        "lag_seconds": found.lag_s,
        "fills": found.fills,
        "verified": found.verified.isoformat() if found.verified else None,
        "held": found.held,
        "set_hash": found.set_hash,
        "differed": found.differed,
        "skipped": found.skipped,
        "clock_seconds": found.clock_s,
        "clock_refused_seconds": found.clock_refused_s,
        "killed": list(found.killed),
        "stale": found.stale,
        "filling": found.filling,
        "went": dict(found.went),
    }


def words(found: Status) -> list[str]:
    """For a person, a line each."""
    lines = [f"{found.entries} entries; last brought up to date {found.last_success or 'never'}"]
    if not found.filled:
        lines.append("not filled yet")
    if found.filling:
        lines.append(f"being filled: {found.filling}")
    if found.held and not found.entries:
        lines.append(f"of the {found.held} objects that are held nothing is to be blocked, by {_WHY}")
    if found.failing:
        lines.append(f"failing: {found.failing}")
    lines += [f"kept by the brake: {each.entries} entries of {each.name}" for each in found.braked]
    if found.differing > sum(each.entries for each in found.braked):
        lines.append(f"the list differs from what it should be by {found.differing} lines, with those that are kept")
    if found.verified:
        lines.append(f"{found.held} objects, verified {found.verified}: set hash {found.set_hash[:16]}…")
    if found.went:
        each = ", ".join(f"{count} {reason or 'unknown'}" for reason, count in found.went.items())
        lines.append(f"went within {KEPT.days} days: {each}; `exchange-agent explain VALUE` says why")
    if found.stale:
        lines.append("what is held is old: nothing was told for longer than the exchange says it may take")
    if found.clock_s:
        lines.append(f"the exchange's clock is {found.clock_s:.0f} s ahead of this machine's: its time is used")
    if found.clock_refused_s:
        lines.append(
            f"the exchange's clock says {found.clock_refused_s:.0f} s ahead of this machine's, which is not believed:"
            " set this machine's clock right, or tell the operator of the exchange"
        )
    if found.killed:
        lines.append(f"switched off here: {killed_words(found.killed)}")
    if found.hook_owed:
        lines.append("the command of --on-change has still to run")
    if found.lag_s is not None:
        lines.append(f"the last change took {found.lag_s:.1f} s")
    return lines


def metrics(found: Status, *, version: str) -> bytes:
    """Prometheus' text format, for a file that its node exporter reads."""
    samples: list[tuple[str, str, str, float]] = [
        ("info", "The agent.", f'{{version="{_label(version)}"}}', 1),
        ("entries", "Entries in the list.", "", found.entries),
        ("differing_entries", "By how many entries the list differs from the exchange's.", "", found.differing),
        ("failing", "1 while the last pass failed.", "", bool(found.failing)),
        ("hook_owed", "1 while the command of --on-change has to run.", "", found.hook_owed),
        ("fills", "How often the list was filled from the beginning.", "", found.fills),
        ("differed", "How often the set hash was not the exchange's.", "", found.differed),
        ("skipped_rows", "Rows that this agent does not know.", "", found.skipped),
        ("clock_seconds", "By how much the exchange's clock is ahead.", "", found.clock_refused_s or found.clock_s),
        ("stale", "1 while what is held is old.", "", found.stale),
        ("braked", "Entries kept although they are missing.", "", sum(each.entries for each in found.braked)),
    ]
    if found.last_success:
        at = found.last_success.timestamp()
        samples.append(("last_success_timestamp_seconds", "When a pass last succeeded.", "", at))
    if found.verified:
        at = found.verified.timestamp()
        samples.append(("verified_timestamp_seconds", "When the set hash was last the exchange's.", "", at))
        samples.append(("held_objects", "Objects in the set.", "", found.held or 0))
    if found.lag_s is not None:
        samples.append(("lag_seconds", "How long the last change was under way.", "", found.lag_s))
    lines: list[str] = []
    for name, words, labels, value in samples:
        lines += [f"# HELP exchange_agent_{name} {words}", f"# TYPE exchange_agent_{name} gauge"]
        lines.append(f"exchange_agent_{name}{labels} {float(value):.15g}")
    if found.braked:
        name = "exchange_agent_braked_entries"
        lines += [f"# HELP {name} The same, by publisher.", f"# TYPE {name} gauge"]
        lines += [f'{name}{{publisher="{_label(each.name)}"}} {each.entries}' for each in found.braked]
    return ("\n".join(lines) + "\n").encode()


def feeds_metrics(about: Mapping[str, Any]) -> bytes:
    """The same of each feed of `run`, of what it says of itself."""
    lines: list[str] = []
    if "suspects" in about:
        lines.append(f"exchange_agent_suspects {about['suspects']['accounts']}")
        lines.append(f"exchange_agent_suspects_failing {int(bool(about['suspects']['problem']))}")
    for name, found in about.get("parts", {}).items():
        labels = f'{{part="{_label(name)}"}}'
        lines.append(f"exchange_agent_part_behind_seconds{labels} {found['behind_s']}")
        lines.append(f"exchange_agent_part_failing{labels} {int(bool(found['problem']))}")
    for name, found in about["feeds"].items():
        labels = f'{{feed="{name}"}}'
        lines += [f"exchange_agent_held_objects{labels} {found['held'] or 0}"]
        lines += [f"exchange_agent_stale{labels} {int(found['stale'])}"]
        lines += [f"exchange_agent_failing{labels} {int(bool(found['failing']))}"]
        if found["lag_s"] is not None:
            lines.append(f"exchange_agent_lag_seconds{labels} {found['lag_s']}")
        if found["verified"]:
            at = datetime.fromisoformat(found["verified"]).timestamp()
            lines.append(f"exchange_agent_verified_timestamp_seconds{labels} {at:.3f}")
    return ("\n".join(lines) + "\n").encode()


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
