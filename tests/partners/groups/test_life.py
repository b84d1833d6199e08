"""The life of a partner: who may change it, and what a suspension stops, on every plane."""

from dataclasses import replace

import pytest
from django.test import Client

from exchange import outbound
from exchange.errors import Conflict, Forbidden, NotFound, Refused, Unauthenticated
from indicators.models import Delivery
from indicators.taxii import collections
from indicators.telling import notifying, subscribing
from partners.groups import life, membership
from partners.keys import auth
from partners.models import AuditRecord, HandOver, Membership, Partner
from partners.proof import Changed
from partners.scopes import KEY_SCOPES, Role, Scope
from partners.sharing import audience_ids, audiences_visible_to
from partners.tlp import Tlp
from tests import build, sending
from tests.indicators.api.caller import Caller, read

pytestmark = pytest.mark.django_db

REST = "/api/v1/"
TAXII = "/taxii2/exchange/"


@pytest.fixture
def cast(db):
    return build.the_cast()


def a_person(partner, role=Role.ADMIN):
    return auth.viewer_of_user(build.a_user(partner, role=role))


@pytest.fixture
def operator(cast):
    return a_person(cast.operator)


def verbs() -> list[str]:
    return list(AuditRecord.objects.order_by("pk").values_list("verb", flat=True))


def test_an_invited_partner_takes_part_once_it_is_activated(cast, operator):
    eos = life.invite_partner("Eos", "eos", "lab", operator)
    key = build.a_key(eos)
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(key)
    life.activate(eos)
    assert auth.viewer_of_key(key).partner_slug == "eos"
    with pytest.raises(Conflict):
        life.activate(eos)
    assert verbs()[-4:] == ["partner.registered", "partner.invited", "key.issued", "partner.activated"]


@pytest.mark.parametrize(
    ("name", "slug", "kind", "error"),
    [
        ("Aster", "eos", "lab", Conflict),
        ("Eos", "aster", "lab", Conflict),
        ("", "eos", "lab", Refused),
        ("Eos", "E os", "lab", Refused),
        ("Eos", "eos", "operator", Refused),
        ("Eos", "eos", "bank", Refused),
    ],
)
def test_a_partner_is_invited_by_a_free_name_and_a_kind(cast, operator, name, slug, kind, error):
    with pytest.raises(error):
        life.invite_partner(name, slug, kind, operator)


def nobody(cast):
    """All but the operator's admins in person."""
    yield from (a_person(partner) for partner in (cast.aster, cast.dorado))
    yield from (a_person(cast.operator, role) for role in Role if role is not Role.ADMIN)
    yield build.viewer_of(cast.operator, *(set(KEY_SCOPES) - {Scope.ADMIN}))
    yield from (build.viewer_of(partner, Scope.ADMIN) for partner in (cast.aster, cast.borealis))


def test_only_the_operators_admins_and_their_keys_change_the_life_of_others(cast, operator):
    for other in nobody(cast):
        for verb in (
            lambda by: life.invite_partner("Eos", "eos", "lab", by),
            lambda by: life.suspend(cast.borealis, by=by, why="x"),
            lambda by: life.reinstate(cast.borealis, by=by),
        ):
            with pytest.raises(NotFound):
                verb(other)
    assert Partner.objects.get(slug="borealis").state == "active"


def test_only_the_operators_admins_in_person_say_what_others_may_receive(cast, operator):
    for other in [*nobody(cast), build.viewer_of(cast.operator, Scope.ADMIN)]:
        for verb in (
            lambda by: life.set_clearance(cast.borealis, Tlp.RED, by=by),
            lambda by: membership.suspend(by, cast.ring, why="x"),
        ):
            with pytest.raises(NotFound):
                verb(other)


