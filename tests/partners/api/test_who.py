"""Who: the caller, the directory, and the caller's own groups."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from partners.models import Partner
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_me_says_who_a_key_belongs_to_and_what_it_may_do(cast):
    me = read(Caller(build.a_key(cast.aster, Scope.READ)).get("me"))
    assert me["partner"] == {
        "id": str(cast.aster.pk),
        "name": "Aster",
        "slug": "aster",
        "kind": "lab",
        "identity_id": cast.aster.identity_id,
        "collection_id": str(cast.aster.collection_id),
    }
    assert me["groups"] == [{"id": str(cast.ring.pk), "slug": "ring", "name": "Ring"}]
    assert me["scopes"] == ["read"]
    assert {"clearance", "default_tlp"} <= set(me)


def test_a_recipient_never_has_the_scope_to_publish(cast):
    key = build.a_key(cast.dorado, Scope.READ, Scope.PUBLISH, Scope.REACT)
    assert read(Caller(key).get("me"))["scopes"] == ["read"]


def test_the_directory_lists_active_partners_to_every_partner(cast):
    Partner.objects.filter(pk=cast.borealis.pk).update(state=Partner.State.SUSPENDED)
    listed = read(Caller(cast.keys["cygnus"]).get("partners"))["partners"]
    assert [partner["slug"] for partner in listed] == ["aster", "cygnus", "dorado", "operator"]
    assert set(listed[0]) == {"id", "slug", "name", "kind", "identity_id"}


def test_groups_are_ones_own_with_basis_and_members(cast):
    (ring,) = read(Caller(cast.keys["aster"]).get("groups"))["groups"]
    assert ring["partners"] == ["aster", "borealis"]
    assert (ring["slug"], ring["legal_basis"], ring["basis_from"]) == ("ring", "An agreement.", "2026-01-01")
    assert read(Caller(cast.keys["cygnus"]).get("groups")) == {"groups": []}


def test_a_suspended_partner_is_not_let_in(cast):
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    assert Caller(cast.keys["aster"]).get("me").status_code == 401


@pytest.mark.parametrize("path", ["me", "partners", "groups"])
def test_each_costs_few_queries_however_many_there_are(cast, path):
    caller = Caller(cast.keys["aster"])
    for number in range(5):
        build.a_ring(cast.aster, build.a_partner(f"More{number}"), slug=f"ring-{number}")
    caller.get("me")
    with CaptureQueriesContext(connection) as captured:
        read(caller.get(path))
    assert len(captured) <= 5
