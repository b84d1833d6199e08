"""Two worlds that differ only in what others do unseen by Borealis, read by Borealis over every surface: alike.

What is hidden is in `worlds/hidden.py`, what is read and done in `worlds/readings.py` and `worlds/doing.py`. A
difference in status, header, body, cursor, tag, length, order or count fails, unless it is one of these: what is sealed
or drawn (`worlds/seen.py`), or the tree of the audit log, whose size moves once a minute (exchange/docs/log.md).

`make test` plays each act once and reads what is read most and what counts (`readings.BRIEF`). `make long` does and reads
all: after all acts together, before and after what the reader does, after each act alone, after those that betrayed
themselves once, and after acts at random.
TWO_WORLDS=deep plays many more random worlds over the whole tour, 12 to 23 s of a processor each. TWO_WORLDS_EXAMPLES
says how many random worlds, by itself over the brief tour, 3 s each:
`TWO_WORLDS_EXAMPLES=300 make long PYTEST_ARGS="tests/surfaces/test_unseen.py -k any_order --hypothesis-seed=13"`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.urls import get_resolver, resolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.drilling import LONG
from tests.surfaces.worlds import doing, hidden, playing, readings, writing
from tests.surfaces.worlds.asking import filled
from tests.surfaces.worlds.playing import Script, Theatre

DEEP = os.environ.get("TWO_WORLDS") == "deep"
MANY = os.environ.get("TWO_WORLDS_EXAMPLES", "")
EXAMPLES = int(MANY or (200 if DEEP else 20))

NARROWING = ["others come to see what the reader sees", "others lose sight of what the reader sees"]
ACTS = list(hidden.ACTS)
EVERYTHING: Script = (ACTS, ACTS)
_COMMON = [act for act in ACTS if act not in hidden.LAST]
#: Each act once, every second one after what the reader does.
EACH_ONCE: Script = (_COMMON[::2], [*_COMMON[1::2], *hidden.LAST])

#: Acts that betrayed themselves once, and where.
CASES: dict[str, tuple[Script, str]] = {
    "cursor, narrowing": (
        (["aster publishes to cygnus", "hidden objects are withdrawn", *NARROWING], ["cygnus publishes to circle"]),
        "polling",
    ),
    "matches, overlaps": (
        (["a newer holder of a shared value hides",
          "networks around and within those that the reader sees hide"], []),
        "matching",
    ),
}  # fmt: skip


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


@pytest.mark.parametrize(
    ("tour", "script"),
    [("brief", EACH_ONCE), pytest.param("brief", EVERYTHING, marks=LONG), pytest.param("full", EVERYTHING, marks=LONG)],
    ids=["brief, each once", "brief", "full"],
)
def test_what_others_do_unseen_shows_nowhere(theatre, tour, script):
    played = theatre(tour)
    found = betrayed(played, script, tour)
    wrote, called = set(played.wrote), set(played.called)
    if found and DEEP:
        least = playing.smallest(lambda script: bool(betrayed(played, script, tour)), script)
        found = f"{least}\n{betrayed(played, least, tour)}"
    assert not found, found
    assert wrote == set(ACTS), "an act did nothing"
    uncalled = {route for route, act in writing.REST.items() if isinstance(act, str)} - called
    assert not uncalled, "routes that the act of `writing` does not call, or in vain: what comes before it may be why"


def test_every_route_that_writes_has_an_act_that_hides_or_a_reason():
    """From the URLconf itself: a new route that writes, or a new page, fails until `writing` says which act is its own."""
    writes = {f"{name} {method}" for name, methods in routes().items() for method in methods - {"GET"}}
    known = writing.REST.keys() | {f"{name} POST" for name in writing.PAGES}
    assert (sorted(writes - known), sorted(known - writes)) == ([], [])
    assert {act for act in writing.REST.values() if isinstance(act, str)} <= set(ACTS)
    named = {route for routes in writing.PAGES.values() if not isinstance(routes, writing.Why) for route in routes}
    assert named <= writing.REST.keys()


def test_every_route_and_method_is_read(theatre):
    """From the URLconf itself: a route that nobody asks for in the whole tour fails."""
    read: dict[str, set[str]] = {}
    for ask in (*readings.look(), *doing.do()):
        path = filled(ask.path, theatre("brief").stage.things).partition("?")[0]
        read.setdefault(resolve(path).url_name, set()).add("POST" if ask.form is not None else ask.method)
    asked = routes(of_functions=False)
    assert sorted(asked.keys() - read.keys()) == [], "routes that nobody reads: see worlds/readings.py and doing.py"
    unasked = {name: methods - read[name] for name, methods in asked.items() if methods - read[name]}
    assert not unasked, "methods that nobody asks for: see worlds/readings.py and doing.py"


def routes(*, of_functions: bool = True) -> dict[str, set[str]]:
    """Every route by name, with the methods that a view of ours is known to answer: a class, or a function too."""

    def walk(patterns):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns)
            else:
                view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
                ours = view is not None and view.__module__.startswith(("exchange.", "indicators.", "partners."))
                methods = {method for method in _METHODS if ours and hasattr(view, method.lower())}
                yield pattern.name, methods or (_required(pattern.callback) if of_functions else set())

    return dict(walk(get_resolver().url_patterns))


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def _required(view) -> set[str]:
    """The methods that `require_http_methods` lets through to a function, as its decorators hold them."""
    found: set[str] = set()
    while view is not None:
        held = [cell.cell_contents for cell in getattr(view, "__closure__", None) or ()]
        lists = [each for each in held if isinstance(each, list | tuple) and {"GET", "HEAD", *_METHODS} >= {*each}]
        found |= {method for each in lists for method in each if method in _METHODS}
        view = getattr(view, "__wrapped__", None)
    return found


_slot = st.lists(st.sampled_from(ACTS), max_size=8)


@pytest.mark.drill
@pytest.mark.long
def test_nor_do_any_acts_in_any_order(theatre):
    tour = "full" if DEEP else "brief"
    begun = theatre(tour)

    @settings(
        max_examples=EXAMPLES,
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


@pytest.mark.drill
@pytest.mark.long
def test_nor_do_some_acts_in_another_order(theatre):
    drawn = random.Random(13)
    script = tuple(drawn.sample(ACTS, 8) for _ in range(2))
    found = betrayed(theatre("brief"), script, "brief")
    assert not found, found


@pytest.mark.parametrize("act", [pytest.param(act, marks=LONG) for act in ACTS])
def test_nor_does_any_act_alone(theatre, act):
    found = betrayed(theatre("full"), ([act], [act]), "full")
    assert not found, found


@pytest.mark.parametrize("case", CASES)
def test_what_once_betrayed_others_betrays_nobody(theatre, case):
    script, tour = CASES[case]
    found = betrayed(theatre(tour), script, tour)
    assert not found, found
