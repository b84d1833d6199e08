"""One opinion on many objects: what is frozen, said once however often a worker begins, stopped, and taken back."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators.models import Judging, JudgingPart, Opinion, StixObject
from indicators.opinions import giving, many
from indicators.stix import making
from partners.keys.auth import viewer_of_user
from partners.log.audit import Verb
from partners.models import AuditRecord
from partners.scopes import Role
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def analyst(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


def theirs(cast, count, name="borealis"):
    made = [making.account_pattern() for _ in range(count)]
    build.publish(cast.viewer(name), *made)
    return [one["id"] for one in made]


def all_done():
    while many.work():
        pass


def begun(user, ids, opinion="agree", reason="confirmed_here"):
    by = viewer_of_user(user)
    return many.begin(by, many.prepare(by, ids).pk, opinion=opinion, reason=reason)


def says(cast, stix_id):
    row = giving.said(cast.viewer("aster"), stix_id)
    return row and giving.word_of(row)


def test_who_may_only_judge_judges_many_and_takes_them_back(cast, analyst):
    ids = theirs(cast, 3)
    one = begun(analyst, ids)
    all_done()
    assert [says(cast, each) for each in ids] == ["agree"] * 3
    assert AuditRecord.objects.get(verb=Verb.OPINIONS_BEGUN).details["objects"] == 3
    many.undo(viewer_of_user(analyst), one.pk)
    all_done()
    assert [says(cast, each) for each in ids] == [None] * 3
    assert many.find(viewer_of_user(analyst), one.pk).state == Judging.State.UNDONE


def test_the_undo_says_again_what_was_said_before_and_leaves_what_was_said_since(cast, analyst):
    ids = theirs(cast, 4)
    by = viewer_of_user(analyst)
    giving.give(by, ids[0], opinion="strongly-disagree", reason="stale")
    giving.give(by, ids[1], opinion="agree", reason="confirmed_here")
    one = begun(analyst, ids)
    all_done()
    assert many.progress(many.find(by, one.pk)).same == 1
    giving.give(by, ids[2], opinion="disagree", reason="victim")
    many.undo(by, one.pk)
    all_done()
    assert [says(cast, each) for each in ids] == ["strongly-disagree", "agree", "disagree", None]
    done = many.progress(many.find(by, one.pk))
    assert (done.back, done.kept) == (2, 1)
    assert "judged it anew" in many.failures(one, at_most=9)[0].detail


def test_a_worker_that_was_ended_says_nothing_twice(cast, analyst):
    ids = theirs(cast, 2)
    one = begun(analyst, ids)
    giving.give(viewer_of_user(analyst), ids[0], opinion="agree", reason="confirmed_here")  # and there it was ended
    Judging.unrestricted.filter(pk=one.pk).update(claimed_until=clock.now() + timedelta(minutes=1))
    assert not many.work(), "somebody works on it"
    Judging.unrestricted.filter(pk=one.pk).update(claimed_until=clock.now() - timedelta(minutes=1))
    all_done()
    assert StixObject.unrestricted.filter(holding__stix_type="opinion").count() == 2
    many.undo(viewer_of_user(analyst), one.pk)
    all_done()
    assert [says(cast, each) for each in ids] == [None, None]


def test_whoever_loses_the_right_judges_no_further(cast, analyst):
    ids = theirs(cast, many._AT_ONCE + 1)
    one = begun(analyst, ids)
    many.work()
    analyst.is_active = False
    analyst.save()
    all_done()
    assert Opinion.unrestricted.filter(partner=cast.aster).count() == many._AT_ONCE
    assert [part.detail for part in many.failures(one, at_most=9)] == [many._NO_RIGHT]


def test_it_stops_where_it_is_told_to(cast, analyst):
    one = begun(analyst, theirs(cast, many._AT_ONCE + 1))
    many.work()
    many.stop(viewer_of_user(analyst), one.pk)
    assert not many.work()
    assert many.progress(one).given == many._AT_ONCE
    with pytest.raises(Conflict):
        many.stop(viewer_of_user(analyst), one.pk)


def test_each_act_has_its_turn(cast, analyst):
    first = begun(analyst, theirs(cast, many._AT_ONCE + 2))
    second = begun(build.a_user(cast.cygnus, role=Role.ANALYST), theirs(cast, 1, "aster"))
    assert many.work()
    assert many.progress(first).given == many._AT_ONCE
    assert many.progress(second).due == 0, "nobody waits for the end of a long act of somebody else's"


def test_what_cannot_be_begun(cast, analyst):
    by = viewer_of_user(analyst)
    (one,) = theirs(cast, 1)
    with pytest.raises(Refused, match="Say of which"):
        many.prepare(by, [])
    with pytest.raises(Refused, match="More than"):
        many.prepare(by, [f"indicator--{uuid4()}" for _ in range(many.MOST + 1)])
    with pytest.raises(Forbidden):
        many.prepare(viewer_of_user(build.a_user(cast.aster, role=Role.COUNSEL)), [one])
    made = many.prepare(by, [one, one])
    assert made.ids == [one]
    for words in ({"opinion": "great", "reason": "stale"}, {"opinion": "agree", "reason": "same_campaign"}):
        with pytest.raises(Refused):
            many.begin(by, made.pk, **words)
    with pytest.raises(NotFound):
        many.begin(viewer_of_user(build.a_user(cast.borealis)), made.pk, opinion="agree", reason="stale")
    Judging.unrestricted.filter(pk=made.pk).update(at=clock.now() - 2 * many.PREPARED)
    with pytest.raises(Conflict):
        many.begin(by, made.pk, opinion="agree", reason="stale")
    for _ in range(many.MOST_RUNNING):
        begun(analyst, [one])
    with pytest.raises(Refused, match="under way"):
        begun(analyst, [one])


def test_nothing_is_told_of_what_the_person_does_not_see(cast, analyst):
    secret = making.account_pattern()
    build.publish(cast.viewer("borealis"), secret, partners=("cygnus",))
    one = begun(analyst, [secret["id"], f"indicator--{uuid4()}"])
    all_done()
    hidden, absent = many.failures(one, at_most=9)
    assert hidden.detail == absent.detail


def test_an_hour_later_it_stays_and_a_week_later_it_is_forgotten(cast, analyst):
    by = viewer_of_user(analyst)
    one = begun(analyst, theirs(cast, 1))
    all_done()
    assert many.lately(by)
    Judging.unrestricted.filter(pk=one.pk).update(until=clock.now() - timedelta(seconds=1))
    assert not many.lately(by)
    with pytest.raises(Conflict):
        many.undo(by, one.pk)
    Judging.unrestricted.filter(pk=one.pk).update(at=clock.now() - many.KEPT - timedelta(days=1))
    many.catch_up()
    assert not JudgingPart.unrestricted.exists()
