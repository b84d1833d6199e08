"""Whose share a request is of: keys' and people's apart, strangers' for whoever is nobody's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client

from exchange import bodies, clock
from exchange.front import Front
from exchange.web.shares import Stranger
from partners.models import Partner, Session, User
from partners.peers import People
from tests import build

pytestmark = pytest.mark.django_db


def asked(session_key: str, **more):
    cookie = f"{settings.SESSION_COOKIE_NAME}={session_key}"
    return {"PATH_INFO": "/", "REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.7", "HTTP_COOKIE": cookie} | more


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def user(cast):
    return build.a_user(cast.borealis)


@pytest.fixture
def session_key(user):
    browser = Client()
    browser.force_login(user)
    return browser.session.session_key


def test_people_have_a_share_apart_from_their_partners_keys_and_from_strangers(cast, session_key):
    front, request = Front(), asked(session_key)
    assert front.known(request) is None, "it is to be asked about"
    people = front.ask(request)
    assert people == front.known(request) == People(cast.borealis.pk)
    assert people != cast.borealis.pk
    assert not isinstance(people, Stranger)


def test_who_is_signed_in_sends_no_more_than_a_form(session_key):
    front = Front()
    assert front.most_bytes(asked(session_key), stranger=False) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    by_key = asked(session_key, HTTP_AUTHORIZATION="Bearer one")
    assert front.most_bytes(by_key, stranger=False) == bodies.MAX_BATCH_BYTES


@pytest.mark.parametrize("ended", ["expired", "gone", "inactive", "suspended"])
def test_a_session_that_opens_nothing_is_a_strangers(user, session_key, ended):
    if ended == "expired":
        Session.objects.filter(session_key=session_key).update(expire_date=clock.now() - timedelta(seconds=1))
    if ended == "gone":
        Session.objects.filter(session_key=session_key).delete()
    if ended == "inactive":
        User.objects.filter(pk=user.pk).update(is_active=False)
    if ended == "suspended":
        Partner.objects.filter(pk=user.partner_id).update(state=Partner.State.SUSPENDED)
    front, request = Front(), asked(session_key)
    assert (front.known(request), front.ask(request)) == (None, None)


@pytest.mark.parametrize("sent", ["", "short", "A" * 32, "a" * 33, "a" * 31 + "'", "a" * 31 + "\x00"])
def test_a_cookie_that_is_no_session_asks_nobody(sent, django_assert_num_queries):
    front, request = Front(), asked(sent)
    with django_assert_num_queries(0):
        assert front.known(request) == front.network(request)
