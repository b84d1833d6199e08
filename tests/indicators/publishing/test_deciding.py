"""Deciding asks no database and writes nothing; acting writes what was decided."""

from __future__ import annotations

import gc
import hashlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators import stored
from indicators.models import Holding
from indicators.publishing import acting, deciding
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.attributing import Voice
from indicators.publishing.awaiting import NOTHING_LATELY, Flow, Lately
from indicators.publishing.judging import Doors, Met
from indicators.publishing.reach import Reach
from indicators.publishing.relaying import Seen
from indicators.publishing.results import How
from indicators.publishing.versions import Entering, History
from indicators.stix import making, parsing
from indicators.stix.drafts import Draft
from indicators.stored import Version
from partners.audiences import AudienceSpec, Standing
from partners.caps import Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.models import Group
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer
from tests import build
from tests.indicators.publishing.test_relaying import marked
from tests.indicators.test_publishing import a_note

RING, NARROW, WIDE, NOBODY = uuid.UUID(int=1), 11, 12, 13
BY = Viewer(
    partner_id=uuid.UUID(int=7),
    partner_name="Aster",
    partner_slug="aster",
    identity_id="identity--00000000-0000-4000-8000-000000000007",
    collection_id=uuid.UUID(int=8),
    kind="lab",
    clearance=Tlp.RED,
    default_tlp=Tlp.AMBER,
    group_ids=frozenset({RING}),
    scopes=frozenset({Scope.PUBLISH}),
    actor="key:aaaaaaaa",
)
STANDS = Standing(
    "as it was",
    {
        RING: Group(
            pk=RING, slug="ring", policy=Group.Policy.OPEN_CTI, basis_from=datetime(2020, 1, 1, tzinfo=UTC).date()
        )
    },
    {
        AudienceSpec(Tlp.AMBER, groups=(RING,)): NARROW,
        AudienceSpec(Tlp.GREEN, everyone=True): WIDE,
        AudienceSpec(Tlp.RED): NOBODY,
    },
)
RING_ALONE, EVERYONE = Reach(named=True, groups=(RING,)), Reach(named=True, tlp=Tlp.GREEN, everyone=True)

BY_DEFAULT = Reach(named=False)


def decided(
    *objects, by=BY, reach=RING_ALONE, held=None, others=None, lately=NOTHING_LATELY, sees=lambda spec: 1, **how
):
    """The plan for a batch, of plain values alone."""
    drafts = parsing.read_batch(json.dumps({"objects": objects}).encode())
    audiences = BatchAudiences(by, reach, stands=STANDS, withdrawing=any(each.revoked for each in drafts))
    doors = Doors(datetime.now(UTC), frozenset(), by=by, audiences=audiences, tlp=reach.tlp)
    voice = Voice(by, audiences.attribution, [each for each in drafts if isinstance(each, Draft)])
    met = Met(held or {}, others or {}, sees=sees, lately=lately)
    asked = How(**({"confirmed": False, "wake": False, "for_good": False} | how))
    return deciding.decide(drafts, [], met, voice, asked, audiences=audiences, doors=doors, by=by)


def holds(stix, *, audience=NARROW, tlp=Tlp.AMBER, state=Holding.State.LIVE) -> dict[str, stored.Versions]:
    """What a publisher holds after these bytes."""
    (draft,) = parsing.read_batch(json.dumps({"objects": [stix]}).encode())
    version = Version(
        1, 2, hashlib.sha256(draft.raw).digest(), state, latest=True, revoked=False, audience_id=audience, tlp=tlp
    )
    return {draft.stix_id: {draft.modified: version}}


def answers(plan):
    return [(one.status, getattr(one.verdict, "code", None)) for one in plan.results]


@pytest.fixture(autouse=True)
def nothing_known_of_hosts(monkeypatch):
    from indicators.benign import service_hosts
    from indicators.door import benign

    monkeypatch.setattr(service_hosts, "known", benign.Known)


def test_what_is_new_enters_where_the_batch_says():
    first, second = a_note(), a_note()
    plan = decided(first, second)
    assert answers(plan) == [("accepted", None)] * 2
    assert [(new.audience_id, new.first) for new in plan.entering] == [(NARROW, True)] * 2
    assert (plan.alone, plan.waiting, plan.moves) == (2, [], [])


def test_the_same_bytes_stay_and_another_audience_moves_them():
    note = a_note()
    assert answers(decided(note, held=holds(note))) == [("unchanged", None)]
    plan = decided(note, reach=EVERYONE, held=holds(note | {"content": "other"}))
    assert answers(plan) == [("refused", "version-conflict")]
    (move,) = decided(note, reach=EVERYONE, held=holds(note)).moves
    assert move.audience_id == WIDE


def test_what_moves_and_gets_a_new_version_in_one_batch_moves_with_that():
    note = a_note()
    newer = note | {"content": "newer", "modified": "2026-07-01T00:00:00Z"}
    plan = decided(note, newer, reach=EVERYONE, held=holds(note))
    assert answers(plan) == [("accepted", None)] * 2
    assert (plan.moves, [(new.draft.data["content"], new.audience_id) for new in plan.entering]) == (
        [],
        [("newer", WIDE)],
    )


