"""What the browser takes from others is what was bundled from locked packages, and its tables are the client's."""

import hashlib
import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
BROWSER = ROOT / "deploy/browser"


def test_the_committed_bundles_are_those_whose_hashes_were_written_down():
    for line in (BROWSER / "bundles.sha256").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((ROOT / "exchange/static/bundled" / name).read_bytes()).hexdigest() == digest, name


def test_every_package_is_locked_by_its_hash_and_no_registry_is_named():
    lock = json.loads((BROWSER / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert not name or package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def test_the_browsers_tables_are_those_of_the_client():
    spec = importlib.util.spec_from_file_location("tables", BROWSER / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.WHERE.read_text() == tables.written()
