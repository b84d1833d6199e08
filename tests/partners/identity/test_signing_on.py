"""Sign-on by OpenID Connect, against an issuer that answers over real HTTP, honestly and otherwise."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.test import Client

from exchange.errors import Refused
from partners.identity import asking, inviting, signing_on
from partners.keys import auth
from partners.models import AuditRecord, Identity, Partner, Question, SignOn, User
from partners.scopes import Role
from tests import build
from tests.partners import issuer as issuers
from tests.partners.browser import is_signed_in, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def issuer():
    with issuers.running() as running:
        yield running


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def admin(cast):
    return build.a_user(cast.aster)


def configured(admin, issuer) -> SignOn:
    viewer = auth.viewer_of_user(admin)
    secret = issuer.client_secret
    made = signing_on.configure(viewer, issuer=issuer.url, client_id="exchange", client_secret=secret)
    asking.discover(made)
    asking.work()
    made.refresh_from_db()
    return made


@pytest.fixture
def there(admin, issuer):
    return configured(admin, issuer)


def depart(client, there, **form):
    """Begin; yields where the browser is sent."""
    return location_in(client.post(f"/account/sign-on/{there.pk}/", form))


def location_in(answer):
    return unescape(re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.content.decode())[1])


def come_back(client, there, parameters):
    """To the page that waits, and on from it once a worker has asked the issuer."""
    answer = client.get(f"/account/sign-on/{there.pk}/callback/", parameters)
    if not answer.headers.get("Location", "").endswith("/waiting/"):
        return answer
    assert "goes on by itself" in text(client.get(answer.headers["Location"]))
    asking.work()
    return client.get(answer.headers["Location"])


def walk(client, there, issuer, *, subject="sub-1", change=None, **form):
    parameters = issuer.authorize(depart(client, there, **form), subject=subject)
    return come_back(client, there, parameters | (change or {}))


def linked(user, there, subject="sub-1"):
    signing_on.link(user, there, subject)
    return user


def test_a_person_links_and_signs_in_from_then_on(cast, admin, issuer, there):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    assert walk(signed_in(bea), there, issuer).headers["Location"] == "/account/"
    client = Client()
    answer = walk(client, there, issuer, next="/matches")
    assert answer.headers["Location"] == "/matches"
    assert client.session["_auth_user_id"] == str(bea.pk)
    assert {"identity.linked", "sign-on.changed"} <= set(AuditRecord.objects.values_list("verb", flat=True))


def test_the_secret_lies_sealed_and_shows_nowhere(admin, issuer, there):
    assert b"s3cret" not in bytes(there.client_secret)
    assert "s3cret" not in text(signed_in(admin).get("/organisation/people/sign-on/"))
    assert "s3cret" not in str(list(AuditRecord.objects.values_list("details", flat=True)))


def test_es256_holds_too(cast, admin, issuer, there):
    issuer.key, issuer.algorithm, issuer.header = issuers.EC, "ES256", {"kid": "ec"}
    client = Client()
    linked(admin, there)
    walk(client, there, issuer)
    assert is_signed_in(client)


def unsigned(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def by_public_key(claims):
    """HMAC with the issuer's public key as the secret: what a verifier that believes `alg` falls for."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def part(value):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    secret = issuers.RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part(json.dumps({'alg': 'HS256', 'kid': 'rsa'}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


LIES = {
    "another nonce": {"claims": {"nonce": "another"}},
    "no nonce": {"claims": {"nonce": None}},
    "for another client": {"claims": {"aud": "somebody-else"}},
    "for several, made for another": {"claims": {"aud": ["exchange", "other"], "azp": "other"}},
    "for several, without saying for whom": {"claims": {"aud": ["exchange", "other"]}},
    "by another issuer": {"claims": {"iss": "https://id.elsewhere.example"}},
    "expired": {"claims": {"exp": int(time.time()) - 600}},
    "from the future": {"claims": {"iat": int(time.time()) + 6000}},
    "without an end": {"claims": {"exp": None}},
    "of nobody": {"claims": {"sub": None}},
    "of an empty subject": {"claims": {"sub": ""}},
    "of a number": {"claims": {"sub": 7}},
    "unsigned": {"token": unsigned},
    "signed with the public key": {"token": by_public_key},
    "signed by somebody else": {"key": issuers.OTHER_RSA},
    "with an unknown key": {"header": {"kid": "unknown"}},
    "with a key of another kind": {"header": {"kid": "ec"}},
    "no token": {"token": lambda claims: None},
    "rubbish": {"token": lambda claims: "a.b.c"},
    "RS512": {"algorithm": "RS512"},
    "another name in its metadata": {"metadata": {"issuer": "https://id.elsewhere.example"}},
    "no token endpoint": {"metadata": {"token_endpoint": None}},
    "a token endpoint inside": {"metadata": {"token_endpoint": "http://10.0.0.1/token"}},
    "keys inside": {"metadata": {"jwks_uri": "http://169.254.169.254/latest/meta-data"}},
    "keys in a file": {"metadata": {"jwks_uri": "file:///etc/passwd"}},
    "must name itself and does not": {"metadata": {"authorization_response_iss_parameter_supported": True}},
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_exactly_right_signs_nobody_in(admin, issuer, there, lie):
    linked(admin, there)
    client = Client()
    parameters = issuer.authorize(depart(client, there), subject="sub-1")
    for name, value in LIES[lie].items():
        setattr(issuer, name, value)
    answer = come_back(client, there, parameters)
    assert answer.status_code == 422
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "change",
    [{"state": "another"}, {"state": ""}, {"iss": "https://id.elsewhere.example"}, {"code": "code-99"}, {"code": ""}],
)
def test_an_answer_to_another_request_signs_nobody_in(admin, issuer, there, change):
    linked(admin, there)
    client = Client()
    assert walk(client, there, issuer, change=change).status_code == 422
    assert not is_signed_in(client)


