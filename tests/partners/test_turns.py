"""Who writes for a partner, and who changes what it may do, wait for each other in one order and in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson
import pytest
from django.db import connection
from django.test import Client

from indicators.models import StixObject
from indicators.publishing import acting, storing
from partners import locks
from partners.caps import Caps
from partners.ceilings import Ceiling
from partners.groups import life, membership, steering
from partners.keys import auth
from partners.tlp import Tlp
from tests import build
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cast():
    return build.the_cast()


class Gate:
    """Holds every push before it writes its rows, until it is opened."""

    def __init__(self, monkeypatch) -> None:
        self.reached, self._open, store = 0, threading.Event(), acting.store

        def slowly(*given, **more):
            self.reached += 1
            assert self._open.wait(DEADLINE_S)
            return store(*given, **more)

        monkeypatch.setattr(acting, "store", slowly)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.open()


class Beside:
    """Something that is done in a thread with a connection of its own; what came of it, once it is done."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.came: object = None
        self.done = False
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.came = self._act()
        except Exception as error:  # the test says what may come
            self.came = error
        finally:
            self.done = True
            connection.close()

    def ended(self) -> object:
        self._thread.join(DEADLINE_S)
        assert self.done
        return self.came


def waiting() -> int:
    """How many wait for a lock of another, in this store."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        return int(cursor.fetchone()[0])


def push(cast, to: str = "everyone=true&tlp=green") -> int:
    body = orjson.dumps({"objects": [build.an_indicator()]})
    headers = build.bearer(cast.keys["aster"])
    return Client().post(f"/api/v1/batches?{to}", body, "application/json", headers=headers).status_code


def test_two_pushes_and_an_act_of_the_same_partner_all_end_well(cast, monkeypatch):
    own = build.an_indicator()
    build.publish(cast.viewer("aster"), own, everyone=True, tlp=Tlp.GREEN)
    gate = Gate(monkeypatch)  # for what comes from now on
    first = Beside(lambda: push(cast))
    until(lambda: gate.reached)
    second = Beside(lambda: push(cast))
    until(lambda: waiting() == 1)
    headers = build.bearer(cast.keys["aster"])
    act = Beside(lambda: Client().post(f"/api/v1/objects/{own['id']}/withdraw", headers=headers).status_code)
    until(lambda: waiting() == 2)
    gate.open()
    assert (first.ended(), second.ended(), act.ended()) == (200, 200, 204)


#: What the operator does to Aster, whatever Aster is doing; how many objects of two pushes are then here.
DONE_TO = {
    "suspended": (lambda cast, by: life.suspend(cast.aster, by=by, why="Its keys are about"), 1),
    "removed": (lambda cast, by: membership.remove(by, cast.ring, cast.aster), 1),
    "ceiling": (lambda cast, by: steering.set_operator_ceiling(cast.aster, Ceiling(Tlp.RED), by=by), 1),
    "caps": (lambda cast, by: steering.set_operator_caps(cast.aster, Caps(objects=1), by=by), 2),
    "clearance": (lambda cast, by: life.set_clearance(cast.aster, Tlp.GREEN, by=by), 2),
    "group": (lambda cast, by: membership.suspend(by, cast.ring, why="Its basis is in doubt"), 1),
}


@pytest.mark.parametrize("what", DONE_TO)
def test_what_is_done_to_a_partner_is_not_passed_by_pushes_that_come_later(cast, gate, what):
    operator = auth.viewer_of_user(build.a_user(cast.operator))
    do, stored = DONE_TO[what]

    def done() -> int:
        do(cast, operator)
        return StixObject.unrestricted.count()

    first = Beside(lambda: push(cast, "groups=ring"))
    until(lambda: gate.reached)
    doing = Beside(done)
    until(lambda: doing.done or waiting())
    assert not doing.done, "it is not answered while something that was let in before may still be written"
    second = Beside(lambda: push(cast, "groups=ring"))
    until(lambda: waiting() == 2)
    gate.open()
    assert doing.ended() == 1, "what was let in is there by then, and nothing else"
    assert first.ended() == 200
    second.ended()
    assert StixObject.unrestricted.count() == stored


def test_a_push_that_waited_for_its_turn_enters_no_group_that_was_suspended_meanwhile(cast, gate):
    """Whoever waits is let in before the suspension is answered, or not at all."""
    operator = auth.viewer_of_user(build.a_user(cast.operator))

    def suspend() -> int:
        membership.suspend(operator, cast.ring, why="Its basis is in doubt")
        return StixObject.unrestricted.count()

    first = Beside(lambda: push(cast, "groups=ring"))
    until(lambda: gate.reached)
    second = Beside(lambda: push(cast, "groups=ring"))
    until(lambda: waiting() == 1)
    suspending = Beside(suspend)
    until(lambda: suspending.done or waiting() == 2)
    gate.open()
    assert (first.ended(), second.ended()) == (200, 200)
    assert suspending.ended() == StixObject.unrestricted.count()


ROW, BATCHES = "row", storing._PUBLISHER_LOCK
#: What is asked, and which locks it takes, in this order.
TAKES = {
    "push": ("/api/v1/batches?everyone=true&tlp=green", [locks.ACTS, locks.STANDING, BATCHES]),
    "withdraw": ("/api/v1/objects/{id}/withdraw", [locks.ACTS, BATCHES]),
    "withdraw-many": ("/api/v1/objects/withdraw", [locks.ACTS, locks.STANDING, BATCHES]),
    "clearance": ("", [locks.ACTS, locks.STANDING, ROW]),
}


@pytest.mark.parametrize("what", TAKES)
def test_all_take_their_locks_in_one_order(cast, what):
    path, expected = TAKES[what]
    own = build.an_indicator()
    build.publish(cast.viewer("aster"), own, everyone=True, tlp=Tlp.GREEN)
    taken: dict[object, None] = {}

    def noting(execute, sql, params, many, context):
        if "pg_advisory_xact_lock" in sql and params[0] in (locks.ACTS, locks.STANDING, BATCHES):
            taken.setdefault(params[0])
        elif "partners_partner" in sql and " FOR " in sql:
            taken.setdefault(ROW)
        return execute(sql, params, many, context)

    person = build.a_user(cast.operator)
    with connection.execute_wrapper(noting):
        if path:
            sent = orjson.dumps({"objects": [build.an_indicator()]} if what == "push" else {"ids": [own["id"]]})
            headers = build.bearer(cast.keys["aster"])
            answer = Client().post(path.format(id=own["id"]), sent, "application/json", headers=headers)
            assert answer.status_code in (200, 204), answer.content
        else:
            by = auth.viewer_of_user(person)
            with auth.acting(by):
                life.set_clearance(cast.aster, Tlp.GREEN, by=by)
    assert list(taken) == expected
