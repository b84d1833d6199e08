"""One file of settings for `exchange-agent run`: feeds, policy, outputs, look-ups."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.agent import jobs, outputs, policy
from exchange.agent.policy import Action, Policy
from exchange.agent.suspects import ACTIONS, NOBODY, Wanted
from exchange.client import config
from exchange.client.errors import Unusable, why

REPORT_S = 300.0
_KEYS = {
    "url",
    "key_file",
    "state",
    "group",
    "feed",
    "policy",
    "policy_file",
    "output",
    "lookup",
    "metrics_file",
    "report",
    "suspects",
}
_OUTPUTS = {
    "file": {"type", "name", "path", "format"},
    "redis": {"type", "name", "url", "prefix"},
    "postgres": {"type", "name", "dsn", "dsn_env", "table"},
    "webhook": {"type", "name", "url", "secret_env", "secret_file"},
}
#: With a look-up waiting, another thread runs so long at most; by default it is 50 times that.
SWITCH_S = 0.0001


@dataclass(frozen=True, slots=True)
class Reports:
    """What goes back by itself: counts by object, with acknowledgements; sightings; dissent from what is allowed."""

    met: bool = True
    sightings: bool = False
    false_positives: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file of settings says."""

    found: config.Config
    state: Path
    policy: Policy
    jobs: tuple[jobs.Job, ...]
    outputs: tuple[tuple[str, outputs.File | outputs.Sink], ...] = ()
    group: str = ""
    unix: Path | None = None
    lines: Path | None = None
    port: int | None = None
    timeout_ms: int = 20
    metrics_file: Path | None = None
    report: Reports = Reports()
    suspects: Wanted = NOBODY

    @property
    def stores(self) -> list[Path]:
        """The stores of the feeds."""
        return [job.store_path for job in self.jobs]


def read(path: Path, *, online: bool = True) -> Settings:
    """Read a file of settings. Raises Unusable, naming what is not known."""
    try:
        said = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{path}: {why(error)}") from error
    _only(said, _KEYS, at=str(path))
    beside = path.resolve().parent
    state = (beside / str(said.get("state", ".exchange-agent"))).resolve()
    if "policy" in said and "policy_file" in said:
        raise Unusable(f"{path}: policy or policy_file, not both.")
    judged = policy.read(said.get("policy", {}), beside=beside)
    if file := said.get("policy_file"):
        judged = policy.load(beside / str(file))
    followed = tuple(_job(one, state=state) for one in said.get("feed", [{}]))
    if "policy" in said:
        _only_feeds(judged, {job.path.name for job in followed})
    lookup = said.get("lookup", {})
    _only(lookup, {"unix", "lines", "port", "timeout_ms"}, at="lookup")
    key_file = beside / str(said["key_file"]) if "key_file" in said else None
    if online and key_file is not None and not key_file.is_file():
        raise Unusable(f"key_file of {path}: there is no file {key_file}.")
    return Settings(
        found=config.load(url=str(said.get("url", "")), key_file=key_file) if online else config.Config("", ""),
        state=state,
        policy=judged,
        jobs=followed,
        outputs=tuple(_output(one, number, beside=beside) for number, one in enumerate(said.get("output", []), 1)),
        group=str(said.get("group", "")),
        unix=beside / str(lookup["unix"]) if "unix" in lookup else None,
        lines=beside / str(lookup["lines"]) if "lines" in lookup else None,
        port=int(lookup["port"]) if "port" in lookup else None,
        timeout_ms=int(lookup.get("timeout_ms", 20)),
        metrics_file=beside / str(said["metrics_file"]) if "metrics_file" in said else None,
        report=_reports(said.get("report", {})),
        suspects=_suspects(said.get("suspects", {}), beside=beside),
    )


def _suspects(said: Mapping[str, Any], *, beside: Path) -> Wanted:
    _only(said, {"file", "action", "least_score"}, at="suspects")
    if not said:
        return NOBODY
    named = said.get("file", [])
    files = [named] if isinstance(named, str) else named
    if not isinstance(files, list) or not files or not all(isinstance(file, str) and file for file in files):
        raise Unusable("suspects: file is the file that `exchange-lab run --output` writes, or a list of such.")
    action, least = said.get("action", Action.LOG), said.get("least_score", 0.0)
    if action not in ACTIONS:
        raise Unusable(f"suspects: action is one of {', '.join(ACTIONS)}.")
    if isinstance(least, bool) or not isinstance(least, int | float):
        raise Unusable("suspects: least_score is a number.")
    return Wanted(tuple((beside / file).resolve() for file in files), Action(action), float(least))


def _only_feeds(judged: policy.Policy, known: set[str]) -> None:
    """Refuse a rule on a feed that the same file does not follow: it would never apply."""
    for rule in judged.rules:
        if unknown := sorted(set(rule.feed) - known):
            raise Unusable(f"{rule.name}: feed {unknown[0]!r} is not followed. There are {', '.join(sorted(known))}.")


def _reports(said: Mapping[str, Any]) -> Reports:
    _only(said, {"met", "sightings", "false_positives"}, at="report")
    for name, value in said.items():
        if not isinstance(value, bool):
            raise Unusable(f"report.{name}: true or false.")
    return Reports(**said)


def _job(said: Mapping[str, Any], *, state: Path) -> jobs.Job:
    _only(said, {"id", "name", "kind", "min_confidence"}, at="feed")
    feed = jobs.feed_of(str(said.get("id", "all")))
    name = str(said.get("name", feed or "all"))
    if not name or "/" in name or name.startswith("."):
        raise Unusable(f"feed {name}: a name is a file's name.")
    floor = int(said.get("min_confidence", 0))
    kind = jobs.kind_of(str(said["kind"])) if "kind" in said else ""
    return jobs.Job(state / name, state, feed=feed, kind=kind, min_confidence=floor)


def _output(said: Mapping[str, Any], number: int, *, beside: Path) -> tuple[str, outputs.File | outputs.Sink]:
    kind = said.get("type")
    if kind not in _OUTPUTS:
        raise Unusable(f"output {number}: type is one of {', '.join(_OUTPUTS)}.")
    _only(said, _OUTPUTS[kind], at=f"output {number}")
    name = str(said.get("name", f"{kind} {number}"))
    try:
        if kind == "file":
            return name, outputs.File((beside / str(said["path"])).resolve(), str(said.get("format", "text")))
        if kind == "redis":
            return name, outputs.Redis(str(said["url"]), str(said.get("prefix", "exchange:blocklist")))
        if kind == "postgres":
            dsn = outputs.secret({"secret_env": said.get("dsn_env")}, beside=beside) or str(said["dsn"])
            return name, outputs.Postgres(dsn, str(said.get("table", "exchange_blocklist")))
        return name, outputs.Webhook(str(said["url"]), outputs.secret(said, beside=beside))
    except KeyError as error:
        raise Unusable(f"output {number}: {error.args[0]} is missing.") from error


def _only(said: Mapping[str, Any], known: set[str], *, at: str) -> None:
    if unknown := sorted(set(said) - known):
        raise Unusable(f"{at}: {unknown[0]} is not known. There are {', '.join(sorted(known))}.")
