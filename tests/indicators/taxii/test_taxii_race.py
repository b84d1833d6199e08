"""No lost update: readers that follow `added_after` alone, or `next`, while several partners write at once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import orjson
import pytest
from django.db import connection

from tests import build
from tests.indicators.taxii.cast import EVERYTHING, Caller, a_caller, an_indicator

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

POSTS, OBJECTS = 12, 5
LAST = "X-TAXII-Date-Added-Last"


def write(caller: Caller) -> list[str]:
    written = []
    for _ in range(POSTS):
        held = [an_indicator() for _ in range(OBJECTS)]
        caller.add(*held)
        written += [one["id"] for one in held]
    return written


def by_added_after(caller: Caller, done: threading.Event) -> list[str]:
    """What a client sees that keeps nothing but the last date it was given."""
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        was_done = done.is_set()
        answer = caller.get(f"{EVERYTHING}objects/", {"limit": 7} | after)
        found = orjson.loads(answer.content).get("objects", [])
        if found:
            seen += [one["id"] for one in found]
            after = {"added_after": answer[LAST]}
        elif was_done:
            return seen


def by_next(caller: Caller, done: threading.Event) -> list[str]:
    """What a client sees that follows `next`, and begins anew after the last date where there is no more."""
    seen: list[str] = []
    place: dict[str, str] = {}
    while True:
        was_done = done.is_set()
        answer = caller.get(f"{EVERYTHING}objects/", {"limit": 7} | place)
        read = orjson.loads(answer.content)
        seen += [one["id"] for one in read.get("objects", [])]
        if read.get("more"):
            place = {"next": read["next"]}
        elif read.get("objects") or "next" in place:
            place = {"added_after": answer[LAST]}
        elif was_done:
            return seen


def in_thread[T](call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connection.close()


def test_readers_by_date_and_by_next_see_every_object_exactly_once_under_concurrent_writers() -> None:
    labs = [a_caller(name) for name in ("Aster", "Borealis", "Cygnus", "Draco")]
    reader = a_caller("Eridanus")
    build.a_ring(*[lab.partner for lab in labs], reader.partner, slug="outer")
    done = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        readers = [
            pool.submit(in_thread, lambda follow=follow: follow(reader, done))
            for follow in (by_added_after, by_next, by_added_after, by_next)
        ]
        writers = [pool.submit(in_thread, lambda lab=lab: write(lab)) for lab in labs]
        written = [one for writer in writers for one in writer.result()]
        done.set()
        for follower in readers:
            assert Counter(follower.result()) == Counter(written)
    assert len(written) == len(labs) * POSTS * OBJECTS
