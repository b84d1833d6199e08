"""Where what is said of objects goes when these move: what stays, what goes to nobody, what does not come back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from exchange import clock
from indicators.models import Bounded, Holding
from indicators.opinions.bounding import Decided, Spoken, decide
from indicators.publishing import readdressing
from indicators.publishing.bounding import Seen
from partners.attribution import Attribution
from partners.audiences import AudienceSpec, Shown
from partners.models import Audience, Group
from partners.tlp import Tlp
from tests import build
from tests.indicators.opinions.test_bounding import _audience, _followed, _opinion, _reach, world  # noqa: F401 - fixture

_RING = uuid.UUID(int=1)
_IN_RING = Seen(7, True, Shown(Tlp.AMBER, groups=frozenset({_RING})))


def _spoken(*targets: str, attribution: Attribution = Attribution.NAMED, others: tuple[int, ...] = ()) -> Spoken:
    everyone = Audience(pk=3, tlp=Tlp.GREEN, everyone=True, attribution=attribution)
    holding = Holding(pk=1, audience=everyone)
    return Spoken(holding, targets, Bounded(said_by=holding, asked=everyone, given=everyone, about=list(others)))


def test_of_two_objects_one_that_goes_on_unseen_by_the_giver_keeps_it_where_it_is() -> None:
    about, spoken = {"a": [_IN_RING]}, _spoken("a", "b", others=(7, 8))
    live, withdrawn = ({"b": {8: state}} for state in (Holding.State.LIVE, Holding.State.WITHDRAWN))
    assert decide(spoken, about, live) == Decided(None, frozenset({7}))
    assert decide(spoken, about, withdrawn) == Decided(AudienceSpec(Tlp.GREEN), frozenset({7, 8})), "nobody sees both"
    assert decide(spoken, about, {}).spec == AudienceSpec(Tlp.AMBER, groups=(_RING,)), "of an id that nobody showed"


@pytest.mark.parametrize(
    ("attribution", "groups"),
    [(Attribution.NAMED, (_RING,)), (Attribution.PSEUDONYM, ()), (Attribution.EXCHANGE, (_RING,))],
)
def test_whoever_spoke_to_everyone_under_a_pseudonym_speaks_to_no_group_under_its_other(
    attribution: Attribution, groups: Any
) -> None:
    decided = decide(_spoken("a", attribution=attribution), {"a": [_IN_RING]}, {})
    assert decided.spec == AudienceSpec(Tlp.AMBER, groups=groups, attribution=attribution)


def test_into_a_group_that_takes_nothing_new_by_then_it_does_not_come_back(world: Any) -> None:  # noqa: F811
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring", "cti"))
    _followed()
    for reach, suspended in ((("ring",), None), (("ring", "cti"), clock.now())):
        readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, *reach))
        Group.objects.filter(slug="cti").update(suspended_at=suspended)
        _followed()
        assert _audience(said["id"])[0] == ["ring"]
