"""A large batch is told in portions: nobody waits for all of it, and all of it is told, each once and in order."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection

from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import appending, changes
from indicators.models import Change, Commit, Untold
from indicators.opinions import recording
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)
#: Rows, and objects: each is told in a channel of its publisher's and in the group's.
PORTION, OBJECTS = 16, 40
IN_ONE = PORTION // 2


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(appending, "PORTION", PORTION)


@pytest.fixture
def statements():
    """The texts that are sent, in their order."""
    sent: list[str] = []

    def note(execute, sql, params, many, context):
        sent.append(str(sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


def pushed(cast, count=OBJECTS):
    made = [build.an_indicator() for _ in range(count)]
    build.publish(cast.viewer("aster"), *made)
    return [one["id"] for one in made]


def told_to(viewer):
    return [one.stix_id for one in changes.since(viewer, EVERYTHING, after=0, limit=1_000).changes]


def rows_of_each_commit():
    """How many rows of the log each commit wrote under the lock."""
    ends = [0, *Commit.objects.order_by("last_seq").values_list("last_seq", flat=True)]
    return [
        Change.unrestricted.filter(seq__gt=before, seq__lte=end).count() for before, end in itertools.pairwise(ends)
    ]


def test_no_commit_of_a_large_batch_writes_more_than_a_portion_and_its_readers_find_each_object_once_and_in_order():
    cast = build.the_cast()
    ids = pushed(cast)
    assert rows_of_each_commit() == [PORTION] * (OBJECTS // IN_ONE)
    assert told_to(cast.viewer("borealis")) == ids
    assert not Untold.objects.exists()


def test_a_change_to_more_channels_than_a_portion_has_rows_is_a_portion_of_its_own(monkeypatch):
    monkeypatch.setattr(appending, "PORTION", 1)
    cast = build.the_cast()
    ids = pushed(cast, 10)
    assert max(rows_of_each_commit()) == 2
    assert told_to(cast.viewer("borealis")) == ids


def test_a_small_batch_leaves_nothing_for_later(statements):
    cast = build.the_cast()
    pushed(cast, 8)
    assert not any("indicators_untold" in sql for sql in statements)
    assert rows_of_each_commit() == [PORTION]


def test_what_rows_refer_to_is_looked_for_before_the_lock_and_never_by_the_commit_under_it(statements):
    cast = build.the_cast()
    pushed(cast)
    checked = statements.index("SET CONSTRAINTS ALL IMMEDIATE")
    assert checked < next(place for place, sql in enumerate(statements) if sql == appending._LOCK)
    altered = [sql for sql in statements[checked + 1 :] if sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))]
    assert all("indicators_untold" in sql for sql in altered)


def test_what_a_killed_process_left_untold_is_told_by_the_sweep(monkeypatch):
    cast = build.the_cast()
    with monkeypatch.context() as patched:
        patched.setattr(appending, "settle", lambda by: None)  # the process ends between commit and telling
        ids = pushed(cast)
    assert told_to(cast.viewer("borealis")) == ids[:IN_ONE]
    assert [len(one.holdings) for one in Untold.objects.order_by("pk")] == [IN_ONE] * (OBJECTS // IN_ONE - 1)
    appending.catch_up()
    appending.catch_up()
    assert told_to(cast.viewer("borealis")) == ids
    assert not Untold.objects.exists()


def test_of_an_object_that_changed_before_it_was_told_the_last_version_is_told_alone(monkeypatch):
    cast = build.the_cast()
    made = [build.an_indicator() for _ in range(OBJECTS)]
    with monkeypatch.context() as patched:
        patched.setattr(appending, "settle", lambda by: None)
        build.publish(cast.viewer("aster"), *made)
    revised, withdrawn = made[-1], made[-2]["id"]
    build.publish(cast.viewer("aster"), revised | {"modified": build.later(), "confidence": 11})
    withdrawing.withdraw(cast.viewer("aster"), [withdrawn])
    appending.catch_up()
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=1_000).changes
    assert [(one.op, one.confidence) for one in told if one.stix_id == revised["id"]] == [("upsert", 11)]
    assert not [one for one in told if one.stix_id == withdrawn and one.op == "upsert"]
    assert {one.stix_id for one in told if one.op == "upsert"} == {one["id"] for one in made} - {withdrawn}


def test_removes_are_told_in_the_transaction_that_makes_them(monkeypatch):
    cast = build.the_cast()
    ids = pushed(cast)
    before = Commit.objects.count()
    monkeypatch.setattr(appending, "settle", lambda by: None)
    withdrawing.withdraw(cast.viewer("aster"), ids)
    assert Commit.objects.count() == before + 1
    assert not Untold.objects.exists()


def test_whoever_looks_for_opinions_takes_no_lock_where_nobodys_sight_changed(statements):
    cast = build.the_cast()
    pushed(cast, 3)
    statements.clear()
    assert recording.find(after=0) == changes.head()
    assert appending._LOCK not in statements
