"""Keys: what they are limited to, how they change hands, and that none makes a stronger one."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock, origins
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Refused, Unauthenticated
from exchange.origins import Origin
from partners import keys
from partners.ceilings import Ceiling, Width
from partners.identity import inviting, people
from partners.keys import auth, limiting, lockout
from partners.models import ApiKey, AuditRecord, KeyNetwork, Partner, RefusedCredentials
from partners.scopes import KEY_SCOPES, Role, Scope
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db

ALL = tuple(sorted(KEY_SCOPES))


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


# Rotation


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


# Nobody beyond his own rights


@pytest.fixture
def second(cast):
    """Another group of Aster's."""
    return build.a_ring(cast.aster, cast.cygnus, slug="second")


@pytest.fixture
def maker(cast, second):
    """A key that may make keys, with limits of every sort."""
    return a_key(
        cast.aster,
        Scope.ADMIN,
        Scope.READ,
        groups=[cast.ring.pk],
        networks=["10.0.0.0/8", "2001:db8::/32"],
        certificate_subject="CN=a",
        life=timedelta(days=2),
    )


def acting(secret: str):
    return auth.viewer_of_key(secret, origin=at("10.0.0.1", subject="CN=a"))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"scopes": [Scope.PUBLISH]}, "/scopes"),
        ({"scopes": sorted(KEY_SCOPES)}, "/scopes"),
        ({"groups": "second"}, "/groups"),
        ({"groups": "unknown"}, "/groups"),
        ({"networks": ["0.0.0.0/0"]}, "/networks"),
        ({"networks": ["10.0.0.0/8", "192.0.2.0/24"]}, "/networks"),
        ({"networks": ["10.0.0.0/7"]}, "/networks"),
        ({"networks": ["::/0"]}, "/networks"),
        ({"expires_in": timedelta(days=3)}, "/expires_in_minutes"),
        ({"certificate_subject": "CN=b"}, "/certificate_subject"),
    ],
)
def test_a_key_makes_no_stronger_key(cast, second, maker, wish, field):
    if "groups" in wish:
        wish = {"groups": [second.pk if wish["groups"] == "second" else uuid.uuid4()]}
    asked = {"name": "k", "scopes": [Scope.READ], "expires_in": timedelta(hours=1)} | wish
    with pytest.raises(Refused) as raised:
        keys.issue(cast.aster, by=acting(maker[1]), **asked)
    assert raised.value.at == field
    assert not ApiKey.objects.filter(name="k").exists()


def test_what_a_key_does_not_say_of_its_child_the_child_has_from_it(cast, maker):
    parent, secret = maker
    child, _ = keys.issue(cast.aster, name="child", scopes=[Scope.READ], by=acting(secret))
    assert child.parent == parent
    assert child.groups == [cast.ring.pk]
    assert (child.networks, child.certificate_subject) == (parent.networks, "CN=a")
    assert child.expires_at == parent.expires_at


def test_a_key_makes_a_weaker_key(cast, maker):
    child, secret = a_key(cast.aster, Scope.READ, by=acting(maker[1]), networks=["10.1.0.0/16"], groups=[cast.ring.pk])
    assert (child.networks, child.scopes) == (["10.1.0.0/16"], ["read"])
    assert auth.viewer_of_key(secret, origin=at("10.1.0.1", subject="CN=a"))
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(secret, origin=at("10.0.0.1", subject="CN=a"))


def test_a_key_without_admin_makes_none(cast):
    with pytest.raises(Forbidden):
        a_key(cast.aster, by=cast.viewer("aster"))


