"""Whom a reader is told an object comes from, and what it cannot find out."""

import pytest

from exchange.errors import Refused
from partners import sources, viewing
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.keys import auth
from partners.models import Audience, Group
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="second")
    return cast


def an_audience(viewer, *slugs, attribution, everyone=False):
    groups = tuple(sorted(Group.objects.filter(slug__in=slugs).values_list("pk", flat=True)))
    spec = AudienceSpec(Tlp.GREEN, everyone=everyone, groups=groups, attribution=attribution)
    return sources.intern(viewer, spec)


def seen_by(cast, name, audience_id):
    return sources.source_of(cast.viewer(name), Audience.objects.get(pk=audience_id))


def test_a_named_publisher_is_named(cast):
    audience = an_audience(cast.viewer("aster"), "ring", attribution=Attribution.NAMED)
    assert seen_by(cast, "borealis", audience).slug == "aster"


def test_a_pseudonym_is_the_same_for_everybody_in_a_group_and_another_one_in_another(cast):
    aster = cast.viewer("aster")
    in_ring = an_audience(aster, "ring", attribution=Attribution.PSEUDONYM)
    in_second = an_audience(aster, "second", attribution=Attribution.PSEUDONYM)
    assert seen_by(cast, "borealis", in_second) == seen_by(cast, "cygnus", in_second)
    ring, second = seen_by(cast, "borealis", in_ring), seen_by(cast, "borealis", in_second)
    assert ring.id != second.id
    assert ring.slug != second.slug
    for source in (ring, second):
        assert "aster" not in f"{source}".lower()
        assert source.id != cast.aster.pk


def test_a_pseudonym_stays_the_same(cast):
    aster = cast.viewer("aster")
    audience = an_audience(aster, "ring", attribution=Attribution.PSEUDONYM)
    first = seen_by(cast, "borealis", audience)
    assert seen_by(cast, "borealis", an_audience(aster, "ring", attribution=Attribution.PSEUDONYM)) == first
    assert seen_by(cast, "borealis", audience) == first


def test_a_pseudonym_goes_to_one_group_at_a_time(cast):
    with pytest.raises(Refused, match="one group"):
        an_audience(cast.viewer("aster"), "ring", "second", attribution=Attribution.PSEUDONYM)


def test_what_comes_from_the_exchange_comes_from_the_same_for_all(cast):
    of_aster = an_audience(cast.viewer("aster"), everyone=True, attribution=Attribution.EXCHANGE)
    of_borealis = an_audience(cast.viewer("borealis"), everyone=True, attribution=Attribution.EXCHANGE)
    assert seen_by(cast, "cygnus", of_aster) == seen_by(cast, "cygnus", of_borealis)


def test_a_publisher_sees_its_own_name(cast):
    audience = an_audience(cast.viewer("aster"), "ring", attribution=Attribution.EXCHANGE)
    assert seen_by(cast, "aster", audience).slug == "aster"


def test_who_would_see_it_is_asked_of_the_rule_and_leaves_nothing_behind(cast):
    aster = cast.viewer("aster")
    before = Audience.objects.count()
    spec = AudienceSpec(Tlp.AMBER, groups=(cast.ring.pk,), attribution=Attribution.PSEUDONYM)
    found = viewing.would_see(aster, spec)
    assert [one.partner_slug for one in found] == ["borealis"]
    assert found[0].source.slug == "pseudonym"  # drawn when it is needed, not by asking
    assert Audience.objects.count() == before
    everyone = viewing.would_see(aster, AudienceSpec(Tlp.GREEN, everyone=True))
    assert [one.partner_slug for one in everyone] == ["borealis", "cygnus", "dorado", "operator"]
    assert viewing.would_see(aster, AudienceSpec(Tlp.RED)) == []


def test_a_suspended_partner_is_no_reader(cast):
    type(cast.borealis).objects.filter(pk=cast.borealis.pk).update(state="suspended")
    spec = AudienceSpec(Tlp.AMBER, groups=(cast.ring.pk,))
    assert viewing.would_see(auth.viewer_of_key(cast.keys["aster"]), spec) == []
