"""A key that is refused is refused in the same words as any other, and who goes on with invalid ones is locked out."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock
from exchange.errors import ExchangeError, Unauthenticated
from exchange.origins import Origin
from partners import keys
from partners.keys import auth, lockout
from partners.models import ApiKey, Partner, RefusedCredentials
from tests import build
from tests.partners.test_keys import a_key, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def refusal(secret: str, origin: Origin) -> ExchangeError:
    with pytest.raises(ExchangeError) as raised:
        auth.viewer_of_key(secret, origin=origin)
    return raised.value


def test_every_key_that_is_refused_is_refused_in_the_same_words(cast):
    unknown = a_key(cast.aster)
    unknown[0].delete()
    revoked, expired, elsewhere = (a_key(cast.aster) for _ in range(3))
    keys.revoke(revoked[0])
    ApiKey.objects.filter(pk=expired[0].pk).update(expires_at=clock.now())
    ApiKey.objects.filter(pk=elsewhere[0].pk).update(networks=["10.0.0.0/8"])
    suspended = a_key(cast.cygnus)
    Partner.objects.filter(pk=cast.cygnus.pk).update(state=Partner.State.SUSPENDED)
    good = cast.keys["borealis"]
    wrong_secret = keys_like(good)
    mistyped = good[:-1] + ("i" if good.endswith("a") else "a")
    tried = ["", "nonsense", mistyped, unknown[1], revoked[1], expired[1], elsewhere[1], suspended[1]]
    said = set()
    for secret in [*tried, wrong_secret]:
        error = refusal(secret, at("192.0.2.1"))
        said.add((type(error), error.detail, error.code, error.at))
    assert said == {(Unauthenticated, "This API key is not valid.", "invalid-key", None)}


def keys_like(secret: str) -> str:
    """A well-formed key that names the public id of another."""
    body = secret[:13] + "a" * 32
    return body + keys._checksum(body)


def test_who_goes_on_with_invalid_keys_is_locked_out_for_a_while(cast):
    here = at("192.0.2.1")
    for _ in range(lockout.PER_NETWORK):
        assert refusal("nonsense", here).status == 401
    locked = refusal("nonsense", here)
    assert (locked.status, locked.code) == (429, "too-many-invalid-keys")
    assert 0 < locked.retry_after_s <= 300
    assert refusal(cast.keys["aster"], here).status == 429, "also with a key that would be right"
    assert refusal("nonsense", at("192.0.2.2")).status == 401
    with time_machine.travel(clock.now() + timedelta(seconds=301)):
        assert auth.viewer_of_key(cast.keys["aster"], origin=here)
        assert refusal("nonsense", here).status == 401


def test_a_key_at_home_in_a_locked_network_goes_on(cast):
    here = at("192.0.2.1")
    auth.viewer_of_key(cast.keys["aster"], origin=here)
    for _ in range(lockout.PER_NETWORK + 5):
        refusal("nonsense", here)
    with CaptureQueriesContext(connection) as captured:
        assert auth.viewer_of_key(cast.keys["aster"], origin=here)
    assert len(captured) == 1
    assert refusal(cast.keys["borealis"], here).status == 429


def test_naming_anothers_public_id_locks_nobody_out_who_holds_the_key(cast):
    wrong = keys_like(cast.keys["aster"])
    for number in range(lockout.PER_KEY):
        assert refusal(wrong, at(f"198.51.100.{number}")).status == 401
    assert refusal(wrong, at("198.51.101.1")).status == 429, "guesses are cut off, wherever they come from"
    assert auth.viewer_of_key(cast.keys["aster"], origin=at("203.0.113.7"))


def test_an_ipv6_network_is_counted_as_one(cast):
    for number in range(lockout.PER_NETWORK):
        refusal("nonsense", at(f"2001:db8:1:2::{number:x}"))
    assert refusal("nonsense", at("2001:db8:1:2:ffff::1")).status == 429
    assert refusal("nonsense", at("2001:db8:1:3::1")).status == 401


def test_a_few_mistakes_are_forgotten(cast):
    here = at("192.0.2.1")
    for _ in range(lockout.PER_NETWORK - 1):
        refusal("nonsense", here)
    with time_machine.travel(clock.now() + timedelta(minutes=6)):
        for _ in range(lockout.PER_NETWORK - 1):
            assert refusal("nonsense", here).status == 401
    with time_machine.travel(clock.now() + timedelta(hours=2)):
        refusal("nonsense", at("192.0.2.99"))
        assert RefusedCredentials.objects.count() == 1


def test_while_locked_nothing_is_written(cast):
    here = at("192.0.2.1")
    for _ in range(lockout.PER_NETWORK):
        refusal("nonsense", here)
    with CaptureQueriesContext(connection) as captured:
        refusal("nonsense", here)
    assert not [one for one in captured if not one["sql"].startswith("SELECT")]
