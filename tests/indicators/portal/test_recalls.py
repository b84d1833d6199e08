"""The pages of recalls and appeals, as people use them."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from indicators.models import Holding, Recall, Ticket
from indicators.opinions import appealing
from indicators.stix import drafts, making
from partners.scopes import Role
from tests import build
from tests.indicators.api.caller import Caller
from tests.indicators.api.test_delta import Subscriber
from tests.indicators.ending.test_recalling import acked

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def browser(cast):
    client = Client()
    build.sign_in(client, build.a_user(cast.aster, role=Role.PUBLISHER))
    return client


def test_a_person_finds_recalls_and_brings_back(cast, browser):
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring",))
    refused = browser.post("/organisation/recalls/", {"ids": "", "since": ""})
    assert b"Say what" in refused.content
    answer = browser.post("/organisation/recalls/", {"since": "2020-01-01T00:00", "until": ""}, follow=True)
    assert b"1 object" in answer.content
    assert b"<dt>Pushed from</dt><dd>1 Jan 2020 00:00 UTC</dd>" in answer.content
    assert made["id"].encode() in answer.content
    (recall,) = Recall.unrestricted.all()
    where = f"/organisation/recalls/{recall.pk}/"
    assert b"Bring them back" in browser.post(f"{where}act", {"do": "carry-out"}, follow=True).content
    assert Holding.unrestricted.get().state == "disarmed"
    assert b"final at" in browser.get(where).content
    undone = browser.post(f"{where}act", {"do": "undo"}, follow=True).content
    assert b"They are back" in undone
    assert b"1 came back" in undone
    assert b"final at" not in undone
    assert Holding.unrestricted.get().state == "live"
    assert browser.post(f"{where}act", {"do": "else"}).status_code == 422


def test_the_list_and_the_page_say_who_holds_it_still_as_receipts_come_in(cast, browser):
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring", "circle"))
    agents = [Subscriber(Caller(cast.keys[name])) for name in ("borealis", "cygnus")]

    def acknowledge(*some):
        for agent in some:
            agent.catch_up()
            acked(agent.caller, agent.cursor, "one")

    def said():
        part = browser.get(where, headers={"HX-Request": "true"}).content.decode()
        listed = browser.get("/organisation/recalls/").content.decode()
        assert "<html" not in part
        return re.search(r"(\d+) % of instances, each", part)[1], re.search(
            r"(\d+ %|no) ?(of )?instances? hold", listed
        )[1]

    acknowledge(*agents)
    browser.post("/organisation/recalls/", {"ids": made["id"]})
    where = f"/organisation/recalls/{Recall.unrestricted.get().pk}/"
    assert "hx-trigger" not in browser.get(where).content.decode().partition('id="progress"')[2].partition(">")[0]
    browser.post(f"{where}act", {"do": "carry-out"})
    assert f'hx-get="{where}" hx-trigger="every 5s"' in browser.get(where).content.decode()
    assert said() == ("100", "100 %")
    acknowledge(agents[0])
    assert said() == ("50", "50 %")
    acknowledge(agents[1])
    assert said() == ("0", "no")


@pytest.mark.slow
def test_a_person_answers_an_appeal(cast, browser):
    token = making.token("ab" * 32)
    made = making.account_pattern(carrier={"token": token})
    build.publish(cast.viewer("aster"), made, groups=("ring",))
    said = drafts.TokenValue("email", token["scheme"], token["key_epoch"], token["value"])
    appealing.file(cast.viewer("borealis"), [said], reason="victim")
    content = browser.get("/organisation/appeals/").content
    assert made["id"].encode() in content
    assert b"orealis" not in content
    where = f"/organisation/appeals/{Ticket.unrestricted.get().pk}/act"
    assert b"It is revoked" in browser.post(where, {"do": "revoke"}, follow=True).content
    assert Holding.unrestricted.get().state == "revoked"
    assert b"answered" in browser.post(where, {"do": "keep"}, follow=True).content
    other = Client()
    build.sign_in(other, build.a_user(cast.borealis, role=Role.ANALYST))
    assert b"ended" in other.get("/organisation/appeals/").content
