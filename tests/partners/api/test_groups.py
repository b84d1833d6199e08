"""Groups, proposals and one's own settings over REST, with keys that have the scope admin."""

import pytest

from partners.models import Group, Membership
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db

NEW = {
    "name": "Card Ring",
    "purpose": "Cards that campaigns share.",
    "legal_basis": "Sharing agreement",
    "basis_reference": "Contract 2026-14",
    "basis_from": "2026-01-01",
    "basis_until": "2099-12-31",
    "join_rule": "all-partners",
}


@pytest.fixture
def admins(db):
    cast = build.the_cast()
    return {name: Caller(build.a_key(getattr(cast, name), *Scope)) for name in cast.keys}


def post(caller, path, document=None):
    return caller.send("POST", path, document) if document is not None else caller.ask("POST", path)


def test_a_group_from_its_making_to_its_end(admins):
    aster, cygnus = admins["aster"], admins["cygnus"]
    made = read(aster.send("POST", "groups", NEW), 201)
    assert made["partners"] == ["aster"]
    assert made["takes_new"] is True
    slug = made["slug"]
    assert code(cygnus.get(f"groups/{slug}"), 404) == "not-found"
    invitation = read(aster.send("POST", f"groups/{slug}/invite", {"partner": "cygnus"}), 201)
    assert (invitation["kind"], invitation["state"], invitation["asks_you"]) == ("invitation", "open", False)
    (seen,) = read(cygnus.get("proposals"))["proposals"]
    assert (seen["id"], seen["asks_you"]) == (invitation["id"], True)
    assert read(cygnus.get(f"groups/{slug}"))["legal_basis"] == NEW["legal_basis"]
    done = read(post(cygnus, f"proposals/{invitation['id']}/agree"))
    assert done["state"] == "done"
    assert read(aster.get(f"groups/{slug}"))["partners"] == ["aster", "cygnus"]
    renewal = read(aster.send("POST", f"groups/{slug}/renew", {"legal_basis": "x", "basis_from": "2026-01-01"}), 201)
    read(post(cygnus, f"proposals/{renewal['id']}/agree"))
    assert read(aster.get(f"groups/{slug}"))["basis_until"] is None
    removal = read(aster.send("POST", f"groups/{slug}/remove", {"partner": "cygnus"}), 201)
    assert removal["state"] == "done", "all others have agreed: there is only Aster"
    assert code(cygnus.get(f"groups/{slug}"), 404) == "not-found"
    assert post(aster, f"groups/{slug}/leave").status_code == 204
    assert not Membership.objects.filter(group__slug=slug, until=None).exists()


def test_an_outsider_is_answered_alike_for_a_group_that_is_there_and_one_that_is_not(admins):
    cygnus = admins["cygnus"]
    bodies = {
        "invite": {"partner": "cygnus"},
        "remove": {"partner": "aster"},
        "renew": {"legal_basis": "x", "basis_from": "2026-01-01"},
    }
    for verb in ("invite", "remove", "renew", "leave", "dissolve"):
        there, not_there = (post(cygnus, f"groups/{slug}/{verb}", bodies.get(verb)) for slug in ("ring", "none"))
        assert code(there, 404) == code(not_there, 404) == "not-found"
    for query in ("?groups=ring", "?groups=none", "?groups=all"):
        answer = cygnus.push(build.an_indicator(), query=query)
        assert (code(answer, 422), at(answer)) == ("unknown-group", "/groups")
    assert (
        read(cygnus.send("POST", "groups", NEW | {"name": "Ring"}), 201)["name"] == Group.objects.get(slug="ring").name
    )


def test_another_partners_admin_moves_nobody_by_id(admins):
    proposal = read(admins["aster"].send("POST", "groups/ring/invite", {"partner": "dorado"}), 201)
    for name in ("cygnus", "operator"):
        for verb in ("agree", "decline"):
            assert code(post(admins[name], f"proposals/{proposal['id']}/{verb}"), 404) == "not-found"
    for verb in ("agree", "decline"):
        assert code(post(admins["borealis"], f"proposals/{proposal['id']}/{verb}"), 403) == "not-asked"
    assert set(Membership.objects.filter(until=None).values_list("partner__slug", flat=True)) == {"aster", "borealis"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "/name"),
        ({"purpose": " "}, "/purpose"),
        ({"basis_from": "soon"}, "/basis_from"),
        ({"basis_until": "2025-01-01"}, "/basis_until"),
        ({"policy": "none"}, "/policy"),
        ({"join_rule": "nobody"}, "/join_rule"),
        ({"legal_basis": ""}, "/legal_basis"),
        ({"slug": "ring"}, "/slug"),
    ],
)
def test_what_is_wrong_with_a_group_is_named(admins, change, field):
    answer = admins["aster"].send("POST", "groups", NEW | change)
    assert answer.status_code == 422
    assert at(answer) == field


