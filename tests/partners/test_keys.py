"""Keys: what they are limited to, how they change hands, and that none makes a stronger one."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock, origins
from exchange.errors import Conflict, Refused, Unauthenticated
from exchange.origins import Origin
from partners import keys
from partners.keys import auth, limiting
from partners.models import ApiKey, KeyNetwork
from partners.scopes import Scope
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def at(address: str, **more: str) -> Origin:
    return Origin(origins.parsed(address), **more)


def a_key(partner, *scopes, by=None, life=timedelta(days=1), name="", **limits):
    return keys.issue(
        partner, name=name or uuid.uuid4().hex, scopes=scopes or (Scope.READ,), expires_in=life, by=by, **limits
    )


# What a key is limited to


def test_a_key_for_some_groups_is_in_no_other(cast):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    _, secret = a_key(cast.aster, groups=[second.pk])
    viewer = auth.viewer_of_key(secret)
    assert viewer.group_ids == {second.pk}
    assert viewer.limited
    whole = auth.viewer_of_key(cast.keys["aster"])
    assert whole.group_ids == {second.pk, cast.ring.pk}
    assert not whole.limited


def test_a_key_for_a_group_that_its_partner_left_is_in_none(cast):
    _, secret = a_key(cast.aster, groups=[cast.ring.pk])
    cast.aster.memberships.update(until=clock.now())
    viewer = auth.viewer_of_key(secret)
    assert viewer.group_ids == frozenset()
    assert viewer.limited


def test_no_groups_are_all_groups_and_are_stored_as_such(cast):
    key, _ = a_key(cast.aster, groups=[])
    assert key.groups is None


@pytest.mark.parametrize(
    ("networks", "address", "let_in"),
    [
        (["203.0.113.0/24"], "203.0.113.7", True),
        (["203.0.113.0/24"], "::ffff:203.0.113.7", True),
        (["203.0.113.0/24"], "203.0.114.7", False),
        (["203.0.113.7"], "203.0.113.7", True),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::/32"], "2001:db9::5", False),
        (["2001:db8::/32", "10.0.0.0/8"], "10.1.2.3", True),
        (["2001:db8::/32"], "", False),
        ([], "", True),
    ],
)
def test_a_key_works_from_its_networks_only(cast, networks, address, let_in):
    _, secret = a_key(cast.aster, networks=networks)
    if let_in:
        assert auth.viewer_of_key(secret, origin=at(address)).partner_id == cast.aster.pk
    else:
        with pytest.raises(Unauthenticated) as raised:
            auth.viewer_of_key(secret, origin=at(address))
        assert (raised.value.detail, raised.value.code) == ("This API key is not valid.", "invalid-key")


@pytest.mark.parametrize(
    ("bound", "shown", "let_in"),
    [
        ({"certificate_subject": "CN=a,O=Aster"}, {"subject": "CN=a,O=Aster"}, True),
        ({"certificate_subject": "CN=a,O=Aster"}, {"subject": "CN=a,O=Aster,C=DE"}, False),
        ({"certificate_subject": "CN=a,O=Aster"}, {}, False),
        ({"certificate_sha256": "AB:" * 31 + "AB"}, {"fingerprint": "ab" * 32}, True),
        ({"certificate_sha256": "ab" * 32}, {"subject": "CN=a,O=Aster"}, False),
        ({}, {"subject": "CN=whoever"}, True),
    ],
)
def test_a_key_that_is_bound_to_a_certificate_works_with_it_only(cast, bound, shown, let_in):
    _, secret = a_key(cast.aster, **bound)
    if let_in:
        assert auth.viewer_of_key(secret, origin=at("10.0.0.1", **shown))
    else:
        with pytest.raises(Unauthenticated):
            auth.viewer_of_key(secret, origin=at("10.0.0.1", **shown))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": " "}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": [Scope.AUDIT]}, "/scopes"),
        ({"expires_in": timedelta(seconds=59)}, "/expires_in_minutes"),
        ({"expires_in": timedelta(days=367)}, "/expires_in_minutes"),
        ({"networks": ["203.0.113.7/24"]}, "/networks"),
        ({"networks": ["everywhere"]}, "/networks"),
        ({"networks": [f"10.0.{n}.0/24" for n in range(51)]}, "/networks"),
        ({"certificate_sha256": "ab"}, "/certificate_sha256"),
        ({"certificate_subject": "a\nb"}, "/certificate_subject"),
        ({"certificate_subject": " "}, "/certificate_subject"),
        ({"certificate_sha256": " : "}, "/certificate_sha256"),
        ({"networks": [""]}, "/networks"),
        ({"networks": ["203.0.113.0/24", " "]}, "/networks"),
    ],
)
def test_what_cannot_be_a_key_is_refused_naming_the_field(cast, wish, field):
    with pytest.raises(Refused) as raised:
        keys.issue(cast.aster, **({"name": "k", "scopes": [Scope.READ], "expires_in": timedelta(hours=1)} | wish))
    assert raised.value.at == field


def test_only_a_digest_is_stored(cast):
    key, secret = a_key(cast.aster)
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert secret not in repr(row)
    assert secret.split("_")[2] not in repr(row)
    assert len(row["digest"]) == 32


# Use


def test_a_key_that_is_in_use_costs_one_query(cast):
    auth.viewer_of_key(cast.keys["aster"], origin=at("203.0.113.7"))
    with CaptureQueriesContext(connection) as captured:
        auth.viewer_of_key(cast.keys["aster"], origin=at("203.0.113.99"))
    assert len(captured) == 1


def test_use_is_written_down_once_a_minute_and_by_network(cast):
    key, secret = a_key(cast.aster)
    with time_machine.travel("2026-11-25T10:00:00Z", tick=False) as time:
        ApiKey.objects.update(expires_at=clock.now() + timedelta(days=1))
        auth.viewer_of_key(secret, origin=at("203.0.113.7"))
        time.shift(30)
        auth.viewer_of_key(secret, origin=at("203.0.113.200"))
        auth.viewer_of_key(secret, origin=at("2001:db8:1:2::3"))
        time.shift(120)
        auth.viewer_of_key(secret, origin=at("203.0.113.8"))
    seen = {one.prefix: (one.first_at.minute, one.last_at.minute) for one in keys.seen(key)}
    assert seen == {"203.0.113.0/24": (0, 2), "2001:db8:1::/48": (0, 0)}
    key.refresh_from_db()
    assert key.last_used_at.minute == 2


def test_a_busy_key_does_not_hide_a_second_network(cast):
    key, secret = a_key(cast.aster)
    for address in ("203.0.113.7", "203.0.113.7", "198.51.100.1", "203.0.113.7"):
        auth.viewer_of_key(secret, origin=at(address))
    assert {one.prefix for one in keys.seen(key)} == {"203.0.113.0/24", "198.51.100.0/24"}


def test_the_number_of_networks_that_are_kept_is_bounded(cast):
    key, secret = a_key(cast.aster)
    for number in range(40):
        auth.viewer_of_key(secret, origin=at(f"10.0.{number}.1"))
    assert KeyNetwork.objects.filter(key=key).count() == 32
    assert "10.0.39.0/24" in {one.prefix for one in keys.seen(key)}


@pytest.fixture
def second(cast):
    """Another group of Aster's."""
    return build.a_ring(cast.aster, cast.cygnus, slug="second")


