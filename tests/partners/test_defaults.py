"""The default audience: a setting, which nothing but its admin widens, and without which nothing is taken."""

from dataclasses import replace
from datetime import date

import pytest

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators import reading
from indicators.stix import making
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import membership, proposing, steering
from partners.groups.registering import register_partner
from partners.keys import auth
from partners.models import AuditRecord, Group, Partner
from partners.scopes import Scope
from partners.sharing import default_reach
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db
BASIS = proposing.Basis("An agreement.", "", date(2026, 1, 1), None)


@pytest.fixture
def cast():
    return build.the_cast()


def admin(partner):
    return auth.viewer_of_user(build.a_user(partner))


def set_default(partner, default):
    steering.set_default_audience(partner, default, by=None)


def default_of(slug):
    return steering.settings_of(Partner.objects.get(slug=slug)).default_audience


def status(answer):
    return [result.get("code", result["status"]) for result in build.results(answer)]


def sees(viewer, stix):
    try:
        return bool(reading.statements(viewer, stix["id"]))
    except NotFound:
        return False


def test_without_it_what_is_new_and_names_no_audience_is_refused_and_told_how_to_set_it(cast):
    eos = register_partner(name="Eos", slug="eos", kind="lab")
    eos, held = build.viewer_of(eos), build.an_indicator()
    for word in (None, "green", "amber", "red"):
        (result,) = build.results(build.publish(eos, build.an_indicator(tlp_word=word)))
        assert (result["status"], result["code"]) == ("refused", "no-default-audience")
        assert "PATCH /api/v1/partner" in result["message"]
    assert status(build.publish(eos, held, partners=("aster",))) == ["accepted"]
    assert status(build.publish(eos, held)) == ["unchanged"]
    assert status(build.publish(eos, {**held, "revoked": True, "modified": _later(held)})) == ["accepted"]


def _later(held):
    return held["modified"][:-4] + "999Z"


def test_joining_or_making_a_group_never_widens_it(cast):
    before = default_of("aster")
    group = membership.create(admin(cast.aster), name="Cards", purpose="Cards.", basis=BASIS)
    inviter = admin(cast.cygnus)
    other = membership.create(inviter, name="Other", purpose="Others.", basis=BASIS)
    invitation = membership.invite(auth.viewer_of_user(build.a_user(cast.cygnus)), other, cast.aster)
    membership.agree(admin(cast.aster), invitation.pk)
    aster, note = cast.viewer("aster"), build.an_indicator()
    assert {group.pk, other.pk, cast.ring.pk} == aster.group_ids
    assert default_of("aster") == before
    build.publish(aster, note)
    assert default_reach(aster, Tlp.AMBER).groups == (cast.ring.pk,)
    assert (sees(cast.viewer("borealis"), note), sees(cast.viewer("cygnus"), note)) == (True, False)


def test_who_leaves_a_group_and_joins_it_again_does_not_publish_there_by_that(cast):
    membership.leave(admin(cast.aster), cast.ring)
    assert default_of("aster") is None
    assert AuditRecord.objects.filter(verb="settings.changed", partner=cast.aster).exists()
    invitation = membership.invite(admin(cast.borealis), cast.ring, cast.aster)
    membership.agree(admin(cast.aster), invitation.pk)
    assert status(build.publish(cast.viewer("aster"), build.an_indicator())) == ["no-default-audience"]


def test_a_key_for_some_groups_publishes_by_default_into_those_of_them_that_are_set(cast):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    third = build.a_ring(cast.aster, cast.dorado, slug="third")
    set_default(cast.aster, DefaultAudience(groups=(cast.ring.pk, second.pk)))
    viewer = cast.viewer("aster")
    narrow = replace(viewer, limited=True, group_ids=frozenset({second.pk}))
    assert default_reach(narrow, Tlp.AMBER).groups == (second.pk,)
    with pytest.raises(Refused) as refused:
        default_reach(replace(narrow, group_ids=frozenset({third.pk})), Tlp.AMBER)
    assert refused.value.code == "no-default-audience"


def test_red_goes_to_the_partners_of_the_default_audience_alone(cast):
    set_default(cast.aster, DefaultAudience(open_to_everyone=True, groups=(cast.ring.pk,), partners=(cast.cygnus.pk,)))
    aster = cast.viewer("aster")
    spec = default_reach(aster, Tlp.RED)
    assert (spec.groups, spec.partners, spec.everyone) == ((), (cast.cygnus.pk,), False)
    assert default_reach(aster, Tlp.GREEN).everyone
    narrow = replace(aster, ceiling=Ceiling(Tlp.CLEAR, Width.PARTNERS))
    assert default_reach(narrow, Tlp.AMBER).partners == (cast.cygnus.pk,)


def test_the_api_shows_and_sets_it_and_a_key_does_not_widen_it(cast):
    key = Caller(build.a_key(cast.aster, Scope.READ, Scope.ADMIN))
    shown = read(key.get("partner"))["default_audience"]
    assert shown == {"open_to_everyone": True, "groups": ["ring"], "partners": []}
    narrower = {"open_to_everyone": False, "groups": ["ring"], "partners": []}
    assert read(key.send("PATCH", "partner", {"default_audience": narrower}))["default_audience"] == narrower
    assert read(key.send("PATCH", "partner", {"default_tlp": "red"}))["default_audience"] == narrower
    wider = {"groups": ["ring"], "partners": ["cygnus"]}
    assert code(key.send("PATCH", "partner", {"default_audience": wider}), 403) == "needs-a-person"


