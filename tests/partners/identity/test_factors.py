"""Second factors: added, used, lost, demanded; and nothing opens without what is demanded."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client
from django.urls import get_resolver

from partners import mailing
from partners.identity import factors, people
from partners.keys import auth
from partners.models import AuditRecord, Partner
from partners.scopes import Role
from tests import build
from tests.drilling import LONG
from tests.partners.browser import PASSWORD, by_password, is_signed_in, text
from tests.partners.passkey import HOST, Passkey

pytestmark = pytest.mark.django_db
FACTORS = "/account/factors/"


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def bea(cast):
    return build.a_user(cast.aster, role=Role.PUBLISHER)


def browser(user=None, *, confirmed: bool = True) -> Client:
    client = Client(headers={"host": HOST})
    if user:
        build.sign_in(client, user, confirmed=confirmed)
    return client


def options(client):
    return client.post("/account/factors/passkey-options/").json()


def add_passkey(client, passkey=None, **form):
    passkey = passkey or Passkey()
    credential = json.dumps(passkey.make(options(client)))
    return passkey, client.post(FACTORS, {"do": "add-passkey", "name": "Laptop", "credential": credential} | form)


def code_of(secret: str, *, steps: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def add_app(client):
    """Yields the secret, and the answer that shows the recovery codes."""
    secret = re.search(r'id="secret"[^>]*>(\w+)<', text(client.post(FACTORS, {"do": "begin-app"})))[1]
    return secret, client.post(FACTORS, {"do": "add-app", "code": code_of(secret)})


def codes_in(answer) -> list[str]:
    return re.search(r'id="codes">(.*?)</pre>', text(answer), re.DOTALL)[1].split()


def with_passkey(client, passkey, **change):
    wanted = client.get("/account/login/passkey/", headers={"accept": "application/json"}).json()
    shown = passkey.show(wanted["request_options"], **change)
    return client.post("/account/login/passkey/", {"credential": json.dumps(shown)})


def request_options(answer) -> dict:
    return json.loads(unescape(re.search(r'data-request="([^"]+)"', answer.content.decode())[1]))


def test_a_passkey_is_added_and_signs_in_alone(bea, mailoutbox, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        passkey, answer = add_passkey(browser(bea))
    assert len(codes_in(answer)) == 10
    assert mailoutbox[0].to == [bea.email]
    client = browser()
    assert with_passkey(client, passkey).headers["Location"] == "/"
    assert client.session["_auth_user_id"] == str(bea.pk)
    how = AuditRecord.objects.get(verb="user.signed-in").details["how"]
    assert how == ["webauthn"]


def test_a_passkey_of_another_origin_or_without_verification_is_not_taken(bea):
    for passkey in (Passkey(origin="https://evil.example"), Passkey(verifies=False)):
        _, answer = add_passkey(browser(bea), passkey)
        assert "not understood" in text(answer)
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "made_up",
    ["", "{}", "[]", "null", "1", '"x"', '{"id": 1}', '{"id":"x","rawId":"x","response":{},"type":"public-key"}'],
)
def test_made_up_credentials_are_refused_everywhere(bea, made_up):
    client = browser(bea)
    options(client)
    answer = client.post(FACTORS, {"do": "add-passkey", "name": "x", "credential": made_up})
    assert answer.status_code == 200
    assert "not understood" in text(answer)
    client = browser()
    client.get("/account/login/passkey/", headers={"accept": "application/json"})
    assert client.post("/account/login/passkey/", {"credential": made_up}).status_code == 302
    assert not is_signed_in(client)


def test_a_passkey_proves_nothing_twice_nor_for_another(cast, bea):
    passkey, _ = add_passkey(browser(bea))
    client = browser()
    wanted = client.get("/account/login/passkey/", headers={"accept": "application/json"}).json()["request_options"]
    shown = json.dumps(passkey.show(wanted))
    other = browser()
    other.get("/account/login/passkey/", headers={"accept": "application/json"})
    other.post("/account/login/passkey/", {"credential": shown})
    assert not is_signed_in(other), "the challenge of another browser"
    client.post("/account/login/passkey/", {"credential": shown})
    assert is_signed_in(client)
    client.post("/account/logout/")
    client.post("/account/login/passkey/", {"credential": shown})
    assert not is_signed_in(client), "once more"
    victim = build.a_user(cast.operator)
    add_passkey(browser(victim))
    passkey.user_handle = str(victim.pk).encode()
    thief = browser()
    with_passkey(thief, passkey)
    assert not is_signed_in(thief)


def test_a_password_is_not_enough_where_there_is_a_passkey(bea):
    passkey, _ = add_passkey(browser(bea))
    client, answer = by_password(bea.username, client=browser())
    assert answer.headers["Location"] == "/account/login/second-factor/"
    assert not is_signed_in(client)
    shown = passkey.show(request_options(client.get("/account/login/second-factor/")))
    client.post("/account/login/second-factor/", {"credential": json.dumps(shown)})
    assert is_signed_in(client)


def test_an_app_is_added_with_a_right_code_and_each_code_is_good_once(bea):
    client = browser(bea)
    client.post(FACTORS, {"do": "begin-app"})
    assert "not the right code" in text(client.post(FACTORS, {"do": "add-app", "code": "000000"}))
    with time_machine.travel(datetime(2026, 5, 1, 12, tzinfo=UTC), tick=False):
        client = browser(bea)
        secret, answer = add_app(client)
        assert len(codes_in(answer)) == 10
        first, _ = by_password(bea.username, client=browser())
        code = code_of(secret)
        first.post("/account/login/second-factor/", {"code": code})
        assert is_signed_in(first)
        second, _ = by_password(bea.username, client=browser())
        second.post("/account/login/second-factor/", {"code": code})
        assert not is_signed_in(second)


def test_secrets_lie_sealed(bea):
    secret, answer = add_app(browser(bea))
    held = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in held
    for code in codes_in(answer):
        assert code not in held


def test_a_recovery_code_is_good_once_and_codes_go_with_the_last_factor(bea):
    client = browser(bea)
    _, answer = add_app(client)
    code = codes_in(answer)[3]
    for works in (True, False):
        again, _ = by_password(bea.username, client=browser())
        again.post("/account/login/second-factor/", {"code": code})
        assert is_signed_in(again) is works
    assert factors.of(bea).codes_left == 9
    new = codes_in(client.post(FACTORS, {"do": "new-codes"}))
    assert not set(new) & set(codes_in(answer))
    client.post(FACTORS, {"do": "remove-app"})
    assert not Authenticator.objects.filter(user=bea).exists()


def test_whoever_has_a_factor_confirms_with_it(bea):
    passkey, _ = add_passkey(browser(bea))
    client = browser(bea, confirmed=False)
    answer = client.post(FACTORS, {"do": "new-codes"})
    assert answer.headers["Location"].startswith("/account/reauthenticate/passkey/")
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert client.post(FACTORS, {"do": "new-codes"}).status_code == 302, "a password says too little"
    where = client.post(FACTORS, {"do": "new-codes"}).headers["Location"]
    shown = passkey.show(request_options(client.get(where)))
    done = client.post(where, {"credential": json.dumps(shown)})
    assert len(codes_in(done)) == 10, "what was asked for goes on by itself"


@pytest.mark.parametrize(
    "do", ["begin-app", "new-codes", "remove-app", "remove-passkey", "rename-passkey", "add-passkey"]
)
def test_nothing_changes_before_it_is_confirmed_who_it_is(bea, do):
    answer = browser(bea, confirmed=False).post(FACTORS, {"do": do})
    assert answer.headers["Location"].startswith("/account/reauthenticate/")


def test_having_confirmed_wears_off(bea):
    client = browser(bea)
    assert client.post(FACTORS, {"do": "begin-app"}).status_code == 200
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=16)):
        assert client.post(FACTORS, {"do": "begin-app"}).status_code == 302


def test_nobody_touches_the_passkey_of_another(cast, bea):
    add_passkey(browser(bea))
    passkey = Authenticator.objects.get(user=bea, type="webauthn")
    stranger = browser(build.a_user(cast.aster))
    for do in ("remove-passkey", "rename-passkey"):
        assert (
            stranger.post(FACTORS, {"do": do, "passkey": factors.handle_of(passkey), "name": "Mine"}).status_code == 404
        )
    passkey.refresh_from_db()
    assert passkey.wrap().name == "Laptop"
    own = browser(bea)
    own.post(FACTORS, {"do": "rename-passkey", "passkey": factors.handle_of(passkey), "name": "<b>Desk</b>"})
    assert "&lt;b&gt;Desk&lt;/b&gt;" in own.get(FACTORS).content.decode()
    own.post(FACTORS, {"do": "remove-passkey", "passkey": factors.handle_of(passkey)})
    assert not factors.of(bea).any


def demand(cast, factor):
    Partner.objects.filter(pk=cast.aster.pk).update(second_factor=factor)


def portal_routes():
    """Every route that is the portal's and not one of those by which one signs in, out, or adds a factor."""
    open_ones = {
        "password-reset", "password-reset-link", "digest-end",  # for whoever is signed in nowhere
        "account_login", "account_logout", "account_inactive", "account_reauthenticate", "mfa_login_webauthn",
        "mfa_authenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "invitation", "sign-on-callback", "sign-on-waiting",
        "theme", "language", "words", "factors", "passkey-options", "livez", "readyz", "metrics",
    }  # fmt: skip

    def walk(patterns, prefix=""):
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, path)
            elif not path.startswith(("api/", "taxii2", "schemas/")) and pattern.name not in open_ones:
                yield pattern.name, path

    return dict(walk(get_resolver().url_patterns))


