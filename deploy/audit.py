"""Which locked packages have known vulnerabilities, by a snapshot of advisories: no service is asked.

    python deploy/audit.py [--keep FILE] SNAPSHOT LOCK …

SNAPSHOT holds advisories in the OSV format (https://ossf.github.io/osv-schema/): a checkout of
https://github.com/pypa/advisory-database, or osv.dev's `PyPI/all.zip`, as a directory or the zip itself. Or a FILE that
`--keep` wrote of one: what it says of the locked packages alone, small enough to go with a release. Exit status 0: none
known; 1: some; 2: nothing could be said.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_PINNED = re.compile(r"^(?P<name>[\w.-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
#: Of an advisory, what decides whether a version is meant.
_DECIDES = ("id", "aliases", "modified")
_LICENCE = (
    "CC-BY-4.0: advisories of the Python Packaging Advisory Database (https://github.com/pypa/advisory-database) and of"
    " the GitHub Advisory Database (https://github.com/github/advisory-database), shortened: without their texts."
)
#: For so long after its newest advisory a kept file may call a lock clean.
_FRESH_DAYS = 35
_LIKELY = re.compile(rb"PyPI", re.IGNORECASE)


class Unreadable(Exception):
    """Not a snapshot of advisories; the message says what is wrong."""


def pinned(lock: str) -> dict[str, set[Version]]:
    """The versions of each package of a lock, by its canonical name; several where markers choose."""
    found: dict[str, set[Version]] = {}
    for one in _PINNED.finditer(lock):
        found.setdefault(canonicalize_name(one["name"]), set()).add(Version(one["version"]))
    return found


def advisories(snapshot: Path) -> Iterator[Mapping[str, Any]]:
    """All of a snapshot that were not withdrawn. Raises Unreadable."""
    if snapshot.suffix == ".json":
        yield from _read_kept(snapshot)["advisories"]
        return
    seen = 0
    for name, body in _files(snapshot):
        if not _LIKELY.search(body):
            continue
        try:
            read = json.loads(body) if name.endswith(".json") else yaml.load(body, Loader=_LOADER)  # noqa: S506 - a safe one
        except (ValueError, yaml.YAMLError) as error:
            raise Unreadable(f"{name} is no advisory: {error}") from None
        if isinstance(read, dict) and "affected" in read:
            seen += 1
            if not read.get("withdrawn"):
                yield read
    if not seen:
        raise Unreadable(f"{snapshot} holds no advisory on packages of PyPI.")


#: The one of C, where it was built: the pure one takes minutes for ten thousand advisories.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _files(snapshot: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if snapshot.is_dir():
            for path in sorted(snapshot.rglob("*")):
                if path.suffix in {".json", ".yaml", ".yml"} and path.is_file():
                    yield str(path.relative_to(snapshot)), path.read_bytes()
            return
        with zipfile.ZipFile(snapshot) as packed:
            for name in sorted(packed.namelist()):
                if name.endswith((".json", ".yaml", ".yml")):
                    yield name, packed.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise Unreadable(f"{snapshot} cannot be read: {error}") from None


def _read_kept(path: Path) -> Any:
    try:
        read = json.loads(path.read_text())
        if not {"advisories", "packages", "newest"} <= read.keys():
            raise Unreadable(f"{path} holds no advisories that were kept for a release.")
    except (OSError, ValueError, AttributeError) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from None
    return read


def too_old(snapshot: Path) -> str:
    """Why nothing can be called clean by a kept file whose newest advisory is of so long ago; else "".

    Of all packages there are, whatever is locked here: somewhere one is changed each day.
    """
    newest = _read_kept(snapshot)["newest"] if snapshot.suffix == ".json" else ""
    if newest and datetime.now(UTC) - datetime.fromisoformat(newest) > timedelta(days=_FRESH_DAYS):
        return f"{snapshot} is of {newest[:10]}: what became known since is not in it. Make it anew."
    return ""


def uncovered(locks: Mapping[str, set[Version]], snapshot: Path) -> list[str]:
    """The locked packages that a kept file was not made for: of those it says nothing."""
    return sorted(locks.keys() - set(_read_kept(snapshot)["packages"])) if snapshot.suffix == ".json" else []


def keep(locks: Mapping[str, set[Version]], snapshot: Path, to: Path) -> None:
    """Write what a snapshot says of the locked packages, of whatever version, so that a lock may change after it."""
    kept = []
    for advisory in advisories(snapshot):
        affected = [_shortened(one) for one in advisory["affected"] if _name(one) in locks]
        if affected:
            kept.append({name: advisory[name] for name in _DECIDES if name in advisory} | {"affected": affected})
    kept.sort(key=lambda one: str(one.get("id")))
    newest = max((str(one.get("modified") or "") for one in advisories(snapshot)), default="")
    head = {"licence": _LICENCE, "newest": newest, "packages": sorted(locks)}
    lines = ",\n".join(json.dumps(one, default=str, separators=(",", ":")) for one in kept)
    to.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "advisories": [\n{lines}\n]}}\n')


def _name(affected: Mapping[str, Any]) -> str:
    """Of the package of PyPI that is meant, as registries compare names; "" for one of elsewhere."""
    package = affected.get("package") or {}
    return canonicalize_name(str(package.get("name") or "")) if package.get("ecosystem") == "PyPI" else ""


def _shortened(affected: Mapping[str, Any]) -> dict[str, Any]:
    """Package, ranges, and those of the versions that the ranges do not name."""
    ranges = [one for one in affected.get("ranges") or () if one.get("type") in {"ECOSYSTEM", "SEMVER"}]
    versions = [
        one
        for one in affected.get("versions") or ()
        if (at := _version(one)) is not None and not affects({"ranges": ranges}, at)
    ]
    return {"package": affected["package"], "ranges": ranges} | ({"versions": versions} if versions else {})


def affects(affected: Mapping[str, Any], version: Version) -> bool:
    """Whether one entry of an advisory's `affected` names this version, by its list or by its ranges."""
    if version in {_version(one) for one in affected.get("versions") or ()}:
        return True
    return any(
        _within(one.get("events") or (), version)
        for one in affected.get("ranges") or ()
        if one.get("type") in {"ECOSYSTEM", "SEMVER"}
    )


