"""Groups: who may make, join, leave, renew and end them, and what a group whose basis has lapsed still takes."""

from datetime import date, timedelta

import pytest

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import channels, mailing, sight
from partners.groups import life, membership, proposing, warning
from partners.groups.proposing import Basis
from partners.keys import auth
from partners.models import AuditRecord, Channel, Group, Mail, Membership, Notice, Partner, Proposal
from partners.scopes import Role, Scope
from partners.sharing import audience_ids, audiences_visible_to
from tests import build

pytestmark = pytest.mark.django_db
TODAY = clock.now().date()
YEAR = Basis("An agreement.", "Contract 7", TODAY - timedelta(days=1), TODAY + timedelta(days=365))


@pytest.fixture
def cast(db):
    return build.the_cast()


def admin(partner, role=Role.ADMIN):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def members(group) -> set[str]:
    return set(Membership.objects.filter(group=group, until=None).values_list("partner__slug", flat=True))


def a_group(by, *, rule=Group.JoinRule.ANY_ADMIN, name="Ring"):
    return membership.create(by, name=name, purpose="To share.", basis=YEAR, join_rule=rule)


def end_basis(group, days_ago=1):
    Group.objects.filter(pk=group.pk).update(basis_until=TODAY - timedelta(days=days_ago))


def test_a_lab_that_makes_a_group_is_its_first_member_and_the_operator_is_not(cast):
    assert members(a_group(admin(cast.aster))) == {"aster"}
    assert members(a_group(admin(cast.operator))) == set()


@pytest.mark.parametrize("who", ["recipient", "publisher", "operator's key"])
def test_others_make_no_groups(cast, who):
    by = {
        "recipient": lambda: admin(cast.dorado),
        "publisher": lambda: admin(cast.aster, Role.PUBLISHER),
        "operator's key": lambda: build.viewer_of(cast.operator, *Scope),
    }[who]()
    with pytest.raises(Forbidden):
        a_group(by)


def test_a_groups_short_name_is_one_of_an_epoch_whatever_its_name(cast):
    assert a_group(admin(cast.aster), name="_record__id").slug.startswith("record-id-")


def test_the_name_of_a_group_is_no_oracle(cast):
    first, second = a_group(admin(cast.aster)), a_group(admin(cast.cygnus))
    assert first.name == second.name
    assert first.slug != second.slug
    assert first.slug[:5] == second.slug[:5] == "ring-"


@pytest.mark.parametrize("field", ["name", "purpose", "words", "order", "past"])
def test_a_group_needs_its_name_purpose_and_basis(cast, field):
    basis = {
        "words": Basis(" ", "", TODAY),
        "order": Basis("x", "", TODAY + timedelta(days=9), TODAY + timedelta(days=8)),
        "past": Basis("x", "", TODAY - timedelta(days=9), TODAY - timedelta(days=8)),
    }.get(field, YEAR)
    with pytest.raises(Refused):
        membership.create(
            admin(cast.aster),
            name="" if field == "name" else "n",
            purpose="" if field == "purpose" else "p",
            basis=basis,
        )


def reaches(channels):
    return set(Channel.objects.filter(pk__in=channels).values_list("reach", flat=True))


def test_under_any_admin_a_partner_is_in_when_it_accepts(cast, monkeypatch):
    seen = []
    monkeypatch.setattr(
        sight, "_turner", lambda turns: seen.extend(turns) or [channels.make_turn(turn, place=0) for turn in turns]
    )
    aster = admin(cast.aster)
    group = a_group(aster)
    build.publish(auth.viewer_of_key(cast.keys["aster"]), build.an_indicator(), groups=(group.slug,))
    invited = membership.invite(aster, group, cast.cygnus)
    assert members(group) == {"aster"}
    assert membership.find(admin(cast.cygnus), group.slug) == group
    assert audience_ids(cast.viewer("cygnus")) == []
    membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster", "cygnus"}
    assert len(audience_ids(cast.viewer("cygnus"))) == 1
    told = [(turn.partner_id, reaches(turn.gained), reaches(turn.lost)) for turn in seen]
    assert told == [(pk, {"group", "told"}, set()) for pk in (cast.aster.pk, cast.cygnus.pk)]


def test_under_all_partners_every_present_member_agrees_first(cast):
    aster = admin(cast.aster)
    group = a_group(aster, rule=Group.JoinRule.ALL_PARTNERS)
    membership.agree(admin(cast.borealis), membership.invite(aster, group, cast.borealis).pk)
    invited = membership.invite(aster, group, cast.cygnus)
    membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster", "borealis"}
    with pytest.raises(Conflict) as again:
        membership.agree(admin(cast.aster), invited.pk)
    assert again.value.code == "already-agreed"
    membership.agree(admin(cast.borealis), invited.pk)
    assert members(group) == {"aster", "borealis", "cygnus"}