# Bounds, to the moment and to the last one


def test_a_key_is_over_at_the_moment_at_which_it_ends(cast):
    key, _ = a_key(cast.aster)
    just_before = key.expires_at - timedelta(microseconds=1)
    assert (keys.state(key, at=just_before), keys.state(key, at=key.expires_at)) == ("active", "expired")
    assert (keys.is_active(key, at=just_before), keys.is_active(key, at=key.expires_at)) == (True, False)


def test_the_name_of_keys_that_have_ended_is_free_again(cast):
    for _ in range(2):
        a_key(cast.aster, name="pipeline")
    with pytest.raises(Conflict):
        a_key(cast.aster, name="pipeline")
    a_key(cast.borealis, name="pipeline")
    with time_machine.travel(clock.now() + timedelta(days=2)):
        a_key(cast.aster, name="pipeline")


def test_a_key_has_so_many_networks_and_no_more(cast):
    networks = [f"203.0.113.{number}/32" for number in range(limiting.MOST_NETWORKS + 1)]
    assert len(a_key(cast.aster, networks=networks[:-1])[0].networks) == limiting.MOST_NETWORKS
    with pytest.raises(Refused) as refused:
        a_key(cast.aster, networks=networks)
    assert refused.value.code == "bad-network"


def test_behind_a_key_that_a_key_made_stands_the_person_who_made_the_first(cast):
    person = auth.viewer_of_user(build.a_user(cast.aster))
    first, secret = a_key(cast.aster, Scope.ADMIN, Scope.READ, by=person, life=timedelta(days=3))
    second, _ = a_key(cast.aster, by=auth.viewer_of_key(secret))
    assert (first.created_by, second.created_by) == (person.actor, f"key:{first.public_id}")
    assert keys.maker_of(f"key:{second.public_id}") == person.actor
    assert keys.maker_of(person.actor) == person.actor
    nobodys, _ = a_key(cast.aster)
    assert nobodys.created_by == "system"


def test_who_was_deactivated_is_nobody_whose_session_goes_on(cast):
    user = build.a_user(cast.aster)
    user.is_active = False
    with pytest.raises(Unauthenticated):
        auth.viewer_of_user(user)
