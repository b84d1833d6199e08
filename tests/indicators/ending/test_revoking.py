"""A revocation always ends the holding; its bytes are kept only where they may enter the place of the object."""

import json
import uuid
from dataclasses import replace

import pytest

from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds import blocklists
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Holding, Quarantined
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners.ceilings import Ceiling, Width
from partners.groups import steering
from partners.keys import auth
from partners.models import AuditRecord, Group
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    """Aster and Borealis share the ring (open-cti), and with Cygnus the facts (closed-facts)."""
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="facts", policy=Group.Policy.CLOSED_FACTS)
    return cast


@pytest.fixture
def aster(cast):
    return cast.viewer("aster")


def a_classical(tlp_word="amber", **more):
    ours = build.an_indicator(tlp_word=tlp_word)
    ours.pop("extensions")
    return ours | {"pattern": f"[domain-name:value = '{uuid.uuid4().hex}.example']"} | more


def revoked(stix, **more):
    return stix | {"modified": build.later(), "revoked": True} | more


def published(viewer, *objects, **named):
    said = build.results(build.publish(viewer, *objects, **named))
    return [(one["status"], one.get("code")) for one in said]


def told(viewer, after):
    return [(c.op, c.reason, c.stix_id) for c in changes.since(viewer, EVERYTHING, after=after, limit=99).changes]


def sees(viewer):
    return [said.stix_id for said in reading.page(viewer, Selection(versions="all"), limit=99).statements]


def test_a_lab_that_is_also_in_a_closed_group_revokes_a_classical_indicator(cast, aster):
    stix = a_classical()
    assert published(aster, stix, groups=("ring",)) == [("accepted", None)]
    place = changes.head()
    assert published(aster, revoked(stix)) == [("accepted", None)]
    assert told(cast.viewer("borealis"), place) == [("remove", "revoked", stix["id"])]
    (said,) = reading.statements(cast.viewer("borealis"), stix["id"])
    assert json.loads(said.body)["revoked"] is True


@pytest.mark.parametrize("word", ["green", "amber"])
def test_a_revision_without_an_audience_is_judged_where_the_object_is(cast, aster, word):
    ours, classical = build.an_indicator(tlp_word=word), a_classical(word)
    build.publish(aster, ours, groups=("facts",))
    build.publish(aster, classical, groups=("ring",))
    into_the_facts = classical | {"id": ours["id"], "modified": build.later()}
    within_the_ring = classical | {"modified": build.later(), "name": "Seen again"}
    assert published(aster, into_the_facts, within_the_ring) == [("refused", "not-our-kinds"), ("accepted", None)]
    assert len(sees(cast.viewer("cygnus"))) == 1
    assert published(aster, within_the_ring, groups=("ring", "facts")) == [("refused", "not-our-kinds")]


