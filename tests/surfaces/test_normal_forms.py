"""One value is one value, in matches, search and lists, whoever says it, in whichever kind and spelling."""

from __future__ import annotations

import json
import unicodedata

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.strategies import examples
from tests.surfaces.test_lists import classical

pytestmark = pytest.mark.django_db


def ours(subkind: str, value: str):
    maker = making.payment_fingerprint if subkind == "crypto_addr" else making.account_pattern
    return lambda: maker(subkind, carrier={"value": value})


def said(pattern: str):
    return lambda: classical(pattern)


WALLET = "0xabcdefabcdef0123456789abcdefabcdef012345"
#: The normal form; who says it, in which way; what is typed into a search.
SAME = {
    "198.51.100.7/32": (
        [
            ours("net", "198.51.100.7/32"),
            said("[ipv4-addr:value = '198.51.100.7']"),
            said("[ipv4-addr:value = '198.51.100.7/32']"),
            said("[ipv6-addr:value = '::ffff:198.51.100.7']"),
            said("[ipv6-addr:value = '::FFFF:C633:6407/128']"),
            said("([ipv4-addr:value = '198.51.100.7'])"),
            said("[ipv4-addr:value LIKE '198.51.100.7']"),
        ],
        ["198.51.100.7", "::ffff:198.51.100.7", "\uff11\uff19\uff18.51.100.7/32", "http://198.51.100.7/"],
    ),
    "198.51.100.0/24": (
        [ours("net", "198.51.100.0/24"), said("[ipv4-addr:value IN ('198.51.100.9/24')]")],
        ["198.51.100.77/24"],
    ),
    "2001:db8:1:2::/64": (
        [
            ours("net", "2001:db8:1:2::/64"),
            said("[ipv6-addr:value = '2001:DB8:1:2::7']"),
            said("[ipv6-addr:value = '2001:db8:1:2::7/128']"),
            said("[(ipv6-addr:value = '2001:db8:1:2:0:0:0:1/64')]"),
        ],
        ["2001:db8:1:2::9", "2001:DB8:1:2::/64"],
    ),
    "as64496": (
        [ours("net", "as64496"), said("[autonomous-system:number = 64496]"), said("[autonomous-system:number = '64496']")],
        ["AS64496", "as64496", "64496"],
    ),
    "xn--bcher-kva.example": (
        [
            ours("gateway_host", "xn--bcher-kva.example"),
            ours("email_domain", "xn--bcher-kva.example"),
            said("[domain-name:value = 'B\u00dcCHER.example.']"),
            said("[domain-name:value = 'bu\u0308cher.example']"),
            said("[hostname:value = 'xn--bcher-kva.example']"),
            said("[domain-name:value LIKE 'b\u00fccher.example']"),
        ],
        ["b\u00fccher.example", "bu\u0308cher.example", "HTTP://B\u00dccher.example", "\uff42\u00fccher.example"],
    ),
    WALLET: (
        [ours("crypto_addr", WALLET), said(f"[cryptocurrency-wallet:value = 'ethereum:0X{WALLET[2:].upper()}']")],
        [WALLET.upper(), f"ethereum:{WALLET}"],
    ),
    "anna@relay.example": (
        [
            said("[email-addr:value = 'mailto:Anna@Relay.example']"),
            said("[email-addr:value = 'anna@relay.example']"),
        ],
        ["mailto:ANNA@relay.example", "\uff21nna@relay.example"],
    ),
    "http://relay.example/": (
        [said("[url:value = 'HTTP://Relay.Example']"), said("[url:value = 'http://relay.example:80/#top']")],
        ["HTTP://Relay.Example", "http://relay.example"],
    ),
}  # fmt: skip
NO_LIST_ENTRY = {"as64496"}


@settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_however_it_is_said_it_meets(data):
    value = data.draw(st.sampled_from(sorted(SAME)))
    ways, searches = SAME[value]
    one, other = data.draw(st.sampled_from(ways))(), data.draw(st.sampled_from(ways))()
    asked = data.draw(st.sampled_from([value, *searches]))
    with transaction.atomic():
        cast = build.the_cast()
        aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
        for caller, stix in ((aster, one), (borealis, other)):
            assert read(caller.push(stix))["counts"]["accepted"] == 1
        (match,) = read(aster.get("matches"))["matches"]
        assert {end["id"] for end in match["objects"]} == {one["id"], other["id"]}
        found = read(aster.ask("GET", f"objects?q={quoted(asked)}"))["objects"]
        assert {held["object"]["id"] for held in found} == {one["id"], other["id"]}
        listed = b"".join(aster.get("blocklists/all?format=jsonl").streaming_content).splitlines()
        if value in NO_LIST_ENTRY:
            assert listed == []
        else:
            subkinds = {
                stix["extensions"][extension]["subkind"]
                for stix in (one, other)
                if "extensions" in stix
                for extension in stix["extensions"]
            }
            assert [json.loads(line)["value"] for line in listed] == [value] * max(1, len(subkinds))
            assert {json.loads(line)["publishers"] for line in listed} == {2}
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("url", "value", "subkind"),
    [
        ("HTTPS://Relay.Example", "relay.example", "gateway_host"),
        ("http://198.51.100.7/", "198.51.100.7/32", "net"),
        ("http://[2001:db8::7]/", "2001:db8::/64", "net"),
    ],
)
def test_a_url_that_is_no_more_than_a_host_meets_the_host_and_is_listed_as_a_url_alone(url, value, subkind):
    cast = build.the_cast()
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    aster.push(classical(f"[url:value = '{url}']"))
    assert b"".join(aster.get("blocklists/all").streaming_content).startswith(b"http")
    borealis.push(ours(subkind, value)())
    assert len(read(aster.get("matches"))["matches"]) == 1
    assert len(b"".join(aster.get("blocklists/all").streaming_content).splitlines()) == 2


@pytest.mark.parametrize("form", ["NFD", "NFC", "NFKC", "NFKD"])
def test_a_title_is_found_in_whichever_unicode_form_it_is_typed(form):
    cast = build.the_cast()
    stix = classical("[domain-name:value = 'relay.example']") | {"name": "Re\u0301seau \uff32elay"}
    aster = Caller(cast.keys["aster"])
    aster.push(stix)
    asked = unicodedata.normalize(form, "R\u00e9seau relay")
    assert len(read(aster.get(f"objects?q={quoted(asked)}"))["objects"]) == 1


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