def test_a_key_sets_the_first_one_and_none_after_one_was_cleared_or_left(cast):
    new = register_partner(name="Eos", slug="eos", kind="lab")
    ring = membership.create(admin(new), name="Cards", purpose="Cards.", basis=BASIS)
    key, wide = (
        Caller(build.a_key(new, Scope.READ, Scope.ADMIN)),
        {"open_to_everyone": True, "groups": [], "partners": []},
    )
    first = {"open_to_everyone": False, "groups": [ring.slug], "partners": []}
    assert read(key.send("PATCH", "partner", {"default_audience": first}))["default_audience"] == first
    assert read(key.send("PATCH", "partner", {"default_audience": None}))["default_audience"] is None
    for again in (wide, first):
        assert code(key.send("PATCH", "partner", {"default_audience": again}), 403) == "needs-a-person"
    steering.change(admin(new), replace(steering.settings_of(new), default_audience=DefaultAudience(groups=(ring.pk,))))
    assert key.send("POST", f"groups/{ring.slug}/leave", {}).status_code == 204
    assert read(key.get("partner"))["default_audience"] is None
    assert code(key.send("PATCH", "partner", {"default_audience": wide}), 403) == "needs-a-person"


@pytest.mark.parametrize(
    ("sent", "why", "at"),
    [
        ({"groups": ["nowhere"]}, "unknown-group", "/default_audience/groups"),
        ({"partners": ["nobody"]}, "unknown-partner", "/default_audience/partners"),
        ({"partners": ["aster"]}, "own-partner", "/default_audience/partners"),
        ({"groups": "ring"}, "wrong-type", "/default_audience/groups"),
        ({"groups": [1]}, "wrong-type", "/default_audience/groups"),
        ({"everyone": True}, "wrong-type", "/default_audience"),
        ({"open_to_everyone": 1}, "wrong-type", "/default_audience/open_to_everyone"),
    ],
)
def test_what_is_no_audience_is_refused_naming_the_field(cast, sent, why, at):
    key = Caller(build.a_key(cast.aster, Scope.READ, Scope.ADMIN))
    problem = read(key.send("PATCH", "partner", {"default_audience": sent}), 422)
    assert (problem["code"], problem["errors"][0]["field"]) == (why, at)


def test_who_may_not_administer_does_not_set_it(cast):
    with pytest.raises(Forbidden):
        steering.change(cast.viewer("aster"), steering.settings_of(cast.aster))


def test_settings_that_somebody_changed_in_between_are_not_written_over(cast):
    person, seen = admin(cast.aster), steering.settings_of(cast.aster)
    set_default(cast.aster, None)
    with pytest.raises(Conflict) as refused:
        steering.change(person, replace(seen, default_tlp=Tlp.RED), since=seen)
    assert refused.value.code == "changed-meanwhile"
    assert default_of("aster") is None


def test_a_group_that_was_left_in_between_is_none_of_it(cast):
    person = admin(cast.aster)
    membership.leave(person, cast.ring)
    with pytest.raises(Refused) as refused:
        steering.change(
            person, replace(steering.settings_of(cast.aster), default_audience=DefaultAudience(groups=(cast.ring.pk,)))
        )
    assert refused.value.code == "unknown-group"


def test_an_admin_sets_it_on_the_page_and_sees_what_accepting_an_invitation_changes(cast, client):
    user = build.a_user(cast.aster)
    build.sign_in(client, user)
    sent = {"do": "default-audience", "default": "set", "groups": ["ring"], "partners": ["cygnus"]}
    client.post("/organisation/settings", sent)
    assert default_of("aster") == DefaultAudience(groups=(cast.ring.pk,), partners=(cast.cygnus.pk,))
    inviter = admin(cast.cygnus)
    other = membership.create(inviter, name="Other", purpose="Others.", basis=BASIS)
    membership.invite(auth.viewer_of_user(build.a_user(cast.cygnus)), other, cast.aster)
    page = client.get("/organisation/groups/").content.decode()
    assert "If you accept" in page
    assert "its members (Cygnus) share there" in page
    assert "<code>ring</code>, <code>cygnus</code>" in page
    client.post("/organisation/settings", {"do": "default-audience", "default": "refuse", "groups": ["ring"]})
    assert default_of("aster") is None
    assert "a push that names no audience is refused" in client.get("/organisation/").content.decode()


@pytest.mark.parametrize("audience", [{"everyone": True}, {"partners": ("cygnus",)}, {}])
@pytest.mark.parametrize("policy", ["closed-facts", "open-cti"])
def test_everyone_and_named_partners_get_the_policy_that_the_operator_sets(cast, settings, audience, policy):
    settings.OPEN_POLICY = policy
    classical = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--2e4eafb0-be5b-42cc-b4c3-1a623a7ea33c",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": "[domain-name:value = 'x.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [making.tlp.ID_OF["green"]],
    }
    expected = "not-our-kinds" if policy == "closed-facts" else "accepted"
    aster = cast.viewer("aster")
    assert status(build.publish(aster, classical, **audience)) == [expected]
    both = {"groups": ("ring",), "partners": ("cygnus",)}
    assert status(build.publish(aster, classical, **both))[0] in {expected, "unchanged"}
    assert status(build.publish(aster, classical, groups=("ring",)))[0] in {"accepted", "unchanged"}


def test_where_no_group_of_it_takes_anything_new_its_partners_are_told_all_the_same(cast):
    set_default(cast.aster, DefaultAudience(groups=(cast.ring.pk,), partners=(cast.cygnus.pk,)))
    Group.objects.filter(pk=cast.ring.pk).update(suspended_at=clock.now())
    spec = default_reach(cast.viewer("aster"), Tlp.AMBER)
    assert (spec.groups, spec.partners) == ((), (cast.cygnus.pk,))
