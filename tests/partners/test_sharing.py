"""The one rule, case by case, against an oracle of five lines."""

import itertools
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from exchange.errors import Forbidden, Refused
from indicators.models import Batch, Carries, Change, Feed, Holding, StixObject, Subscription
from partners import channels, sight
from partners.audiences import AudienceSpec
from partners.groups import membership
from partners.keys.auth import viewer_of_partner
from partners.models import Audience, Group, Membership, Partner
from partners.scopes import Scope
from partners.sharing import (
    NoViewer,
    audience_ids,
    default_reach,
    how_many_see,
    intern_audience,
    may_share,
    who_sees,
)
from partners.tlp import Tlp
from tests import build
from tests.drilling import LONG
from tests.strategies import examples

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Who:
    name: str
    groups: frozenset[str]
    clearance: Tlp


def may_see(
    who: Who, *, publisher: str, tlp: Tlp, everyone: bool, groups: frozenset[str], partners: frozenset[str]
) -> bool:
    """The oracle: the rule as PRODUCT and TLP 2.0 say it, in plain Python."""
    if who.name == publisher:
        return True
    named = who.name in partners
    grouped = bool(groups & who.groups) and tlp != Tlp.RED
    return tlp <= who.clearance and (everyone or named or grouped)


@pytest.mark.parametrize(
    "publisher", ["aster", pytest.param("borealis", marks=LONG), pytest.param("cygnus", marks=LONG)]
)
@pytest.mark.slow
def test_every_viewer_sees_exactly_the_audiences_that_the_oracle_says(publisher):
    cast = build.the_cast()
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    names = {"ring": cast.ring, "second": second}
    whos = [
        Who("aster", frozenset({"ring", "second"}), Tlp.RED),
        Who("borealis", frozenset({"ring"}), Tlp.RED),
        Who("cygnus", frozenset({"second"}), Tlp.RED),
        Who("dorado", frozenset(), Tlp.AMBER),
        Who("operator", frozenset(), Tlp.GREEN),
    ]
    partners = {who.name: Partner.objects.get(slug=who.name) for who in whos}
    viewers = {who.name: cast.viewer(who.name) for who in whos}
    cases = {}
    for tlp in Tlp:
        for groups in ([], ["ring"], ["second"], ["ring", "second"]):
            for named in itertools.chain.from_iterable(itertools.combinations(partners, n) for n in range(3)):
                for everyone in (False, True):
                    if everyone and (groups or named or tlp is Tlp.RED):
                        continue
                    if tlp is Tlp.RED and groups:
                        continue
                    spec = AudienceSpec(
                        tlp,
                        everyone=everyone,
                        groups=tuple(sorted(names[group].pk for group in groups)),
                        partners=tuple(sorted(partners[name].pk for name in named)),
                    )
                    audience = intern_audience(viewers[publisher], spec)
                    facts = {
                        "publisher": publisher,
                        "tlp": tlp,
                        "everyone": everyone,
                        "groups": frozenset(groups),
                        "partners": frozenset(named),
                    }
                    cases[audience] = facts
    assert len(cases) > 266
    for who in whos:
        seen = set(audience_ids(cast.viewer(who.name)))
        assert seen == {pk for pk, facts in cases.items() if may_see(who, **facts)}
        own = set(audience_ids(cast.viewer(who.name), own=True))
        assert own == {pk for pk, facts in cases.items() if facts["publisher"] == who.name}


@pytest.mark.parametrize("model", [Holding, StixObject, Carries, Change])
def test_a_shared_table_refuses_a_question_without_a_viewer(model):
    for question in (
        lambda: list(model.objects.all()),
        lambda: model.objects.count(),
        lambda: model.objects.filter(pk=1),
    ):
        with pytest.raises(NoViewer):
            question()


@pytest.mark.parametrize("model", [Batch, Feed, Subscription])
def test_an_owned_table_refuses_a_question_without_a_viewer(model):
    with pytest.raises(NoViewer):
        model.objects.first()


def test_a_related_manager_refuses_too():
    cast = build.the_cast()
    aster = cast.viewer("aster")
    build.publish(aster, build.an_indicator())
    held = Holding.objects.visible_to(aster).get()
    with pytest.raises(NoViewer):
        held.carries.count()


def test_a_publisher_cannot_name_a_group_that_it_is_not_in_and_learns_nothing_of_it():
    cast = build.the_cast()
    other = build.a_ring(cast.borealis, cast.cygnus, slug="other")
    with pytest.raises(Refused) as foreign:
        may_share(cast.viewer("aster"), tlp=Tlp.AMBER, everyone=False, groups=[other.pk], partners=[])
    with pytest.raises(Refused) as absent:
        may_share(cast.viewer("aster"), tlp=Tlp.AMBER, everyone=False, groups=[cast.aster.pk], partners=[])
    assert (foreign.value.code, foreign.value.detail) == (absent.value.code, absent.value.detail)