def test_a_key_makes_and_ends_none_of_another_partner(cast):
    viewer = build.viewer_of(cast.aster, *ALL)
    theirs, secret = a_key(cast.borealis)
    for attempt in (
        lambda: a_key(cast.borealis, by=viewer),
        lambda: keys.rotate(theirs, overlap=timedelta(0), by=viewer),
        lambda: keys.revoke(theirs, by=viewer),
        lambda: keys.find(viewer, theirs.public_id),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert auth.viewer_of_key(secret)


def test_a_key_rotates_no_stronger_key_into_its_hands(cast, maker):
    strong, _ = a_key(cast.aster, Scope.PUBLISH, Scope.READ)
    wide, _ = a_key(cast.aster, Scope.READ)
    for key, code in ((strong, "beyond-own-rights"), (wide, "key-limited-to-groups")):
        for end in (lambda key: keys.rotate(key, overlap=timedelta(0), by=acting(maker[1])), revoked_by(maker[1])):
            with pytest.raises(Forbidden) as refused:
                end(key)
            assert refused.value.code == code
            assert keys.is_active(ApiKey.objects.get(pk=key.pk), at=clock.now())


def revoked_by(secret):
    return lambda key: keys.revoke(key, by=acting(secret))


def test_a_key_ends_itself_and_what_may_do_no_more(cast, maker):
    parent, secret = maker
    weaker, _ = a_key(cast.aster, Scope.READ, groups=[cast.ring.pk])
    made, _ = keys.rotate(weaker, overlap=timedelta(0), by=acting(secret))
    assert keys.revoke(made, by=acting(secret)) == 1
    assert keys.revoke(parent, by=acting(secret)) >= 1


def test_an_admin_in_person_ends_every_key(cast):
    strong, _ = a_key(cast.aster, *ALL)
    assert keys.revoke(strong, by=auth.viewer_of_user(build.a_user(cast.aster))) == 1


def test_a_key_under_a_ceiling_ends_none_without_it(cast):
    _, secret = a_key(cast.aster, Scope.ADMIN, Scope.PUBLISH, ceiling=Ceiling(Tlp.AMBER, Width.GROUPS))
    free, _ = a_key(cast.aster, Scope.PUBLISH)
    with pytest.raises(Forbidden):
        keys.revoke(free, by=auth.viewer_of_key(secret))
    under, _ = a_key(cast.aster, Scope.PUBLISH, ceiling=Ceiling(Tlp.RED, Width.PARTNERS))
    assert keys.revoke(under, by=auth.viewer_of_key(secret)) == 1
    admin, _ = a_key(cast.aster, Scope.ADMIN)  # publishes nothing: its ceiling says nothing
    assert keys.revoke(admin, by=auth.viewer_of_key(secret)) == 1


def test_a_key_for_some_groups_makes_and_ends_no_people(cast):
    _, secret = a_key(cast.aster, *ALL, groups=[cast.ring.pk])
    person = build.a_user(cast.aster, role=Role.ANALYST)
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    open_one, _ = inviting.invite(admin, email="a@aster.example", role=Role.ANALYST)
    viewer = auth.viewer_of_key(secret)
    for attempt in (
        lambda: inviting.invite(viewer, email="b@aster.example", role=Role.ANALYST),
        lambda: inviting.revoke(viewer, open_one.pk),
        lambda: people.change(viewer, person.pk, active=False),
    ):
        with pytest.raises(Forbidden) as refused:
            attempt()
        assert refused.value.code == "key-limited-to-groups"


def test_a_key_that_rotates_itself_lives_no_longer(cast, maker):
    parent, secret = maker
    made, new_secret = keys.rotate(parent, overlap=timedelta(minutes=5), by=acting(secret))
    assert made.expires_at == parent.expires_at
    assert made.parent == parent
    keys.revoke(parent)
    with pytest.raises(Unauthenticated):
        acting(new_secret)


def test_a_revoked_key_makes_nothing_though_it_was_let_in_before(cast, maker):
    parent, secret = maker
    viewer = acting(secret)
    keys.revoke(parent)
    with pytest.raises(Unauthenticated):
        a_key(cast.aster, by=viewer)
    with pytest.raises(Unauthenticated):
        keys.rotate(a_key(cast.aster)[0], overlap=timedelta(0), by=viewer)


def test_revoking_a_key_revokes_all_that_descend_from_it_and_no_other(cast):
    root, root_secret = a_key(cast.aster, *ALL)
    child, child_secret = a_key(cast.aster, *ALL, by=auth.viewer_of_key(root_secret), life=timedelta(hours=20))
    _, grandchild = a_key(cast.aster, by=auth.viewer_of_key(child_secret), life=timedelta(hours=10))
    _, sibling = a_key(cast.aster)
    assert keys.revoke(child) == 2
    assert auth.viewer_of_key(root_secret)
    assert auth.viewer_of_key(sibling)
    for secret in (child_secret, grandchild):
        with pytest.raises(Unauthenticated):
            auth.viewer_of_key(secret)
    assert keys.revoke(root) == 1
    assert keys.revoke(root) == 0
    assert AuditRecord.objects.filter(verb="key.revoked").count() == 3


def test_a_person_issues_within_his_role_and_his_groups(cast, second):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    assert a_key(cast.aster, *ALL, by=admin, groups=[second.pk])
    with pytest.raises(Refused):
        a_key(cast.borealis, by=auth.viewer_of_user(build.a_user(cast.borealis)), groups=[second.pk])
    with pytest.raises(Refused):
        a_key(cast.dorado, Scope.PUBLISH, by=auth.viewer_of_user(build.a_user(cast.dorado)))
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            a_key(cast.aster, by=auth.viewer_of_user(build.a_user(cast.aster, role=role)))


def test_the_log_says_who_made_what_and_holds_no_key(cast, maker):
    child, secret = a_key(cast.aster, by=acting(maker[1]))
    record = AuditRecord.objects.get(verb="key.issued", target=f"key:{child.public_id}")
    assert record.actor == f"key:{maker[0].public_id}"
    assert record.details["parent"] == maker[0].public_id
    assert not [one for one in AuditRecord.objects.values() if secret in repr(one) or maker[1] in repr(one)]


# Lock-out


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


# What is handed down, whoever hands it down


@pytest.mark.parametrize("told", ["wider", "nothing"])
def test_a_key_that_a_key_made_shares_no_wider_than_it(cast, told):
    narrow = Ceiling(Tlp.AMBER, Width.GROUPS)
    _, secret = a_key(cast.aster, Scope.ADMIN, Scope.PUBLISH, ceiling=narrow, life=timedelta(days=2))
    wish = {"ceiling": Ceiling(Tlp.GREEN, Width.EVERYONE)} if told == "wider" else {}
    child, child_secret = a_key(cast.aster, Scope.PUBLISH, by=auth.viewer_of_key(secret), **wish)
    assert Ceiling.of(child.ceiling_tlp, child.ceiling_width) == narrow
    successor, _ = keys.rotate(child, overlap=timedelta(0), by=auth.viewer_of_key(secret))
    assert Ceiling.of(successor.ceiling_tlp, successor.ceiling_width) == narrow
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(child_secret)


def test_a_key_that_a_key_made_is_bound_to_its_certificate_by_digest_too(cast):
    digest = "ab" * 32
    _, secret = a_key(cast.aster, Scope.ADMIN, Scope.READ, certificate_sha256=digest, life=timedelta(days=2))
    by = auth.viewer_of_key(secret, origin=at("10.0.0.1", fingerprint=digest))
    child, child_secret = a_key(cast.aster, by=by)
    assert child.certificate_sha256 == digest
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(child_secret, origin=at("10.0.0.1"))
    with pytest.raises(Refused) as refused:
        a_key(cast.aster, by=by, certificate_sha256="cd" * 32)
    assert refused.value.at == "/certificate_sha256"


def test_a_successor_that_a_person_makes_still_descends_from_the_key_that_made_the_first(cast):
    root, secret = a_key(cast.aster, *ALL, life=timedelta(days=2))
    child, _ = a_key(cast.aster, by=auth.viewer_of_key(secret))
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    successor, successors_secret = keys.rotate(child, overlap=timedelta(0), by=admin)
    assert successor.parent == root
    keys.revoke(root)
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(successors_secret)


def test_an_overlap_lengthens_no_life(cast):
    key, _ = a_key(cast.aster, life=timedelta(minutes=30))
    keys.rotate(key, overlap=timedelta(hours=1))
    assert ApiKey.objects.get(pk=key.pk).expires_at == key.expires_at


def test_who_was_deactivated_is_nobody_whose_session_goes_on(cast):
    user = build.a_user(cast.aster)
    user.is_active = False
    with pytest.raises(Unauthenticated):
        auth.viewer_of_user(user)
