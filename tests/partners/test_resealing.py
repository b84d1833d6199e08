"""SECRET_KEY is changed, all is sealed anew, and the old one given up: secrets work on, and nothing else opens them."""

from __future__ import annotations

import io

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command

from exchange import clock, proving, sealing
from indicators.models import Subscription
from indicators.telling import subscribing
from partners.identity import accounts
from partners.scopes import Scope
from partners.tokens import groupkeys
from tests import build

pytestmark = pytest.mark.django_db
NEW = "n" * 60


def resealed() -> str:
    said = io.StringIO()
    call_command("reseal", stdout=said)
    return said.getvalue()


@pytest.fixture
def store(settings):
    """One row at least of each kind, sealed by the key of before; then the key is changed."""
    cast = build.the_cast()
    borealis = cast.viewer("borealis")
    subscription, secret = subscribing.subscribe(borealis, url="https://receiver.example/hook", feed_id=None)
    admin = build.viewer_of(cast.aster, Scope.ADMIN)
    person = build.a_user(cast.aster)
    sealed = accounts.FactorAdapter().encrypt("JBSWY3DPEHPK3PXP")
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": sealed})
    build.a_sign_on(admin)
    groupkeys.hand_out(build.viewer_of(cast.borealis, Scope.GROUP_KEYS), "ring")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], NEW
    return subscription.pk, secret


def test_every_kind_that_is_sealed_is_sealed_anew():
    assert set(proving.RESEAL) == set(proving.SEALED)


def test_a_key_is_changed_and_the_old_one_given_up(store, settings):
    pk, secret = store
    with sealing.present_alone():
        assert any(one.closed for one in proving.tried()), "by the new key alone nothing opens yet"
    said = resealed()
    for what in ("group keys", "second factors", "sign-on secrets", "webhook secrets"):
        assert f"{what}: 0" not in said, what
    assert "SECRET_KEY_FALLBACKS can go" in said
    settings.SECRET_KEY_FALLBACKS = []
    assert not [one for one in proving.tried() if one.closed]
    subscription = Subscription.unrestricted.get(pk=pk)
    assert subscribing.secrets_of(subscription, at=clock.now()) == [secret]
    factor = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    assert accounts.FactorAdapter().decrypt(factor.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert "webhook secrets: 0 sealed anew" in resealed(), "once more does nothing"


def test_what_does_not_open_is_said(store, settings, monkeypatch):
    monkeypatch.setitem(proving.RESEAL, "webhook secrets", lambda: 0)
    with pytest.raises(CommandError, match="1 of 1 webhook secrets"):
        resealed()