def reaches_of(*, tlps) -> list[AudienceSpec]:
    """Each audience that may be, of two groups and two partners."""
    one, two = UUID(int=1), UUID(int=2)
    some = [(), (one,), (two,), (one, two)]
    named = [
        AudienceSpec(tlp, groups=groups, partners=partners) for tlp in tlps for groups in some for partners in some
    ]
    return [AudienceSpec(tlp, everyone=True) for tlp in tlps if tlp < Tlp.RED] + [
        spec for spec in named if spec.tlp < Tlp.RED or not spec.groups
    ]


def sees(spec: AudienceSpec, *, clearance: Tlp, groups: tuple, partner: UUID) -> bool:
    grouped = bool(set(groups) & set(spec.groups))
    return spec.tlp <= clearance and (spec.everyone or grouped or partner in spec.partners)


def test_an_audience_is_within_another_where_whoever_sees_it_sees_the_other_whatever_groups_they_are_in():
    tlps = (Tlp.GREEN, Tlp.AMBER, Tlp.RED)
    one, two = UUID(int=1), UUID(int=2)
    viewers = [
        {"clearance": clearance, "groups": groups, "partner": partner}
        for clearance in tlps
        for groups in ((), (one,), (two,), (one, two))
        for partner in (one, two, UUID(int=3))
    ]
    for spec, wider in itertools.product(reaches_of(tlps=tlps), repeat=2):
        if spec.everyone or spec.groups or spec.partners:
            always = all(sees(wider, **viewer) for viewer in viewers if sees(spec, **viewer))
            assert spec.within(wider) == always, (spec, wider)


@pytest.mark.parametrize("reach", ["everyone", "group", "both"])
def test_red_goes_to_named_partners_only(reach):
    cast = build.the_cast()
    groups = [] if reach == "everyone" else [cast.ring.pk]
    with pytest.raises(Refused) as refused:
        may_share(
            cast.viewer("aster"), tlp=Tlp.RED, everyone=reach != "group", groups=groups, partners=[cast.borealis.pk]
        )
    assert refused.value.code == "red-needs-names"
    named = may_share(cast.viewer("aster"), tlp=Tlp.RED, everyone=False, groups=[], partners=[cast.borealis.pk])
    assert (named.everyone, named.groups, named.partners) == (False, (), (cast.borealis.pk,))


@pytest.mark.parametrize("name", ["dorado"])
def test_a_recipient_never_publishes(name):
    cast = build.the_cast()
    with pytest.raises(Forbidden):
        default_reach(cast.viewer(name), Tlp.GREEN)


def test_a_key_without_the_scope_never_publishes():
    cast = build.the_cast()
    with pytest.raises(Forbidden):
        default_reach(build.viewer_of(cast.aster, Scope.READ), Tlp.GREEN)


@pytest.mark.parametrize(
    ("tlp", "sees"),
    [
        (Tlp.CLEAR, {"aster", "borealis", "cygnus", "dorado", "operator"}),
        (Tlp.GREEN, {"aster", "borealis", "cygnus", "dorado", "operator"}),
        (Tlp.AMBER, {"aster", "borealis"}),
        (Tlp.AMBER_STRICT, {"aster", "borealis"}),
        (Tlp.RED, {"aster"}),
    ],
)
def test_the_default_audience_follows_the_marking(tlp, sees):
    cast = build.the_cast()
    aster = cast.viewer("aster")
    audience = intern_audience(aster, default_reach(aster, tlp))
    assert {name for name in cast.keys if audience in audience_ids(cast.viewer(name))} == sees


def test_equal_audiences_are_one_row():
    cast = build.the_cast()
    aster = cast.viewer("aster")
    spec = AudienceSpec(Tlp.AMBER, groups=(cast.ring.pk,))
    assert intern_audience(aster, spec) == intern_audience(aster, spec)
    assert Audience.objects.count() == 1


@pytest.mark.parametrize("state", [Partner.State.SUSPENDED, Partner.State.LEFT, Partner.State.INVITED])
def test_a_partner_that_is_not_active_has_no_viewer(state):
    from exchange.errors import Unauthenticated

    cast = build.the_cast()
    Partner.objects.filter(pk=cast.borealis.pk).update(state=state)
    with pytest.raises(Unauthenticated):
        cast.viewer("borealis")


