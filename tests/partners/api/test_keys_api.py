"""Keys over REST: issued once, listed without secrets, rotated and revoked, each partner's own."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from partners import keys
from partners.models import ApiKey
from partners.scopes import KEY_SCOPES, Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def admin(cast):
    return Caller(build.a_key(cast.aster, *KEY_SCOPES))


def issue(caller: Caller, **wish):
    return caller.send("POST", "keys", {"name": "system", "scopes": ["read"]} | wish)


def test_a_key_is_shown_when_it_is_made_and_never_again(cast, admin):
    answer = issue(admin, groups=["ring"], networks=["127.0.0.0/8", "::1"], expires_in_minutes=60)
    made = read(answer, 201)
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["secret"].startswith(f"exk_{made['id']}_")
    assert made["parent_id"] == keys.public_id_of(admin.key)
    assert (made["groups"], made["networks"], made["state"]) == (["ring"], ["127.0.0.0/8", "::1/128"], "active")
    again = read(admin.get(f"keys/{made['id']}"))
    assert again == {name: value for name, value in made.items() if name != "secret"}
    listed = admin.get("keys")
    assert made["secret"].encode() not in listed.content
    assert made["id"] in {one["id"] for one in read(listed)["keys"]}
    assert read(Caller(made["secret"]).get("me"))["scopes"] == ["read"]


def test_without_the_scope_admin_there_are_no_keys(cast):
    plain = Caller(cast.keys["aster"])
    assert code(plain.get("keys"), 403) == "missing-scope"
    assert code(issue(plain), 403) == "missing-scope"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"scopes": ["read", "everything"]}, "/scopes"),
        ({"scopes": ["audit"]}, "/scopes"),
        ({"scopes": [1]}, "/scopes/0"),
        ({"expires_in_minutes": 0}, "/expires_in_minutes"),
        ({"expires_in_minutes": 60 * 24}, "/expires_in_minutes"),
        ({"expires_in_minutes": 2**62}, "/expires_in_minutes"),
        ({"expires_in_minutes": True}, "/expires_in_minutes"),
        ({"networks": ["nowhere"]}, "/networks"),
        ({"groups": ["of-others"]}, "/groups"),
        ({"name": ""}, "/name"),
        ({"parent_id": "aaaaaaaa"}, "/parent_id"),
        ({"partner": "borealis"}, "/partner"),
        ({"secret": "exk_mine"}, "/secret"),
    ],
)
def test_what_cannot_be_or_goes_beyond_is_refused_naming_the_field(cast, admin, wish, field):
    before = ApiKey.objects.count()
    answer = issue(admin, **wish)
    assert (answer.status_code, at(answer)) == (422, field)
    assert ApiKey.objects.count() == before


def test_a_group_of_others_is_refused_like_one_that_does_not_exist(cast, admin):
    build.a_ring(cast.borealis, cast.cygnus, slug="theirs")
    said = [issue(admin, groups=[slug]).json() for slug in ("theirs", "nonexistent")]
    assert {(one["code"], one["detail"]) for one in said} == {("unknown-group", said[0]["detail"])}


def test_rotating_over_rest_keeps_both_for_the_overlap(cast, admin):
    made = read(issue(admin), 201)
    answer = admin.send("POST", f"keys/{made['id']}/rotate", {"overlap_minutes": 10})
    new = read(answer, 201)
    assert answer.headers["Cache-Control"] == "no-store"
    assert read(Caller(made["secret"]).get("me")) == read(Caller(new["secret"]).get("me"))
    assert code(admin.send("POST", f"keys/{made['id']}/rotate", {}), 409) == "two-keys-of-this-name"
    assert at(admin.send("POST", f"keys/{made['id']}/rotate", {"overlap_minutes": 10**9})) == "/overlap_minutes"


def test_revoking_takes_effect_with_the_next_request_and_on_all_descendants(cast, admin):
    child = read(issue(admin, scopes=["admin", "read"], name="child"), 201)
    grandchild = read(issue(Caller(child["secret"]), name="grandchild"), 201)
    assert admin.ask("DELETE", f"keys/{child['id']}").status_code == 204
    for one in (child, grandchild):
        assert code(Caller(one["secret"]).get("me"), 401) == "invalid-key"
    assert read(admin.get(f"keys/{grandchild['id']}"))["state"] == "revoked"
    assert code(issue(Caller(child["secret"]), name="after"), 401) == "invalid-key"
    assert admin.ask("DELETE", f"keys/{child['id']}").status_code == 204, "again is no mistake"


def test_a_key_may_revoke_itself(cast, admin):
    assert admin.ask("DELETE", f"keys/{keys.public_id_of(admin.key)}").status_code == 204
    assert admin.get("me").status_code == 401


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_another_partners_key_is_as_one_that_is_not_there(cast, admin, method, path):
    theirs = keys.public_id_of(cast.keys["borealis"])
    answers = [
        admin.ask(method, f"keys/{public_id}{path}", b"{}", media="application/json")
        for public_id in (theirs, "aaaaaaaa", "x", cast.keys["borealis"])
    ]
    assert {code(answer, 404) for answer in answers} == {"not-found"}
    assert read(Caller(cast.keys["borealis"]).get("me"))


def test_the_list_costs_few_queries_however_many_there_are(cast, admin):
    for number in range(8):
        read(issue(admin, name=f"system {number}", groups=["ring"]), 201)
    with CaptureQueriesContext(connection) as captured:
        assert len(read(admin.get("keys"))["keys"]) >= 9
    assert len(captured) <= 5


def test_where_a_key_was_seen_is_shown_to_its_admin(cast, admin):
    made = read(issue(admin), 201)
    Caller(made["secret"]).get("me")
    (seen,) = read(admin.get(f"keys/{made['id']}"))["networks_seen"]
    assert seen["network"] == "127.0.0.0/24"


def test_a_recipients_admin_key_gives_no_right_to_publish(cast):
    dorado = Caller(build.a_key(cast.dorado, *KEY_SCOPES))
    assert at(issue(dorado, scopes=["publish"])) == "/scopes"
    assert read(issue(dorado, scopes=[Scope.READ.value]), 201)