def test_a_member_that_leaves_is_waited_for_no_longer(cast):
    aster = admin(cast.aster)
    group = a_group(aster, rule=Group.JoinRule.ALL_PARTNERS)
    membership.agree(admin(cast.borealis), membership.invite(aster, group, cast.borealis).pk)
    invited = membership.invite(aster, group, cast.cygnus)
    membership.agree(admin(cast.cygnus), invited.pk)
    membership.leave(admin(cast.borealis), group)
    assert proposing.waits_for(invited) == set()
    membership.agree(admin(cast.aster), invited.pk)
    assert members(group) == {"aster", "cygnus"}


def test_a_word_of_no_ends_a_proposal(cast):
    aster = admin(cast.aster)
    group = a_group(aster)
    invited = membership.invite(aster, group, cast.cygnus)
    membership.decline(admin(cast.cygnus), invited.pk)
    with pytest.raises(Conflict):
        membership.agree(admin(cast.cygnus), invited.pk)
    assert members(group) == {"aster"}
    with pytest.raises(NotFound):
        membership.find(admin(cast.cygnus), group.slug)


def test_an_outsider_decides_nothing_of_others_and_sees_nothing_of_it(cast):
    aster = admin(cast.aster)
    group = a_group(aster, rule=Group.JoinRule.ALL_PARTNERS)
    proposals = [membership.invite(aster, group, cast.borealis)]
    membership.agree(admin(cast.borealis), proposals[0].pk)
    proposals += [
        membership.invite(aster, group, cast.dorado),
        membership.renew(aster, group, YEAR),
        membership.dissolve(aster, group),
    ]
    cygnus = admin(cast.cygnus)
    for verb in (membership.agree, membership.decline):
        for proposal in proposals:
            with pytest.raises(NotFound):
                verb(cygnus, proposal.pk)
    for verb in (
        lambda: membership.find(cygnus, group.slug),
        lambda: membership.invite(cygnus, group, cast.operator),
        lambda: membership.invite(cygnus, group, cast.cygnus),
        lambda: membership.remove(cygnus, group, cast.aster),
        lambda: membership.renew(cygnus, group, YEAR),
        lambda: membership.dissolve(cygnus, group),
        lambda: membership.leave(cygnus, group),
    ):
        with pytest.raises(NotFound):
            verb()
    assert proposing.proposals(cygnus) == []
    assert members(group) == {"aster", "borealis"}


def test_the_invited_partner_does_not_speak_for_the_members_nor_they_for_it(cast):
    aster = admin(cast.aster)
    invited = membership.invite(aster, cast.ring, cast.cygnus)
    with pytest.raises(Forbidden) as refused:
        membership.agree(aster, invited.pk)
    assert refused.value.code == "not-asked"
    renewal = membership.renew(aster, cast.ring, YEAR)
    with pytest.raises(NotFound):
        membership.agree(admin(cast.cygnus), renewal.pk)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_admin_speaks_for_a_partner(cast, role):
    invited = membership.invite(admin(cast.aster), cast.ring, cast.cygnus)
    other = admin(cast.cygnus, role)
    member = admin(cast.aster, role)
    for verb in (
        lambda: membership.agree(other, invited.pk),
        lambda: membership.decline(other, invited.pk),
        lambda: membership.leave(member, cast.ring),
        lambda: membership.invite(member, cast.ring, cast.cygnus),
        lambda: membership.renew(member, cast.ring, YEAR),
    ):
        with pytest.raises(Forbidden):
            verb()


def test_a_member_goes_when_all_others_agree_or_the_operator_says_so(cast):
    aster = admin(cast.aster)
    ring = cast.ring
    membership.agree(admin(cast.cygnus), membership.invite(aster, ring, cast.cygnus).pk)
    removal = membership.remove(aster, ring, cast.borealis)
    with pytest.raises(Forbidden):
        membership.decline(admin(cast.borealis), removal.pk)
    assert "borealis" in members(ring)
    membership.agree(admin(cast.cygnus), removal.pk)
    assert members(ring) == {"aster", "cygnus"}
    membership.remove(admin(cast.operator), ring, cast.cygnus)
    assert members(ring) == {"aster"}


def of_objects(viewer) -> int:
    return audiences_visible_to(viewer).filter(use="objects").count()


