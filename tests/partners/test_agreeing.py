"""Whose word a proposal needs: what nobody decides alone, and whose word ends with their membership."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.errors import Conflict, NotFound
from partners.groups import life, membership, proposing, steering
from partners.models import Agreement, AuditRecord, Group, Membership, Partner
from partners.scopes import Scope
from tests import build
from tests.partners.groups.test_membership import YEAR, a_group, admin, members

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def group(cast):
    """Aster and Borealis, who ask each other before anybody joins."""
    made = a_group(admin(cast.aster), rule=Group.JoinRule.ALL_PARTNERS)
    membership.agree(admin(cast.borealis), membership.invite(admin(cast.aster), made, cast.borealis).pk)
    assert members(made) == {"aster", "borealis"}
    return made


def test_the_operator_alone_neither_invites_nor_renews(cast, group):
    operator = admin(cast.operator)
    invited, renewal = membership.invite(operator, group, cast.cygnus), membership.renew(operator, group, YEAR)
    assert (invited.state, renewal.state) == ("open", "open")
    assert proposing.waits_for(invited) == {cast.aster.pk, cast.borealis.pk, cast.cygnus.pk}
    assert proposing.waits_for(renewal) == {cast.aster.pk, cast.borealis.pk}
    membership.agree(admin(cast.aster), renewal.pk)
    membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster", "borealis"}


def test_the_operator_alone_removes_and_dissolves(cast, group):
    operator = admin(cast.operator)
    assert membership.remove(operator, group, cast.borealis).state == "done"
    assert members(group) == {"aster"}
    assert membership.dissolve(operator, group).state == "done"
    assert members(group) == set()


def test_the_word_of_who_left_counts_for_nothing_when_they_come_back(cast, group):
    aster, borealis = admin(cast.aster), admin(cast.borealis)
    invited = membership.invite(aster, group, cast.cygnus)
    membership.agree(borealis, invited.pk)
    assert proposing.waits_for(invited) == {cast.cygnus.pk}
    membership.leave(borealis, group)
    membership.agree(borealis, membership.invite(aster, group, cast.borealis).pk)
    assert members(group) == {"aster", "borealis"}
    assert proposing.waits_for(invited) == {cast.borealis.pk, cast.cygnus.pk}
    membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster", "borealis"}


def test_what_who_left_said_of_what_is_decided_stays_on_record(cast, group):
    renewal = membership.renew(admin(cast.aster), group, YEAR)
    membership.agree(admin(cast.borealis), renewal.pk)
    membership.leave(admin(cast.borealis), group)
    said = Agreement.objects.filter(proposal=renewal).values_list("partner__slug", "agreed")
    assert set(said) == {("aster", True), ("borealis", True)}


def test_what_who_left_agreed_to_elsewhere_stays(cast, group):
    renewal = membership.renew(admin(cast.aster), cast.ring, YEAR)
    membership.leave(admin(cast.aster), group)
    assert proposing.waits_for(renewal) == {cast.borealis.pk}


def test_what_who_left_proposed_elsewhere_stays(cast, group):
    there = membership.invite(admin(cast.borealis), cast.ring, cast.cygnus)
    here = membership.invite(admin(cast.borealis), group, cast.cygnus)
    membership.leave(admin(cast.borealis), group)
    assert proposing.proposal(admin(cast.cygnus), there.pk).state == "open"
    assert proposing.proposal(admin(cast.cygnus), here.pk).state == "overtaken"


def test_the_operator_alone_suspends_and_reinstates(cast, group):
    with pytest.raises(NotFound):
        membership.suspend(admin(cast.aster), group, why="x")
    with pytest.raises(NotFound):
        membership.suspend(build.viewer_of(cast.operator, *Scope), group, why="A key is no person.")
    membership.suspend(admin(cast.operator), group, why="  A\nleak. ")
    group.refresh_from_db()
    record = AuditRecord.objects.filter(verb="group.suspended").first()
    assert (group.suspended_why, record.details["why"]) == ("A leak.", "A leak.")
    assert Group.objects.get(pk=cast.ring.pk).suspended_at is None
    with pytest.raises(NotFound):
        membership.reinstate(admin(cast.aster), group)
    assert Group.objects.get(pk=group.pk).suspended_at is not None
    membership.reinstate(admin(cast.operator), group)
    assert Group.objects.get(pk=group.pk).suspended_at is None


def test_what_is_decided_is_no_longer_listed(cast, group):
    renewal = membership.renew(admin(cast.aster), group, YEAR)
    invited = membership.invite(admin(cast.aster), group, cast.cygnus)
    assert {one.pk for one in proposing.proposals(admin(cast.aster), group=group)} == {renewal.pk, invited.pk}
    membership.decline(admin(cast.cygnus), invited.pk)
    assert [one.pk for one in proposing.proposals(admin(cast.aster), group=group)] == [renewal.pk]
    assert proposing.proposals(admin(cast.cygnus)) == []


def test_a_group_has_the_basis_that_it_was_made_with(cast, group):
    made = Group.objects.get(pk=group.pk)
    stored = (made.legal_basis, made.basis_reference, made.basis_from, made.basis_until)
    assert stored == (YEAR.words, YEAR.reference, YEAR.begins, YEAR.ends)


def test_a_no_after_a_yes_ends_it(cast, group):
    borealis = admin(cast.borealis)
    invited = membership.invite(borealis, group, cast.cygnus)
    membership.decline(borealis, invited.pk)
    with pytest.raises(Conflict):
        membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster", "borealis"}


def default_groups(partner) -> set:
    return set(steering.settings_of(Partner.objects.get(pk=partner.pk)).default_audience.groups)


def test_a_group_that_is_dissolved_is_in_nobodys_default_audience(cast, group):
    for partner in (cast.aster, cast.borealis):
        build.add_to_default(partner, group)
    membership.dissolve(admin(cast.operator), group)
    assert [default_groups(partner) for partner in (cast.aster, cast.borealis)] == [{cast.ring.pk}, {cast.ring.pk}]


def test_leaving_is_in_the_log_of_who_left_and_of_who_stays_and_of_nobody_else(cast, group):
    a_group(admin(cast.cygnus), name="Other")
    membership.leave(admin(cast.borealis), group)
    told = AuditRecord.objects.filter(verb="group.left", target=f"group:{group.slug}")
    assert {record.partner.slug for record in told} == {"aster", "borealis"}
    assert {record.details["partner"] for record in told} == {"borealis"}


def test_who_leaves_the_exchange_leaves_their_own_groups_and_takes_nobody_along(cast, group):
    other = a_group(admin(cast.cygnus), name="Other")
    life.leave(cast.borealis, by=admin(cast.borealis))
    assert (members(group), members(cast.ring), members(other)) == ({"aster"}, {"aster"}, {"cygnus"})
    assert not Membership.objects.filter(partner=cast.borealis, until=None).exists()
    left = AuditRecord.objects.filter(verb="group.left").values_list("details__partner", "target").distinct()
    assert set(left) == {("borealis", f"group:{one.slug}") for one in (group, cast.ring)}


# What is done to one group is done to no other


def state_of(group) -> tuple:
    row = Group.objects.get(pk=group.pk)
    return members(group), row.suspended_at is None, row.closed_at is None, row.legal_basis


@pytest.mark.parametrize("what", ["leave", "remove", "dissolve", "suspend", "renew"])
def test_what_happens_to_one_group_happens_to_no_other(cast, group, what):
    operator, before = admin(cast.operator), state_of(cast.ring)
    if what == "leave":
        membership.leave(admin(cast.borealis), group)
    elif what == "remove":
        membership.remove(operator, group, cast.borealis)
    elif what == "dissolve":
        membership.dissolve(operator, group)
    elif what == "suspend":
        membership.suspend(operator, group, why="A leak.")
    else:
        renewed = membership.renew(admin(cast.aster), group, replace(YEAR, words="Another agreement."))
        membership.agree(admin(cast.borealis), renewed.pk)
    changed = {"leave": 0, "remove": 0, "dissolve": 2, "suspend": 1, "renew": 3}[what]
    now = state_of(group)
    assert now[changed] not in (state_of(cast.ring)[changed], {"aster", "borealis"}, True, YEAR.words)
    assert state_of(cast.ring) == before


def test_proposals_of_one_group_are_not_listed_under_another(cast, group):
    membership.renew(admin(cast.aster), cast.ring, YEAR)
    assert proposing.proposals(admin(cast.aster), group=group) == []
    assert len(proposing.proposals(admin(cast.aster), group=cast.ring)) == 1


def test_who_left_is_no_longer_shown_among_the_members(cast, group):
    membership.leave(admin(cast.borealis), group)
    shown = membership.find(admin(cast.aster), group.slug)
    assert [one.partner.slug for one in shown.open_memberships] == ["aster"]


@pytest.mark.parametrize(("said", "becomes"), [(None, False), (True, True)])
def test_a_renewal_says_whether_evidence_is_allowed_or_leaves_it(cast, group, said, becomes):
    renewed = membership.renew(admin(cast.aster), group, replace(YEAR, evidence=said))
    membership.agree(admin(cast.borealis), renewed.pk)
    assert Group.objects.get(pk=group.pk).evidence is becomes
    again = membership.renew(admin(cast.aster), group, replace(YEAR, evidence=None))
    membership.agree(admin(cast.borealis), again.pk)
    assert Group.objects.get(pk=group.pk).evidence is becomes


def told(verb: str) -> set[str]:
    return set(AuditRecord.objects.filter(verb=verb).values_list("partner__slug", flat=True))


def test_each_word_and_each_removal_is_in_the_logs_of_whom_it_concerns(cast, group):

    before = AuditRecord.objects.filter(verb="group.agreed", partner=cast.aster).count()
    renewal = membership.renew(admin(cast.aster), group, YEAR)
    membership.agree(admin(cast.borealis), renewal.pk)
    assert AuditRecord.objects.filter(verb="group.agreed", partner=cast.aster).count() == before + 1
    membership.decline(admin(cast.borealis), membership.renew(admin(cast.aster), group, YEAR).pk)
    assert told("group.declined") == {"aster", "borealis"}
    membership.remove(admin(cast.operator), group, cast.borealis)
    assert told("group.removed") == {"aster", "borealis", "operator"}


def test_what_is_not_suspended_is_not_reinstated_and_why_is_forgotten(cast, group):
    operator = admin(cast.operator)
    with pytest.raises(Conflict):
        membership.reinstate(operator, group)
    membership.suspend(operator, group, why="A leak.")
    membership.reinstate(operator, group)
    assert Group.objects.get(pk=group.pk).suspended_why == ""


def test_invitations_of_who_leaves_the_exchange_fall(cast, group):
    invited = membership.invite(admin(cast.aster), cast.ring, cast.cygnus)
    life.leave(cast.cygnus, by=admin(cast.cygnus))
    assert proposing.proposal(admin(cast.aster), invited.pk).state == "overtaken"
