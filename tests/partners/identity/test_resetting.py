"""A forgotten password: the same answer for everybody, a link that is good once and soon not at all."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.tokens import default_token_generator
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from partners import locks, mailing
from partners.identity import resetting
from partners.models import AuditRecord, Mail, User
from partners.scopes import Role
from tests import build, waiting
from tests.partners.browser import PASSWORD, by_password, is_signed_in, signed_in, text
from tests.partners.identity.test_factors import add_app, browser

pytestmark = pytest.mark.django_db

ASK, LINK = "/account/password/forgotten/", "/account/password/link/"
NEW = "another fine password"


@pytest.fixture(autouse=True)
def nothing_counted():
    cache.clear()


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def bea(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


def ask(who: str, client: Client | None = None, **more):
    return (client or Client()).post(ASK, {"who": who}, **more)


def link_for(who: str, mailoutbox) -> str:
    """Ask, let the worker work, and open the mailbox."""
    mailing.post()
    mailoutbox.clear()
    ask(who)
    mailing.post()
    (mail,) = mailoutbox
    return re.search(r"http\S+(/account/password/link/\?token=\S+)", mail.body)[1]


def use(link: str, password: str = NEW, again: str | None = None):
    form = {"token": link.partition("token=")[2], "password": password, "again": password if again is None else again}
    return Client().post(LINK, form)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/account/password/", "/account/factors/"])
def test_what_was_under_way_in_a_session_that_a_reset_ended_changes_nothing(path):
    aster = build.a_partner("Aster")
    bea = build.a_user(aster)
    thief, _ = by_password(bea.username)
    form = {"current": PASSWORD, "password": "one of a thief", "again": "one of a thief", "do": "begin-app"}

    def alone(act, *given):
        try:
            return act(*given)
        finally:
            connection.close()

    def wait(count: int):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return cursor.fetchone() == (count,)

    bea.refresh_from_db()
    token = f"{bea.pk}-{default_token_generator.make_token(bea)}"
    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            locks.acts_alone(aster.pk)
            reset = pool.submit(alone, lambda: resetting.reset(token, password=NEW))
            waiting.until(lambda: wait(1))
            posted = pool.submit(alone, thief.post, path, form)
            waiting.until(lambda: wait(2))
        reset.result(waiting.DEADLINE_S)
        answer = posted.result(waiting.DEADLINE_S)
    assert "/account/login/" in answer.headers["Location"]
    assert not is_signed_in(thief)
    assert is_signed_in(by_password(bea.username, NEW)[0])


def test_a_link_is_mailed_to_a_user_name_or_an_address_and_lets_in_with_another_password(bea, mailoutbox):
    there = signed_in(bea)
    for who in (bea.username.upper(), f" {bea.email} "):
        link = link_for(who, mailoutbox)
        assert mailoutbox[0].to == [bea.email]
        assert bea.username in text(Client().get(link))
    assert "changed" in text(use(link))
    mailing.post()
    assert "was changed" in mailoutbox[-1].body
    assert not is_signed_in(there), "its sessions have ended"
    assert not is_signed_in(by_password(bea.username, PASSWORD)[0])
    assert is_signed_in(by_password(bea.username, NEW)[0])
    verbs = list(AuditRecord.objects.filter(target=f"user:{bea.pk}").values_list("verb", flat=True))
    assert {"password.reset-asked", "password.reset", "sessions.ended"} <= set(verbs)


def test_the_link_signs_nobody_in_and_a_second_factor_is_asked_for(bea, mailoutbox):
    add_app(browser(bea))
    link = link_for(bea.username, mailoutbox)
    client = Client()
    client.get(link)
    client.post(LINK, {"token": link.partition("token=")[2], "password": NEW, "again": NEW})
    assert not is_signed_in(client)
    client, answer = by_password(bea.username, NEW)
    assert answer.headers["Location"].startswith("/account/login/second-factor/")
    assert not is_signed_in(client)


@pytest.mark.parametrize("spoils", ["used", "late", "signed in", "changed", "deactivated", "suspended", "altered"])
def test_a_link_is_good_once_and_not_for_long(bea, mailoutbox, spoils):
    with time_machine.travel(datetime.now(tz=UTC), tick=False) as travelling:
        link = link_for(bea.username, mailoutbox)
        travelling.shift(timedelta(minutes=29))
        assert Client().get(link).status_code == 200
        if spoils == "used":
            use(link)
        elif spoils == "late":
            travelling.shift(timedelta(minutes=2))
        elif spoils == "signed in":
            by_password(bea.username)
        elif spoils == "changed":
            bea.set_password("yet another password")
            bea.save()
        elif spoils == "deactivated":
            User.objects.filter(pk=bea.pk).update(is_active=False)
        elif spoils == "suspended":
            type(bea.partner).objects.filter(pk=bea.partner_id).update(state="suspended")
        else:
            link += "x"
        assert Client().get(link).status_code == 404
        assert use(link, "a third fine password").status_code == 404
        assert "not good any more" in text_of(use(link, "a third fine password"))


def text_of(answer) -> str:
    return answer.content.decode()


@pytest.mark.parametrize("token", ["", "x", "1-", "-", "1-x-y", "9" * 40 + "-a", "٣-x", "\0"])
def test_a_link_that_is_none_is_one_page(token):
    answer = Client().get(LINK, {"token": token})
    assert (answer.status_code, "not good any more" in text_of(answer)) == (404, True)


def test_a_password_that_is_too_weak_or_typed_in_two_ways_leaves_the_link_good(bea, mailoutbox):
    link = link_for(bea.username, mailoutbox)
    for answer in (use(link, "short"), use(link, NEW, "other"), use(link, "password1234")):
        assert answer.status_code == 422
        assert 'role="alert"' in text_of(answer)
    assert use(link).status_code == 200


def words(answer) -> str:
    return re.sub(r'csrfmiddlewaretoken" value="\w+"', "", text(answer))


def test_the_answer_and_its_cost_are_the_same_for_everybody(cast, bea):
    gone = build.a_user(cast.aster)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    seen = []
    for number, who in enumerate(
        (bea.username, bea.email, "nobody-here", "x@nowhere.example", gone.username, "", "\0")
    ):
        client = Client()
        client.get(ASK)
        with CaptureQueriesContext(connection) as queries:
            answer = ask(who, client, REMOTE_ADDR=f"203.0.113.{number}")
        shape = [re.sub(r"'[^']*'|\d+", "?", query["sql"])[:40] for query in queries]
        headers = {
            name: value for name, value in answer.headers.items() if name not in ("X-Request-ID", "Content-Length")
        }
        seen.append((answer.status_code, words(answer), str(sorted(headers)), shape))
    assert all(each == seen[0] for each in seen), seen
    assert Mail.objects.count() == 7


def test_one_mailbox_gets_three_an_hour_and_nobody_is_told_so(bea, mailoutbox):
    answers = [words(ask(bea.username, REMOTE_ADDR=f"203.0.113.{number}")) for number in range(6)]
    assert len(set(answers)) == 1
    mailing.post()
    assert len(mailoutbox) == 3


def test_one_network_asks_ten_times_a_minute(bea):
    answers = [ask(f"nobody-{number}").status_code for number in range(11)]
    assert answers == [200] * 10 + [429]


def test_whoever_has_no_password_is_told_how_they_sign_in(bea, mailoutbox):
    bea.set_unusable_password()
    bea.save()
    ask(bea.username)
    mailing.post()
    assert "through your partner's sign-on" in mailoutbox[0].body
    assert LINK not in mailoutbox[0].body
