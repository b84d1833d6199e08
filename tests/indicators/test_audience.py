"""How far a batch may go: ceilings, groups that take nothing new, and audiences that are named, against an oracle."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F

from exchange import clock
from exchange.errors import ExchangeError, Refused
from indicators import reading
from indicators.models import StixObject
from indicators.reading.selecting import Selection
from partners.ceilings import Ceiling, Width, strictest
from partners.groups import life, membership, proposing, steering
from partners.keys import auth
from partners.models import Group, Partner
from partners.scopes import Role, Scope
from partners.sharing import default_reach, groups_named, may_share, partners_named
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db
TODAY = clock.now().date()
DAY = timedelta(days=1)

BASES = {
    "in force": {},
    "last day": {"basis_until": TODAY},
    "first day": {"basis_from": TODAY},
    "ended": {"basis_until": TODAY - DAY},
    "not begun": {"basis_from": TODAY + DAY},
    "suspended": {"suspended_at": clock.now()},
}
SHUT = {"ended": "basis-lapsed", "not begun": "basis-lapsed", "suspended": "group-suspended"}


@pytest.fixture
def cast(db):
    return build.the_cast()


def admin(partner, role=Role.ADMIN):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def change_ring(cast, **fields):
    Group.objects.filter(pk=cast.ring.pk).update(**fields)


def expected(*, tlp, width, ceiling, basis, publishes):
    """The oracle: what is said to an audience of this width in plain Python; None where it may be shared."""
    if not publishes:
        return "recipient-may-not-publish"
    if tlp == Tlp.RED and width != "partners":
        return "red-needs-names"
    if tlp < ceiling.tlp or ["everyone", "groups", "partners"].index(width) < ceiling.width:
        return "over-ceiling"
    return SHUT.get(basis) if width == "groups" else None


@pytest.mark.parametrize("basis", BASES)
def test_marking_audience_ceiling_and_basis_decide_as_the_oracle_says(cast, basis):
    change_ring(cast, **BASES[basis])
    aster, dorado = cast.viewer("aster"), cast.viewer("dorado")
    dorado = replace(dorado, scopes=aster.scopes, group_ids=aster.group_ids)
    cases = 0
    for viewer, tlp, width, most_open, widest in itertools.product(
        (aster, dorado), Tlp, ("everyone", "groups", "partners"), Tlp, Width
    ):
        by = replace(viewer, ceiling=Ceiling(most_open, widest))
        said = None
        try:
            spec = may_share(
                by,
                tlp=tlp,
                everyone=width == "everyone",
                groups=[cast.ring.pk] if width == "groups" else [],
                partners=[cast.cygnus.pk] if width == "partners" else [],
            )
            assert (spec.tlp, spec.width.word) == (tlp, width)
        except ExchangeError as refused:
            said = refused.code
        case = {"tlp": tlp, "width": width, "ceiling": by.ceiling, "basis": basis}
        assert said == expected(**case, publishes=viewer is aster), case
        cases += 1
    assert cases == 2 * 5 * 3 * 5 * 3


@pytest.mark.parametrize("basis", SHUT)
def test_the_default_audience_leaves_out_groups_that_take_nothing_new(cast, basis):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    change_ring(cast, **BASES[basis])
    assert default_reach(cast.viewer("aster"), Tlp.AMBER).groups == (second.pk,)
    with pytest.raises(Refused) as refused:
        default_reach(cast.viewer("borealis"), Tlp.AMBER)
    assert refused.value.code == SHUT[basis]
    assert default_reach(cast.viewer("borealis"), Tlp.GREEN).everyone


def test_a_ceiling_narrows_the_default_audience(cast):
    aster = replace(cast.viewer("aster"), ceiling=Ceiling(Tlp.CLEAR, Width.GROUPS))
    assert default_reach(aster, Tlp.GREEN).groups == (cast.ring.pk,)
    with pytest.raises(Refused):
        default_reach(replace(aster, ceiling=Ceiling(Tlp.CLEAR, Width.PARTNERS)), Tlp.GREEN)


def test_of_all_ceilings_the_strictest_holds(cast):
    assert strictest(Ceiling(Tlp.GREEN), Ceiling(Tlp.CLEAR, Width.GROUPS)) == Ceiling(Tlp.GREEN, Width.GROUPS)
    by = admin(cast.aster)
    steering.change(
        by,
        replace(
            steering.settings_of(cast.aster),
            ceiling=Ceiling(Tlp.GREEN, Width.EVERYONE),
            roles={Role.PUBLISHER: Ceiling(Tlp.CLEAR, Width.GROUPS)},
        ),
    )
    steering.set_operator_ceiling(cast.aster, Ceiling(Tlp.AMBER), by=admin(cast.operator))
    key = build.keys.issue(
        Partner.objects.get(slug="aster"),
        name="narrow",
        scopes=[Scope.PUBLISH],
        expires_in=DAY,
        ceiling=Ceiling(Tlp.AMBER_STRICT, Width.PARTNERS),
    )[1]
    assert auth.viewer_of_key(key).ceiling == Ceiling(Tlp.AMBER_STRICT, Width.PARTNERS)
    assert cast.viewer("aster").ceiling == Ceiling(Tlp.AMBER, Width.EVERYONE)
    assert admin(cast.aster, Role.PUBLISHER).ceiling == Ceiling(Tlp.AMBER, Width.GROUPS)
    assert admin(cast.aster).ceiling == Ceiling(Tlp.AMBER, Width.EVERYONE)
    assert cast.viewer("borealis").ceiling == Ceiling()


def test_an_object_beyond_the_ceiling_is_refused_and_costs_no_other(cast):
    by = replace(cast.viewer("aster"), ceiling=Ceiling(Tlp.AMBER))
    answer = build.publish(by, build.an_indicator(tlp_word="green"), build.an_indicator(tlp_word="amber"))
    first, second = build.results(answer)
    assert (first["status"], first["code"], first["field"]) == ("refused", "over-ceiling", "/object_marking_refs")
    assert second["status"] == "accepted"


def test_what_is_in_a_lapsed_group_is_readable_and_revocable_but_not_revised(cast):
    one, two = build.an_indicator(), build.an_indicator()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    build.publish(aster, one, two, groups=("ring",))
    change_ring(cast, basis_until=TODAY - DAY)
    assert len(reading.page(borealis, Selection(), limit=9).statements) == 2
    later = {"modified": build.later()}
    (said,) = build.results(build.publish(aster, one | later))
    assert (said["status"], said["code"]) == ("refused", "basis-lapsed")
    assert str(TODAY - DAY) in said["message"]
    with pytest.raises(Refused) as refused:
        build.publish(aster, one | later, groups=("ring",))
    assert (refused.value.code, refused.value.at) == ("basis-lapsed", "/groups")
    revoked = [each | later | {"revoked": True} for each in (one, two)]
    (said,) = build.results(build.publish(aster, revoked[0]))
    assert said["status"] == "accepted"
    fresh = build.an_indicator()
    said = build.results(build.publish(aster, revoked[1], fresh, groups=("ring",)))
    assert [each["status"] for each in said] == ["accepted", "refused"]
    assert all(row.revoked for row in StixObject.objects.visible_to(borealis).filter(holding__newest=F("pk")))
    (said,) = build.results(build.publish(aster, fresh | {"revoked": True}))
    assert said["status"] == "refused", "what nobody holds is not withdrawn but published"


def test_a_publisher_that_left_a_group_revises_nothing_there(cast):
    one = build.an_indicator()
    build.publish(cast.viewer("aster"), one)
    membership.leave(admin(cast.aster), cast.ring)
    later = {"modified": build.later()}
    (said,) = build.results(build.publish(cast.viewer("aster"), one | later))
    assert (said["status"], said["code"]) == ("refused", "unknown-group")
    (said,) = build.results(build.publish(cast.viewer("aster"), one | later | {"revoked": True}))
    assert said["status"] == "accepted"


@pytest.mark.parametrize("kind", ["foreign", "unknown", "all", "dissolved", "empty name"])
def test_a_group_that_cannot_be_named_is_refused_in_the_same_words(cast, kind):
    build.a_ring(cast.cygnus, slug="foreign")
    if kind == "dissolved":
        build.a_ring(cast.aster, slug="dissolved")
        membership.dissolve(admin(cast.operator), Group.objects.get(slug="dissolved"))
    with pytest.raises(Refused) as refused:
        groups_named(cast.viewer("aster"), ["" if kind == "empty name" else kind])
    assert (refused.value.code, refused.value.at) == ("unknown-group", "/groups")
    assert refused.value.detail == "The audience names a group that you are not in."


@pytest.mark.parametrize("state", ["suspended", "left", "invited", "absent"])
def test_a_partner_that_takes_no_part_is_named_like_none(cast, state):
    Partner.objects.filter(slug="cygnus").update(state=state if state != "absent" else "left")
    with pytest.raises(Refused) as refused:
        partners_named(["nobody" if state == "absent" else "cygnus"])
    assert (refused.value.code, refused.value.detail) == (
        "unknown-partner",
        "The audience names somebody who is no partner.",
    )


def test_a_group_of_one_is_seen_by_nobody_else_until_somebody_joins(cast):
    alone = membership.create(admin(cast.aster), name="Alone", purpose="x", basis=proposing.Basis("x", "", TODAY, None))
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=(alone.slug,))
    assert [reading.page(cast.viewer(name), Selection(), limit=9).statements for name in ("borealis", "cygnus")] == [
        [],
        [],
    ]
    membership.agree(admin(cast.cygnus), membership.invite(admin(cast.aster), alone, cast.cygnus).pk)
    assert len(reading.page(cast.viewer("cygnus"), Selection(), limit=9).statements) == 1


def test_public_for_a_moment_then_narrowed_shows_nothing_of_what_came_after(cast):
    one = build.an_indicator(tlp_word="green", name="first")
    build.publish(cast.viewer("aster"), one)
    narrowed = build.an_indicator(tlp_word="red", name="second") | {
        "id": one["id"],
        "modified": build.later(),
    }
    build.publish(cast.viewer("aster"), narrowed)
    for name in ("borealis", "cygnus", "dorado", "operator"):
        everything = Selection(versions="all")
        assert reading.page(cast.viewer(name), everything, limit=9).statements == [], name


# What one may not publish alone


def limit(cast, *, tlp=Tlp.CLEAR, width=Width.EVERYONE, objects=None):
    wanted = replace(steering.settings_of(cast.aster), alone=Ceiling(tlp, width), alone_objects=objects)
    steering.change(admin(cast.aster), wanted)


def sees(cast, name):
    return len(reading.page(cast.viewer(name), Selection(), limit=99).statements)


def statuses(batch_id):
    from indicators.models import Batch

    return [result["status"] for result in build.results(Batch.unrestricted.get(pk=batch_id))]


def test_what_goes_beyond_the_limit_waits_and_is_published_by_another(cast):
    from indicators.models import HeldBatch
    from indicators.publishing import awaiting, confirming

    limit(cast, width=Width.GROUPS)
    one, two = build.an_indicator(tlp_word="green"), build.an_indicator(tlp_word="amber")
    answer = build.publish(cast.viewer("aster"), b'{"type":"x"}', one, two, key="k")
    assert [said["status"] for said in build.results(answer)] == ["refused", "waiting", "waiting"]
    assert answer.counts["waiting"] == 2
    assert sees(cast, "borealis") == 0
    (held,) = awaiting.waiting(cast.viewer("aster"))
    assert held.places == [1, 2]
    assert awaiting.waiting(cast.viewer("borealis")) == []
    done = confirming.confirm(admin(cast.aster), held.pk)
    assert dict(done.counts) == {
        "accepted": 2,
        "unchanged": 0,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 0,
        "refused": 1,
    }
    assert statuses(answer.batch_id) == ["refused", "accepted", "accepted"]
    assert (sees(cast, "borealis"), sees(cast, "cygnus")) == (2, 1)
    again = build.publish(cast.viewer("aster"), b'{"type":"x"}', one, two, key="k")
    assert again.replayed
    assert statuses(again.batch_id) == ["refused", "accepted", "accepted"]
    assert HeldBatch.unrestricted.get().body == ""
    stored = StixObject.objects.visible_to(cast.viewer("aster")).get(holding__stix_id=one["id"])
    assert stored.body == build.json.dumps(one)


def test_what_is_declined_is_never_published(cast):
    from exchange.errors import Conflict
    from indicators.publishing import awaiting, confirming

    limit(cast, width=Width.GROUPS)
    answer = build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="green"))
    (held,) = awaiting.waiting(cast.viewer("aster"))
    confirming.decline(admin(cast.aster), held.pk)
    assert statuses(answer.batch_id) == ["refused"]
    assert sees(cast, "borealis") == 0
    for decide in (confirming.confirm, confirming.decline):
        with pytest.raises(Conflict) as refused:
            decide(admin(cast.aster), held.pk)
        assert refused.value.code == "already-decided"


def test_what_was_altered_while_it_waited_is_not_published(cast):
    from exchange.errors import Conflict
    from indicators.models import HeldBatch
    from indicators.publishing import awaiting, confirming

    limit(cast, width=Width.GROUPS)
    answer = build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="green"))
    other = build.json.dumps({"objects": [build.an_indicator(tlp_word="green")]})
    HeldBatch.unrestricted.update(body=other)
    (held,) = awaiting.waiting(cast.viewer("aster"))
    with pytest.raises(Conflict) as refused:
        confirming.confirm(admin(cast.aster), held.pk)
    assert (refused.value.code, statuses(answer.batch_id)) == ("held-altered", ["waiting"])
    assert sees(cast, "borealis") == 0


def test_who_sent_it_who_made_the_key_a_key_and_outsiders_do_not_decide(cast):
    from indicators.publishing import awaiting, confirming

    limit(cast, width=Width.GROUPS)
    sender = admin(cast.aster)
    key = build.keys.issue(cast.aster, name="k", scopes=build.LAB_SCOPES, expires_in=DAY, by=sender)[1]
    build.publish(sender, build.an_indicator(tlp_word="green"))
    build.publish(auth.viewer_of_key(key), build.an_indicator(tlp_word="green"))
    for held in awaiting.waiting(sender):
        others = {
            "needs-another-person": sender,
            "needs-a-person": build.viewer_of(cast.aster, *Scope),
            "not-found": admin(cast.borealis),
            "missing-scope": admin(cast.aster, Role.ANALYST),
        }
        for code, other in others.items():
            for verb in (confirming.confirm, confirming.decline):
                with pytest.raises(ExchangeError) as refused:
                    verb(other, held.pk)
                assert refused.value.code == code
        assert confirming.may_decide(admin(cast.aster, Role.PUBLISHER), held)


@pytest.mark.parametrize(
    ("bound", "word", "named", "waits"),
    [
        ({"tlp": Tlp.AMBER}, "green", {}, True),
        ({"tlp": Tlp.AMBER}, "amber", {}, False),
        ({"width": Width.PARTNERS}, "amber", {}, True),
        ({"width": Width.PARTNERS}, "amber", {"partners": ("cygnus",)}, False),
        ({"width": Width.GROUPS}, "amber", {"everyone": True}, True),
        ({"objects": 2}, "red", {}, False),
        ({"objects": 1}, "red", {}, True),
        ({}, "clear", {}, False),
    ],
)
def test_the_limit_is_of_marking_audience_and_number(cast, bound, word, named, waits):
    limit(cast, **bound)
    two = [build.an_indicator(tlp_word=word), build.an_indicator(tlp_word=word)]
    answer = build.publish(cast.viewer("aster"), *two, **named)
    assert (answer.counts["waiting"], answer.counts["accepted"]) == ((2, 0) if waits else (0, 2))


def test_a_revocation_is_never_held(cast):
    one = build.an_indicator(tlp_word="green")
    build.publish(cast.viewer("aster"), one)
    limit(cast, width=Width.PARTNERS)
    revoked = one | {"revoked": True, "modified": build.later()}
    answer = build.publish(cast.viewer("aster"), revoked, build.an_indicator(tlp_word="green"))
    assert [said["status"] for said in build.results(answer)] == ["accepted", "waiting"]


def test_a_revocation_that_would_go_to_others_ends_at_once_and_its_bytes_go_nowhere(cast):
    one = build.an_indicator(tlp_word="green")
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    limit(cast, width=Width.GROUPS)
    revoked = one | {"revoked": True, "modified": build.later()}
    answer = build.publish(cast.viewer("aster"), revoked, build.an_indicator(tlp_word="green"), everyone=True)
    said = build.results(answer)
    assert [(one["status"], one.get("code")) for one in said] == [("accepted", "content-dropped"), ("waiting", None)]
    for name in ("borealis", "cygnus"):
        assert not reading.holds(cast.viewer(name), one["id"])


def test_what_is_held_is_published_under_the_rules_of_the_day(cast):
    from indicators.publishing import awaiting, confirming

    limit(cast, objects=0 or 1)
    build.publish(cast.viewer("aster"), build.an_indicator(), build.an_indicator(), groups=("ring",))
    change_ring(cast, basis_until=TODAY - DAY)
    (held,) = awaiting.waiting(cast.viewer("aster"))
    with pytest.raises(Refused) as refused:
        confirming.confirm(admin(cast.aster), held.pk)
    assert refused.value.code == "basis-lapsed"
    assert len(awaiting.waiting(cast.viewer("aster"))) == 1
    change_ring(cast, basis_until=None)
    assert confirming.confirm(admin(cast.aster), held.pk).counts["accepted"] == 2


def test_a_key_tightens_the_settings_and_a_person_loosens_them(cast):
    key = build.viewer_of(cast.aster, *Scope)
    tight = replace(steering.settings_of(cast.aster), alone=Ceiling(Tlp.AMBER, Width.GROUPS), alone_objects=5)
    steering.change(key, tight)
    for loose in (
        replace(tight, alone=Ceiling(Tlp.GREEN, Width.GROUPS)),
        replace(tight, alone=Ceiling(Tlp.AMBER, Width.EVERYONE)),
        replace(tight, alone_objects=None),
        replace(tight, alone_objects=6),
        replace(tight, default_tlp=Tlp.GREEN),
    ):
        with pytest.raises(ExchangeError) as refused:
            steering.change(key, loose)
        assert refused.value.code == "needs-a-person"
        steering.change(admin(cast.aster), loose)
        steering.change(admin(cast.aster), tight)
    with pytest.raises(Refused) as open_default:
        steering.change(admin(cast.aster), replace(tight, ceiling=Ceiling(Tlp.AMBER_STRICT)))
    assert open_default.value.at == "/default_tlp"
    with pytest.raises(ExchangeError):
        steering.change(admin(cast.aster, Role.PUBLISHER), tight)
    with pytest.raises(ExchangeError):
        steering.set_operator_ceiling(cast.aster, Ceiling(), by=admin(cast.aster))
    assert life.open_offer(key) is None


def test_what_one_may_publish_alone_is_counted_over_an_hour_and_over_all_keys(cast, monkeypatch):
    limit(cast, objects=3)
    aster, other = cast.viewer("aster"), auth.viewer_of_key(build.a_key(cast.aster))

    def push(viewer, count):
        return build.publish(viewer, *(build.an_indicator() for _ in range(count))).counts["accepted"]

    assert [push(aster, 1), push(other, 2), push(aster, 1), push(other, 1)] == [1, 2, 0, 0]
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=59))
    assert push(aster, 1) == 0
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=61))
    assert push(aster, 3) == 3


def test_what_a_second_person_confirmed_and_what_only_withdraws_is_not_counted(cast):
    from indicators.publishing import awaiting, confirming

    limit(cast, objects=2)
    aster, indicators = cast.viewer("aster"), [build.an_indicator() for _ in range(3)]
    assert build.publish(aster, *indicators).counts["waiting"] == 3
    (held,) = awaiting.waiting(aster)
    confirming.confirm(admin(cast.aster), held.pk)
    revoked = [{**one, "revoked": True, "modified": one["modified"][:-4] + "999Z"} for one in indicators]
    assert build.publish(aster, *revoked).counts["accepted"] == 3
    assert build.publish(aster, build.an_indicator(), build.an_indicator()).counts["accepted"] == 2
    assert build.publish(aster, build.an_indicator()).counts["waiting"] == 1


def test_a_batch_that_waited_under_the_word_of_before_is_told_under_that_of_now(cast):
    from indicators.models import Batch
    from indicators.publishing import awaiting, confirming

    limit(cast, width=Width.GROUPS)
    one, aster = build.an_indicator(tlp_word="green"), Caller(build.a_key(cast.aster))
    answer = build.publish(aster.viewer, one, key="k")
    batch = Batch.unrestricted.get(pk=answer.batch_id)
    batch.counts = {"held" if name == "waiting" else name: count for name, count in batch.counts.items()}
    batch.results = batch.results.replace("waiting", "held")
    batch.save()
    (held,) = aster.get("waiting").json()["waiting"]
    assert held["ids"] == [one["id"]]
    told = aster.get(f"batches/{batch.pk}").json()
    assert (told["counts"]["waiting"], [said["status"] for said in told["results"]]) == (1, ["waiting"])
    confirming.confirm(admin(cast.aster), awaiting.waiting(aster.viewer)[0].pk)
    told = aster.get(f"batches/{batch.pk}").json()
    assert (told["counts"]["waiting"], told["counts"]["accepted"]) == (0, 1)
