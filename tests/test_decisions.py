"""Each decision has a number of its own, its title begins with it, and the index lists it with its title."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "exchange" / "docs" / "adr"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))


def test_no_two_decisions_have_one_number():
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_the_index_lists_each_decision_by_its_title(path):
    titled = re.fullmatch(r"# (\d{4})\. (.+)", path.read_text().splitlines()[0])
    assert titled, "the title reads '# 0001. What was decided'"
    assert titled[1] == path.name[:4]
    index = (FOLDER / "README.md").read_text()
    assert f"| [{titled[1]}]({path.name}) | {titled[2]} |" in index