def test_an_answer_is_good_once_in_the_browser_that_began_and_for_ten_minutes(admin, issuer, there):
    linked(admin, there)
    began, other = Client(), Client()
    parameters = issuer.authorize(depart(began, there), subject="sub-1")
    assert come_back(other, there, parameters).status_code == 422, "an answer of an attacker's own, handed on"
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=11)):
        assert come_back(began, there, parameters).status_code == 422
    assert come_back(began, there, parameters).status_code == 422, "used up by the failed try"
    assert not is_signed_in(began)


def test_an_answer_for_one_partner_is_none_for_another(cast, admin, issuer, there):
    """The mix-up: begun at one issuer, brought back to the page of another."""
    linked(admin, there)
    elsewhere = configured(build.a_user(cast.borealis), issuer)
    client = Client()
    parameters = issuer.authorize(depart(client, there), subject="sub-1")
    assert come_back(client, elsewhere, parameters).status_code == 422
    assert not is_signed_in(client)


def test_an_issuer_signs_in_only_people_of_its_own_partner_whatever_address_it_asserts(cast, admin, issuer, there):
    victim = build.a_user(cast.borealis)
    with issuers.running() as theirs:
        linked(victim, configured(build.a_user(cast.borealis), theirs))
        issuer.claims = {"email": victim.email, "email_verified": True, "preferred_username": victim.username}
        client = Client()
        assert walk(client, there, issuer).status_code == 403, "the same subject, at another issuer"
        assert not is_signed_in(client)
        # Aster names Borealis's own issuer, with a client of its own there: the subject is still of Borealis.
        there = configured(admin, theirs)
        assert walk(client, there, theirs).status_code == 403
        assert not is_signed_in(client)


def test_nobody_links_himself_with_the_issuer_of_another_partner(cast, admin, issuer, there):
    stranger = signed_in(build.a_user(cast.borealis))
    assert stranger.post(f"/account/sign-on/{there.pk}/").status_code == 404
    assert Identity.objects.count() == 0


def test_an_identity_is_one_persons_and_a_person_has_one(cast, admin, issuer, there):
    linked(admin, there)
    other = signed_in(build.a_user(cast.aster))
    assert walk(other, there, issuer).status_code == 409
    assert Identity.objects.get().user == admin


def test_linking_wants_it_confirmed_who_one_is(admin, issuer, there):
    answer = signed_in(admin, confirmed=False).post(f"/account/sign-on/{there.pk}/")
    assert answer.headers["Location"].startswith("/account/reauthenticate/")


def test_an_invitation_is_accepted_with_the_identity_and_without_a_password(cast, admin, issuer, there):
    _, link = inviting.invite(auth.viewer_of_user(admin), email="bea@aster.example", role=Role.ANALYST)
    client, token = Client(), link.partition("token=")[2]
    answer = client.post("/account/invitation/", {"token": token, "username": "bea", "do": "sign-on"})
    come_back(client, there, issuer.authorize(location_in(answer), subject="sub-9"))
    bea = User.objects.get(username="bea@aster")
    assert client.session["_auth_user_id"] == str(bea.pk)
    assert not bea.has_usable_password()
    assert Identity.objects.get().subject == "sub-9"
    # Whoever has no password confirms at the organisation, which must really have asked again.
    answer = client.post("/account/factors/", {"do": "new-codes"})
    assert answer.headers["Location"].startswith(f"/account/sign-on/{there.pk}/")
    issuer.claims = {"auth_time": int(time.time()) - 3600}
    assert walk(client, there, issuer, subject="sub-9", next="/account/factors/").status_code == 422
    issuer.claims = {}
    walk(client, there, issuer, subject="sub-9", next="/account/factors/")
    assert client.post("/account/factors/", {"do": "begin-app"}).status_code == 200


