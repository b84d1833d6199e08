"""What others do that Borealis may not see. Each act is a function of the world; none fails for what came before it.

An act that would need something which is not there, or no longer, is nothing: so any list of acts can be played, and
any part of a list that betrays something can be looked for alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client

from exchange import clock
from exchange.errors import ExchangeError
from indicators.ending import retiring
from indicators.log import following
from indicators.models import Delivery
from indicators.opinions import bounding, recording
from indicators.reports import reporting
from partners.ceilings import Ceiling, Width
from partners.groups import life, membership, proposing, steering
from partners.groups.registering import register_user
from partners.identity import inviting
from partners.keys import auth
from partners.models import AuditRecord, Group, Partner, User
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.surfaces.worlds import deeds
from tests.surfaces.worlds import stage as acts
from tests.surfaces.worlds.stage import ABSENT, BROKEN_HOOK, OWN, SHARED, Stage, an_id, an_indicator

Act = Callable[[Stage], None]
ACTS: dict[str, Act] = {}
ELSEWHERE = {"REMOTE_ADDR": "198.51.100.77"}

#: Audiences that Borealis is not in, as a push names them.
AUDIENCES: dict[str, dict[str, str]] = {
    "alone": {"tlp": "red", "partners": "operator"},
    "cygnus": {"partners": "cygnus"},
    "circle": {"groups": "circle"},
    "circle, as a pseudonym": {"groups": "circle", "attribution": "pseudonym"},
    "circle, as the exchange": {"groups": "circle", "attribution": "exchange"},
    "ring, beyond the reader's clearance": {"groups": "ring", "tlp": "amber%2Bstrict"},
}


def act(function: Act) -> Act:
    """Have it among the acts, under its name in words."""
    ACTS[function.__name__.replace("_", " ")] = function
    return function


# --- Publishing


def _publishing(audience: dict[str, str], who: str = "aster") -> Act:
    def publishes(stage: Stage) -> None:
        answer = stage.push(
            who,
            an_indicator("hidden"),
            an_indicator("hidden too", value="common"),
            acts.a_domain("hidden"),
            acts.a_campaign("hidden-campaign"),
            **audience,
        )
        if "id" in answer:
            stage.hide(x_batch=answer["id"])

    return publishes


for _name, _audience in AUDIENCES.items():
    ACTS[f"aster publishes to {_name}"] = _publishing(_audience)
ACTS["cygnus publishes to circle"] = _publishing({"groups": "circle"}, who="cygnus")


@act
def aster_publishes_what_the_reader_holds_and_will_hold(stage: Stage) -> None:
    """Ids of the reader's, with the same bytes, others, and stricter markings."""
    later = an_indicator("later")
    for audience in ("cygnus", "alone"):
        stage.push("aster", later, OWN["match"], acts.a_domain("later"), OWN["site"], **AUDIENCES[audience])
    mine = acts.revised(OWN["mine"], name="Otherwise", confidence=1)
    stage.push("aster", acts.marked(mine, "red"), acts.marked(an_indicator("own carrier"), "red"), partners="cygnus")


@act
def cygnus_publishes_ids_that_the_reader_sees_of_others(stage: Stage) -> None:
    stage.push("cygnus", SHARED["theirs"], SHARED["domain"], acts.revised(SHARED["common"]), groups="circle")
    later = acts.revised(SHARED["campaign"], revoked=True)
    stage.push("cygnus", later, **AUDIENCES["circle, as a pseudonym"])


@act
def aster_publishes_values_of_the_reader(stage: Stage) -> None:
    for audience in ("cygnus", "circle", "circle, as a pseudonym", "ring, beyond the reader's clearance"):
        stix = an_indicator(f"value to {audience}", value="mine")
        stage.push("aster", stix, acts.classical(f"site to {audience}", _SITE), **AUDIENCES[audience])


_SITE = "[domain-name:value = 'site.example']"


