"""The audit of the locks by a snapshot of advisories: what names a locked version is told, and silence is no answer."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT / "deploy/audit.py"
LOCK = "django==6.1.2 \\\n    --hash=sha256:00\npsycopg[binary]==3.3.0 ; sys_platform == 'linux' \\\nPy_YAML==6.0\n"

_SPEC = importlib.util.spec_from_file_location("audit", AUDIT)
assert _SPEC
assert _SPEC.loader
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)


def an_advisory(*events, name="Django", **more):
    package = {"ecosystem": "PyPI", "name": name}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}]
    affected = {"package": package, "ranges": ranges} | more.pop("affected", {})
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "modified": "2026-11-01T00:00:00Z", "affected": [affected]} | more


def asked(tmp_path, *advisories, packed=False, lock=LOCK):
    """The exit status, and what was said."""
    (tmp_path / "a.lock").write_text(lock)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for number, one in enumerate(advisories):
        (snapshot / f"{number}.json").write_text(json.dumps(one))
    if packed:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as made:
            for path in snapshot.iterdir():
                made.write(path, path.name)
        snapshot = tmp_path / "all.zip"
    done = subprocess.run(
        [sys.executable, AUDIT, snapshot, tmp_path / "a.lock"], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_what_names_a_locked_version_is_told_and_fails(tmp_path, packed):
    status, said = asked(tmp_path, an_advisory({"introduced": "6.0"}, {"fixed": "6.1.3"}), packed=packed)
    assert status == 1
    assert "django 6.1.2: PYSEC-1 (CVE-1)" in said
    assert "3 packages, 1 advisories, the newest of 2026-11-01: 1 known." in said


def test_what_is_fixed_withdrawn_or_of_another_ecosystem_is_not(tmp_path):
    status, said = asked(
        tmp_path,
        an_advisory({"introduced": "0"}, {"fixed": "6.1.2"}),
        an_advisory({"introduced": "0"}, withdrawn="2026-11-02T00:00:00Z"),
        an_advisory({"introduced": "0"}, affected={"package": {"ecosystem": "npm", "name": "django"}}),
    )
    assert (status, "none known" in said) == (0, True)


def test_advisories_in_yaml_are_read_and_names_are_compared_as_registries_do(tmp_path):
    (tmp_path / "vulns").mkdir()
    (tmp_path / "vulns/one.yaml").write_text(
        "id: PYSEC-2\nmodified: 2026-11-03T00:00:00Z\naffected:\n- package: {ecosystem: PyPI, name: py.yaml}\n"
        "  versions: ['6.0.0', '5.4']\n"
    )
    lines, read, newest = audit.found(audit.pinned(LOCK), tmp_path / "vulns")
    assert (lines, read, newest[:10]) == (["py-yaml 6.0: PYSEC-2"], 1, "2026-11-03") or lines == [
        "py-yaml 6.0: PYSEC-2"
    ]


def test_what_is_kept_for_a_release_says_the_same_of_what_is_locked_and_nothing_of_the_rest(tmp_path):
    snapshot, kept = tmp_path / "vulns", tmp_path / "advisories.json"
    snapshot.mkdir()
    listed = {"versions": ["6.0", "6.1.2", "5.0a1"]}
    told = (
        an_advisory({"introduced": "6.0"}, {"fixed": "6.1.3"}, affected=listed, details="Long. " * 100),
        an_advisory({"introduced": "7.0"}, id="PYSEC-7"),
        an_advisory({"introduced": "0"}, id="PYSEC-8", name="nobody-locks-it"),
        an_advisory({"introduced": "0"}, id="PYSEC-9", withdrawn="2026-11-02T00:00:00Z"),
    )
    for number, one in enumerate(told):
        (snapshot / f"{number}.json").write_text(json.dumps(one))
    locks = audit.pinned(LOCK)
    audit.keep(locks, snapshot, kept)
    assert audit.found(locks, kept)[0] == audit.found(locks, snapshot)[0] == ["django 6.1.2: PYSEC-1 (CVE-1)"]
    read = json.loads(kept.read_text())
    assert [one["id"] for one in read["advisories"]] == ["PYSEC-1", "PYSEC-7"], "and of versions that are locked later"
    assert read["advisories"][0]["affected"][0]["versions"] == ["5.0a1"], "the ranges say the others"
    assert "Long" not in kept.read_text()
    assert read["licence"].startswith("CC-BY-4.0")


def test_a_snapshot_of_before_a_lock_or_of_long_ago_is_no_clean_audit(tmp_path):
    (tmp_path / "vulns").mkdir()
    new = an_advisory({"introduced": "7.0"}, modified=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    (tmp_path / "vulns/0.json").write_text(json.dumps(new))
    (tmp_path / "a.lock").write_text(LOCK)
    kept = tmp_path / "advisories.json"
    audit.keep(audit.pinned(LOCK), tmp_path / "vulns", kept)
    line = [sys.executable, AUDIT, kept, tmp_path / "a.lock"]
    assert subprocess.run(line, capture_output=True, check=False).returncode == 0
    kept.write_text(kept.read_text().replace(new["modified"], "2026-01-01T00:00:00Z"))
    old = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (old.returncode, "is of 2026-01-01" in old.stderr) == (2, True), "nor is one that is merely old"
    (tmp_path / "a.lock").write_text(f"{LOCK}newer==1.0\n")
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, "these were locked: newer" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("events", "version", "is_affected"),
    [
        ([{"introduced": "0"}], "0.1.dev1", True),
        ([{"introduced": "1.0"}, {"last_affected": "1.5"}], "1.5", True),
        ([{"introduced": "1.0"}, {"last_affected": "1.5"}], "1.5.1", False),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "1.5rc1", True),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}], "1.5", False),
        ([{"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.3"}], "1.9", False),
        ([{"introduced": "2.0"}, {"fixed": "2.3"}, {"introduced": "1.0"}, {"fixed": "1.5"}], "2.2", True),
        ([{"introduced": "of no order"}], "1.0", False),
    ],
)
def test_ranges_are_read_as_the_osv_format_has_them(events, version, is_affected):
    assert audit.affects({"ranges": [{"type": "ECOSYSTEM", "events": events}]}, Version(version)) is is_affected


@pytest.mark.parametrize("what", ["nothing", "no advisory", "no file"])
def test_a_snapshot_that_says_nothing_is_no_clean_audit(tmp_path, what):
    if what == "no file":
        done = subprocess.run(
            [sys.executable, AUDIT, tmp_path / "none.zip"], capture_output=True, text=True, check=False
        )
        status, said = done.returncode, done.stderr
    else:
        status, said = asked(tmp_path, *([{"a": "PyPI"}] if what == "no advisory" else []))
    assert status == 2
    assert "cannot be read" in said or "no advisory" in said


def test_each_package_of_the_servers_lock_is_asked_about():
    text = (ROOT / "deploy/requirements.lock").read_text()
    assert sum(map(len, audit.pinned(text).values())) == sum(
        "==" in line for line in text.splitlines() if line[:1].strip()
    )
