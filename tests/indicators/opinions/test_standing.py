"""The standing of a holding: the rule in Python, the rule in SQL and a slow reading of the vocabulary say the same."""

from __future__ import annotations

import itertools
import uuid

import pytest

from exchange.stix import words
from indicators.models import Holding, Opinion
from indicators.opinions import standing
from indicators.opinions.standing import Heard, Standing
from tests import build
from tests.drilling import LONG

#: What one partner may have said: nothing, or says and whether a dissent counts alone.
_SAID = (None, (1, True), (0, True), (-1, True), (-1, False))
_ORDERS = tuple(itertools.permutations(range(3)))


def _by_the_vocabulary(heard: list[Heard]) -> str:
    """Sentence by sentence (vocabulary.md, "Standing")."""
    confirming = {one.partner for one in heard if one.says == 1}
    dissenting = set()
    for one in heard:
        after = {other.partner for other in heard if other.says == 1 and other.place > one.place}
        if one.says == -1 and len(after) < 2:
            dissenting.add((one.partner, one.alone))
    if len(dissenting) >= 2 and len(dissenting) > len(confirming):
        return "refuted"
    if len(dissenting) >= 2:
        return "disputed"
    if len(dissenting) == 1 and not confirming and next(iter(dissenting))[1]:
        return "disputed"
    if len(confirming) >= 2 and not dissenting:
        return "supported"
    return "unreviewed"


def _every(partners: tuple[str, ...]):
    for said in itertools.product(_SAID, repeat=len(partners)):
        for order in itertools.permutations(range(len(partners))):
            yield [
                Heard(partner, one[0], place, one[1])
                for partner, one, place in zip(partners, said, order, strict=True)
                if one is not None
            ]


@pytest.mark.slow
def test_the_rule_is_the_vocabularys_for_all_that_four_partners_may_say() -> None:
    cases = list(_every(("b", "c", "d", "e")))
    assert len(cases) == 5**4 * 24
    found = {Standing(_by_the_vocabulary(heard)) for heard in cases}
    assert found == set(Standing)
    wrong = [heard for heard in cases if standing.standing(heard) != _by_the_vocabulary(heard)]
    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=LONG)])
@pytest.mark.slow
def test_sql_says_the_same_of_what_each_viewer_hears_and_never_counts_the_publisher(every: int) -> None:
    """750 holdings, or 150: three partners and Aster itself judge Aster's, and Cygnus does not hear what the ring is told."""
    cast = build.the_cast()
    eve = build.a_partner("Eve")
    cases = list(_every(("borealis", "cygnus", "eve")))[::every]
    build.publish(cast.viewer("aster"), *[build.an_indicator(tlp_word="green") for _ in cases], everyone=True)
    partners = {"borealis": cast.borealis, "cygnus": cast.cygnus, "eve": eve}
    where = {"borealis": {"groups": ("ring",)}, "cygnus": {"everyone": True}, "eve": {"everyone": True}}
    said_by = {name: _an_opinion(build.viewer_of(one), **where[name]) for name, one in partners.items()}
    own = _an_opinion(cast.viewer("aster"), everyone=True)
    judged = list(Holding.unrestricted.filter(publisher=cast.aster, stix_type="indicator").order_by("pk"))
    rows = [
        _row(holding, partners[str(one.partner)].pk, said_by[str(one.partner)], one)
        for holding, heard in zip(judged, cases, strict=True)
        for one in heard
    ]
    rows += [_row(holding, cast.aster.pk, own, Heard("aster", -1, 9)) for holding in judged]
    Opinion.unrestricted.bulk_create(rows)
    for viewer, deaf in ((cast.viewer("borealis"), set()), (cast.viewer("cygnus"), {"borealis"})):
        stands = standing.of(viewer, [holding.pk for holding in judged])
        for holding, heard in zip(judged, cases, strict=True):
            assert stands[holding.pk] == _by_the_vocabulary([one for one in heard if one.partner not in deaf]), heard


def _an_opinion(viewer, **where) -> Holding:
    made = {
        "type": "opinion",
        "spec_version": "2.1",
        "id": f"opinion--{uuid.uuid4()}",
        "created": "2026-11-01T00:00:00Z",
        "modified": "2026-11-01T00:00:00Z",
        "opinion": "agree",
        "object_refs": [f"indicator--{uuid.uuid4()}"],
        "object_marking_refs": [build.tlp.ID_OF["green"]],
        "extensions": {
            words.OPINION_EXTENSION_ID: {"extension_type": "property-extension", "reason": "confirmed_here"}
        },
    }
    (told,) = build.results(build.publish(viewer, made, **where))
    assert told["status"] == "accepted", told
    return Holding.unrestricted.get(publisher=viewer.partner_id, stix_id=made["id"])


def _row(holding: Holding, partner_id: uuid.UUID, said_by: Holding, heard: Heard) -> Opinion:
    return Opinion(
        holding=holding,
        partner_id=partner_id,
        said_by=said_by,
        audience_id=said_by.audience_id,
        says=heard.says,
        reason="",
        place=heard.place,
        alone=heard.alone,
    )
