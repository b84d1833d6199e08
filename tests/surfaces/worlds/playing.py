"""Play one history in a world of its own, and read it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any
from unittest import mock

from django.db import connection, transaction
from django.test import Client

from tests.surfaces.worlds import hidden, pinned, readings, stage
from tests.surfaces.worlds.asking import Reader, Tour
from tests.surfaces.worlds.pinned import Pins
from tests.surfaces.worlds.seen import Eyes
from tests.surfaces.worlds.stage import Posted, Stage

#: What is hidden before the reader does anything, and after.
Script = tuple[Sequence[str], Sequence[str]]
NOTHING: Script = ((), ())
TOURS = {name.lower(): getattr(readings, name) for name in ("FULL", "BRIEF", "POLLING", "MATCHING")}


@dataclass
class Theatre:
    """The beginning that all worlds share, within a transaction that is never committed."""

    stage: Stage
    reader: Reader
    _unhidden: dict[tuple[str, frozenset[str]], dict[str, str]] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)  # acts of the last world that did something
    called: set[str] = field(default_factory=set)  # routes by name and method that its acts called, and were answered

    def differences(self, script: Script, tour: str, *, known: frozenset[str]) -> dict[str, str]:
        """Where the reader sees that this was hidden from them, by reading, each as lines of a comparison."""
        unhidden = self.unhidden(tour, known=known)
        return compared(unhidden, self.play(script, tour, known=known), known=known)

    def unhidden(self, tour: str, *, known: frozenset[str]) -> dict[str, str]:
        """What the reader sees where nothing is hidden from them; played once."""
        if (tour, known) not in self._unhidden:
            self._unhidden[tour, known] = self.play(NOTHING, tour, known=known)
        return self._unhidden[tour, known]

    def play(self, script: Script, tour: str, *, known: frozenset[str] = frozenset()) -> dict[str, str]:
        """What the reader sees in a world where this is hidden from them, but for differences that are `known`."""
        with self.stage.pins.held(), stage.receiving(self.stage.posted):
            return stage.taken_back(lambda: self._play(script, TOURS[tour], known))

    def _play(self, script: Script, tour: Tour, known: frozenset[str]) -> dict[str, str]:
        here = self.stage.copy()
        reader = self.reader.within(here, known)
        self.wrote.clear()
        self.called.clear()
        self._hide(here, script[0], seconds=600)
        here.pins.step("first turn", seconds=1_800)
        here.turn()
        reader.ask("first", tour.first(), seconds=1_810)
        reader.ask("done", tour.done(), seconds=1_820)
        here.pins.step("turn", seconds=1_830)  # or what the reader did would be told whenever others wake a worker
        here.turn()
        self._hide(here, script[1], seconds=2_400)
        here.pins.step("seen", seconds=3_600)
        _what_all_see(here)
        here.pins.step("second turn", seconds=4_080)
        here.turn()
        reader.ask("second", tour.second(), seconds=4_090)
        here.pins.step("third turn", seconds=8_040)
        here.turn()
        reader.ask("third", tour.third(), seconds=8_050)
        return reader.seen

    def _hide(self, here: Stage, acts: Sequence[str], *, seconds: float) -> None:
        for place, name in enumerate(acts):
            at = seconds + 20 * place
            here.pins.step(f"hidden at {at}: {name}", seconds=at)
            before = _written()
            with _calling(self.called):
                hidden.ACTS[name](here)
            if _written() != before:
                self.wrote.add(name)


@contextlib.contextmanager
def _calling(called: set[str]) -> Iterator[None]:
    """Note the routes that are called meanwhile, and not refused."""
    request = Client.request

    def noted(client: Client, **asked: Any) -> Any:
        response = request(client, **asked)
        if response.status_code < 400:
            called.add(f"{response.resolver_match.url_name} {asked['REQUEST_METHOD']}")
        return response

    with mock.patch.object(Client, "request", noted):
        yield


def _written() -> tuple[object, ...]:
    """What moves with whatever anybody does."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN)
        return tuple(cursor.fetchone())


_WRITTEN = """
SELECT (SELECT count(*) FROM partners_auditrecord), (SELECT count(*) FROM indicators_change),
       (SELECT sum(pages) FROM partners_readtally), (SELECT sum(refused) FROM partners_refusedcredentials),
       (SELECT count(*) FROM partners_treehead)
"""


def compared(one: Mapping[str, str], other: Mapping[str, str], *, known: frozenset[str]) -> dict[str, str]:
    """Where two worlds differ, in the order of the readings."""
    found = {}
    for name in dict.fromkeys((*one, *other)):
        if one.get(name) == other.get(name) or ("matches" in known and _SHOWS_MATCHES.search(name)):
            continue
        found[name] = _first_differences(one.get(name), other.get(name))
    return found


def _first_differences(one: str | None, other: str | None, *, most: int = 6) -> str:
    """Line by line, as long as they have as many lines; what was inserted shows as what differs first."""
    if one is None or other is None:
        return "  only in the one world" if other is None else "  only in the other world"
    pairs = zip_longest(*(text.replace('{"', '\n{"').splitlines() for text in (one, other)), fillvalue="")
    unequal = ((left, right) for left, right in pairs if left != right)
    return "\n".join(f"  - {left[:240]}\n  + {right[:240]}" for left, right in islice(unequal, most))


#: The readings in which matches show.
_SHOWS_MATCHES = re.compile(r"GET (\S*/matches|/$|/recent|/indicators\?matched|/indicators/indicator--[0-9a-f-]+$)")


def smallest(fails: Callable[[Script], bool], script: Script, *, tries: int = 60) -> Script:
    """A part of a script that still fails, with few acts that could be left out: halves, then quarters, then less."""
    acts = [(slot, act) for slot in (0, 1) for act in script[slot]]
    piece = len(acts)
    while (piece := piece // 2) and tries:
        place = 0
        while place < len(acts) and tries:
            tries -= 1
            less = acts[:place] + acts[place + piece :]
            if less and fails(_script(less)):
                acts = less
            else:
                place += piece
    return _script(acts)


def _script(acts: Sequence[tuple[int, str]]) -> Script:
    return [act for slot, act in acts if slot == 0], [act for slot, act in acts if slot == 1]


def _what_all_see(here: Stage) -> None:
    """What others do before everybody's eyes, whatever was hidden before."""
    here.push("aster", stage.revised(stage.SHARED["relay"], name="Seen again"), groups="ring")
    here.push("aster", stage.an_indicator("seen by all", value="mine"), groups="ring")
    here.push("cygnus", stage.an_indicator("of cygnus, too", word="clear"), everyone="true")
    here.caller("aster").send("POST", "objects/withdraw", {"ids": [stage.an_id("named")]})


@contextlib.contextmanager
def opened(tour: str) -> Iterator[Theatre]:
    """The beginning, and what the reader saw of what this tour looks at before the worlds part."""
    pins, posted = Pins(), list[Posted]()
    with transaction.atomic():
        with pins.held(), stage.receiving(posted):
            begun = stage.begin(pins, posted)
            posted.clear()
            reader = Reader(begun, Eyes(begun.absent, frozenset()))
            reader.ask("before", TOURS[tour].second(), seconds=300)
        yield Theatre(begun, reader)
        transaction.set_rollback(True)
    pinned.forget()
