"""Sessions: seen by whose they are, ended one by one or all at once, and never fixed by somebody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from partners.identity import sessions
from partners.models import Session
from partners.scopes import Role
from tests import build
from tests.partners.browser import PASSWORD, by_password, is_signed_in, signed_in, text

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def bea(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


def test_the_account_page_lists_where_one_is_signed_in_without_the_address_or_the_key(bea):
    client, _ = by_password(bea.username)
    other, _ = by_password(bea.username, headers={"user-agent": FIREFOX}, REMOTE_ADDR="203.0.113.77")
    shown = text(client.get("/account/"))
    assert "Firefox on Windows" in shown
    assert "203.0.113.0/24" in shown
    assert "203.0.113.77" not in shown
    assert other.session.session_key not in shown
    assert shown.count("this one") == 1


def test_one_session_is_ended_and_the_others_go_on(bea):
    here, there = by_password(bea.username)[0], by_password(bea.username)[0]
    handle = sessions.handle_of(there.session.session_key)
    here.post("/account/sessions/", {"session": handle})
    assert not is_signed_in(there)
    assert is_signed_in(here)


def test_all_others_are_ended_at_once(bea):
    here, *others = [by_password(bea.username)[0] for _ in range(4)]
    here.post("/account/sessions/")
    assert [is_signed_in(one) for one in others] == [False] * 3
    assert is_signed_in(here)


def test_nobody_ends_the_session_of_another(cast, bea):
    victim, _ = by_password(bea.username)
    stranger = signed_in(build.a_user(cast.aster))
    stranger.post("/account/sessions/", {"session": sessions.handle_of(victim.session.session_key)})
    assert is_signed_in(victim)


def test_an_admin_ends_those_of_his_people(cast, bea):
    client, _ = by_password(bea.username)
    signed_in(build.a_user(cast.borealis)).post(f"/organisation/people/{bea.pk}/", {"do": "end-sessions"})
    assert is_signed_in(client)
    signed_in(build.a_user(cast.aster)).post(f"/organisation/people/{bea.pk}/", {"do": "end-sessions"})
    assert not is_signed_in(client)


@pytest.mark.slow
def test_another_password_ends_all_other_sessions(bea, mailoutbox, django_capture_on_commit_callbacks):
    here, there = by_password(bea.username)[0], by_password(bea.username)[0]
    form = {"current": PASSWORD, "password": "another fine password", "again": "another fine password"}
    assert "not your present password" in text(here.post("/account/password/", form | {"current": "wrong"}))
    assert "differ" in text(here.post("/account/password/", form | {"again": "x"}))
    assert 'role="alert"' in text(here.post("/account/password/", form | {"password": "short", "again": "short"}))
    assert is_signed_in(there)
    with django_capture_on_commit_callbacks(execute=True):
        here.post("/account/password/", form)
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert not is_signed_in(by_password(bea.username)[0])
    assert is_signed_in(by_password(bea.username, "another fine password")[0])
    assert [mail.to for mail in mailoutbox] == [[bea.email]]


def test_signing_in_gives_a_session_another_key(bea):
    """Session fixation: the key that somebody planted before is worth nothing after."""
    client = Client()
    client.get("/account/login/passkey/", headers={"accept": "application/json"})  # begins a session
    planted = client.cookies["exchange_session"].value
    by_password(bea.username, client=client)
    assert is_signed_in(client)
    assert client.cookies["exchange_session"].value != planted
    thief = Client()
    thief.cookies["exchange_session"] = planted
    assert not is_signed_in(thief)
    made_up = Client()
    made_up.cookies["exchange_session"] = "a" * 32
    by_password(bea.username, client=made_up)
    assert made_up.cookies["exchange_session"].value != "a" * 32


def test_signing_in_as_somebody_else_in_the_same_browser_leaves_nothing_behind(cast, bea):
    client, _ = by_password(bea.username)
    client.post("/account/logout/")
    assert bea.sessions.count() == 0
    other = build.a_user(cast.borealis)
    by_password(other.username, client=client)
    assert client.session["_auth_user_id"] == str(other.pk)


def test_being_seen_is_noted_every_few_minutes_and_not_more_often(bea):
    client, _ = by_password(bea.username)

    def writes():
        with CaptureQueriesContext(connection) as queries:
            client.get("/account/")
        return [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]

    assert writes() == []
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=6)):
        assert len(writes()) == 1
        assert writes() == []
        assert Session.objects.get(user=bea).seen_at > datetime.now(UTC) - timedelta(minutes=1)


def test_what_has_run_out_is_forgotten(bea):
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=13)):
        old, _ = by_password(bea.username)
    assert not is_signed_in(old)
    by_password(bea.username)
    assert Session.objects.filter(user=bea).count() == 1


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 (KHTML, like Gecko) Version/18.4 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) Version/18.4 Mobile Safari/604", "Safari on iOS"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)  # fmt: skip
def test_browsers_are_known_by_family(said, means):
    assert sessions.browser_of(said) == means


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1::/48"), ("::ffff:203.0.113.7", "::/48")],
)
def test_networks_are_shown_not_addresses(address, network):
    assert sessions.network_of(address) == network
