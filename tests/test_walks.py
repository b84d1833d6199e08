"""What CONTRIBUTING.md names is there; the rooms of a walk are entered from one before them, and few."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_ROOMS = 8
_SECTION = re.compile(r"## Four walks\n(.*?)\n## ", re.DOTALL)
_WALK = re.compile(r"\*\*A ([a-z ]+)\*\*: (.*?)\n\n", re.DOTALL)


def walks():
    (section,) = _SECTION.findall((ROOT / "CONTRIBUTING.md").read_text())
    return {name: re.findall(r"\d `([\w/]+)`", text) for name, text in _WALK.findall(section + "\n\n")}


def files(room):
    """The modules of a room: one, or those of a package."""
    path = ROOT / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def entered_from(room):
    """The modules that those of a room import, and those that a package hands on which they import."""
    own = imported(files(room))
    faces = [ROOT / name / "__init__.py" for name in own]
    return own | imported(face for face in faces if face.exists())


def imported(paths):
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
            elif isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
    return {name.replace(".", "/") for name in found}


@pytest.mark.parametrize("name", ["pushed body", "cursor", "match", "delivery"])
def test_a_walk_passes_few_rooms_and_each_is_entered_from_one_before_it(name):
    rooms = walks()[name]
    assert 2 < len(rooms) <= MOST_ROOMS, rooms
    for place, room in enumerate(rooms):
        assert all(path.exists() for path in files(room)), room
        ways = {way for before in rooms[:place] for way in entered_from(before)}
        assert place == 0 or any(way == room or way.startswith(f"{room}/") for way in ways), f"nobody enters {room}"


def test_every_path_that_the_page_names_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:exchange|partners|indicators|tests|deploy)/[\w/.-]+)`", page)
    assert len(named) > 40
    assert [name for name in named if not any(path.exists() for path in (ROOT / name, ROOT / f"{name}.py"))] == []
