"""The operator's routes: what a key of its own with `admin` may do, and that to all others there is nothing."""

from __future__ import annotations

import json

import pytest

from partners.models import Invitation, Partner
from partners.scopes import KEY_SCOPES, Scope
from tests import build
from tests.partners.browser import accept

pytestmark = pytest.mark.django_db
ROUTES = [
    ("get", ""),
    ("post", ""),
    ("post", "/aster/invite"),
    ("post", "/aster/suspend"),
    ("post", "/aster/reinstate"),
]
BODY = {"": {"name": "Fornax", "slug": "fornax", "email": "a@fornax.example"}, "/aster/suspend": {"why": "A reason."}}


@pytest.fixture
def cast():
    return build.the_cast()


def ask(client, key, method, path, body=None):
    sent = {"data": json.dumps(body or {}), "content_type": "application/json"} if method == "post" else {}
    return getattr(client, method)(f"/api/v1/operator/partners{path}", headers=build.bearer(key), **sent)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_to_all_but_the_operator_there_is_nothing(client, cast, method, path):
    for partner in (cast.aster, cast.borealis, cast.dorado):
        key = build.a_key(partner, Scope.ADMIN)
        there = ask(client, key, method, path, BODY.get(path))
        absent = ask(client, key, method, path.replace("aster", "none"), BODY.get(path))
        assert (there.status_code, there.json()["code"]) in {(404, "not-found"), (403, "missing-scope")}
        assert there.json()["code"] == absent.json()["code"]
    assert set(Partner.objects.values_list("state", flat=True)) == {"active"}
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_key_of_the_operators_needs_the_scope(client, cast, method, path):
    key = build.a_key(cast.operator, *(KEY_SCOPES - {Scope.ADMIN}))
    assert ask(client, key, method, path, BODY.get(path)).json()["code"] == "missing-scope"


def test_a_partner_is_invited_and_its_admin_let_in(client, cast):
    key = build.a_key(cast.operator, Scope.ADMIN)
    made = ask(client, key, "post", "", BODY[""])
    assert (made.status_code, made.json()["partner"]["state"]) == (201, "invited")
    again = ask(client, key, "post", "/fornax/invite", {"email": "b@fornax.example"})
    assert accept(made.json()["link"], "flora").status_code == 404
    assert accept(again.json()["link"], "flora").status_code == 302
    listed = {one["slug"]: one["state"] for one in ask(client, key, "get", "").json()["partners"]}
    assert listed["fornax"] == "active"
    assert ask(client, key, "post", "/fornax/invite", {"email": "c@fornax.example"}).status_code == 404


def test_a_partner_is_suspended_and_reinstated(client, cast):
    key, lab = build.a_key(cast.operator, Scope.ADMIN), build.a_key(cast.aster)
    suspended = ask(client, key, "post", "/aster/suspend", {"why": "A key leaked."}).json()
    assert (suspended["state"], suspended["suspended_why"]) == ("suspended", "A key leaked.")
    assert client.get("/api/v1/me", headers=build.bearer(lab)).status_code == 401
    assert ask(client, key, "post", "/aster/suspend", {"why": "Again."}).status_code == 409
    assert ask(client, key, "post", "/aster/reinstate").json()["state"] == "active"
    assert client.get("/api/v1/me", headers=build.bearer(lab)).status_code == 200
