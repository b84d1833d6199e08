"""A key that is rotated gets a successor, and lives on for a while that has bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from exchange import clock
from exchange.errors import Conflict, Refused, Unauthenticated
from partners import keys
from partners.keys import auth, limiting
from partners.models import ApiKey
from partners.scopes import Scope
from tests import build
from tests.partners.test_keys import a_key, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_rotation_makes_a_successor_and_lets_the_old_key_live_on_for_a_while(cast):
    old, first = a_key(cast.aster, Scope.READ, Scope.PUBLISH, groups=[cast.ring.pk], networks=["10.0.0.0/8"])
    new, second = keys.rotate(old, overlap=timedelta(hours=1))
    assert limiting.limits_of(new) == limiting.limits_of(old)
    assert (new.name, new.partner_id) == (old.name, old.partner_id)
    assert auth.viewer_of_key(first, origin=at("10.0.0.1"))
    assert auth.viewer_of_key(second, origin=at("10.0.0.1"))
    with time_machine.travel(clock.now() + timedelta(minutes=61)):
        assert auth.viewer_of_key(second, origin=at("10.0.0.1"))
        with pytest.raises(Unauthenticated):
            auth.viewer_of_key(first, origin=at("10.0.0.1"))


def test_a_third_key_of_a_name_is_refused(cast):
    old, _ = a_key(cast.aster, name="pipeline")
    keys.rotate(old, overlap=timedelta(hours=1))
    with pytest.raises(Conflict, match="Two keys"):
        keys.rotate(old, overlap=timedelta(hours=1))
    with pytest.raises(Conflict, match="Two keys"):
        a_key(cast.aster, name="pipeline")
    assert a_key(cast.borealis, name="pipeline"), "names are each partner's own"
    keys.revoke(old)
    assert a_key(cast.aster, name="pipeline")


@pytest.mark.parametrize("overlap", [timedelta(days=31), timedelta(minutes=-1)])
def test_an_overlap_has_bounds(cast, overlap):
    old, _ = a_key(cast.aster)
    with pytest.raises(Refused):
        keys.rotate(old, overlap=overlap)


def test_a_key_that_is_over_is_not_rotated(cast):
    old, _ = a_key(cast.aster)
    keys.revoke(old)
    with pytest.raises(Conflict):
        keys.rotate(old, overlap=timedelta(0))


@pytest.fixture
def second(cast):
    """Another group of Aster's."""
    return build.a_ring(cast.aster, cast.cygnus, slug="second")


def test_an_overlap_lengthens_no_life(cast):
    key, _ = a_key(cast.aster, life=timedelta(minutes=30))
    keys.rotate(key, overlap=timedelta(hours=1))
    assert ApiKey.objects.get(pk=key.pk).expires_at == key.expires_at