def fill(path: str) -> str:
    values = {"uuid": "00000000-0000-4000-8000-000000000000", "int": "1"}
    return "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda found: values.get(found[1], "x"), path)


@pytest.mark.parametrize(
    "factor", [Partner.SecondFactor.REQUIRED, pytest.param(Partner.SecondFactor.PASSKEY, marks=LONG)]
)
@pytest.mark.slow
def test_without_the_factor_that_is_demanded_no_route_opens(cast, bea, factor):
    """All routes of the URLconf; those of other applications, and those that are yet to be written, too."""
    demand(cast, factor)
    there = str(build.a_sign_on(auth.viewer_of_user(build.a_user(cast.aster))).pk)
    client = browser(bea)
    for name, pattern in portal_routes().items():
        path = fill(pattern)
        if name == "sign-on":
            path = f"/account/sign-on/{there}/"
        answers = [client.get(path), client.post(path)]
        opened = [a for a in answers if a.status_code != 405 and a.headers.get("Location") != FACTORS]
        assert not opened or (name == "sign-on" and len(opened) == 1), (name, [a.status_code for a in opened])
    assert client.get(FACTORS).status_code == 200
    live = client.get("/recent", headers={"HX-Request": "true"})
    assert live.headers["HX-Redirect"] == FACTORS