class TheRuleAsAProperty(TestCase):
    """Random memberships and audiences; the visible set is compared with the oracle."""

    @settings(max_examples=examples(25))
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=8, unique=True),
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(list(Tlp)),
                st.booleans(),
                st.frozensets(st.integers(0, 2)),
                st.frozensets(st.integers(0, 3)),
            ),
            min_size=1,
            max_size=12,
            unique=True,
        ),
    )
    @pytest.mark.slow
    def test_the_visible_set_is_what_the_oracle_says(self, members, audiences):
        Membership.objects.all().delete()
        partners = [
            Partner.objects.get_or_create(
                slug=f"p{n}",
                defaults={"name": f"P{n}", "kind": "lab", "identity_id": f"i{n}", "clearance": Tlp.RED - n},
            )[0]
            for n in range(4)
        ]
        groups = [
            Group.objects.get_or_create(
                slug=f"g{n}", defaults={"name": f"G{n}", "purpose": "", "legal_basis": "", "basis_from": "2026-01-01"}
            )[0]
            for n in range(3)
        ]
        for partner in partners:
            channels.make_of_partner(partner.pk)
        for group in groups:
            channels.make_of_group(group.pk)
        for partner, group in members:
            with sight.changing([partners[partner].pk]):
                Membership.objects.create(partner=partners[partner], group=groups[group])
        expected = {n: set() for n in range(4)}
        for publisher, tlp, everyone, named_groups, named in audiences:
            if everyone and (tlp is Tlp.RED or named_groups or named):
                continue
            if tlp is Tlp.RED and named_groups:
                continue
            spec = AudienceSpec(
                tlp,
                everyone=everyone,
                groups=tuple(sorted(groups[n].pk for n in named_groups)),
                partners=tuple(sorted(partners[n].pk for n in named)),
            )
            audience = intern_audience(viewer_of_partner(partners[publisher].pk), spec)
            for n in range(4):
                who = Who(str(n), frozenset(str(g) for p, g in members if p == n), Tlp(Tlp.RED - n))
                facts = {
                    "publisher": str(publisher),
                    "tlp": tlp,
                    "everyone": everyone,
                    "groups": frozenset(map(str, named_groups)),
                    "partners": frozenset(map(str, named)),
                }
                if may_see(who, **facts):
                    expected[n].add(audience)
        made = set().union(*expected.values())
        for n, partner in enumerate(partners):
            assert set(audience_ids(viewer_of_partner(partner.pk))) & made == expected[n]


def test_the_rule_asked_for_several_at_once_says_what_it_says_for_each_also_of_who_has_left():
    cast = build.the_cast()
    audience = intern_audience(cast.viewer("aster"), AudienceSpec(Tlp.AMBER, groups=(cast.ring.pk,)))
    names = ("aster", "borealis", "cygnus")
    for seen in ({"aster", "borealis"}, {"aster"}):
        viewers = {name: viewer_of_partner(cast.viewer(name).partner_id) for name in names}
        found = who_sees([audience], viewers.values())[audience]
        assert {name for name, viewer in viewers.items() if viewer.partner_id in found} == seen
        assert {name for name, viewer in viewers.items() if audience in audience_ids(viewer)} == seen
        if "borealis" in seen:
            membership.leave(build.viewer_of(cast.borealis, *Scope), cast.ring)


def test_how_many_see_it_leaves_out_its_publisher_and_whoever_takes_no_part():
    cast = build.the_cast()

    def count(**audience):
        named = {"everyone": False, "groups": [], "partners": []} | audience
        spec = may_share(cast.viewer("aster"), tlp=Tlp.GREEN, **named)
        return how_many_see(spec, publisher_id=cast.aster.pk)

    everyone = count(everyone=True)
    assert everyone == Partner.objects.filter(state=Partner.State.ACTIVE).count() - 1
    assert count(groups=[cast.ring.pk]) == 1
    assert count(partners=[cast.aster.pk, cast.cygnus.pk]) == 1
    Partner.objects.filter(pk=cast.cygnus.pk).update(state=Partner.State.SUSPENDED)
    assert (count(everyone=True), count(partners=[cast.cygnus.pk])) == (everyone - 1, 0)
    membership.leave(build.viewer_of(cast.borealis, *Scope), cast.ring)
    assert count(groups=[cast.ring.pk]) == 0, "who has left"


def test_who_names_itself_names_nobody():
    cast = build.the_cast()
    aster = cast.viewer("aster")
    spec = may_share(aster, tlp=Tlp.AMBER, everyone=False, groups=[], partners=[cast.aster.pk, cast.cygnus.pk])
    assert spec.partners == (cast.cygnus.pk,)
    alone = may_share(aster, tlp=Tlp.AMBER, everyone=False, groups=[], partners=[cast.aster.pk])
    assert intern_audience(aster, alone) == intern_audience(aster, replace(alone, partners=()))