def test_a_suspension_is_refused_without_a_reason_for_oneself_and_twice(cast, operator):
    with pytest.raises(Refused):
        life.suspend(cast.aster, by=operator, why="  ")
    with pytest.raises(Refused):
        life.suspend(cast.operator, by=operator, why="tired")
    life.suspend(cast.aster, by=operator, why="A leak.")
    with pytest.raises(Conflict):
        life.suspend(cast.aster, by=operator, why="A leak.")


def test_a_suspended_partner_is_shut_out_of_every_plane_and_comes_back(cast, operator, monkeypatch):
    person = build.a_user(cast.borealis)
    browser = Client()
    browser.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    headers = build.bearer(cast.keys["borealis"])
    everything = f"{TAXII}collections/{collections.EVERYTHING}/objects/"
    planes = [f"{REST}objects", f"{REST}changes", f"{REST}blocklists/all", everything]
    assert all(Client().get(path, headers=headers).status_code == 200 for path in planes)
    assert browser.get("/indicators").status_code == 200
    subscription, _ = subscribing.subscribe(cast.viewer("borealis"), url="https://receiver.example/hook", feed_id=None)
    build.publish(cast.viewer("aster"), build.an_indicator())
    due = notifying.dispatch(subscription.pk)
    assert due is not None

    life.suspend(cast.borealis, by=operator, why="A leak.")
    assert [Client().get(path, headers=headers).status_code for path in planes] == [401] * 4
    pushed = Client().post(f"{REST}batches", b"{}", content_type="application/json", headers=headers)
    assert pushed.status_code == 401
    assert browser.get("/indicators").status_code == 302
    sent = []
    sending.answer_by(monkeypatch, lambda url, body, **_: sent.append(body) or outbound.Reply(200, None, b""))
    monkeypatch.setattr(notifying, "wake", lambda count=1: count > 0 and notifying.deliver())
    notifying.deliver()
    notifying.sweep()
    assert sent == []
    assert Delivery.unrestricted.get().attempts == 0
    build.publish(cast.viewer("aster"), build.an_indicator())
    assert notifying.dispatch(subscription.pk) is None

    life.reinstate(cast.borealis, by=operator)
    assert all(Client().get(path, headers=headers).status_code == 200 for path in planes)
    notifying.deliver()
    assert len(sent) == 1
    assert len(read(Caller(cast.keys["borealis"]).get("objects"))["objects"]) == 2