def _within(events: Any, version: Version) -> bool:
    """As the OSV format has it: events ordered by version; the last one at or before this version decides."""
    ordered = []
    for event in events:
        for kind, said in event.items():
            at = Version("0.dev0") if said == "0" else _version(said)
            if at is not None and kind in {"introduced", "fixed", "last_affected"}:
                ordered.append((at, kind))
    inside = False
    for at, kind in sorted(ordered, key=lambda one: one[0]):
        if at < version or (at == version and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _version(said: Any) -> Version | None:
    try:
        return Version(str(said))
    except InvalidVersion:
        return None


def found(locks: Mapping[str, set[Version]], snapshot: Path) -> tuple[list[str], int, str]:
    """A line for each version and advisory that names it; how many were read; when the newest was changed."""
    lines, read, newest = set(), 0, ""
    for advisory in advisories(snapshot):
        read += 1
        newest = max(newest, str(advisory.get("modified") or ""))
        for affected in advisory["affected"]:
            name = _name(affected)
            for version in locks.get(name, ()):
                if affects(affected, version):
                    also = ", ".join(map(str, advisory.get("aliases") or ()))
                    lines.add(f"{name} {version}: {advisory.get('id')}{f' ({also})' if also else ''}")
    return sorted(lines), read, newest


def main(arguments: list[str]) -> int:
    """Print what is known of the locks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("locks", type=Path, nargs="*")
    given = parser.parse_args(arguments)
    snapshot, paths = given.snapshot, given.locks
    locked: dict[str, set[Version]] = {}
    for path in paths:
        for name, versions in pinned(path.read_text()).items():
            locked.setdefault(name, set()).update(versions)
    try:
        if missing := uncovered(locked, snapshot):
            raise Unreadable(f"{snapshot} was made before these were locked: {', '.join(missing)}. Make it anew.")
        lines, read, newest = found(locked, snapshot)
        if given.keep:
            keep(locked, snapshot, given.keep)
    except Unreadable as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 2
    for line in lines:
        print(line)  # noqa: T201 - a command
    known = f"{len(lines)} known" if lines else "none known"
    print(f"{len(locked)} packages, {read:,} advisories, the newest of {newest[:10] or 'no date'}: {known}.")  # noqa: T201
    if old := too_old(snapshot):
        print(old, file=sys.stderr)  # noqa: T201
    return 1 if lines else 2 if old else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