@act
def networks_around_and_within_those_that_the_reader_sees_hide(stage: Stage) -> None:
    """What overlaps the reader's address and Aster's network, for others alone; and networks that overlap nothing."""
    for audience in ("cygnus", "circle, as a pseudonym"):
        for number, value in enumerate(
            ("185.77.0.0/16", "185.77.147.0/25", "185.77.147.7", "185.77.147.9", "185.78.1.0/24")
        ):
            stix = acts.classical(f"net {number} to {audience}", f"[ipv4-addr:value = '{value}']")
            stage.push("aster", stix, **AUDIENCES[audience])


@act
def a_newer_holder_of_a_shared_value_hides(stage: Stage) -> None:
    """What links the reader's object with Aster's older one, which the reader sees, stays."""
    stage.push("aster", an_indicator("shadow", value="shadowed"), partners="cygnus")
    stage.push("aster", an_indicator("shadow of common", value="common"), **AUDIENCES["alone"])


@act
def many_holders_of_a_shared_value_hide(stage: Stage) -> None:
    many = [an_indicator(f"many {number}", value="common") for number in range(12)]
    stage.push("cygnus", *many, groups="circle")


@act
def others_judge_unseen_what_the_reader_sees(stage: Stage) -> None:
    """A dissent and a confirmation among others, of what the reader holds, lists and follows."""
    for who, word in (("cygnus", "disagree"), ("aster", "strongly-disagree")):
        for name in ("open", "named", "mine"):
            said = acts.an_object("opinion", f"{who} on {name}", opinion=word, object_refs=[an_id(name)])
            stage.push(who, said, groups="circle")
    bounding.catch_up()
    following.follow("opinions", lambda after: recording.find(after=after))


@act
def markings_and_makers_are_defined_unseen(stage: Stage) -> None:
    house = acts.a_definition("house rules", "TLP:RED")
    stray = acts.a_definition("stray rules", "Nobody else")
    stage.push("aster", house, stray, acts.an_identity("hidden-identity", "Hidden Lab"), partners="cygnus")
    stage.push("cygnus", stray, acts.an_identity("newcomer", "Newcomer"), groups="circle")


@act
def what_is_refused_and_held_back(stage: Stage) -> None:
    """A wrong batch, one that waits in quarantine, one that waits for a second person."""
    aster = stage.caller("aster")
    aster.push({"type": "indicator"}, an_indicator("card", description="4111 1111 1111 1111"), query="?groups=circle")
    aster.push(an_indicator("hidden red", labels=["TLP:RED"]), query="?groups=circle")
    if waiting := read(aster.get("quarantine"))["quarantined"]:
        stage.hide(x_quarantined=waiting[0]["entry"])
    four_eyes = {"tlp": "clear", "audience": "everyone", "objects": 1}
    aster.send("PATCH", "partner", {"four_eyes": four_eyes})
    aster.push(an_indicator("waits"), an_indicator("waits too"), query="?groups=circle")
    if held := read(aster.get("waiting"))["waiting"]:
        stage.hide(x_waiting=held[0]["id"])
    acts.alone(stage, "aster")


@act
def aster_and_cygnus_pool_the_same_tokens_unseen(stage: Stage) -> None:
    """In the circle becomes a campaign what is one in both of the reader's groups, too."""
    for who in ("aster", "cygnus"):
        acts.pool(stage, who, "circle")
    stage.turn()


# --- What is published unseen goes on unseen


@act
def hidden_objects_are_revised(stage: Stage) -> None:
    for number, who in enumerate(("aster", "cygnus")):
        stix = an_indicator("hidden", modified=acts.REVISED, confidence=10 + number)
        stage.push(who, stix, groups="circle")


@act
def hidden_objects_are_revoked(stage: Stage) -> None:
    stage.caller("aster").send("POST", "objects/revoke", {"ids": [an_id("hidden too")]})
    stage.push("cygnus", an_indicator("within", modified=acts.LATER, revoked=True), groups="circle")


@act
def hidden_objects_are_withdrawn(stage: Stage) -> None:
    ids = [an_id("hidden"), an_id("value to cygnus"), an_id("later")]
    stage.caller("aster").send("POST", "objects/withdraw", {"ids": ids})


@act
def hidden_objects_come_back(stage: Stage) -> None:
    stage.push("aster", an_indicator("hidden"), wake="true", groups="circle")


