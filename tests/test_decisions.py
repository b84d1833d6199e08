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


def test_what_is_internal_to_allauth_and_named_here_is_listed_in_its_decision():
    import ast

    root = Path(__file__).resolve().parents[1]
    decided = (root / "exchange/docs/adr/0014-passkeys-by-allauth-forms-by-us.md").read_text()
    texts = [path.read_text() for room in ("exchange", "partners") for path in (root / room).rglob("*.py")]
    trees = [ast.parse(text) for text in texts if "allauth" in text]
    imports = [one for tree in trees for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and one.module]
    internal = {
        (f"{one.module}.{name.name}" if one.module.endswith(".internal") else one.module).removeprefix("allauth.")
        for one in imports
        if one.module.startswith("allauth.") and ".internal" in one.module
        for name in one.names
    }
    assert internal
    assert {one for one in internal if f"`{one}`" not in decided} == set()


def test_numbers_that_decisions_name_are_those_in_force():
    from exchange import settings
    from indicators.reading import exporting

    broker = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    said = (FOLDER / "0002-broker-in-postgresql.md").read_text()
    assert f"polling interval is {round(broker['polling_interval'] * 1_000)} ms" in said
    assert f"prefetch {settings.CELERY_WORKER_PREFETCH_MULTIPLIER}.*" in said
    assert f"visibility timeout ({broker['visibility_timeout']} s)" in said
    bundle = " ".join((FOLDER / "0020-bundles-page-by-page.md").read_text().split())
    assert f"{exporting._PAGE} objects or {exporting._PAGE_BYTES // 1024} KiB" in bundle
    assert f"at most {exporting._MAX_REFERRED:,} are remembered" in bundle
