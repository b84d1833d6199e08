"""One page for many who waited for it, and for nobody else."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

import pytest

from indicators.feeds import together
from indicators.feeds.deltas import Delta
from indicators.feeds.filters import EVERYTHING, Filter
from tests import build
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(cast):
    return cast.viewer("borealis")


@pytest.fixture
def cast(db):
    together._readings.clear()
    yield build.the_cast()
    together._readings.clear()


class Reads:
    """Pages, each another; how many were read."""

    def __init__(self, *, size=10):
        self.count, self._size = 0, size

    def __call__(self):
        self.count += 1
        return Delta(b"x" * self._size, self.count, False, "next")


def page(viewer, read, **other):
    return together.page(
        viewer, **({"wanted": EVERYTHING, "feed": "all", "cursor": "c", "limit": 5, "heard": 7, "read": read} | other)
    )


def test_who_waited_for_the_same_gets_what_the_first_one_read(viewer):
    read = Reads()
    assert [page(viewer, read).rows for _ in range(3)] == [1, 1, 1]


def test_another_partner_key_group_feed_filter_place_limit_or_commit_is_read_for_itself(cast, viewer):
    read = Reads()
    page(viewer, read)
    others = [
        (cast.viewer("aster"), {}),
        (replace(viewer, group_ids=frozenset()), {}),
        (replace(viewer, limited=True, key_groups=frozenset({uuid.uuid4()})), {}),
        (replace(viewer, sight=viewer.sight + 1), {}),
        (viewer, {"feed": str(uuid.uuid4())}),
        (viewer, {"wanted": Filter.of(kinds=["account-pattern"])}),
        (viewer, {"cursor": "d"}),
        (viewer, {"limit": 6}),
        (viewer, {"heard": 8}),
    ]
    assert [page(who, read, **more).rows for who, more in others] == list(range(2, len(others) + 2))


def test_a_page_that_is_large_or_a_moment_old_is_read_anew(viewer, monkeypatch):
    large = Reads(size=together._MOST_BYTES + 1)
    assert [page(viewer, large).rows for _ in range(2)] == [1, 2]
    read = Reads()
    page(viewer, read, heard=9)
    monkeypatch.setattr(together, "_FRESH_S", -1.0)
    assert page(viewer, read, heard=9).rows == 2


def test_a_page_without_rows_that_has_more_is_read_by_each_so_that_the_set_goes_on(viewer):
    pages = iter([Delta(b"", 0, True, "c"), Delta(b"", 0, True, "c"), Delta(b"", 3, False, "d")])
    assert [page(viewer, lambda: next(pages), heard=11).rows for _ in range(4)] == [0, 0, 3, 3]


def test_what_fails_for_one_is_read_by_the_next(viewer):
    def broken():
        raise ValueError

    with pytest.raises(ValueError):
        page(viewer, broken)
    assert page(viewer, Reads()).rows == 1


def test_those_who_come_while_it_is_read_wait_for_it(viewer):
    begun, may_end, found = threading.Event(), threading.Event(), []
    read = Reads()

    def slow():
        begun.set()
        may_end.wait(DEADLINE_S)
        return read()

    first = threading.Thread(target=lambda: found.append(page(viewer, slow)))
    first.start()
    begun.wait(DEADLINE_S)
    others = [threading.Thread(target=lambda: found.append(page(viewer, read))) for _ in range(4)]
    for one in others:
        one.start()
    may_end.set()
    for one in (first, *others):
        one.join(DEADLINE_S)
    until(lambda: len(found) == 5)
    assert {one.rows for one in found} == {1}