@act
def hidden_objects_expire(stage: Stage) -> None:
    soon = (clock.now() + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage.push("aster", an_indicator("short", value="mine", valid_until=soon), groups="circle")
    stage.pins.later(seconds=6)
    retiring.expire()


@act
def hidden_objects_change_their_audience(stage: Stage) -> None:
    aster = stage.caller("aster")
    for wish in ({"partners": ["cygnus", "dorado"]}, {"partners": ["cygnus"]}, {"groups": ["circle"]}):
        aster.send("PUT", f"objects/{an_id('hidden')}/audience", wish)


@act
def others_come_to_see_what_the_reader_sees(stage: Stage) -> None:
    """Of what the reader sees, the audience grows and shrinks around them."""
    aster = stage.caller("aster")
    aster.send("PUT", f"objects/{an_id('named')}/audience", {"partners": ["borealis", "cygnus", "dorado"]})
    aster.send("PUT", f"objects/{an_id('theirs')}/audience", {"groups": ["ring", "circle"]})


@act
def others_lose_sight_of_what_the_reader_sees(stage: Stage) -> None:
    aster = stage.caller("aster")
    aster.send("PUT", f"objects/{an_id('named')}/audience", {"partners": ["borealis"]})
    aster.send("PUT", f"objects/{an_id('both')}/audience", {"groups": ["ring"]})


@act
def what_the_reader_sees_is_pushed_again(stage: Stage) -> None:
    stage.push("aster", SHARED["common"], SHARED["relay"], SHARED["domain"])


# --- Partners, groups and people


@act
def aster_makes_a_group_without_the_reader(stage: Stage) -> None:
    aster, cygnus = stage.viewer("aster"), stage.viewer("cygnus")
    basis = proposing.Basis("A secret agreement.", "", build.date(2026, 1, 1), None)
    group = membership.create(aster, name="Secret", purpose="To share.", basis=basis)
    proposal = membership.invite(aster, group, stage.cast.cygnus)
    stage.hide(x_group=group.slug, x_proposal=proposal.pk)
    membership.agree(cygnus, proposal.pk)
    stage.push("aster", an_indicator("secret"), groups=group.slug)
    membership.renew(stage.viewer("aster"), group, basis)


def _membership(change: Callable[[Any, Group], object], who: str) -> Act:
    def changes(stage: Stage) -> None:
        try:
            change(stage.viewer(who), Group.objects.get(slug="circle"))
        except ExchangeError:
            return

    return changes


@act
def dorado_joins_the_circle(stage: Stage) -> None:
    circle = Group.objects.get(slug="circle")
    try:
        proposal = membership.invite(stage.viewer("aster"), circle, stage.cast.dorado)
        membership.agree(stage.viewer("dorado"), proposal.pk)
    except ExchangeError:
        return


@act
def a_partner_is_invited(stage: Stage) -> None:
    try:
        partner, _, _ = inviting.invite_partner(
            stage.viewer("operator"), name="Newcomer", slug="newcomer", kind=Partner.Kind.LAB, email="a@n.example"
        )
    except ExchangeError:
        return
    Partner.objects.filter(pk=partner.pk).update(identity_id=an_id("hidden-identity", "identity"))


@act
def the_operator_changes_what_others_may(stage: Stage) -> None:
    operator = stage.viewer("operator")
    life.set_clearance(stage.cast.cygnus, Tlp.AMBER, by=operator)
    life.set_clearance(stage.cast.cygnus, Tlp.RED, by=operator)
    steering.set_operator_ceiling(stage.cast.dorado, Ceiling(Tlp.AMBER, Width.GROUPS), by=operator)


@act
def aster_changes_its_settings(stage: Stage) -> None:
    default = {"open_to_everyone": False, "groups": ["circle"], "partners": []}
    stage.caller("aster").send("PATCH", "partner", {"default_audience": default, "default_tlp": "amber"})


@act
def aster_has_people_keys_and_failed_sign_ins(stage: Stage) -> None:
    name = ABSENT["x_name"][::-1]  # as long as the guess
    user = User.objects.filter(username=name).first() or register_user(
        stage.cast.aster, username=name, email="hidden@aster.example", password="correct horse", role=Role.PUBLISHER
    )
    stage.hide(x_user=user.pk, x_name=user.username)
    for _ in range(7):
        Client().post("/account/login/", {"login": user.username, "password": "wrong"}, **ELSEWHERE)
    Client().post("/account/password/forgotten/", {"who": user.username}, **ELSEWHERE)
    try:
        invitation, _ = inviting.invite(stage.viewer("aster"), email="known@example.org", role=Role.ANALYST)
        stage.hide(x_invitation=invitation.pk)
        life.offer_hand_over(stage.viewer("aster"), stage.cast.cygnus)
    except ExchangeError:
        return


@act
def aster_has_keys_that_come_and_go(stage: Stage) -> None:
    aster = stage.caller("aster")
    made = read(aster.send("POST", "keys", {"name": "hidden", "scopes": ["read"], "expires_in_minutes": 60}), 201)
    stage.hide(x_key=made["id"])
    Caller(made["secret"]).get("objects")
    aster.send("POST", f"keys/{made['id']}/rotate", {"overlap_minutes": 5})
    aster.ask("DELETE", f"keys/{made['id']}")
    wrong = build.bearer(f"{made['secret'][:-1]}a")
    for _ in range(35):
        Client().get("/api/v1/objects", headers=wrong, **ELSEWHERE)


@act
def aster_has_feeds_and_hooks(stage: Stage) -> None:
    aster = stage.caller("aster")
    feed = aster.send("POST", "feeds", {"name": "Hidden", "filter": {"kinds": ["account-pattern"]}})
    subscribed = aster.send("POST", "subscriptions", {"url": BROKEN_HOOK})
    if feed.status_code != 201 or subscribed.status_code != 201:
        return
    stage.hide(x_feed=read(feed, 201)["id"], x_subscription=read(subscribed, 201)["id"])
    stage.push("aster", an_indicator("for the hook"), partners="cygnus")
    aster.ask("POST", f"subscriptions/{stage.things['x_subscription']}/test")
    stage.turn()
    delivery = Delivery.unrestricted.filter(partner_id=stage.cast.aster.pk).order_by("pk").first()
    if delivery is not None:
        stage.hide(x_delivery=delivery.pk)


@act
def aster_prepares_packages_for_others(stage: Stage) -> None:
    stage.push("aster", acts.a_campaign("hidden-campaign"), partners="cygnus,dorado")
    try:
        report = reporting.prepare(stage.viewer("aster"), recipient="cygnus", root=an_id("hidden-campaign", "campaign"))
        stage.hide(x_report=report.pk)
        reporting.release(auth.viewer_of_user(build.a_user(stage.cast.aster, role=Role.COUNSEL)), report.pk)
        reporting.prepare(stage.viewer("aster"), recipient="dorado", root=SHARED["campaign"]["id"])
    except ExchangeError:
        return


@act
def others_read(stage: Stage) -> None:
    """Everything that they see, also what the reader holds."""
    for who in ("aster", "cygnus", "dorado"):
        caller = stage.caller(who)
        for path in ("objects", "changes", "matches", "bundle", "blocklists/all?format=csv", "log/export"):
            answer = caller.get(path)
            if answer.streaming:
                b"".join(answer.streaming_content)
    record = AuditRecord.objects.filter(partner=stage.cast.aster).order_by("-pk")[0]
    stage.hide(x_leaf=bytes(record.leaf_hash).hex())


@act
def the_background_is_at_work_in_between(stage: Stage) -> None:
    stage.turn()


ACTS |= deeds.ACTS
#: Last, since nothing goes into the circle after them.
LAST: dict[str, Act] = {
    "the circle is suspended": _membership(
        lambda by, group: membership.suspend(by, group, why="A reason."), "operator"
    ),
    "the circle goes on": _membership(membership.reinstate, "operator"),
    "cygnus leaves the circle": _membership(membership.leave, "cygnus"),
    "aster leaves the circle": _membership(membership.leave, "aster"),
}
ACTS |= LAST
