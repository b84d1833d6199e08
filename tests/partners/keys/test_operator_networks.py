"""OPERATOR_NETWORKS: the operator's people and keys are let in from there, and everybody else from anywhere."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from partners.models import Partner, User
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, code
from tests.partners.browser import by_password, is_signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def operator(cast):
    return Partner.objects.get(kind=Partner.Kind.OPERATOR)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("networks", "enters"), [([], True), (["127.0.0.0/8"], True), (["10.0.8.0/24"], False)])
def test_the_operator_enters_from_their_networks_alone(cast, operator, settings, networks, enters, role):
    people = [Client(), Client()]
    for person, partner in zip(people, (operator, cast.aster), strict=True):
        build.sign_in(person, build.a_user(partner, role=role))
    keys = [Caller(build.a_key(partner, Scope.ADMIN, Scope.READ)) for partner in (operator, cast.aster)]
    settings.OPERATOR_NETWORKS = networks
    opened = [keys[0].get("partners"), people[0].get("/indicators"), people[0].get("/")]
    if enters:
        assert [answer.status_code for answer in opened] == [200, 200, 200]
    else:
        assert code(opened[0], 401) == "invalid-key"
        assert [answer.status_code for answer in opened[1:]] == [404, 404]
        assert b"/organisation/" not in opened[1].content, "the page of an error has no frame"
    assert keys[1].get("me").status_code == 200
    assert people[1].get("/", follow=True).status_code == 200


@pytest.mark.parametrize("role", Role)
def test_who_signs_in_from_elsewhere_is_told_so_in_the_words_for_all_who_are_not_let_in(cast, operator, settings, role):
    settings.OPERATOR_NETWORKS = ["10.0.8.0/24"]
    theirs, deactivated = build.a_user(operator, role=role), build.a_user(cast.aster)
    User.objects.filter(pk=deactivated.pk).update(is_active=False)
    shown = []
    for user in (theirs, deactivated):
        client, answer = by_password(user.username)
        assert answer.headers["Location"] == "/account/inactive/"
        assert not is_signed_in(client)
        shown.append(client.get("/account/inactive/"))
    assert [answer.status_code for answer in shown] == [200, 200]
    assert len({re.sub(rb'(nonce|value)="[^"]+"', b"", answer.content) for answer in shown}) == 1
    assert is_signed_in(by_password(build.a_user(cast.aster).username)[0])
    settings.OPERATOR_NETWORKS = ["127.0.0.0/8"]
    assert is_signed_in(by_password(theirs.username)[0])