def test_what_a_suspended_partner_shared_stays_and_is_marked(cast, operator):
    one = build.an_indicator()
    build.publish(cast.viewer("aster"), one)
    life.suspend(cast.aster, by=operator, why="A leak.")
    borealis = Caller(cast.keys["borealis"])
    (said,) = read(borealis.get("objects"))["objects"]
    assert said["object"] == one
    assert said["publisher_suspended"] is True
    assert said["publisher"]["suspended"] is True
    (said,) = read(borealis.get(f"objects/{one['id']}"))["statements"]
    assert said["publisher_suspended"] is True
    assert said["publishers"][0]["suspended"] is True
    browser = Client()
    browser.force_login(build.a_user(cast.borealis), backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in ("/indicators", f"/indicators/{one['id']}"):
        assert "publisher suspended" in browser.get(path).content.decode()
    life.reinstate(cast.aster, by=operator)
    (said,) = read(borealis.get("objects"))["objects"]
    assert said["publisher_suspended"] is False
    assert "publisher suspended" not in browser.get("/indicators").content.decode()


def test_a_batch_that_was_under_way_does_not_overtake_a_suspension(cast, operator):
    early = cast.viewer("aster")
    life.suspend(cast.aster, by=operator, why="A leak.")
    with pytest.raises(Changed):  # it is found out anew who they are
        build.publish(early, build.an_indicator())
    with pytest.raises(Forbidden) as refused:  # a batch of a person's, which nothing proves
        build.publish(replace(early, proof=None), build.an_indicator())
    assert refused.value.code == "partner-not-active"


def test_a_batch_that_was_under_way_does_not_reach_a_group_that_was_left(cast):
    early = cast.viewer("aster")
    membership.leave(a_person(cast.aster), cast.ring)
    with pytest.raises(Changed):
        build.publish(early, build.an_indicator())
    with pytest.raises(Refused) as refused:
        build.publish(replace(early, proof=None), build.an_indicator())
    assert refused.value.code == "unknown-group"


# Leaving


def test_a_partner_leaves_with_its_objects_withdrawn(cast, monkeypatch):
    told = []
    monkeypatch.setattr(life, "_followers", [lambda partner, heir: told.append((partner, heir))])
    life.leave(cast.aster, by=a_person(cast.aster))
    assert told == [(cast.aster.pk, None)]
    assert Partner.objects.get(slug="aster").state == "left"
    assert not Membership.objects.filter(partner=cast.aster, until=None).exists()
    with pytest.raises(Unauthenticated):
        cast.viewer("aster")
    assert verbs()[-2:] == ["group.left", "partner.left"]


def test_a_partner_leaves_its_objects_to_an_heir_that_accepted(cast, monkeypatch):
    told = []
    monkeypatch.setattr(life, "_followers", [lambda partner, heir: told.append((partner, heir))])
    aster, borealis = a_person(cast.aster), a_person(cast.borealis)
    offer = life.offer_hand_over(aster, cast.borealis)
    with pytest.raises(Conflict):
        life.leave(cast.aster, by=aster, hand_over_to=cast.borealis)
    with pytest.raises(Conflict):
        life.offer_hand_over(aster, cast.cygnus)
    life.answer_hand_over(borealis, offer.pk, accept=True)
    with pytest.raises(Conflict):
        life.leave(cast.aster, by=aster, hand_over_to=cast.cygnus)
    assert told == []
    life.leave(cast.aster, by=aster, hand_over_to=cast.borealis)
    assert told == [(cast.aster.pk, cast.borealis.pk)]
    assert HandOver.objects.get().state == "done"


def test_an_offer_is_answered_by_its_heir_only(cast):
    offer = life.offer_hand_over(a_person(cast.aster), cast.borealis)
    for other in (a_person(cast.aster), a_person(cast.cygnus), a_person(cast.operator)):
        with pytest.raises(NotFound):
            life.answer_hand_over(other, offer.pk, accept=True)
    with pytest.raises(Forbidden):
        life.answer_hand_over(a_person(cast.borealis, Role.PUBLISHER), offer.pk, accept=True)
    life.answer_hand_over(a_person(cast.borealis), offer.pk, accept=False)
    with pytest.raises(Conflict):
        life.answer_hand_over(a_person(cast.borealis), offer.pk, accept=True)
    assert life.open_offer(a_person(cast.aster)) is None


def test_a_recipient_oneself_or_a_suspended_partner_is_no_heir(cast, operator):
    life.suspend(cast.cygnus, by=operator, why="x")
    for heir in ("aster", "dorado", "cygnus"):
        with pytest.raises(Refused):
            life.offer_hand_over(a_person(cast.aster), Partner.objects.get(slug=heir))


def test_nobody_makes_another_partner_leave_nor_does_a_key(cast):
    with pytest.raises(NotFound):
        life.leave(cast.borealis, by=a_person(cast.aster))
    for other in (a_person(cast.aster, Role.PUBLISHER), build.viewer_of(cast.aster, *Scope)):
        with pytest.raises(Forbidden):
            life.leave(cast.aster, by=other)
    with pytest.raises(Refused):
        life.leave(cast.operator, by=a_person(cast.operator))


def test_another_clearance_changes_what_a_partner_sees(cast, operator):
    build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="amber"), partners=("dorado",))
    assert len(audience_ids(cast.viewer("dorado"))) == 1
    life.set_clearance(cast.dorado, Tlp.GREEN, by=operator)
    assert audiences_visible_to(cast.viewer("dorado")).filter(use="objects").count() == 0
