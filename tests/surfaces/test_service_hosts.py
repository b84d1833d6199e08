"""What a member makes known as its own is in nobody's list: from then on, and of what was there before."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from exchange import clock
from indicators.benign import service_hosts, suppressing
from indicators.models import ServiceHost
from indicators.stix import making
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.surfaces.test_lists import agent, classical, server

pytestmark = pytest.mark.django_db
OWN = ["api.borealis.example", "203.0.113.0/24"]


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


@pytest.fixture
def admin(cast):
    return Caller(build.a_key(cast.borealis, Scope.ADMIN, Scope.READ))


def prove(admin) -> list[dict]:
    """Name them, and have them proven."""
    named = read(admin.send("POST", "service-hosts", {"values": OWN}), 201)["hosts"]
    for host in ServiceHost.objects.filter(ended_at=None, proven_at=None):
        service_hosts.prove(host, by="dns")
    return named


def said():
    return [
        making.account_pattern("gateway_host", carrier={"value": "eu.api.borealis.example"}),
        making.account_pattern("net", carrier={"value": "203.0.113.7/32"}),
        classical("[domain-name:value = 'api.borealis.example']"),
        classical("[url:value = 'https://api.borealis.example/v1/chat']"),
    ]


def test_what_is_known_is_refused_in_our_kinds_and_gives_no_entry_of_others(aster, admin):
    prove(admin)
    answers = read(aster.push(*said(), making.account_pattern("gateway_host")))["results"]
    assert [(one["status"], one.get("code"), one.get("suppressed_by")) for one in answers] == [
        ("refused", "benign-listed", None),
        ("refused", "benign-listed", None),
        ("accepted", None, ["benign-listed"]),
        ("accepted", None, ["benign-listed"]),
        ("accepted", None, None),
    ]
    assert server(admin, "text") == b"relay.reseller.example\n"


def test_what_was_there_before_leaves_every_list_and_comes_back_when_it_is_over(cast, aster, admin, tmp_path):
    objects = said()
    read(aster.push(*objects, making.account_pattern("gateway_host")))
    borealis = Caller(cast.keys["borealis"])
    before = read(borealis.get("changes"))
    assert len(server(borealis, "text").splitlines()) == 5
    hosts = prove(admin)
    assert suppressing.apply_pending() == 4
    assert server(borealis, "text") == b"relay.reseller.example\n"
    news = read(borealis.get(f"changes?cursor={before['cursor']}"))["changes"]
    assert sorted((one["op"], one["id"], len(one["entries"])) for one in news) == sorted(
        ("upsert", stix["id"], 0) for stix in objects
    )
    assert agent(borealis, "csv", tmp_path) == server(borealis, "csv")
    assert suppressing.apply_pending() == 0, "what is applied is not applied again at once"
    for host in hosts:
        assert admin.ask("DELETE", f"service-hosts/{host['id']}").status_code == 204
    assert suppressing.apply_pending() == 4
    assert len(server(borealis, "text").splitlines()) == 5


def test_what_was_judged_by_older_knowledge_is_judged_once_more(aster, admin):
    """A push that began before reads of the hosts what it remembered, and may commit after they were applied."""
    older = service_hosts.known()
    prove(admin)
    suppressing.apply_pending()
    service_hosts._remembered = service_hosts._Remembered(older, float("inf"))
    read(aster.push(*said()))
    assert suppressing.apply_pending() == 0
    with time_machine.travel(clock.now() + timedelta(minutes=6), tick=True):
        assert suppressing.apply_pending() == 4
        assert suppressing.apply_pending() == 0


def test_every_partner_reads_them_and_an_admin_alone_changes_their_own(cast, aster, admin):
    (first, _) = read(
        admin.send("POST", "service-hosts", {"values": ["API.Borealis.example.", "203.0.113.9/24"]}), 201
    )["hosts"]
    assert [(host["value"], host["partner"]["slug"]) for host in read(aster.get("service-hosts"))["hosts"]] == [
        ("203.0.113.0/24", "borealis"),
        ("api.borealis.example", "borealis"),
    ]
    assert code(aster.send("POST", "service-hosts", {"values": OWN}), 403)
    other = Caller(build.a_key(cast.aster, Scope.ADMIN, Scope.READ))
    assert code(other.ask("DELETE", f"service-hosts/{first['id']}"), 404) == "not-found"
    again = read(admin.send("POST", "service-hosts", {"values": OWN}), 201)["hosts"]
    assert first["id"] in {host["id"] for host in again}, "naming it twice changes nothing"


@pytest.mark.parametrize(
    "value", ["com", "gmail.com", "github.io", "10.0.0.0/16", "5.0.0.0/8", "::/0", "", "a b", "x\nhost.example"]
)
def test_nobody_takes_what_many_share(admin, value):
    answer = admin.send("POST", "service-hosts", {"values": ["api.borealis.example", value]})
    assert code(answer, 422) in ("not-ones-own", "bad-host")
    assert at(answer) == "/values/1"
    assert read(admin.get("service-hosts"))["hosts"] == []


def test_no_host_says_what_no_text_may_say(admin, aster):
    answer = admin.send("POST", "service-hosts", {"values": ["our-price-is-40-dollars-per-million-tokens.com"]})
    assert (code(answer, 422), at(answer)) == ("not-listed", "/values/0")
    assert read(aster.get("service-hosts"))["hosts"] == []


def test_the_page_shows_all_and_lets_an_admin_change_their_own(cast):
    client = Client()
    build.sign_in(client, build.a_user(cast.borealis))
    client.post("/organisation/hosts/", {"values": "api.borealis.example\n203.0.113.0/24"})
    assert "api.borealis.example" in client.get("/organisation/hosts/").content.decode()
    assert "Many share it" in client.post("/organisation/hosts/", {"values": "gmail.com"}).content.decode()
    reader = Client()
    build.sign_in(reader, build.a_user(cast.aster, role=Role.ANALYST))
    page = reader.get("/organisation/hosts/").content.decode()
    assert "api.borealis.example" in page
    assert "Make known" not in page
    assert reader.post("/organisation/hosts/", {"values": "api.aster.example"}).status_code in (200, 403)
    own = service_hosts.listed().filter(partner=cast.aster)
    assert not own.exists()
