"""Each promise of the security model names the tests that hold it, and each of these tests is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"^ *def (test_\w+)\(", re.MULTILINE)


def promises() -> list[tuple[str, list[str]]]:
    return [
        (number, re.findall(r"`(test_\w+)`", held))
        for number, _, held in _ROW.findall((ROOT / "exchange/docs/security.md").read_text())
    ]


@cache
def names_of_tests() -> set[str]:
    return {name for path in (ROOT / "tests").rglob("test_*.py") for name in _TEST.findall(path.read_text())}


def test_the_promises_are_numbered_without_a_gap():
    assert [number for number, _ in promises()] == [str(number + 1) for number in range(len(promises()))]
    assert len(promises()) >= 10


@pytest.mark.parametrize(("number", "named"), promises())
def test_each_promise_is_held_by_tests_that_exist(number, named):
    assert named, f"promise {number} names no test"
    assert set(named) <= names_of_tests()
