"""Who sees what is said of an object sees the object: as it is said, and whatever becomes of the object later."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

import pytest
from django.test import Client

from exchange import clock
from indicators.ending import recalling, withdrawing
from indicators.models import Bounded, Holding, Opinion
from indicators.opinions import bounding, giving, recording, sighting
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.stix import making
from partners.audiences import AudienceSpec, Shown, bounded
from partners.groups import membership
from partners.keys import auth
from partners.models import AuditRecord, Group, Partner
from partners.tlp import Tlp
from tests import build
from tests.build import bearer
from tests.drilling import LONG
from tests.indicators.api.caller import Caller, read

_RING, _CTI = uuid.UUID(int=1), uuid.UUID(int=2)
_P, _Q = uuid.UUID(int=11), uuid.UUID(int=12)
_ALL_AMBER = [Shown(Tlp.AMBER, everyone=True)]
_IN_RING = [Shown(Tlp.AMBER, groups=frozenset({_RING}), partners=frozenset({_P}), publisher=_Q)]
_IN_CTI = [Shown(Tlp.GREEN, groups=frozenset({_CTI}), publisher=_P)]


@pytest.mark.parametrize(
    ("said", "objects", "goes"),
    [
        (AudienceSpec(Tlp.GREEN, everyone=True), [_ALL_AMBER], AudienceSpec(Tlp.AMBER, everyone=True)),
        (AudienceSpec(Tlp.GREEN, everyone=True), [_IN_RING], AudienceSpec(Tlp.AMBER, groups=(_RING,))),
        (AudienceSpec(Tlp.GREEN, groups=(_RING, _CTI)), [_IN_RING], AudienceSpec(Tlp.AMBER, groups=(_RING,))),
        (AudienceSpec(Tlp.AMBER, groups=(_CTI,)), [_IN_CTI], AudienceSpec(Tlp.AMBER, groups=(_CTI,))),
        (AudienceSpec(Tlp.GREEN, groups=(_CTI,)), [_IN_RING], AudienceSpec(Tlp.AMBER, partners=(_Q,))),
        (AudienceSpec(Tlp.GREEN, groups=(_CTI,)), [[]], AudienceSpec(Tlp.GREEN)),
        (AudienceSpec(Tlp.GREEN, partners=(_P, _Q)), [_IN_RING], AudienceSpec(Tlp.AMBER, partners=(_P, _Q))),
        (AudienceSpec(Tlp.GREEN, partners=(_P, _Q)), [_IN_CTI], AudienceSpec(Tlp.GREEN, partners=(_P,))),
        # Two holdings of one id: whoever sees either sees the object; two objects: both must be seen.
        (AudienceSpec(Tlp.GREEN, groups=(_CTI,)), [_IN_RING + _IN_CTI], AudienceSpec(Tlp.GREEN, groups=(_CTI,))),
        (
            AudienceSpec(Tlp.GREEN, groups=(_RING, _CTI)),
            [_IN_RING + _IN_CTI],
            AudienceSpec(Tlp.AMBER, groups=(_RING, _CTI)),
        ),
        (AudienceSpec(Tlp.GREEN, groups=(_RING, _CTI)), [_IN_RING, _IN_CTI], AudienceSpec(Tlp.GREEN)),
        (
            AudienceSpec(Tlp.GREEN, groups=(_RING,), partners=(_P,)),
            [[*_IN_RING, Shown(Tlp.RED, partners=frozenset({_Q}))]],
            AudienceSpec(Tlp.AMBER, groups=(_RING,), partners=(_P,)),
        ),
        (AudienceSpec(Tlp.RED, partners=(_P,)), [_IN_RING], AudienceSpec(Tlp.RED, partners=(_P,))),
    ],
)
def test_the_part_of_an_audience_that_sees_each_object(said: Any, objects: Any, goes: AudienceSpec) -> None:
    assert bounded(said, objects, publishers={_Q}) == goes
    assert bounded(goes, objects, publishers={_Q}) == goes, "what is within stays"


def test_whoever_sees_what_is_bounded_sees_the_object_by_any_holdings() -> None:
    """Every reader of every audience, against the rule in one line."""
    shown = [
        Shown(tlp, everyone=everyone, groups=frozenset(groups), publisher=_Q)
        for tlp in (Tlp.GREEN, Tlp.AMBER, Tlp.RED)
        for everyone in (False, True)
        for groups in ((), (_RING,), (_RING, _CTI))
        if not (tlp is Tlp.RED and (everyone or groups))
    ]
    readers = [
        (one, frozenset(groups), tlp)
        for one in (_P, _Q)
        for groups in ((), (_RING,), (_CTI,), (_RING, _CTI))
        for tlp in (Tlp.GREEN, Tlp.AMBER, Tlp.RED)
    ]

    def sees(reader: Any, what: Any, publisher: Any = None) -> bool:
        one, groups, clearance = reader
        shows = what.everyone or one in what.partners or groups & set(what.groups)
        return one == publisher or bool(clearance >= what.tlp and shows)

    asked = [AudienceSpec(Tlp.GREEN, everyone=True), AudienceSpec(Tlp.AMBER, groups=(_RING, _CTI), partners=(_P, _Q))]
    for said, first, second in itertools.product(asked, shown, shown):
        for objects in ([[first, second]], [[first], [second]]):
            goes = bounded(said, objects, publishers={_Q})
            assert not (goes.tlp is Tlp.RED and (goes.groups or goes.everyone))
            for reader in readers:
                if sees(reader, goes):
                    assert all(any(sees(reader, one, one.publisher) for one in several) for several in objects)


@pytest.fixture
def world(db: None) -> Any:
    """Aster shows an indicator to the ring and to `cti`; Borealis is in both, Cygnus in `cti` alone."""
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="cti")
    said = making.account_pattern("net", carrier={"value": "198.51.100.0/24"}, tlp_word="green")
    build.publish(cast.viewer("aster"), said, groups=("ring", "cti"))
    return cast, said


def _opinion(viewer: Any, *refs: str, **more: Any) -> dict[str, Any]:
    now = clock.rfc3339(clock.now())
    made = {"type": "opinion", "spec_version": "2.1", "id": f"opinion--{uuid.uuid4()}", "created": now}
    about = {"modified": now, "opinion": "disagree", "object_refs": list(refs)}
    return {**made, **about, "created_by_ref": viewer.identity_id, **more}


def _sighting(viewer: Any, ref: str) -> dict[str, Any]:
    made = _opinion(viewer) | {"type": "sighting", "id": f"sighting--{uuid.uuid4()}", "sighting_of_ref": ref}
    return {name: value for name, value in made.items() if name not in ("opinion", "object_refs")}


def _followed() -> None:
    bounding.catch_up()
    recording.catch_up()


def _audience(stix_id: str) -> tuple[list[str], list[str], int]:
    audience = Holding.unrestricted.get(stix_id=stix_id).audience
    groups = Group.objects.filter(pk__in=audience.groups).values_list("slug", flat=True)
    partners = Partner.objects.filter(pk__in=audience.partners).values_list("slug", flat=True)
    return sorted(groups), sorted(partners), audience.tlp


def _rest(cast: Any, who: str, stix_id: str) -> int:
    return Caller(cast.keys[who]).get(f"objects/{stix_id}").status_code


def _taxii(cast: Any, who: str) -> set[str]:
    media = "application/taxii+json;version=2.1"
    where = "/taxii2/exchange/collections/everything/objects/?limit=100"
    answer = Client().get(where, headers={**bearer(cast.keys[who]), "Accept": media})
    return {one["id"] for one in json.loads(answer.content).get("objects", [])}


def _delta(cast: Any, who: str, cursor: str = "") -> tuple[list[tuple[str, str, str]], str]:
    """What `changes` tells, and its next cursor."""
    page = read(Caller(cast.keys[who]).get(f"changes?cursor={cursor}" if cursor else "changes"))
    return [(one["op"], one["reason"], one["id"]) for one in page["changes"]], page["cursor"]


def _sees(cast: Any, who: str, stix_id: str) -> bool:
    """Whether somebody reads it, over REST and TAXII alike."""
    by_rest, by_taxii = _rest(cast, who, stix_id) == 200, stix_id in _taxii(cast, who)
    assert by_rest == by_taxii
    return by_rest


@pytest.mark.parametrize("made", [_opinion, _sighting])
def test_what_is_pushed_to_another_group_than_its_object_is_refused_and_by_default_narrowed(
    world: Any, made: Any
) -> None:
    cast, _ = world
    alone = making.account_pattern("net", carrier={"value": "192.0.2.0/24"}, tlp_word="green")
    build.publish(cast.viewer("aster"), alone, groups=("ring",))
    borealis = cast.viewer("borealis")
    said = made(borealis, alone["id"])
    for audience in ({"groups": ("cti",)}, {"groups": ("ring", "cti")}, {"partners": ("cygnus",)}, {"everyone": True}):
        (result,) = build.results(build.publish(borealis, said, **audience))
        place = "/object_refs" if said["type"] == "opinion" else "/sighting_of_ref"
        assert (result["status"], result["code"], result["field"]) == ("refused", "beyond-object", place)
    assert build.publish(borealis, said).counts["accepted"] == 1, "a tool that names no audience does not fail"
    assert _audience(said["id"])[0] == ["ring"]
    assert _sees(cast, "aster", said["id"])
    assert not _sees(cast, "cygnus", said["id"])


@pytest.mark.parametrize("made", [_opinion, _sighting])
@pytest.mark.parametrize("order", [1, -1])
def test_who_brings_the_id_in_the_same_batch_takes_what_it_says_no_further(world: Any, made: Any, order: int) -> None:
    """What is brought may be refused, or go to fewer: it counts once it is there, as the documentation says."""
    cast, _ = world
    alone = making.account_pattern("net", carrier={"value": "192.0.2.0/24"}, tlp_word="green")
    build.publish(cast.viewer("aster"), alone, groups=("ring",))
    borealis = cast.viewer("borealis")
    said, own = made(borealis, alone["id"]), alone | {"created_by_ref": borealis.identity_id}
    answers = build.results(build.publish(borealis, *[own, said][::order], groups=("cti",)))
    found = {one["id"]: (one["status"], one.get("code")) for one in answers}
    assert found[said["id"]] == ("refused", "beyond-object")
    assert not _sees(cast, "cygnus", said["id"])
    assert found[own["id"]][0] == "accepted"
    assert build.publish(borealis, said, groups=("cti",)).counts["accepted"] == 1, "who is in `cti` sees that one"


@pytest.mark.slow
def test_the_answer_says_no_more_than_its_giver_sees(world: Any) -> None:
    """Whether Cygnus is shown it by name, and in a group that Borealis is not in, changes no answer."""
    cast, _ = world
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    answers = []
    for more in ({}, {"partners": ("cygnus",)}, {"more": ("circle",)}):
        shown = making.account_pattern("net", carrier={"value": "192.0.2.0/24"}, tlp_word="green")
        groups = ("ring", *more.pop("more", ()))
        build.publish(cast.viewer("aster"), shown, groups=groups, **more)
        said = _opinion(cast.viewer("borealis"), shown["id"])
        (named,) = build.results(build.publish(cast.viewer("borealis"), said, partners=("cygnus",)))
        build.publish(cast.viewer("borealis"), said)
        _followed()
        answers.append((named["status"], named["code"], named["message"], _audience(said["id"])))
    assert answers[0] == answers[1] == answers[2]
    unseen = making.account_pattern("net", carrier={"value": "203.0.113.0/24"}, tlp_word="green")
    build.publish(cast.viewer("aster"), unseen, groups=("circle",))
    for target in (unseen["id"], f"indicator--{uuid.uuid4()}"):  # what its giver does not see is as what is not there
        said = _opinion(cast.viewer("borealis"), target)
        assert build.publish(cast.viewer("borealis"), said, groups=("ring", "cti")).counts["accepted"] == 1
        _followed()
        assert _audience(said["id"])[0] == ["cti", "ring"]


def _narrowed(cast: Any, shown: Any) -> None:
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "ring"))


def _revised(cast: Any, shown: Any) -> None:
    build.publish(cast.viewer("aster"), {**shown, "modified": build.later()}, groups=("ring",))


def _reach(cast: Any, *groups: str, **more: Any) -> Reach:
    return Reach.in_words(cast.viewer("aster"), named=True, groups=groups, **more)


@pytest.mark.parametrize("narrow", [_narrowed, pytest.param(_revised, marks=LONG)])
@pytest.mark.slow
def test_as_the_object_is_narrowed_so_is_what_others_say_of_it_and_comes_back_with_it(world: Any, narrow: Any) -> None:
    cast, shown = world
    borealis = cast.viewer("borealis")
    giving.give(borealis, shown["id"], opinion="disagree", reason="false_positive")
    sighting.report(borealis, shown["id"], count=5, first_seen=clock.now(), last_seen=clock.now())
    _followed()
    said = {one.stix_id for one in Holding.unrestricted.filter(stix_type__in=("opinion", "sighting"))}
    assert len(said) == 2
    _, cursor = _delta(cast, "cygnus")
    assert all(_sees(cast, "cygnus", one) for one in said)
    narrow(cast, shown)
    _followed()
    told, cursor = _delta(cast, "cygnus", cursor)
    assert {("remove", "narrowed", one) for one in (*said, shown["id"])} == set(told)
    for one in (*said, shown["id"]):
        assert not _sees(cast, "cygnus", one)
        assert _sees(cast, "aster", one)
    (judged,) = giving.read(cast.viewer("aster"), shown["id"])
    assert judged.standing == "disputed"
    record = AuditRecord.objects.filter(verb="objects.readdressed", partner=cast.borealis).get()
    assert (set(record.details["ids"]), record.details["bounded"], record.actor) == (said, True, "system")
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "ring", "cti"))
    _followed()
    assert all(_sees(cast, "cygnus", one) for one in said), "no publisher silences a dissent by narrowing for a moment"
    (judged,) = giving.read(cast.viewer("cygnus"), shown["id"])
    assert judged.standing == "disputed"
    assert {one for op, _, one in _delta(cast, "cygnus", cursor)[0]} == {*said, shown["id"]}


@pytest.mark.slow
def test_what_its_giver_narrowed_itself_never_goes_further(world: Any) -> None:
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring",))
    for groups in (("cti",), ("ring", "cti")):
        readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, *groups))
        _followed()
    assert _audience(said["id"])[0] == ["ring"]
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "cti"))
    _followed()
    assert _audience(said["id"])[:2] == ([], ["aster"]), "its publisher hears it still"


def test_as_the_object_is_marked_more_strictly_so_is_what_others_say_of_it(world: Any) -> None:
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring", "cti"), tlp=Tlp.GREEN)
    _followed()
    assert _audience(said["id"])[2] == Tlp.GREEN
    readdressing.readdress(cast.viewer("aster"), shown["id"], Reach(tlp=Tlp.AMBER_STRICT))
    _followed()
    assert _audience(said["id"]) == (["cti", "ring"], [], Tlp.AMBER_STRICT)


def test_of_two_holdings_of_one_id_with_different_audiences_either_carries_what_is_said(world: Any) -> None:
    cast, shown = world
    _narrowed(cast, shown)
    build.publish(cast.viewer("cygnus"), {**shown, "modified": build.later()}, groups=("cti",))
    said = _opinion(cast.viewer("borealis"), shown["id"])
    assert build.publish(cast.viewer("borealis"), said, groups=("ring", "cti")).counts["accepted"] == 1
    _followed()
    assert _audience(said["id"])[0] == ["cti", "ring"]
    readdressing.readdress(cast.viewer("cygnus"), shown["id"], Reach.in_words(cast.viewer("cygnus"), named=True))
    _followed()
    assert _audience(said["id"])[0] == ["ring"]


def test_what_is_taken_back_takes_along_what_was_said_of_it_and_brings_it_back(world: Any) -> None:
    cast, shown = world
    said = [made(cast.viewer("borealis"), shown["id"]) for made in (_opinion, _sighting)]
    for one in said:
        build.publish(cast.viewer("borealis"), one, groups=("ring", "cti"))
    _followed()
    _, cursor = _delta(cast, "cygnus")
    withdrawing.withdraw(cast.viewer("aster"), [shown["id"]])
    _followed()
    told, cursor = _delta(cast, "cygnus", cursor)
    assert {("remove", "narrowed", one["id"]) for one in said} < set(told)
    for one in said:
        assert not any(_sees(cast, who, one["id"]) for who in ("aster", "cygnus"))
        assert _sees(cast, "borealis", one["id"]), "its own"
    assert Opinion.unrestricted.count() == 1, "it was right or wrong all the same"
    build.publish(cast.viewer("aster"), {**shown, "modified": build.later()}, groups=("cti",), wake=True)
    _followed()
    assert [_audience(one["id"])[0] for one in said] == [["cti"], ["cti"]]
    assert giving.read(cast.viewer("cygnus"), shown["id"])[0].standing == "disputed"


def test_what_can_come_back_is_disputed_as_it_was_from_the_first_moment(world: Any) -> None:
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring", "cti"))
    _followed()
    aster = auth.viewer_of_user(build.a_user(cast.aster))
    recall = recalling.prepare(aster, recalling.Wanted(ids=(shown["id"],)))
    recalling.carry_out(aster, recall.pk)
    _followed()
    assert _audience(said["id"])[0] == ["cti", "ring"]
    recalling.undo(aster, recall.pk)
    assert giving.read(cast.viewer("cygnus"), shown["id"])[0].standing == "disputed"


def test_no_publisher_silences_a_dissent_by_leaving_out_who_gave_it(world: Any) -> None:
    """Nor does its giver learn by it who sees the object now."""
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring", "cti"))
    _followed()
    for reach in (_reach(cast, partners=("cygnus",)), _reach(cast, partners=("dorado",))):
        readdressing.readdress(cast.viewer("aster"), shown["id"], reach)
        _followed()
        assert _audience(said["id"])[0] == ["cti", "ring"]
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, partners=("cygnus",)))
    assert giving.read(cast.viewer("cygnus"), shown["id"])[0].standing == "disputed"
    withdrawing.withdraw(cast.viewer("aster"), [shown["id"]])
    _followed()
    assert _audience(said["id"])[0] == ["cti", "ring"], "what ends unseen by its giver moves nothing"
    build.publish(cast.viewer("aster"), {**shown, "modified": build.later()}, groups=("ring",), wake=True)
    _followed()
    assert _audience(said["id"])[0] == ["ring"]


def test_what_was_said_under_a_pseudonym_is_never_shown_under_another(world: Any) -> None:
    cast, shown = world
    said = _sighting(cast.viewer("borealis"), shown["id"])
    del said["created_by_ref"]
    assert build.publish_as(cast.viewer("borealis"), said, reach=_reach(cast, "ring", attribution="pseudonym")).counts[
        "accepted"
    ]
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "cti"))
    _followed()
    assert _audience(said["id"])[:2] == ([], [])
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "ring", "cti"))
    _followed()
    assert _audience(said["id"])[0] == ["ring"]


@pytest.mark.slow
def test_who_leaves_the_group_that_showed_them_an_object_hears_nothing_of_it_and_is_still_heard(world: Any) -> None:
    cast, shown = world
    readdressing.readdress(cast.viewer("aster"), shown["id"], _reach(cast, "cti"))
    borealis = cast.viewer("borealis")
    said = [_opinion(one, shown["id"]) for one in (borealis, cast.viewer("cygnus"))]
    for one, who, to in zip(said, ("borealis", "cygnus"), ("cygnus", "borealis"), strict=True):
        assert build.publish(cast.viewer(who), one, partners=(to,)).counts["accepted"] == 1
    _followed()
    assert [_audience(one["id"])[1] for one in said] == [["cygnus"], ["borealis"]]
    admin = auth.viewer_of_user(build.a_user(cast.cygnus))
    membership.leave(admin, Group.objects.get(slug="cti"))
    _followed()
    assert [_audience(one["id"])[1] for one in said] == [[], ["borealis"]]
    assert not _sees(cast, "cygnus", said[0]["id"])


def test_what_was_sent_too_far_before_the_rule_is_narrowed_by_it(world: Any) -> None:
    cast, shown = world
    said = _opinion(cast.viewer("borealis"), shown["id"])
    build.publish(cast.viewer("borealis"), said, groups=("ring", "cti"))
    _narrowed(cast, shown)
    assert not Bounded.unrestricted.exists()
    _followed()
    assert _audience(said["id"])[0] == ["ring"]


def test_what_says_nothing_of_others_objects_costs_no_statement_more(
    world: Any, django_assert_num_queries: Any
) -> None:
    cast, _ = world
    mine = build.an_indicator()
    build.publish(cast.viewer("borealis"), mine, groups=("cti",))
    said = _opinion(cast.viewer("borealis"), mine["id"])
    assert build.publish(cast.viewer("borealis"), said, groups=("ring",)).counts["accepted"] == 1, (
        "of one's own, freely"
    )
    _followed()
    assert _audience(said["id"])[0] == ["ring"]
    assert not Bounded.unrestricted.exists()


def test_where_its_giver_moves_an_opinion_those_that_lose_or_hear_it_look_at_the_object_anew(world: Any) -> None:
    cast, shown = world
    borealis = cast.viewer("borealis")
    said = _opinion(borealis, shown["id"])
    build.publish(borealis, said, groups=("ring", "cti"))
    _followed()
    Opinion.unrestricted.update(actor="somebody")
    kept = Opinion.unrestricted.values_list("at", "alone", "actor").get()
    _, cursor = _delta(cast, "cygnus")
    for groups, told in ((("ring",), ("upsert", "judged")), (("ring", "cti"), ("remove", "disputed"))):
        readdressing.readdress(borealis, said["id"], Reach.in_words(borealis, named=True, groups=groups))
        _followed()
        page, cursor = _delta(cast, "cygnus", cursor)
        assert [(op, reason) for op, reason, one in page if one == shown["id"]] == [told]
    assert Opinion.unrestricted.values_list("at", "alone", "actor").get() == kept, "it counts as it did"
