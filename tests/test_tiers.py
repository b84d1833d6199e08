"""What is run when, and together with what: tests/costing.py, tests/drilling.py, tests/scheduling.py and what is written of them."""

import re
from pathlib import Path

from tests import costing, drilling, scheduling

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent


def named_in(path):
    if not path.is_file():
        return []
    return re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)


def test_what_is_said_to_cost_much_is_there():
    """Ten may have got another name since: until they are measured again, they count as quick."""
    known = {path: set(named_in(ROOT / path)) for path in {name.partition("::")[0] for name in costing.costs()}}
    gone = [name for name in costing.costs() if name.rpartition("::")[2] not in known[name.partition("::")[0]]]
    assert len(gone) <= 10, gone


def test_contributors_read_the_seconds_that_decide():
    said = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"{costing.QUICK_S:g} s at most" in said
    assert f"above {costing.LONG_S:g} s" in said
    assert f"up to {costing.DEAREST_S:g} s" in said


def test_each_place_among_the_first_is_somebodys():
    tests = [f"{path.relative_to(ROOT)}::{name}" for path in HERE.rglob("test_*.py") for name in named_in(path)]
    places = {scheduling._place(name) for name in tests}
    assert places == {*range(len(scheduling._FIRST) + 1)}


def test_all_that_takes_the_one_demo_is_run_by_one_process():
    taking = [path for path in (HERE / "drills").glob("test_*.py") if "(shared_demo" in path.read_text()]
    units = set()
    for path in taking:
        for name in re.findall(r"^def (test_\w+)\(shared_demo", path.read_text(), re.MULTILINE):
            units.add(scheduling._unit(f"{path.relative_to(ROOT)}::{name}"))
    assert len(taking) > 3
    units |= {
        scheduling._unit(f"tests/drills/test_broken.py::{name}") for name in named_in(HERE / "drills/test_broken.py")
    }
    assert units == {scheduling._ONE_DEMO}


def test_nobody_waits_by_what_a_page_forbids_or_for_a_fixed_time():
    """Playwright asks for a text again and again by `eval`, which our pages' policy stops: but only where it was not true at once."""
    waits = re.compile(r"\.(wait_for_function|wait_for_timeout)\(")
    for path in (*HERE.rglob("*.py"), *(ROOT / "bench").rglob("*.py")):
        assert path == Path(__file__) or not waits.search(path.read_text()), path


def test_what_make_drills_leaves_aside_is_what_it_does_not_ask_for(pytestconfig, monkeypatch):
    assert f'-m "{drilling.DRILLS}"' in (ROOT / "Makefile").read_text()
    files = list(HERE.rglob("test_*.py"))
    assert not any(drilling.is_left_aside(path, pytestconfig) for path in files)
    monkeypatch.setattr(pytestconfig.option, "markexpr", drilling.DRILLS)
    left = {path for path in files if drilling.is_left_aside(path, pytestconfig)}
    assert 50 < len(left) < len(files) / 2
    asked_for = {path for path in files if {*named_in(path)} & {name.rpartition("::")[2] for name in costing.costs()}}
    assert not left & asked_for
