"""An ally publishes and reads within its clearance, and is no lab."""

from __future__ import annotations

import json

import pytest

from exchange.errors import Forbidden
from indicators.campaigns import terms
from indicators.models import Holding
from partners.groups import life, membership
from partners.keys import auth
from partners.models import Partner
from partners.scopes import Role, Scope, rights_of
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def ally(cast):
    """Invited by the operator over the API, and active; with Aster in a group."""
    operator = Caller(build.a_key(cast.operator, Scope.ADMIN))
    sent = {"name": "Lyra Authority", "slug": "lyra", "kind": "ally", "email": "first@lyra.example"}
    assert (
        operator.ask("POST", "operator/partners", json.dumps(sent).encode(), media="application/json").status_code
        == 201
    )
    made = Partner.objects.get(slug="lyra")
    life.activate(made)
    return Partner.objects.get(slug="lyra")


def seen(viewer) -> set[str]:
    return set(Holding.objects.visible_to(viewer).values_list("stix_id", flat=True))


def test_it_reads_and_publishes_within_its_clearance(cast, ally):
    assert (ally.kind, ally.clearance) == (Partner.Kind.ALLY, Tlp.AMBER)
    build.a_ring(cast.aster, ally, slug="pact")
    lyra, aster = build.viewer_of(ally), build.viewer_of(cast.aster)
    amber, strict, own = (build.an_indicator(tlp_word=word) for word in ("amber", "amber+strict", "amber"))
    build.publish(aster, amber, strict, groups=("pact",))
    build.publish(lyra, own, groups=("pact",))
    assert seen(lyra) == {amber["id"], own["id"]}
    assert own["id"] in seen(aster)
    assert own["id"] not in seen(cast.viewer("borealis"))
    for word in ("amber+strict", "red"):
        (said,) = build.results(build.publish(lyra, build.an_indicator(tlp_word=word), partners=("aster",)))
        assert (said["status"], said["code"]) == ("refused", "over-clearance")
    life.set_clearance(ally, Tlp.GREEN, by=auth.viewer_of_user(build.a_user(cast.operator)))
    lyra = build.viewer_of(Partner.objects.get(pk=ally.pk))
    assert seen(lyra) == {own["id"]}, "its own stays"
    (said,) = build.results(build.publish(lyra, build.an_indicator(tlp_word="amber"), groups=("pact",)))
    assert said["code"] == "over-clearance", "with its clearance as it is now"


def test_it_is_no_lab(cast, ally):
    ring = build.a_ring(cast.aster, ally, slug="pact")
    assert terms.labs(ring.pk) == [cast.aster.pk]
    lyra = build.viewer_of(ally, *Scope)
    assert not lyra.scopes & {Scope.EVIDENCE, Scope.GROUP_KEYS}
    assert Scope.PUBLISH in rights_of(Role.PUBLISHER, kind="ally")
    with pytest.raises(Forbidden):
        terms.contributor(lyra, "pact")
    with pytest.raises(Forbidden):
        membership.create(lyra, name="Own", purpose="x", basis=None)