SAID = "Our price is 40 dollars per million tokens from March on"


@pytest.mark.parametrize("field", ["name", "purpose", "legal_basis", "basis_reference"])
def test_the_words_of_a_group_say_nothing_that_no_text_may_say(admins, field):
    answer = admins["aster"].send("POST", "groups", NEW | {field: SAID})
    assert (code(answer, 422), at(answer)) == ("competitive-data", f"/{field}")
    assert "dollars" not in answer.content.decode()
    assert not Group.objects.exclude(slug="ring").exists()
    if field in ("legal_basis", "basis_reference"):
        again = {"legal_basis": "Contract", "basis_from": "2026-01-01"} | {field: SAID}
        answer = post(admins["aster"], "groups/ring/renew", again)
        assert (code(answer, 422), at(answer)) == ("competitive-data", f"/{field}")


@pytest.mark.parametrize("field", ["name", "purpose", "legal_basis", "basis_reference"])
def test_no_line_break_puts_the_words_of_a_group_behind_a_denial(admins, field):
    said = "No personal data\nLabs should boycott this reseller"
    answer = admins["aster"].send("POST", "groups", NEW | {field: said})
    assert (code(answer, 422), at(answer)) == ("competitive-data", f"/{field}")


def test_settings_are_read_by_all_and_changed_by_admins(admins):
    cast_key = Caller(build.a_key(build.a_partner("Eos"), Scope.READ))
    assert read(cast_key.get("partner"))["ceiling"] == {"tlp": "clear", "audience": "everyone"}
    assert code(cast_key.send("PATCH", "partner", {"default_tlp": "red"}), 403) == "missing-scope"
    wanted = {
        "ceiling": {"tlp": "green", "audience": "groups"},
        "four_eyes": {"tlp": "amber", "audience": "groups", "objects": 5},
    }
    aster = admins["aster"]
    changed = read(
        aster.send(
            "PATCH", "partner", wanted | {"role_ceilings": {"publisher": {"tlp": "red", "audience": "partners"}}}
        )
    )
    assert changed["ceiling"] == wanted["ceiling"]
    assert changed["four_eyes"] == wanted["four_eyes"]
    assert changed["role_ceilings"]["publisher"] == {"tlp": "red", "audience": "partners"}
    assert read(aster.get("partner")) == changed
    loosened = aster.send("PATCH", "partner", {"four_eyes": {"tlp": "clear", "audience": "groups", "objects": 5}})
    assert code(loosened, 403) == "needs-a-person"
    answer = aster.push(build.an_indicator(tlp_word="green"), query="?everyone=true")
    assert (code(answer, 422), at(answer)) == ("over-ceiling", "/everyone")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"default_tlp": "pink"}, "/default_tlp"),
        ({"ceiling": {"tlp": "red"}}, "/ceiling"),
        ({"ceiling": {"tlp": "red", "audience": "me"}}, "/ceiling/audience"),
        ({"ceiling": {"tlp": 1, "audience": "groups"}}, "/ceiling/tlp"),
        ({"four_eyes": {"tlp": "red", "audience": "groups", "objects": True}}, "/four_eyes/objects"),
        ({"four_eyes": {"tlp": "red", "audience": "groups", "objects": 0}}, "/four_eyes/objects"),
        ({"role_ceilings": {"king": {"tlp": "red", "audience": "groups"}}}, "/role_ceilings"),
        ({"role_ceilings": {"analyst": {"tlp": "red", "audience": "groups"}}}, "/role_ceilings"),
        ({"clearance": "red"}, "/clearance"),
    ],
)
def test_what_is_wrong_with_settings_is_named(admins, body, field):
    answer = admins["aster"].send("PATCH", "partner", body)
    assert answer.status_code == 422
    assert at(answer) == field


def test_what_waits_is_listed_to_its_own_partner_and_taxii_calls_it_pending(admins):
    from indicators.taxii import collections  # noqa: F401 - the face is there

    aster = admins["aster"]
    read(aster.send("PATCH", "partner", {"four_eyes": {"tlp": "clear", "audience": "groups"}}))
    one = build.an_indicator(tlp_word="green")
    pushed = read(aster.push(one))
    assert pushed["counts"]["waiting"] == 1
    (held,) = read(aster.get("waiting"))["waiting"]
    assert (held["batch"], held["objects"], held["ids"]) == (pushed["id"], 1, [one["id"]])
    assert held["audience"]["named"] is False
    assert read(admins["borealis"].get("waiting"))["waiting"] == []
    status = aster.ask("GET", f"/taxii2/exchange/status/{pushed['id']}/", Accept="application/taxii+json;version=2.1")
    document = read(status)
    assert (document["status"], document["pending_count"], document["total_count"]) == ("pending", 1, 1)
    assert document["pendings"][0]["id"] == one["id"]
