"""The agent's file is the server's list, byte for byte, whatever was published."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.agent import output
from exchange.agent.store import Store
from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.indicators.stix import version1
from tests.strategies import examples

pytestmark = pytest.mark.django_db

SAYS = (
    *(f"[url:value = 'http://{name}.example/x\n0.0.0.0/0\n*.example.com']" for name in "ab"),
    "[domain-name:value = 'b.example\ngmail.com']",
    "[ipv4-addr:value = '# not an address']",
    "[domain-name:value = 'Relay.Example.']",
    "[hostname:value = 'relay.example' OR hostname:value = 'b\u00fccher.example']",
    "[ipv4-addr:value = '198.51.100.7']",
    "[ipv6-addr:value = '::ffff:198.51.100.7']",
    "[url:value = 'HTTP://Relay.Example']",
    "[email-addr:value = 'mailto:=cmd@relay.example']",
    "[app:id = 'relay.example']",
)
OURS = (
    making.account_pattern("gateway_host", carrier={"value": "relay.example"}),
    making.account_pattern("email_domain", carrier={"value": "relay.example"}),
    making.account_pattern("net", carrier={"value": "198.51.100.7/32"}),
)

#: Of the formats, those that hold everything, and one for networks and one for hosts.
TRIED = ("csv", "jsonl", "text", "hosts", "nftables")


def server(caller: Caller, form: str) -> bytes:
    return b"".join(caller.get(f"blocklists/all?format={form}").streaming_content)


def agent(caller: Caller, form: str, directory) -> bytes:
    """What the agent writes that follows the feed from the beginning."""
    store = Store(directory / "store.sqlite")
    stretch = json.loads(caller.get("changes?limit=5000").content)
    store.apply(stretch["changes"], cursor=stretch["cursor"])
    rendered = output.render(store.said(now=datetime.now(tz=UTC)), form=form)
    store.close()
    return rendered.content


def classical(pattern: str) -> dict:
    """An indicator as classical feeds write one."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-11-20T08:00:00.000Z",
        "modified": "2026-11-20T08:00:00.000Z",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-11-20T08:00:00Z",
        "indicator_types": ["malicious-activity"],
    }


@settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from(["aster", "borealis"]),
            st.sampled_from(["named", "pseudonym", "exchange"]),
            st.sampled_from([*SAYS, *range(len(OURS))]),
            st.sampled_from([None, 0, 50, 100]),
        ),
        max_size=14,
    )
)
def test_the_agents_file_is_the_servers_list(tmp_path_factory, said):
    from django.db import transaction

    with transaction.atomic():
        cast = build.the_cast()
        for who, attribution, what, confidence in said:
            stix = classical(what) if isinstance(what, str) else OURS[what] | {"id": build.an_indicator()["id"]}
            stix = {name: value for name, value in stix.items() if name != "confidence"}
            stix |= {} if confidence is None else {"confidence": confidence}
            if "extensions" in stix:
                ((extension_id, extension),) = stix["extensions"].items()
                stix["extensions"] = {extension_id: extension | {"attribution": attribution}}
            pushed = Caller(cast.keys[who]).push(stix, query=f"?attribution={attribution}")
            assert read(pushed)["counts"]["accepted"] == 1, pushed.content
        for reader in ("aster", "borealis", "cygnus"):
            caller = Caller(cast.keys[reader])
            for form in TRIED:
                theirs = agent(caller, form, tmp_path_factory.mktemp("agent"))
                assert theirs == server(caller, form), (reader, form)
                assert not any(word in theirs for word in (b"0.0.0.0/0", b"gmail.com", b"not an", b"=cmd"))
        transaction.set_rollback(True)


REFUSED = {
    "0.0.0.0/0": "too-broad",
    "8.0.0.0/15": "too-broad",
    "2a00::/31": "too-broad",
    "10.0.0.0/16": "benign-listed",
    "8.8.8.8/32": "benign-listed",
    "as16509": "benign-listed",
    "gmail.com": "benign-listed",
    "co.uk": "benign-listed",
    "api.openai.com": "benign-listed",
}


@pytest.mark.parametrize(("value", "code"), REFUSED.items())
def test_what_nobody_may_block_is_refused_in_our_kinds_and_gives_no_entry_from_classical_stix(value, code, tmp_path):
    cast = build.the_cast()
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    subkinds = ["net"] if value[:1].isdigit() or value.startswith("as") else ["email_domain", "gateway_host"]
    for subkind in subkinds:
        (answer,) = read(aster.push(making.account_pattern(subkind, carrier={"value": value})))["results"]
        assert (answer["status"], answer["code"]) == ("refused", code)
        assert answer["field"].endswith("/value")
        assert value not in answer["message"]
    path = {"n": "ipv6-addr:value" if ":" in value else "ipv4-addr:value", "e": "domain-name:value"}[subkinds[0][0]]
    said = f"'{value}'"
    if value.startswith("as"):
        path, said = "autonomous-system:number", value[2:]
    stix = classical(f"[{path} = {said}]")
    (answer,) = read(aster.push(stix))["results"]
    assert (answer["status"], answer["suppressed_by"]) == ("accepted", [code])
    (change,) = read(borealis.get("changes"))["changes"]
    assert (change["id"], change["entries"]) == (stix["id"], [])
    for form in TRIED:
        assert value.encode() not in server(borealis, form) + agent(borealis, form, tmp_path)
    assert len(read(borealis.get(f"objects?q={value}"))["objects"]) == 1, "it is found all the same"


def test_what_its_publisher_calls_benign_gives_no_entry():
    cast = build.the_cast()
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    both = (
        classical("[domain-name:value = 'relay.example']") | {"indicator_types": ["malicious-activity", "benign"]},
        version1.account_pattern("net") | {"indicator_types": ["benign"]},
        version1.account_pattern(indicator_types=["benign"]),
    )
    results = read(aster.push(*both))["results"]
    assert [answer["suppressed_by"] for answer in results] == [["benign-type"]] * 3
    assert [change["entries"] for change in read(borealis.get("changes"))["changes"]] == [[]] * 3
    assert server(borealis, "text") == b""


def test_an_as_number_is_taken_and_matched_and_gives_no_entry():
    cast = build.the_cast()
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    (answer,) = read(aster.push(making.account_pattern("net", carrier={"value": "as64496"})))["results"]
    assert answer["status"] == "accepted"
    assert "suppressed_by" not in answer
    (change,) = read(borealis.get("changes"))["changes"]
    assert change["entries"] == []
    assert server(borealis, "text") == b""


def test_an_ipv6_network_of_ours_is_no_narrower_than_an_address_is_written():
    aster = Caller(build.the_cast().keys["aster"])
    (answer,) = read(aster.push(making.account_pattern("net", carrier={"value": "2001:db8::/96"})))["results"]
    assert (answer["status"], answer["code"]) == ("refused", "vocabulary")
