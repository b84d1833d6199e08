"""What a member names as its own leaves its own lists at once, and everybody's once it is proven."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from datetime import timedelta

import dns.message
import dns.rcode
import dns.rrset
import pytest
import time_machine
from django.test import Client

from exchange import clock, outbound
from indicators.benign import proofs, service_hosts, suppressing
from indicators.log import changes
from indicators.models import ServiceHost, Unlisted
from indicators.sight import resighting
from indicators.stix import making
from partners.models import Partner
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.surfaces.test_lists import agent, classical, server

pytestmark = pytest.mark.django_db
OWN = ["api.borealis.example", "203.0.113.0/24"]


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(build.a_key(cast.aster, *Scope))


@pytest.fixture
def borealis(cast):
    return Caller(build.a_key(cast.borealis, *Scope))


@pytest.fixture
def operator(cast):
    return Caller(build.a_key(Partner.objects.get(kind=Partner.Kind.OPERATOR), Scope.ADMIN, Scope.READ))


class _Answering(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        name = asked.question[0].name.to_text().rstrip(".")
        texts = self.server.shown.get(name)
        if texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(
                dns.rrset.from_text(asked.question[0].name, 60, "IN", "TXT", *(f'"{text}"' for text in texts))
            )
        self.server.asked.append(name)
        sock.sendto(answer.to_wire(), self.client_address)


@contextmanager
def name_server():
    """A real one on loopback; what it shows by name, and which names it was asked."""
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Answering) as serving:
        serving.shown, serving.asked = {}, []
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def names(settings):
    with name_server() as serving:
        settings.OUTBOUND_RESOLVERS = [f"127.0.0.1:{serving.server_address[1]}"]
        yield serving


def said():
    return [
        making.account_pattern("gateway_host", carrier={"value": "eu.api.borealis.example"}),
        making.account_pattern("net", carrier={"value": "203.0.113.7/32"}),
        classical("[domain-name:value = 'api.borealis.example']"),
        classical("[url:value = 'https://api.borealis.example/v1/chat']"),
    ]


def name_all(caller) -> list[dict]:
    hosts = read(caller.send("POST", "service-hosts", {"values": OWN}), 201)["hosts"]
    suppressing.apply_pending()
    resighting.tell_all()
    return hosts


def listed(caller) -> int:
    return len(server(caller, "text").splitlines())


def test_what_is_named_leaves_the_lists_of_its_member_alone(aster, borealis, tmp_path):
    read(aster.push(*said()))
    places = {caller: read(caller.get("changes"))["cursor"] for caller in (aster, borealis)}
    name_all(borealis)
    assert (listed(borealis), listed(aster)) == (0, 4)
    told = read(borealis.get(f"changes?cursor={places[borealis]}"))["changes"]
    assert [(one["op"], one["entries"]) for one in told] == [("upsert", [])] * 4
    assert read(aster.get(f"changes?cursor={places[aster]}")) == {
        "changes": [], "cursor": places[aster], "more": False
    }, "others are told nothing"  # fmt: skip
    assert agent(borealis, "csv", tmp_path) == server(borealis, "csv")
    assert suppressing.apply_pending() == 0


def test_what_is_pushed_afterwards_is_in_others_lists_only(aster, borealis):
    service_hosts.forget()
    name_all(borealis)
    service_hosts.forget()
    answers = read(aster.push(*said()))["results"]
    assert [one["status"] for one in answers] == ["accepted"] * 4, "nobody's word keeps others' objects out"
    assert (listed(borealis), listed(aster)) == (0, 4)
    told = read(borealis.get("changes"))["changes"]
    assert [one["entries"] for one in told] == [[]] * 4


def test_the_record_in_its_dns_proves_a_host_for_everybody(aster, borealis, names):
    read(aster.push(*said()))
    host, network = sorted(name_all(borealis), key=lambda one: one["value"], reverse=True)
    assert (host["proven"], network["challenge"]) == (False, None)
    proofs.catch_up()
    assert names.asked == ["_exchange-challenge.api.borealis.example"]
    assert (host["challenge"]["name"], listed(aster)) == (names.asked[0], 4)
    names.shown[host["challenge"]["name"]] = ["something else", host["challenge"]["value"]]
    proofs.catch_up()
    assert len(names.asked) == 1, "it is left alone for a minute"
    with time_machine.travel(clock.now() + timedelta(minutes=2), tick=True):
        proofs.catch_up()
        suppressing.apply_pending()
        resighting.tell_all()
        assert listed(aster) == 1, "the range is not proven"
        shown = {one["value"]: one for one in read(borealis.get("service-hosts"))["hosts"]}
        assert (shown[OWN[0]]["proven"], shown[OWN[0]]["proven_by"], shown[OWN[1]]["proven"]) == (True, "dns", False)
        (below,) = read(borealis.send("POST", "service-hosts", {"values": ["eu.api.borealis.example"]}), 201)["hosts"]
        assert below["proven"]


def test_a_record_is_asked_for_when_its_member_says_so_and_by_itself_ever_less_often(borealis, names):
    (host,) = read(borealis.send("POST", "service-hosts", {"values": OWN[:1]}), 201)["hosts"]
    began = clock.now()
    for minutes in range(0, 60 * 20, 20):
        with time_machine.travel(began + timedelta(minutes=minutes, seconds=1), tick=True):
            proofs.catch_up()
    assert 8 <= len(names.asked) <= 20
    with time_machine.travel(began + timedelta(hours=20, minutes=1), tick=True):
        before = len(names.asked)
        assert read(borealis.send("POST", f"service-hosts/{host['id']}/check", {}))["proven"] is False
        proofs.catch_up()
        borealis.send("POST", f"service-hosts/{host['id']}/check", {})
        proofs.catch_up()
        assert len(names.asked) == before + 1, "not twice at once"


def test_name_servers_that_do_not_answer_prove_nothing(borealis, settings, monkeypatch):
    settings.OUTBOUND_RESOLVERS = ["127.0.0.1:9"]
    monkeypatch.setattr(proofs, "_ANSWER_S", 0.2)
    read(borealis.send("POST", "service-hosts", {"values": OWN[:1]}), 201)
    proofs.catch_up()
    assert ServiceHost.objects.get().proven_at is None
    with pytest.raises(outbound.Failed):
        outbound.txt("api.borealis.example", timeout_s=0.2)


@pytest.fixture
def cygnus(cast):
    return Caller(build.a_key(cast.cygnus, *Scope))


def test_two_other_partners_confirm_a_range_and_the_operator_a_host(aster, borealis, cygnus, operator):
    read(aster.push(*said()))
    host, network = sorted(name_all(borealis), key=lambda one: one["value"], reverse=True)
    assert code(borealis.send("POST", f"service-hosts/{network['id']}/confirm", {}), 422) == "own-host"
    assert code(aster.send("POST", f"service-hosts/{host['id']}/confirm", {}), 422) == "not-a-range"
    assert code(borealis.send("POST", f"service-hosts/{network['id']}/check", {}), 422) == "not-a-host"
    assert code(aster.send("POST", f"service-hosts/{host['id']}/check", {}), 404) == "not-found"
    for _ in range(2):
        assert read(aster.send("POST", f"service-hosts/{network['id']}/confirm", {}))["proven"] is False, "one's word"
    suppressing.apply_pending()
    assert listed(aster) == 4
    assert (
        next(one for one in read(borealis.get("service-hosts"))["hosts"] if one["id"] == network["id"])["confirmed_by"]
        == "aster"
    )
    assert read(cygnus.send("POST", f"service-hosts/{network['id']}/confirm", {}))["proven"]
    suppressing.apply_pending()
    assert listed(aster) == 3
    assert read(operator.send("POST", f"service-hosts/{host['id']}/confirm", {}))["proven"]
    suppressing.apply_pending()
    assert listed(aster) == 0
    resighting.tell_all()
    assert not Unlisted.objects.exists()
    assert {one["value"]: one["proven_by"] for one in read(borealis.get("service-hosts"))["hosts"]} == {
        OWN[0]: "operator",
        OWN[1]: "aster, cygnus",
    }
    hidden = {"proven_by", "confirmed_by", "challenge"}
    assert not any(hidden & set(one) for one in read(aster.get("service-hosts"))["hosts"])


def test_the_operator_alone_confirms_a_broad_range_and_ends_what_anybody_named(aster, borealis, cygnus, operator):
    for value, code_of in (
        ("203.0.0.0/19", "range-too-broad"),
        ("203.0.112.0/20", ""),
        ("2a00:1400::/39", "range-too-broad"),
    ):
        (host,) = read(borealis.send("POST", "service-hosts", {"values": [value]}), 201)["hosts"]
        at = f"service-hosts/{host['id']}"
        if code_of:
            assert code(aster.send("POST", f"{at}/confirm", {}), 422) == code_of
            assert read(operator.send("POST", f"{at}/confirm", {}))["proven"]
        else:
            assert [read(caller.send("POST", f"{at}/confirm", {}))["proven"] for caller in (aster, cygnus)] == [
                False,
                True,
            ]
        assert aster.ask("DELETE", at).status_code == 404
        assert operator.ask("DELETE", at).status_code == 204
    assert read(aster.get("service-hosts"))["hosts"] == []


def test_what_is_named_no_more_returns_to_the_lists_of_its_member(aster, borealis):
    read(aster.push(*said()))
    for host in name_all(borealis):
        assert borealis.ask("DELETE", f"service-hosts/{host['id']}").status_code == 204
    suppressing.apply_pending()
    resighting.tell_all()
    assert (listed(borealis), listed(aster)) == (4, 4)


def test_the_page_shows_the_record_asks_for_it_and_lets_others_confirm(cast, names):
    owner, other = Client(), Client()
    build.sign_in(owner, build.a_user(cast.borealis))
    build.sign_in(other, build.a_user(cast.aster))
    owner.post("/organisation/hosts/", {"values": "\n".join(OWN)})
    host, network = (ServiceHost.objects.get(value=value) for value in OWN)
    page = owner.get("/organisation/hosts/").content.decode()
    assert "_exchange-challenge.api.borealis.example" in page
    assert host.challenge in page
    names.shown[proofs.record_of(host.value)] = [host.challenge]
    assert owner.post(f"/organisation/hosts/{host.pk}/check").status_code == 302
    proofs.catch_up()
    assert "Proven" in owner.get("/organisation/hosts/").content.decode()
    page = other.get("/organisation/hosts/").content.decode()
    assert host.challenge not in page
    assert f"/organisation/hosts/{network.pk}/confirm" in page
    assert f"/organisation/hosts/{host.pk}/confirm" not in page
    assert other.post(f"/organisation/hosts/{network.pk}/confirm").status_code == 302
    network.refresh_from_db()
    assert (network.proven_at, network.confirmed_by.slug) == (None, "aster")
    page = other.get("/organisation/hosts/").content.decode()
    assert f"/organisation/hosts/{network.pk}/confirm" not in page
    assert "confirmed by you" in page
    assert Partner.objects.get(slug="aster").pk == cast.aster.pk
    assert changes.head() == 0, "nothing was stored that is concerned"
