"""How often one may try, per account and per network, for every verb; and that nobody learns from it who is there."""

from __future__ import annotations

import json
import re
from unittest import mock

import pytest
from django.core.cache import cache
from django.test import Client, RequestFactory

from partners.identity import browsers, inviting
from partners.keys import auth
from partners.models import User
from partners.scopes import Role
from tests import build
from tests.partners.browser import accept, by_password, is_signed_in, signed_in, text
from tests.partners.identity.test_factors import FACTORS, add_app, browser

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted():
    cache.clear()


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def bea(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


def network(number: int) -> dict[str, str]:
    return {"REMOTE_ADDR": f"203.0.113.{number}"}


def words(answer) -> str:
    return re.sub(r'csrfmiddlewaretoken" value="\w+"|Request <code.*?</code>|value="[^"]*" ?', "", text(answer))


def test_an_account_locks_in_a_network_after_five_wrong_passwords_from_there(bea):
    for _ in range(5):
        by_password(bea.username, "wrong", **network(1))
    client, answer = by_password(bea.username, **network(1))
    assert not is_signed_in(client), "not even with the right one"
    assert "Too many failed" in text(answer)
    other, _ = by_password(build.a_user(bea.partner).username, **network(1))
    assert is_signed_in(other), "nobody else is locked"


def test_a_stranger_who_guesses_elsewhere_locks_nobody_out(bea):
    for _ in range(12):
        by_password(bea.username, "wrong", **network(66))
    assert is_signed_in(by_password(bea.username, **network(1))[0])


def test_guesses_from_many_networks_lock_an_account_for_all_but_the_browsers_it_was_used_with(bea):
    own, _ = by_password(bea.username, **network(1))
    own.post("/account/logout/")
    for number in range(100):
        by_password(bea.username, "wrong", **network(2 + number))
    assert not is_signed_in(by_password(bea.username, **network(200))[0])
    assert is_signed_in(by_password(bea.username, client=own, **network(200))[0])


def test_a_known_browser_is_counted_too_and_known_no_more_after_another_password(bea):
    own, _ = by_password(bea.username, **network(1))
    cookie = own.cookies[browsers.COOKIE].value
    own.post("/account/logout/")
    for number in range(5):
        by_password(bea.username, "wrong", client=own, **network(2 + number))
    assert not is_signed_in(by_password(bea.username, client=own, **network(50))[0])
    request = RequestFactory().get("/")
    request.COOKIES[browsers.COOKIE] = cookie
    assert browsers.browser_of(request, bea.username.upper())
    assert browsers.browser_of(request, build.a_user(bea.partner).username) is None
    bea.set_password("another correct horse")
    bea.save()
    assert browsers.browser_of(request, bea.username) is None
    for forged in ("", "x", cookie[:-2], "[1,2]"):
        request.COOKIES[browsers.COOKIE] = forged
        assert browsers.browser_of(request, bea.username) is None


def test_in_whatever_case_it_is_the_same_account(bea):
    for name in [bea.username, bea.username.upper(), bea.username.title()] * 2:
        by_password(name, "wrong", **network(1))
    assert not is_signed_in(by_password(bea.username, **network(1))[0])


def test_a_network_locks_after_ten_wrong_passwords_for_whomever(cast):
    people = [build.a_user(cast.aster) for _ in range(11)]
    for user in people[:10]:
        by_password(user.username, "wrong", **network(1))
    assert not is_signed_in(by_password(people[10].username, **network(1))[0])
    assert is_signed_in(by_password(people[10].username, **network(2))[0])


def test_right_passwords_do_not_lock(bea):
    for _ in range(8):
        assert is_signed_in(by_password(bea.username)[0])


@pytest.mark.slow
def test_the_answer_is_the_same_whether_the_account_is_there_or_not(bea):
    for number in range(7):
        there = by_password(bea.username, "wrong", **network(number))[1]
        not_there = by_password("nobody-of-this-name", "wrong", **network(number + 100))[1]
        assert there.status_code == not_there.status_code
        assert words(there) == words(not_there), number
        assert set(there.headers) == set(not_there.headers)


def test_a_deactivated_account_is_told_from_no_other_by_a_wrong_password(bea):
    User.objects.filter(pk=bea.pk).update(is_active=False)
    there, not_there = by_password(bea.username, "wrong")[1], by_password("nobody", "wrong")[1]
    assert (there.status_code, words(there)) == (not_there.status_code, words(not_there))


def test_a_password_is_hashed_once_whether_the_account_is_there_or_not(bea):
    from django.contrib.auth.hashers import MD5PasswordHasher

    counts = []
    for name in (bea.username, "nobody-of-this-name"):
        with mock.patch.object(
            MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode
        ) as hashed:
            by_password(name, "wrong")
        counts.append(hashed.call_count)
    assert counts == [1, 1]


def test_guessing_codes_locks_the_account(bea):
    _, answer = add_app(browser(bea))
    code = re.search(r'id="codes">(\d+)', text(answer))[1]
    for number in range(6):
        client, _ = by_password(bea.username, client=browser(), **network(number))
        client.post("/account/login/second-factor/", {"code": "00000000"}, **network(number))
    client, _ = by_password(bea.username, client=browser(), **network(50))
    answer = client.post("/account/login/second-factor/", {"code": code}, **network(50))
    assert "Too many failed" in text(answer)
    assert not is_signed_in(client)


def test_guessing_the_password_to_confirm_is_limited(bea):
    client = signed_in(bea, confirmed=False)
    answers = [client.post("/account/reauthenticate/", {"password": "wrong"}, **network(n)) for n in range(12)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"]
    assert client.post(FACTORS, {"do": "new-codes"}).status_code == 302


def test_guessing_the_present_password_is_limited(bea):
    client = signed_in(bea)
    form = {"current": "wrong", "password": "another fine password", "again": "another fine password"}
    statuses = [client.post("/account/password/", form, **network(n)).status_code for n in range(7)]
    assert statuses == [200] * 5 + [429] * 2


def test_guessing_passkeys_is_limited():
    client = browser()
    statuses = [client.post("/account/login/passkey/", {"credential": "{}"}).status_code for _ in range(21)]
    assert (statuses[0], statuses[-1]) == (302, 429)


def test_guessing_invitations_is_limited_and_a_good_one_is_not_found_any_sooner(cast):
    _, link = inviting.invite(
        auth.viewer_of_user(build.a_user(cast.aster)), email="new@aster.example", role=Role.ANALYST
    )
    statuses = [Client().get(f"/account/invitation/?token=guess-{n}").status_code for n in range(11)]
    assert statuses == [404] * 10 + [429]
    assert Client().get(f"/account/invitation/?token=x", **network(7)).status_code == 404  # noqa: F541
    assert accept(link, "newcomer").status_code == 302


def test_accepting_is_limited(cast):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    _, first = inviting.invite(admin, email="one@aster.example", role=Role.ANALYST)
    assert accept(first, "taken").status_code == 302
    _, link = inviting.invite(admin, email="new@aster.example", role=Role.ANALYST)
    statuses = [accept(link, "taken").status_code for _ in range(31)]
    assert statuses == [422] * 29 + [429] * 2, "names are not read off by trying"


def test_the_sign_on_is_limited_on_the_way_there_and_back(cast):
    there = build.a_sign_on(auth.viewer_of_user(build.a_user(cast.aster)))
    path = f"/account/sign-on/{there.pk}/callback/?state=x&code=y"
    statuses = [Client().get(path).status_code for _ in range(31)]
    assert statuses == [422] * 30 + [429]
    assert Client().post(f"/account/sign-on/{there.pk}/").status_code == 429


def test_inviting_is_limited(cast):
    client = signed_in(build.a_user(cast.aster))
    form = {"do": "invite", "email": "not an address", "role": "analyst"}
    statuses = [client.post("/organisation/people/", form).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]


def test_changing_factors_is_limited(bea):
    client = signed_in(bea)
    statuses = [
        client.post(FACTORS, {"do": "rename-passkey", "passkey": "1", "name": "x"}).status_code for _ in range(21)
    ]
    assert statuses == [404] * 20 + [429]


def test_what_is_counted_lies_in_the_store(bea):
    from django.db import connection

    by_password(bea.username, "wrong")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM exchange_cache WHERE cache_key LIKE '%%login_failed%%'")
        assert cursor.fetchone()[0] == 4  # network by minute and hour, account there, account anywhere


def test_a_flood_of_made_up_names_does_not_push_a_lock_out(bea):
    """Django's own bound of 300 entries would throw away a third of all counts, locks among them."""
    for _ in range(5):
        by_password(bea.username, "wrong", **network(99))
    cache.set_many({f"allauth:rl:flood:{n}": [0.0] for n in range(400)}, 300)
    cache.set("one-more", 1)
    assert not is_signed_in(by_password(bea.username, **network(99))[0])


@pytest.mark.parametrize("path", ["/account/login/", "/account/login/passkey/"])
def test_it_leads_back_to_ourselves_only(bea, path):
    for wanted in (
        "https://evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "/\\evil.example",
        "http:evil.example",
    ):
        client = Client()
        answer = client.post(
            "/account/login/", {"login": bea.username, "password": "correct horse battery", "next": wanted}
        )
        assert answer.headers["Location"] == "/", wanted
        shown = client.get("/account/reauthenticate/", {"next": wanted})
        assert shown.status_code == 200
        answer = client.post(f"/account/reauthenticate/?next={wanted}", {"password": "correct horse battery"})
        assert answer.headers["Location"] == "/", wanted


WRITES = (
    "/account/factors/",
    "/account/factors/passkey-options/",
    "/account/invitation/",
    "/account/login/",
    "/account/login/passkey/",
    "/account/logout/",
    "/account/password/",
    "/account/reauthenticate/",
    "/account/sessions/",
    "/account/unlink/",
    "/operator/invite/",
    "/organisation/people/",
    "/organisation/people/sign-on/",
    "/organisation/people/{user}/",
    "/account/sign-on/{sign_on}/",
)


@pytest.mark.parametrize("path", WRITES)
def test_a_form_without_its_token_does_nothing(cast, path):
    admin = build.a_user(cast.operator)
    there = build.a_sign_on(auth.viewer_of_user(admin))
    path = path.format(user=admin.pk, sign_on=there.pk)
    assert signed_in(admin, csrf=True).post(path, {"do": "deactivate"}).status_code == 403


@pytest.mark.parametrize("path", WRITES)
def test_a_get_changes_nothing(cast, path):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    admin = build.a_user(cast.operator)
    there = build.a_sign_on(auth.viewer_of_user(admin))
    client = signed_in(admin)
    asked = {"do": "deactivate", "email": "x@y.example", "role": "admin", "session": "x", "name": "New", "slug": "new"}
    with CaptureQueriesContext(connection) as queries:
        client.get(path.format(user=admin.pk, sign_on=there.pk), asked)
    written = [q["sql"] for q in queries if re.match(r"\s*(INSERT|UPDATE|DELETE)", q["sql"])]
    assert [sql for sql in written if "exchange_cache" not in sql] == [], "but for what is counted"
    assert is_signed_in(client)


def test_the_options_of_a_passkey_are_asked_for_by_the_page_itself(bea):
    """A GET makes no challenge: another page cannot begin anything here."""
    assert signed_in(bea).get("/account/factors/passkey-options/").status_code == 405
    assert json.loads(signed_in(bea).post("/account/factors/passkey-options/").content)["publicKey"]["rp"]