def test_leaving_is_told_and_invitations_of_who_left_fall(cast, monkeypatch):
    seen = []
    aster = admin(cast.aster)
    build.publish(cast.viewer("borealis"), build.an_indicator())
    monkeypatch.setattr(
        sight, "_turner", lambda turns: seen.extend(turns) or [channels.make_turn(turn, place=0) for turn in turns]
    )
    invited = membership.invite(aster, cast.ring, cast.cygnus)
    membership.leave(aster, cast.ring)
    assert [(s.partner_id, reaches(s.gained), reaches(s.lost)) for s in seen] == [(cast.aster.pk, set(), {"group"})]
    assert Proposal.objects.get(pk=invited.pk).state == "overtaken"
    with pytest.raises(Conflict):
        membership.agree(admin(cast.cygnus), invited.pk)


def test_a_basis_is_renewed_when_all_members_agree_and_the_log_names_them(cast):
    end_basis(cast.ring)
    renewal = membership.renew(admin(cast.aster), cast.ring, YEAR)
    assert Group.objects.get(slug="ring").basis_until < TODAY
    membership.agree(admin(cast.borealis), renewal.pk)
    ring = Group.objects.get(slug="ring")
    assert (ring.basis_until, ring.legal_basis, ring.basis_reference) == (YEAR.ends, YEAR.words, YEAR.reference)
    told = AuditRecord.objects.filter(verb="group.renewed")
    assert {record.partner.slug for record in told} == {"aster", "borealis"}
    assert all(record.details["agreed"] == ["aster", "borealis"] for record in told)


def test_a_dissolved_group_has_no_members_and_comes_back_never(cast):
    build.publish(cast.viewer("borealis"), build.an_indicator())
    membership.agree(admin(cast.borealis), membership.dissolve(admin(cast.aster), cast.ring).pk)
    ring = Group.objects.get(slug="ring")
    assert ring.closed_at is not None
    assert members(ring) == set()
    assert of_objects(cast.viewer("aster")) == 0
    operator = admin(cast.operator)
    for verb in (
        lambda: membership.invite(operator, ring, cast.aster),
        lambda: membership.renew(operator, ring, YEAR),
        lambda: membership.dissolve(operator, ring),
        lambda: membership.suspend(operator, ring, why="x"),
    ):
        with pytest.raises(Conflict):
            verb()


def test_nobody_joins_a_group_that_takes_nothing_new(cast):
    invited = membership.invite(admin(cast.aster), cast.ring, cast.cygnus)
    end_basis(cast.ring)
    with pytest.raises(Conflict) as lapsed:
        membership.agree(admin(cast.cygnus), invited.pk)
    assert lapsed.value.code == "basis-lapsed"
    assert members(cast.ring) == {"aster", "borealis"}


def test_a_suspended_partner_is_not_invited_and_not_waited_for(cast):
    life.suspend(cast.borealis, by=admin(cast.operator), why="x")
    renewal = membership.renew(admin(cast.aster), cast.ring, YEAR)
    assert renewal.state == "done"
    with pytest.raises(Refused) as refused:
        membership.invite(admin(cast.aster), cast.ring, Partner.objects.get(slug="borealis"))
    assert refused.value.code == "unknown-partner"


# Warnings


@pytest.mark.parametrize(
    ("left", "expected"), [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (0, 7), (-1, None)]
)
def test_which_warning_is_due(left, expected):
    assert warning.due(date(2026, 6, 1) + timedelta(days=left), on=date(2026, 6, 1)) == expected


def test_the_admins_of_all_members_are_warned_once_each_time(cast, mailoutbox):
    for partner in (cast.aster, cast.borealis, cast.cygnus):
        build.a_user(partner)
        build.a_user(partner, role=Role.PUBLISHER)
    Group.objects.filter(pk=cast.ring.pk).update(basis_until=TODAY + timedelta(days=60))
    for left, mails in ((60, 2), (60, 2), (59, 2), (30, 4), (7, 6), (6, 6), (-1, 6)):
        warning.write_notices(on=TODAY + timedelta(days=60 - left))
        warning.send_mails()
        mailing.post()
        assert len(mailoutbox) == mails, left
    assert {mail.to[0].split("-")[0] for mail in mailoutbox} == {"aster", "borealis"}
    assert all("ends on" in mail.subject and "/organisation/groups/ring" in mail.body for mail in mailoutbox)
    (notice,) = warning.notices_of(cast.viewer("aster"))
    assert notice.days == 7
    assert warning.notices_of(cast.viewer("cygnus")) == []


def test_a_warning_is_queued_with_its_notice_once(cast):
    build.a_user(cast.aster)
    Group.objects.filter(pk=cast.ring.pk).update(basis_until=TODAY + timedelta(days=7))
    for _ in range(2):
        warning.write_notices(on=TODAY)
        warning.send_mails()
    assert not Notice.objects.filter(mailed_at=None).exists()
    assert Mail.objects.count() == 1