def test_beyond_a_limit_all_that_shows_anything_waits():
    limited = replace(BY, alone_objects=2)
    assert answers(decided(a_note(), by=limited, lately=Lately(alone=1))) == [("accepted", None)]
    plan = decided(a_note(), by=limited, lately=Lately(alone=2))
    assert (answers(plan), plan.why) == ([("waiting", None)], "More than 2 objects within an hour.")
    assert answers(decided(a_note(), by=limited, lately=Lately(alone=2), confirmed=True)) == [("accepted", None)]
    narrow = replace(BY, alone=Ceiling(Tlp.CLEAR, Width.GROUPS))
    assert answers(decided(a_note(), by=narrow, reach=EVERYONE)) == [("waiting", None)]


def test_a_cap_of_a_day_counts_who_sees_it():
    capped = replace(BY, caps=Caps(recipients=5))
    lately = Lately(flow=Flow(objects=1, recipients=3))
    assert answers(decided(a_note(), by=capped, lately=lately, sees=lambda spec: 2)) == [("accepted", None)]
    assert answers(decided(a_note(), by=capped, lately=lately, sees=lambda spec: 3)) == [("waiting", None)]


@pytest.mark.parametrize(("ended", "mass"), [(0, False), (1, True)])
def test_more_ends_than_the_cap_are_disarmed(ended, mass):
    note = a_note()
    revoked = note | {"modified": "2026-07-01T00:00:00Z", "revoked": True}
    plan = decided(revoked, by=replace(BY, caps=Caps(ends=1)), held=holds(note), lately=Lately(ended=ended))
    assert (answers(plan)[0][0], bool(plan.ends.mass), plan.ends.final) == ("accepted", mass, 0 if mass else 1)
    assert [new.draft.stix_id for new in plan.entering] == ([] if mass else [note["id"]])


def test_what_another_marks_more_strictly_is_not_shown_more_openly():
    note = a_note()
    others = {note["id"]: [Seen(note["id"], Tlp.RED, b"", 1)]}
    assert answers(decided(note, others=others)) == [("refused", "tlp-below-source")]


def test_a_revocation_goes_where_the_object_is_unless_it_is_marked_more_strictly():
    note = a_note()
    ends = note | {"modified": "2026-07-01T00:00:00Z", "revoked": True}
    by = replace(BY, default_audience=DefaultAudience(groups=(RING,)))
    held = holds(note)
    (as_it_was,) = decided(ends, by=by, reach=BY_DEFAULT, held=held).entering
    (stricter,) = decided(marked(ends, "red"), by=by, reach=BY_DEFAULT, held=held).entering
    assert (as_it_was.audience_id, as_it_was.spec, stricter.audience_id) == (NARROW, None, NOBODY)


def test_a_revocation_that_cannot_be_read_ends_the_object_once():
    note = a_note()
    broken = note | {"modified": "yesterday", "revoked": True}
    plan = decided(broken, broken, held=holds(note))
    assert answers(plan) == [("accepted", "content-dropped"), ("unchanged", "content-dropped")]
    assert [one.stix_id for one in plan.closed] == [note["id"]]


def test_the_marking_of_the_batch_narrows_each_object():
    amber = Reach(named=True, tlp=Tlp.AMBER, groups=(RING,))
    plan = decided(marked(a_note(), "green"), a_note(), reach=amber)
    assert [(new.spec.tlp, new.audience_id) for new in plan.entering] == [(Tlp.AMBER, NARROW)] * 2


@pytest.mark.parametrize("reach", [EVERYONE, Reach(named=True, tlp=Tlp.AMBER, partners=(uuid.UUID(int=9),))])
def test_what_goes_to_everyone_or_to_named_partners_keeps_to_the_operators_policy(settings, reach):
    settings.OPEN_POLICY = "closed-facts"
    assert [status for status, _ in answers(decided(a_note(), reach=reach))] == ["refused"]


@pytest.mark.django_db
def test_deciding_writes_nothing_and_acting_writes_what_was_decided(monkeypatch):
    cast = build.the_cast()
    decide, act, plans, said = deciding.decide, acting.act, [], []

    def decided(*given, **more):
        with CaptureQueriesContext(connection) as captured:
            plans.append(decide(*given, **more))
        said.extend(" ".join(query["sql"].split()) for query in captured)
        return plans[-1]

    def acted(plan, *given, **more):
        assert plan == plans[-1]
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


@pytest.mark.django_db
def test_what_a_push_made_is_gone_with_its_answer_and_not_left_to_the_collector():
    viewer, note = build.the_cast().viewer("aster"), a_note()
    gc.collect()
    gc.disable()
    try:
        build.publish(viewer, making.account_pattern(), note, groups=["ring"])
        build.publish(viewer, note | {"modified": "2027-01-01T00:00:00.000Z"}, groups=["ring"])
        left = [one for one in gc.get_objects() if isinstance(one, Draft | Entering | History)]
    finally:
        gc.enable()
    assert left == []
