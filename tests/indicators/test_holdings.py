"""A holding is what changes; the versions below it are written once."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from exchange import clock
from indicators import living, reading
from indicators.ending import leaving, retiring, withdrawing
from indicators.feeds import blocklists
from indicators.feeds.filters import EVERYTHING
from indicators.models import Carries, Change, Hidden, Holding, StixObject
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading import referring
from indicators.reading.selecting import Selection
from partners.tlp import Tlp
from tests import build
from tests.indicators.test_publishing import a_note

pytestmark = pytest.mark.django_db

_WRITTEN_ONCE = """
-- Which entries of lists it gives follows from what its holding carries, and is written anew with that.
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'listed' = to_jsonb(OLD) - 'listed' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a version was written again';
END $$;
CREATE TRIGGER written_once AFTER UPDATE OR DELETE ON indicators_stixobject
    FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
"""


@pytest.fixture
def cast():
    return build.the_cast()


def held(stix):
    return Holding.unrestricted.get(stix_id=stix["id"])


def test_whatever_becomes_of_a_holding_no_version_is_written_again(cast):
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN_ONCE)
    aster, note, other = cast.viewer("aster"), a_note(), build.an_indicator()
    build.publish(aster, note, other, groups=("ring",))
    build.publish(aster, note | {"modified": "2026-06-02T00:00:00Z"}, partners=("cygnus",))
    readdressing.readdress(aster, note["id"], Reach(named=True, everyone=True, tlp=Tlp.GREEN))
    withdrawing.withdraw_versions(aster, note["id"], {reading.own_object(aster, note["id"]).object_id})
    withdrawing.withdraw(aster, [note["id"]])
    build.publish(aster, note, wake=True)
    Holding.unrestricted.filter(stix_id=other["id"]).update(valid_until=clock.now())
    assert retiring.expire() == 1
    build.publish(aster, note | {"modified": "2026-06-03T00:00:00Z", "revoked": True})
    assert held(note).state == "revoked"


@pytest.mark.parametrize("column", ["body", "sha256", "version", "created", "modified", "correction", "revoked"])
def test_the_database_refuses_to_write_a_version_again(cast, column):
    stix = build.an_indicator()
    build.publish(cast.viewer("aster"), stix)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE indicators_stixobject SET {column} = {column}")
    assert StixObject.unrestricted.filter(holding__stix_id=stix["id"]).update(listed=None) == 1, "read anew, it may be"


def test_states_follow_what_the_log_has_said(cast):
    aster, stix = cast.viewer("aster"), build.an_indicator()
    build.publish(aster, stix)
    assert living.lives(held(stix).state)
    over = clock.now() - timedelta(hours=1)
    Holding.unrestricted.update(valid_until=over)
    StixObject.unrestricted.update(valid_until=over)
    assert living.lives(held(stix).state), "nobody was told of its end yet"
    assert blocklists.spool(aster, EVERYTHING, form="text").entries == 0, "no entry outlasts its validity"
    retiring.expire()
    assert held(stix).state == "expired"
    assert Change.unrestricted.order_by("-seq").first().reason == "expired"
    build.publish(aster, stix | {"modified": build.later()})
    assert living.lives(held(stix).state)
    withdrawing.withdraw(aster, [stix["id"]])
    assert (held(stix).state, held(stix).newest) == ("withdrawn", None)


def test_older_versions_of_what_went_to_others_are_their_publishers_alone(cast):
    aster, note = cast.viewer("aster"), a_note()
    newer = note | {"modified": "2026-06-02T00:00:00Z"}
    build.publish(aster, note, groups=("ring",))
    build.publish(aster, newer, everyone=True)
    assert [row.hidden_from for row in Hidden.objects.all()] == ["others"]
    every = Selection(versions="all")
    for name, seen in (("aster", [note, newer]), ("borealis", [newer]), ("cygnus", [newer])):
        viewer = cast.viewer(name)
        page = reading.page(viewer, every, limit=10).statements
        assert [json.loads(said.body) for said in page] == seen
        assert StixObject.objects.visible_to(viewer).count() == len(seen)


def test_what_hangs_below_a_hidden_version_is_hidden_with_it(cast):
    aster = cast.viewer("aster")
    note, stix = a_note(), build.an_indicator()
    build.publish(aster, note, stix, groups=("ring",))
    build.publish(aster, note | {"modified": build.later(), "object_refs": [f"tool--{uuid.uuid4()}"]}, everyone=True)
    build.publish(aster, stix | {"modified": build.later()}, everyone=True)
    every = StixObject.unrestricted.values_list("pk", flat=True)
    named = {
        name: note["object_refs"][0] in referring.targets(cast.viewer(name), list(every))
        for name in ("aster", "borealis", "cygnus")
    }
    assert named == {"aster": True, "borealis": False, "cygnus": False}
    tokens = {name: Carries.objects.visible_to(cast.viewer(name)).count() for name in ("aster", "borealis", "cygnus")}
    assert tokens == {"aster": 1, "borealis": 1, "cygnus": 1}  # what the newest version carries


def test_of_what_is_woken_only_what_was_sent_again_is_seen(cast):
    aster, note = cast.viewer("aster"), a_note()
    newer = note | {"modified": "2026-06-02T00:00:00Z"}
    build.publish(aster, note, newer)
    withdrawing.withdraw(aster, [note["id"]])
    build.publish(aster, newer, wake=True)
    for name in ("aster", "borealis"):
        (said,) = reading.statements(cast.viewer(name), note["id"], versions="all")
        assert json.loads(said.body) == newer


def test_one_version_that_was_withdrawn_alone_can_come_back(cast):
    aster, note = cast.viewer("aster"), a_note()
    newer = note | {"modified": "2026-06-02T00:00:00Z"}
    build.publish(aster, note, newer)
    first = reading.statements(aster, note["id"], versions="first")[0]
    withdrawing.withdraw_versions(aster, note["id"], {first.object_id})
    assert len(reading.statements(cast.viewer("borealis"), note["id"], versions="all")) == 1
    assert build.results(build.publish(aster, note))[0]["status"] == "withdrawn"
    assert build.results(build.publish(aster, note, wake=True))[0]["status"] == "accepted"
    assert len(reading.statements(cast.viewer("borealis"), note["id"], versions="all")) == 2
    assert held(note).newest.version == newer["modified"]


def test_what_is_handed_over_is_another_holding_with_the_same_versions(cast):
    note = a_note()
    build.publish(cast.viewer("aster"), note, note | {"modified": "2026-06-02T00:00:00Z"}, everyone=True)
    before = set(StixObject.unrestricted.values_list("pk", "sha256"))
    leaving.hand_over(cast.aster.pk, cast.cygnus.pk)
    assert set(StixObject.unrestricted.values_list("pk", "sha256")) == before
    states = dict(Holding.unrestricted.values_list("publisher__slug", "state"))
    assert states == {"aster": "withdrawn", "cygnus": "live"}


@pytest.mark.parametrize("state", ["live", "expired"])
def test_what_has_no_newest_version_has_ended(cast, state):
    build.publish(cast.viewer("aster"), a_note())
    with pytest.raises(IntegrityError, match="what_has_no_newest_version_has_ended"), transaction.atomic():
        Holding.unrestricted.update(newest=None, state=state)
