"""No key makes a stronger one, ends what may do more than it, or hands down what it does not have."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from exchange import clock
from exchange.errors import Forbidden, NotFound, Refused, Unauthenticated
from partners import keys
from partners.ceilings import Ceiling, Width
from partners.identity import inviting, people
from partners.keys import auth
from partners.models import ApiKey, AuditRecord
from partners.scopes import KEY_SCOPES, Role, Scope
from partners.tlp import Tlp
from tests import build
from tests.partners.test_keys import a_key, at

pytestmark = pytest.mark.django_db


ALL = tuple(sorted(KEY_SCOPES))


@pytest.fixture
def cast():
    return build.the_cast()


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
