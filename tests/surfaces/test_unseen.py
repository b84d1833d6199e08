"""Two worlds that differ only in what others do unseen by Borealis, read by Borealis over every surface: alike.

What is hidden is in `worlds/hidden.py`, what is read and done in `worlds/readings.py` and `worlds/doing.py`. A
difference in status, header, body, cursor, tag, length, order or count fails, unless it is one of these: what is sealed
or drawn (`worlds/seen.py`), or the tree of the audit log, whose size moves once a minute (exchange/docs/log.md).

`make test` reads what is read most and what counts (`readings.BRIEF`); the drills do and read all, and play more random
worlds. TWO_WORLDS=deep plays each act alone, and many more random worlds, over the whole tour: 12 to 23 s of a
processor each. TWO_WORLDS_EXAMPLES says how many random worlds, by itself over the brief tour, 3 s each:
`TWO_WORLDS_EXAMPLES=300 make drills PYTEST_ARGS="tests/surfaces/test_unseen.py -k any_order --hypothesis-seed=13"`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.urls import get_resolver, resolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.drilling import LONG
from tests.surfaces.worlds import doing, hidden, playing, readings
from tests.surfaces.worlds.asking import filled
from tests.surfaces.worlds.playing import Script, Theatre

DEEP = os.environ.get("TWO_WORLDS") == "deep"
MANY = os.environ.get("TWO_WORLDS_EXAMPLES", "")
EXAMPLES = int(MANY or (200 if DEEP else 20))

NARROWING = ["others come to see what the reader sees", "others lose sight of what the reader sees"]
ACTS = list(hidden.ACTS)
EVERYTHING: Script = (ACTS, ACTS)

#: Acts that betrayed themselves once, and where.
CASES: dict[str, tuple[Script, str]] = {
    "cursor": (
        (["aster publishes to cygnus", "hidden objects are withdrawn"], ["cygnus publishes to circle"]),
        "polling",
    ),
    "matches": ((["a newer holder of a shared value hides"], []), "matching"),
    "overlaps": ((["networks around and within those that the reader sees hide"], []), "matching"),
    "narrowing": ((NARROWING, []), "polling"),
}


@pytest.fixture(scope="module")
def kept() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def theatre(kept, django_db_setup, django_db_blocker) -> Callable[[str], Theatre]:
    """The beginning that all worlds of a tour share, made by the first test: its fixtures hold off brokers and listeners."""

    def opened(tour: str) -> Theatre:
        before = "full" if tour == "full" else "brief"
        if getattr(kept, "before", None) != before:
            kept.close()  # the other beginning
            kept.enter_context(django_db_blocker.unblock())
            kept.before, kept.theatre = before, kept.enter_context(playing.opened(before))
        return kept.theatre

    return opened


def betrayed(theatre: Theatre, script: Script, tour: str) -> str:
    found = theatre.differences(script, tour, known=frozenset())
    return "\n".join(f"{name}\n{lines}" for name, lines in found.items())


@pytest.mark.parametrize("tour", ["brief", pytest.param("full", marks=LONG)])
def test_what_others_do_unseen_shows_nowhere(theatre, tour):
    played = theatre(tour)
    found = betrayed(played, EVERYTHING, tour)
    if found and DEEP:
        least = playing.smallest(lambda script: bool(betrayed(played, script, tour)), EVERYTHING)
        found = f"{least}\n{betrayed(played, least, tour)}"
    assert not found, found
    assert played.wrote == set(ACTS), "an act did nothing"


def test_every_route_and_method_is_read(theatre):
    """From the URLconf itself: a route that nobody asks for in the whole tour fails."""
    read: dict[str, set[str]] = {}
    for ask in (*readings.look(), *doing.do()):
        path = filled(ask.path, theatre("brief").stage.things).partition("?")[0]
        read.setdefault(resolve(path).url_name, set()).add("POST" if ask.form is not None else ask.method)
    assert sorted(routes().keys() - read.keys()) == [], "routes that nobody reads: see worlds/readings.py and doing.py"
    unasked = {name: methods - read[name] for name, methods in routes().items() if methods - read[name]}
    assert not unasked, "methods that nobody asks for: see worlds/readings.py and doing.py"


def routes() -> dict[str, set[str]]:
    """Every route by name, with the methods that a view of ours is known to answer."""

    def walk(patterns):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns)
            else:
                view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
                ours = view is not None and view.__module__.startswith(("exchange.", "indicators.", "partners."))
                methods = ("get", "post", "put", "patch", "delete") if ours else ()
                yield pattern.name, {method.upper() for method in methods if hasattr(view, method)}

    return dict(walk(get_resolver().url_patterns))


_slot = st.lists(st.sampled_from(ACTS), max_size=8)


@pytest.mark.parametrize("worlds", [2, pytest.param(EXAMPLES, marks=LONG)])
def test_nor_do_any_acts_in_any_order(theatre, worlds):
    tour = "full" if DEEP else "brief"
    begun = theatre(tour)

    @settings(
        max_examples=worlds,
        derandomize=not (DEEP or MANY),
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(script=st.tuples(_slot, _slot))
    def are_alike(script):
        found = betrayed(begun, script, tour)
        assert not found, found

    are_alike()


@pytest.mark.parametrize("act", ACTS if DEEP else ())
def test_nor_does_any_act_alone(theatre, act):
    found = betrayed(theatre("full"), ([act], [act]), "full")
    assert not found, found


@pytest.mark.parametrize("case", CASES)
def test_what_once_betrayed_others_betrays_nobody(theatre, case):
    script, tour = CASES[case]
    found = betrayed(theatre(tour), script, tour)
    assert not found, found