def test_a_deactivated_person_and_a_suspended_partner_sign_nobody_in(cast, admin, issuer, there):
    bea = linked(build.a_user(cast.aster), there)
    User.objects.filter(pk=bea.pk).update(is_active=False)
    client = Client()
    assert walk(client, there, issuer).headers["Location"] == "/account/inactive/"
    User.objects.filter(pk=bea.pk).update(is_active=True)
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    assert client.get(f"/account/sign-on/{there.pk}/").status_code == 404
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "typed", ["http://10.0.0.1", "file:///etc/passwd", "https://user:pw@id.example", "https://id.example?x=1", "", "x"]
)
def test_what_cannot_be_an_issuer_is_refused(admin, typed):
    with pytest.raises(Refused):
        signing_on.configure(auth.viewer_of_user(admin), issuer=typed, client_id="exchange", client_secret="s3cret")
    answer = signed_in(admin).post(
        "/organisation/people/sign-on/", {"issuer": typed, "client_id": "x", "client_secret": "y"}
    )
    assert 'role="alert"' in text(answer)
    assert SignOn.objects.count() == 0


def test_only_an_admin_sets_it_and_only_his_partners(cast, admin, issuer, there):
    publisher = signed_in(build.a_user(cast.aster, role=Role.PUBLISHER))
    assert publisher.get("/organisation/people/sign-on/").status_code == 403
    assert publisher.post("/organisation/people/sign-on/", {"do": "remove"}).status_code == 403
    assert (
        signed_in(build.a_user(cast.borealis)).post("/organisation/people/sign-on/", {"do": "remove"}).status_code
        == 404
    )
    assert SignOn.objects.count() == 1
    signed_in(admin).post("/organisation/people/sign-on/", {"do": "remove"})
    assert SignOn.objects.count() == 0


def test_it_leads_back_to_ourselves_only(admin, issuer, there):
    linked(admin, there)
    for wanted in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"):
        answer = walk(Client(), there, issuer, next=wanted)
        assert answer.headers["Location"] == "/", wanted


def test_an_identity_says_nothing_of_who_is_linked(issuer, there):
    answer = walk(Client(), there, issuer, subject="nobody")
    assert answer.status_code == 403
    assert "nobody" not in text(answer).lower().replace("nobody here is linked", "")


def test_no_request_of_a_browser_asks_the_issuer(admin, issuer, there):
    linked(admin, there)
    issuer.asked.clear()
    client = Client()
    parameters = issuer.authorize(depart(client, there), subject="sub-1")
    client.get(f"/account/sign-on/{there.pk}/callback/", parameters)
    form = {"issuer": issuer.url, "client_id": "exchange", "client_secret": issuer.client_secret}
    signed_in(admin).post("/organisation/people/sign-on/", form)
    assert issuer.asked == []
    assert b"sub-1" not in bytes(Question.objects.get(kind="identify").content)
    asking.work()
    assert "/token" in issuer.asked
    assert client.get(f"/account/sign-on/{there.pk}/waiting/").status_code == 302
    assert is_signed_in(client)
    assert not Question.objects.exists()


def test_an_issuer_that_does_not_answer_is_waited_for_for_a_while(admin, issuer, there):
    linked(admin, there)
    client = Client()
    parameters = issuer.authorize(depart(client, there), subject="sub-1")
    waiting = client.get(f"/account/sign-on/{there.pk}/callback/", parameters).headers["Location"]
    assert client.get(waiting).status_code == 200
    assert Client().get(waiting).status_code == 422, "another browser waits for nothing"
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=30)):
        answer = client.get(waiting)
    assert (answer.status_code, "does not answer" in text(answer)) == (422, True)
    assert client.get(waiting).status_code == 422
    assert not is_signed_in(client)


def test_the_admin_sees_whether_the_issuer_answers(admin, issuer, there):
    client = signed_in(admin)
    assert "your people can sign in" in text(client.get("/organisation/people/sign-on/"))
    issuer.metadata = {"issuer": "https://id.elsewhere.example"}
    asking.refresh()
    asking.work()
    assert "does not name itself" in text(client.get("/organisation/people/sign-on/"))
    there.refresh_from_db()
    assert there.authorization_endpoint == f"{issuer.url}/authorize", "what it said before stays"
    form = {"issuer": "https://other.example", "client_id": "exchange", "client_secret": "x"}
    assert "is being asked" in text(client.post("/organisation/people/sign-on/", form, follow=True))
    assert Client().post(f"/account/sign-on/{there.pk}/").status_code == 422


def test_questions_to_one_partners_issuer_are_asked_two_at_a_time_and_others_first(cast, admin, issuer, there):
    other = configured(build.a_user(cast.borealis), issuer)
    for each in [there] * 4 + [other]:
        asking.discover(each)
    claimed = [asking._claim() for _ in range(4)]
    assert [one.sign_on_id if one else None for one in claimed] == [there.pk, other.pk, there.pk, None]
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=31)):
        assert asking._claim(), "what a worker died with"
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=3)):
        assert asking._claim() is None
    assert not Question.objects.exists()
