"""No lost update: readers that follow `added_after` alone, or `next`, while several partners write at once.

They write to their own collections and to those of groups; they read everything, groups and a feed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

import orjson
import pytest
from django.db import connection

from indicators.telling import subscribing
from partners.keys import auth
from tests import build
from tests.indicators.taxii.cast import EVERYTHING, ROOT, Caller, a_caller, an_indicator

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)

POSTS, OBJECTS = 6, 5
LAST = "X-TAXII-Date-Added-Last"


@dataclass
class Written:
    """What was written, by the collections in which the reader must find it."""

    ids: dict[str, list[str]] = field(default_factory=lambda: {"everything": [], "inner": [], "outer": [], "feed": []})

    def add(self, other: Written) -> None:
        for name, ids in other.ids.items():
            self.ids[name] += ids


def write(caller: Caller, paths: dict[str, tuple[str, ...]]) -> Written:
    """Add by turns to collections; `paths` says in which others each of them shows."""
    written, confidences = Written(), cycle((80, 20))
    for _, (path, shows) in zip(range(POSTS), cycle(paths.items()), strict=False):
        held = [an_indicator(confidence=next(confidences)) for _ in range(OBJECTS)]
        answer = caller.post(f"{path}objects/", {"objects": held})
        assert orjson.loads(answer.content)["success_count"] == OBJECTS, answer.content
        for name in ("everything", *shows):
            written.ids[name] += [one["id"] for one in held]
        written.ids["feed"] += [one["id"] for one in held if one["confidence"] > 50]
    return written


def by_added_after(caller: Caller, path: str, done: threading.Event) -> list[str]:
    """What a client sees that keeps nothing but the last date it was given."""
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        was_done = done.is_set()
        answer = caller.get(f"{path}objects/", {"limit": 7} | after)
        found = orjson.loads(answer.content).get("objects", [])
        if found:
            seen += [one["id"] for one in found]
            after = {"added_after": answer[LAST]}
        elif was_done:
            return seen
        else:
            time.sleep(0.01)


def by_next(caller: Caller, path: str, done: threading.Event) -> list[str]:
    """What a client sees that follows `next`, and begins anew after the last date where there is no more."""
    seen: list[str] = []
    place: dict[str, str] = {}
    while True:
        was_done = done.is_set()
        answer = caller.get(f"{path}objects/", {"limit": 7} | place)
        read = orjson.loads(answer.content)
        seen += [one["id"] for one in read.get("objects", [])]
        if read.get("more"):
            place = {"next": read["next"]}
        elif read.get("objects") or "next" in place:
            place = {"added_after": answer[LAST]}
        elif was_done:
            return seen
        else:
            time.sleep(0.01)


def in_thread[T](call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connection.close()


@pytest.mark.slow
def test_readers_by_date_and_by_next_see_every_object_exactly_once_in_every_collection_under_concurrent_writers() -> (
    None
):
    labs = [a_caller(name) for name in ("Aster", "Borealis", "Cygnus", "Draco")]
    reader = a_caller("Eridanus")
    outer = build.a_ring(*[lab.partner for lab in labs], reader.partner, slug="outer")
    inner = build.a_ring(*[lab.partner for lab in labs[:2]], reader.partner, slug="inner")
    feed = subscribing.save_feed(auth.viewer_of_key(reader.key), name="sure", filter_json={"min_confidence": 50})
    ids = {"inner": inner.collection_id, "outer": outer.collection_id, "feed": feed.pk}
    paths = {"everything": EVERYTHING} | {name: f"{ROOT}collections/{found}/" for name, found in ids.items()}
    done = threading.Event()
    written = Written()
    with ThreadPoolExecutor(12) as pool:
        followers = [
            (name, pool.submit(in_thread, lambda follow=follow, path=path: follow(reader, path, done)))
            for name, path in paths.items()
            for follow in (by_added_after, by_next)
        ]
        writers = []
        for place, lab in enumerate(labs):
            groups = ("inner", "outer") if place < 2 else ("outer",)
            targets = {lab.own: groups} | {paths[group]: (group,) for group in groups}
            writers.append(pool.submit(in_thread, lambda lab=lab, targets=targets: write(lab, targets)))
        for writer in writers:
            written.add(writer.result())
        done.set()
        for name, follower in followers:
            assert Counter(follower.result()) == Counter(written.ids[name]), name
    assert {name: len(found) for name, found in written.ids.items()} == {
        "everything": 4 * POSTS * OBJECTS,
        "inner": 2 * (POSTS * 2 // 3) * OBJECTS,
        "outer": 2 * (POSTS * 2 // 3) * OBJECTS + 2 * POSTS * OBJECTS,
        "feed": 4 * POSTS * OBJECTS // 2,
    }
