"""A draft's page: which lines are ticked, what stayed in the browser, tabs, and an audience that a marking forbids."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from indicators.models import Holding, Preparation
from indicators.stix import making
from indicators.stix import tlp as marking
from partners.models import Partner
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build
from tests.indicators.portal.test_publish import a_row, browser, prepared

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def lines_of(page):
    """By the number that people read: (state, whether it is ticked, or None where it may not go)."""
    found = {}
    for state, row in re.findall(r'<tr data-state="([a-z]+)"[^>]*>(.*?)</tr>', page, re.DOTALL):
        number = int(re.findall(r'<td class="num">([0-9,]+)</td>', row)[0].replace(",", ""))
        box = re.findall(r"<input[^>]*>", row)
        found[number] = (state, " checked" in box[0] if box else None)
    return found


def mailbox(number, *values):
    """A line of tokens under one key, such as an exact and a folded address."""
    tokens = [making.token(value * 64) for value in values]
    return a_row(number) | {
        "tokens": [{name: one[name] for name in ("scheme", "key_epoch", "value")} for one in tokens]
    }


def test_what_we_publish_already_is_not_ticked_and_the_button_counts_without_it(cast):
    client = browser(cast.aster)
    client.post(f"{prepared(client, mailbox(1, 'a', 'b')).json()['address']}/send", {"line": "1", "groups": "ring"})
    again = prepared(client, mailbox(1, "a", "b"), mailbox(2, "c", "b"), mailbox(3, "d")).json()["address"]
    page = client.get(f"{again}?groups=ring").content.decode()
    assert lines_of(page) == {1: ("known", False), 2: ("new", True), 3: ("new", True)}, "2 is another mailbox"
    assert "<span>Publish 2</span>" in page
    assert "sent again it would stand twice" in page


def test_what_stands_twice_in_a_list_is_ticked_once(cast):
    address = prepared(browser(cast.aster), mailbox(4, "a"), mailbox(7, "a"), mailbox(9, "b")).json()["address"]
    page = browser(cast.aster).get(f"{address}?groups=ring").content.decode()
    assert lines_of(page) == {4: ("new", True), 7: ("twice", False), 9: ("new", True)}
    assert "the same value as line 4" in page


def test_a_new_version_of_an_object_of_ours_is_no_second_holding(cast):
    one = making.account_pattern()
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    client = browser(cast.aster)
    later = {**one, "modified": build.later(), "confidence": 90}
    address = prepared(client, {"n": 1, "object": later}).json()["address"]
    page = client.get(f"{address}?groups=ring").content.decode()
    assert lines_of(page) == {1: ("revision", True)}
    client.post(f"{address}/send", {"line": "1", "groups": "ring"})
    assert Holding.unrestricted.filter(publisher=cast.aster).count() == 1


def test_lines_that_stayed_are_told_by_their_place_and_why_and_add_up(cast):
    client = browser(cast.aster)
    sent = [
        a_row(1, line=2),
        {"n": 2, "line": 3, "stayed": "card", "subkind": "email", "value": "4111111111111111"},
        {"n": 3, "line": 9, "stayed": "type"},
        {"n": 4, "line": 10, "stayed": "<b>whatever</b>", "subkind": "anna@mail.example"},
    ]
    address = prepared(client, *sent).json()["address"]
    kept = json.dumps(Preparation.unrestricted.get().rows)
    assert not any(word in kept for word in ("4111", "anna", "whatever")), "whatever a script sends, no more is kept"
    page = client.get(f"{address}?groups=ring").content.decode()
    assert lines_of(page) == {2: ("new", True), 3: ("stayed", None), 9: ("stayed", None), 10: ("stayed", None)}
    assert "3 lines stayed in your browser" in page
    assert "card environment" in page
    assert "of a type that is not published" in page
    client.post(f"{address}/send", {"line": ["1", "2", "3", "4"], "groups": "ring"})
    assert Holding.unrestricted.count() == 1


def test_why_a_line_is_refused_names_its_field_once(cast):
    address = prepared(browser(cast.aster), a_row(1, says={"severity": "bogus"})).json()["address"]
    page = browser(cast.aster).get(address).content.decode()
    assert re.findall(r'<td class="why">([^<]*)</td>', page) == ["severity: one of low, medium, high, critical"]


def test_a_draft_of_an_earlier_release_is_shown(cast):
    client = browser(cast.aster)
    address = prepared(client, a_row(5)).json()["address"]
    kept = Preparation.unrestricted.get()
    kept.rows = [{name: value for name, value in row.items() if name != "line"} for row in kept.rows]
    kept.save()
    assert lines_of(client.get(address).content.decode()) == {5: ("new", True)}


def test_a_tab_hides_the_other_lines_and_sends_what_the_button_says(cast):
    """Also without a script: the number on the button is of all that is ticked, shown or not."""
    client = browser(cast.aster)
    address = prepared(client, a_row(1), a_row(2), {"n": 3, "subkind": "net", "value": "10.0.0.0/8"}).json()["address"]
    page = client.get(f"{address}?groups=ring&show=refused").content.decode()
    rows = re.findall(r'<tr data-state="([a-z]+)"[^>]*?( hidden)?>', page)
    shown = [state for state, hidden in rows if not hidden]
    assert (len(rows), set(shown) <= {"refused", "benign"}) == (3, True)
    assert "<span>Publish 2</span>" in page
    ticked = re.findall(r'name="line" value="(\d+)" checked', page)
    client.post(f"{address}/send", {"line": ticked, "groups": "ring"})
    assert Holding.unrestricted.count() == 2


def readers_of(page):
    return set(re.findall(r'<li class="reader">.*?<b>([A-Z][a-z]+)</b>', page))


@pytest.mark.parametrize(("tlp", "sees"), [("amber", {"Borealis", "Cygnus", "Dorado"}),
                                           ("amber+strict", {"Borealis", "Cygnus"})])  # fmt: skip
def test_a_marking_to_every_partner_is_for_those_who_are_cleared_for_it(cast, tlp, sees):
    """A recipient, cleared for AMBER, is not told of as a reader of AMBER+STRICT, and does not read it."""
    client = browser(cast.aster)
    address = prepared(client, a_row(1), tlp=tlp).json()["address"]
    page = client.get(f"{address}?everyone=true").content.decode()
    assert readers_of(page) == sees
    client.post(f"{address}/send", {"line": "1", "everyone": "true"})
    (one,) = Holding.unrestricted.filter(stix_type="indicator")
    for name in ("borealis", "cygnus", "dorado"):
        seen = Holding.objects.visible_to(cast.viewer(name)).filter(pk=one.pk).exists()
        assert seen == (name.title() in sees), name


@pytest.mark.parametrize("tlp", ["amber", "amber+strict"])
def test_a_marking_below_ones_ceiling_blocks_what_it_is_of_and_not_the_rest(cast, tlp):
    """An object brings its own marking: the lines beside it may go."""
    Partner.objects.filter(pk=cast.aster.pk).update(ceiling_tlp=Tlp.AMBER_STRICT)
    client = browser(cast.aster)
    given = making.account_pattern(object_marking_refs=[marking.ID_OF[tlp]])
    red = making.account_pattern(object_marking_refs=[marking.ID_OF["red"]])
    rows = [a_row(1), {"n": 2, "object": given}, {"n": 3, "object": red}]
    address = prepared(client, *rows, tlp="amber+strict").json()["address"]
    page = client.get(f"{address}?everyone=true").content.decode()
    said = lines_of(page)
    assert said[1] == ("new", True)
    assert said[2] == (("refused", None) if tlp == "amber" else ("new", True))
    assert said[3] == ("refused", None)
    client.post(f"{address}/send", {"line": ["1", "2", "3"], "everyone": "true"})
    assert Holding.unrestricted.count() == (1 if tlp == "amber" else 2)


def test_a_paste_search_draws_labs_by_the_letters_of_the_lists(cast):
    """Two labs of one letter are told apart, ours stands first, and who has no name looks like nobody."""
    build.a_partner("Borax")
    value = {"value": "api-relay.example"}
    build.publish(cast.viewer("borealis"), making.account_pattern("gateway_host", carrier=value), groups=("ring",))
    build.publish(cast.viewer("aster"), making.account_pattern("gateway_host", carrier=value), groups=("ring",))
    veiled = making.account_pattern("gateway_host", carrier={"value": "veiled.example"})
    next(iter(veiled["extensions"].values()))["attribution"] = "pseudonym"
    build.publish(cast.viewer("borealis"), veiled, groups=("ring",))
    client = Client()
    build.sign_in(client, build.a_user(cast.aster, role=Role.ANALYST))
    lines = [
        {"n": 1, "subkind": "host", "clear": "api-relay.example"},
        {"n": 2, "subkind": "host", "clear": "veiled.example"},
    ]
    asked = client.post("/ask/values", json.dumps({"lines": lines}), content_type="application/json").json()
    named, hidden = (one["sources"] for one in asked["answers"])
    assert [(one["name"], one["letter"], one["shown"]) for one in named] == [
        ("Aster", "A", "us"),
        ("Borealis", "Bo", "named"),
    ]
    assert [(one["letter"], one["shown"]) for one in hidden] == [("?", "veiled")]
