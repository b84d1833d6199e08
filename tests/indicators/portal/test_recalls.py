"""The pages of recalls and appeals, as people use them."""

from __future__ import annotations

import pytest
from django.test import Client

from indicators.models import Holding, Recall, Ticket
from indicators.opinions import appealing
from indicators.stix import drafts, making
from partners.scopes import Role
from tests import build

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
