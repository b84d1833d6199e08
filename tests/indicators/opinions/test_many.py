"""One opinion on many objects: what is frozen, said once however often a worker begins, stopped, and taken back."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

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


class Ended(Exception):
    """A worker was ended here."""


def ended_before(monkeypatch, state):
    """Have a worker ended where a part is to become this, once what it did is committed; others come after it."""
    real = many._became

    def became(part, now, **more):
        if now == state:
            raise Ended
        return real(part, now, **more)

    with monkeypatch.context() as patched:
        patched.setattr(many, "_became", became)
        with pytest.raises(Ended):
            many.work()
    assert not many.work(), "somebody works on it"
    Judging.unrestricted.update(claimed_until=clock.now() - timedelta(minutes=1))


def test_after_a_worker_that_was_ended_nothing_is_said_twice_and_all_is_taken_back(cast, analyst, monkeypatch):
    ids, by = theirs(cast, 2), viewer_of_user(analyst)
    giving.give(by, ids[0], opinion="disagree", reason="stale")
    one = begun(analyst, ids)
    ended_before(monkeypatch, JudgingPart.State.GIVEN)
    assert says(cast, ids[0]) == "agree"
    assert many.progress(many.find(by, one.pk)).due == 2
    all_done()
    assert StixObject.unrestricted.filter(holding__stix_type="opinion").count() == 3
    assert many.progress(many.find(by, one.pk)).given == 2
    many.undo(by, one.pk)
    ended_before(monkeypatch, JudgingPart.State.BACK)
    assert says(cast, ids[0]) == "disagree"
    all_done()
    assert [says(cast, each) for each in ids] == ["disagree", None]
    done = many.progress(many.find(by, one.pk))
    assert (done.back, done.kept) == (2, 0)


def test_what_the_log_recorded_for_a_worker_that_was_ended_is_of_the_act(cast, analyst, monkeypatch):
    (one_id,), by = theirs(cast, 1), viewer_of_user(analyst)
    one = begun(analyst, [one_id])
    ended_before(monkeypatch, JudgingPart.State.GIVEN)
    Opinion.unrestricted.update(actor="")
    all_done()
    assert many.progress(many.find(by, one.pk)).given == 1


def test_what_a_person_says_themselves_meanwhile_is_not_of_the_act(cast, analyst):
    (one_id,), by = theirs(cast, 1), viewer_of_user(analyst)
    one = begun(analyst, [one_id])
    giving.give(by, one_id, opinion="agree", reason="confirmed_here")
    all_done()
    assert many.progress(many.find(by, one.pk)).same == 1


def between(monkeypatch, name, act, *, at):
    """Have somebody act just before a worker's call of this number of `many`'s function of this name."""
    real, calls = getattr(many, name), []

    def called(*given, **more):
        calls.append(given)
        if len(calls) == at:
            act()
        return real(*given, **more)

    monkeypatch.setattr(many, name, called)


def test_who_stops_and_takes_back_between_two_objects_of_a_turn_has_nothing_said(cast, analyst, monkeypatch):
    ids, by = theirs(cast, 3), viewer_of_user(analyst)
    one = begun(analyst, ids)

    def stop_and_undo():
        many.stop(by, one.pk)
        many.undo(by, one.pk)

    between(monkeypatch, "_marked", stop_and_undo, at=2)
    assert many.work(), "it is still to be taken back"
    assert many.find(by, one.pk).state == Judging.State.UNDOING
    assert [says(cast, each) for each in ids] == ["agree", None, None]
    all_done()
    assert many.find(by, one.pk).state == Judging.State.UNDONE
    assert [says(cast, each) for each in ids] == [None] * 3
    done = many.progress(many.find(by, one.pk))
    assert (done.back, done.refused) == (1, 2)


def test_an_act_that_is_stopped_while_an_opinion_is_given_is_done_after_that(cast, analyst, monkeypatch):
    ids, by = theirs(cast, 2), viewer_of_user(analyst)
    one = begun(analyst, ids)

    def stop():
        many.stop(by, one.pk)
        with pytest.raises(Conflict):
            many.undo(by, one.pk)

    between(monkeypatch, "_became", stop, at=2)  # marked, given, and not noted yet
    all_done()
    done = many.progress(many.find(by, one.pk))
    assert (done.given, done.refused, many.find(by, one.pk).state) == (1, 1, Judging.State.DONE)
    many.undo(by, one.pk)
    all_done()
    assert [says(cast, each) for each in ids] == [None, None]


def test_what_was_stopped_is_not_given_after_a_worker_that_was_ended(cast, analyst, monkeypatch):
    (one_id,), by = theirs(cast, 1), viewer_of_user(analyst)
    one = begun(analyst, [one_id])

    def end(*_given, **_more):
        raise Ended

    with monkeypatch.context() as patched:
        patched.setattr(giving, "give", end)
        with pytest.raises(Ended):
            many.work()
    many.stop(by, one.pk)
    Judging.unrestricted.update(claimed_until=clock.now() - timedelta(minutes=1))
    all_done()
    assert says(cast, one_id) is None
    assert [part.detail for part in many.failures(one, at_most=9)] == [many._STOPPED]
    assert many.find(by, one.pk).state == Judging.State.DONE


def test_a_worker_whose_claim_was_over_leaves_the_act_to_the_next(cast, analyst, monkeypatch):
    ids = theirs(cast, 2)
    one = begun(analyst, ids)
    theirs_until = clock.now() + timedelta(minutes=9)
    between(monkeypatch, "_became", lambda: Judging.unrestricted.update(claimed_until=theirs_until), at=2)
    assert not many.work()
    assert [says(cast, each) for each in ids] == ["agree", None]
    assert many.find(viewer_of_user(analyst), one.pk).claimed_until == theirs_until


def test_acts_of_one_partner_begin_one_after_the_other(cast, analyst):
    with CaptureQueriesContext(connection) as asked:
        begun(analyst, theirs(cast, 1))
    counts = next(at for at, each in enumerate(asked) if "COUNT(" in each["sql"] and "judging" in each["sql"])
    locks = [
        at for at, each in enumerate(asked) if re.search(r'FROM "partners_partner".*FOR NO KEY UPDATE', each["sql"])
    ]
    assert locks, "else two that begin at a time both count what was under way before"
    assert locks[-1] < counts


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
