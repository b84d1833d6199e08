"""Deciding writes nothing; acting writes what was decided."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators.publishing import acting, deciding
from indicators.stix import making
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_deciding_writes_nothing_and_acting_writes_what_was_decided(cast, monkeypatch):
    decide, act, plans, said = deciding.decide, acting.act, [], []

    def decided(*given, **more):
        with CaptureQueriesContext(connection) as captured:
            plans.append(decide(*given, **more))
        said.extend(" ".join(query["sql"].split()) for query in captured)
        return plans[-1]

    def acted(plan, *given, **more):
        assert plan is plans[-1]
        return act(plan, *given, **more)

    monkeypatch.setattr(deciding, "decide", decided)
    monkeypatch.setattr(acting, "act", acted)
    viewer = cast.viewer("aster")
    first, second = making.account_pattern(), making.prompt_signature()
    build.publish(viewer, first, second, groups=["ring"])
    third = making.account_pattern(carrier={"token": making.token("cd" * 32)})
    revoked = first | {"modified": "2027-01-01T00:00:00.000Z", "revoked": True}
    build.publish(viewer, third, revoked, second, build.an_indicator() | {"id": "no id"}, groups=["ring"])
    writing = [one for one in said if not one.startswith(("SELECT", "WITH", "SAVEPOINT", "RELEASE"))]
    assert [one for one in writing if not one.startswith('INSERT INTO "partners_audience"')] == []
    plan = plans[-1]
    assert [result.status for result in plan.results] == ["accepted", "accepted", "unchanged", "refused"]
    entering, closed = {new.draft.stix_id for new in plan.entering}, {line.stix_id for line in plan.closed}
    assert entering | closed == {third["id"], first["id"]}
    assert (list(plan.moves), list(plan.waiting), plan.ends.mass) == ([], [], {})