WAYS = {
    "of another kind": lambda cast, stix: {"extensions": None},
    "says a card number": lambda cast, stix: {"name": "card 4111 1111 1111 1111"},
    "cannot be read": lambda cast, stix: {"pattern": "[", "valid_until": "yesterday"},
    "names another creator": lambda cast, stix: {"created_by_ref": cast.borealis.identity_id},
    "dated far ahead": lambda cast, stix: {"modified": "2099-01-01T00:00:00.000Z"},
    "without raising the version": lambda cast, stix: {"modified": stix["modified"]},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_revocation_that_may_not_enter_ends_the_object_and_is_not_kept(cast, aster, way):
    stix = build.an_indicator()
    build.publish(aster, stix, groups=("facts",))
    place = changes.head()
    end = {"modified": build.later(), **WAYS[way](cast, stix), "revoked": True}
    end = {name: value for name, value in (stix | end).items() if value is not None}
    (said,) = build.results(build.publish(aster, end))
    assert (said["status"], said["code"]) == ("accepted", "content-dropped")
    for viewer in (aster, cast.viewer("borealis"), cast.viewer("cygnus")):
        assert told(viewer, place) == [("remove", "revoked", stix["id"])]
        assert blocklists.spool(viewer, Filter(), form="txt").file.read() == b""
        assert sees(viewer) == []
    assert not Quarantined.objects.of(aster).exists()
    (batch,) = AuditRecord.objects.filter(verb="batch.published", details__has_key="withdrawn")
    assert batch.details["withdrawn"][0]["objects"] in ({"account-pattern": 1}, {"indicator": 1})
    assert published(aster, end) == [("unchanged", "content-dropped")]
    assert published(aster, stix) == published(aster, stix | later()) == [("refused", "revoked-is-final")]
    assert told(aster, place) == [("remove", "revoked", stix["id"])]


def later():
    return {"modified": build.later()}


def steer(cast, **bounds):
    admin = auth.viewer_of_user(build.a_user(cast.aster, Role.ADMIN))
    steering.change(admin, replace(steering.settings_of(cast.aster), alone=Ceiling(**bounds)))


def test_in_one_batch_the_version_that_came_with_it_ends_too(cast, aster):
    stix = build.an_indicator()
    assert published(aster, stix, revoked(a_classical(), id=stix["id"]), groups=("facts",)) == [
        ("accepted", None),
        ("accepted", "content-dropped"),
    ]
    assert sees(aster) == sees(cast.viewer("cygnus")) == []
    assert (Holding.unrestricted.get().state, Holding.unrestricted.get().newest) == ("revoked", None)
    assert published(aster, stix) == [("refused", "revoked-is-final")]


def test_what_nobody_holds_is_judged_by_the_door_alone(aster):
    assert published(aster, revoked(a_classical()), groups=("facts",)) == [("refused", "not-our-kinds")]


def test_a_revocation_to_others_waits_for_nobody(cast, aster):
    stix, fresh = build.an_indicator(), build.an_indicator()
    build.publish(aster, stix, groups=("ring",))
    steer(cast, width=Width.PARTNERS, tlp=Tlp.CLEAR)
    place = changes.head()
    assert published(cast.viewer("aster"), revoked(stix), fresh, groups=("facts",)) == [
        ("accepted", "content-dropped"),
        ("waiting", None),
    ]
    assert told(cast.viewer("borealis"), place) == [("remove", "revoked", stix["id"])]
    assert sees(cast.viewer("cygnus")) == []


def test_a_stricter_revocation_is_read_by_those_alone_whom_its_marking_allows(cast, aster):
    stix = build.an_indicator()
    build.publish(aster, stix, groups=("facts",))
    place = changes.head()
    assert published(aster, revoked(stix, object_marking_refs=[build.red()])) == [("accepted", None)]
    assert [op for op, _, _ in told(cast.viewer("borealis"), place)] == ["remove"]
    assert sees(cast.viewer("borealis")) == []
    assert len(sees(aster)) == 2


def test_what_is_withdrawn_can_be_ended_for_good(cast, aster):
    stix = build.an_indicator()
    build.publish(aster, stix, groups=("facts",))
    withdrawing.withdraw(aster, [stix["id"]])
    assert published(aster, revoked(a_classical(), id=stix["id"])) == [("accepted", "content-dropped")]
    for again in (revoked(a_classical(), id=stix["id"]), revoked(stix)):
        assert published(aster, again) == [("unchanged", "content-dropped")]
    assert published(aster, stix) == [("refused", "revoked-is-final")]


def test_what_is_withdrawn_is_answered_so_before_any_door(cast, aster):
    stix = a_classical()
    build.publish(aster, stix, groups=("ring",))
    withdrawing.withdraw(aster, [stix["id"]])
    assert published(aster, stix) == published(aster, stix | later()) == [("withdrawn", "withdrawn")]
    assert published(aster, stix, groups=("ring",), wake=True) == [("accepted", None)]


def test_our_own_kinds_can_be_revoked_everywhere(cast, aster):
    kinds = [make() for make in (making.account_pattern, making.payment_fingerprint, making.prompt_signature)]
    build.publish(aster, *kinds, groups=("facts",))
    assert published(aster, *[revoked(one) for one in kinds]) == [("accepted", None)] * 3