def test_what_is_demanded_opens_everything(cast, bea):
    demand(cast, Partner.SecondFactor.REQUIRED)
    client = browser(bea)
    assert not is_signed_in(client)
    add_app(client)
    assert is_signed_in(client)
    demand(cast, Partner.SecondFactor.PASSKEY)
    assert not is_signed_in(client), "an app is no passkey"
    add_passkey(client)
    assert is_signed_in(client)


def test_where_passkeys_are_demanded_an_apps_code_is_too_little_beside_one(cast, bea):
    client = browser(bea)
    secret, answer = add_app(client)
    passkey, _ = add_passkey(client)
    demand(cast, Partner.SecondFactor.PASSKEY)
    phished, _ = by_password(bea.username, client=browser())
    phished.post("/account/login/second-factor/", {"code": code_of(secret, steps=1)})
    assert not is_signed_in(phished)
    phished.post("/account/login/second-factor/", {"code": codes_in(answer)[0]})
    assert is_signed_in(phished), "a recovery code holds"
    own, _ = by_password(bea.username, client=browser())
    shown = passkey.show(request_options(own.get("/account/login/second-factor/")))
    own.post("/account/login/second-factor/", {"credential": json.dumps(shown)})
    assert is_signed_in(own)


def test_other_partners_are_not_asked(cast):
    demand(cast, Partner.SecondFactor.PASSKEY)
    assert is_signed_in(browser(build.a_user(cast.borealis)))


def test_an_admin_demands_for_his_own_partner_only(cast):
    client = browser(build.a_user(cast.aster))
    client.post("/organisation/people/", {"do": "demand", "second_factor": "passkey", "partner": str(cast.borealis.pk)})
    cast.aster.refresh_from_db()
    cast.borealis.refresh_from_db()
    assert (cast.aster.second_factor, cast.borealis.second_factor) == ("passkey", "optional")


def test_an_admin_removes_the_factors_of_who_lost_them_and_the_person_is_told(
    cast, bea, mailoutbox, django_capture_on_commit_callbacks
):
    client = browser(bea)
    add_passkey(client)
    admin = build.a_user(cast.aster)
    mailing.post()
    mailoutbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        browser(admin).post(f"/organisation/people/{bea.pk}/", {"do": "reset-factors"})
    assert not factors.of(bea).any
    assert [mail.to for mail in mailoutbox] == [[bea.email]]
    assert not is_signed_in(client), "whoever holds the lost device is out"
    assert AuditRecord.objects.filter(verb="factors.reset", target=f"user:{bea.pk}").count() == 1
    own = browser(admin).post(f"/organisation/people/{admin.pk}/", {"do": "reset-factors"}, follow=True)
    assert "Another admin" in text(own)


def test_the_number_of_passkeys_has_an_end(bea):
    from exchange.errors import Conflict

    viewer = auth.viewer_of_user(bea)
    for _ in range(factors.MAX_PASSKEYS):
        factors.add_passkey(bea, name="x", credential={}, by=viewer)
    with pytest.raises(Conflict):
        factors.add_passkey(bea, name="x", credential={}, by=viewer)


def test_somebody_elses_admin_resets_nothing(cast, bea):
    add_passkey(browser(bea))
    from exchange.errors import NotFound

    with pytest.raises(NotFound):
        people.reset_factors(auth.viewer_of_user(build.a_user(cast.operator)), bea.pk)
    assert factors.of(bea).any
