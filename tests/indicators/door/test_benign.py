"""What nobody may block, and what is too broad: refused in our kinds, and in no list otherwise."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.door import benign, snapshot
from indicators.door.benign import Known

NOBODYS = Known()
DEMO = Known(examples=True)
MEMBERS = Known.of(["api.aster.example", "5.5.0.0/20", "2a00:5::/48"], examples=True)


@pytest.mark.parametrize("length", range(16))
def test_from_nothing_to_fifteen_bits_is_too_broad(length):
    assert benign.judge("net", f"0.0.0.0/{length}", DEMO) == "too-broad"
    assert benign.judge("net", f"::/{length}", DEMO) == "too-broad"


@pytest.mark.parametrize(
    "value",
    [
        *("10.1.2.3/32", "100.64.9.0/24", "127.0.0.1/32", "169.254.169.254/32", "172.16.0.0/16", "192.168.7.0/24"),
        *("192.0.0.0/16", "192.175.48.0/20", "2620:4f::/32"),  # special ranges lie in them
        *("0.0.0.0/32", "192.0.0.8/32", "192.31.196.1/32", "192.52.193.1/32", "192.88.99.1/32", "192.175.48.1/32"),
        *("224.0.0.1/32", "240.0.0.1/32", "255.255.255.255/32"),
        *("::/64", "::1:0:0:0:0/64", "64:ff9b::/64", "64:ff9b:1::/64", "100::/64", "2001::/64", "2001:10::/64"),
        *("2001:20::/64", "2002:a00::/64", "2620:4f:8000::/64", "5f00::/64", "fc00::/64", "fd12:3::/48", "fe80::/64"),
        *("fec0::/64", "ff02::/64", "4000::/64", "8000::/48"),
        *(
            "8.8.8.8/32",
            "8.8.0.0/16",
            "1.1.1.1/32",
            "1.1.1.0/24",
            "9.9.9.9/32",
            "2606:4700:4700::/64",
            "2001:4860::/32",
        ),
        *("as0", "as15169", "as13335", "as16509", "as8075", "as14618", "as19281", "as64512", "as4200000000", "as23456"),
    ],
)
def test_special_networks_resolvers_and_clouds_are_benign(value):
    assert benign.judge("net", value, DEMO) == "benign-listed"


@pytest.mark.parametrize(
    "value",
    ["198.51.100.7/32", "192.0.2.0/24", "203.0.113.9/32", "198.18.7.0/24", "2001:db8:1:2::/64", "3fff::/64", "as64496"],
)
def test_what_is_for_documentation_may_be_said_in_a_demo_only(value):
    assert benign.judge("net", value, DEMO) == ""
    assert benign.judge("net", value, NOBODYS) == "benign-listed"


@given(st.ip_addresses(), st.integers(0, 48))
def test_what_python_knows_to_be_special_is_benign(address, wider):
    bits = address.max_prefixlen - wider if address.version == 4 else 64 - wider
    net = ipaddress.ip_network((address, max(bits, 0)), strict=False)
    verdict = benign.judge("net", str(net), NOBODYS)
    if net.prefixlen < (16 if net.version == 4 else 32):
        assert verdict == "too-broad"
    elif net.is_private or net.is_multicast or net.is_reserved or net.is_loopback or net.is_link_local:
        assert verdict == "benign-listed"


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        *((name, "benign-listed") for name in ("gmail.com", "qq.com", "proton.me", "co.uk", "github.io", "foo.ck")),
        *(
            (name, "benign-listed")
            for name in ("api.openai.com", "claude.ai", "eu.api.anthropic.com", "dns.google", "x.local")
        ),
        *(
            (name, "")
            for name in (
                "evil-relay.com",
                "mailinator.com",
                "me.github.io",
                "notgmail.com",
                "gmail.com.evil.net",
                "www.ck",
            )
        ),
        *((name, "") for name in ("relay.example", "relay.example.com")),
    ],
)
@pytest.mark.parametrize("domain", ["email_domain", "gateway_host", "domain-name:value", "hostname:value"])
def test_freemail_suffixes_and_services_of_everybody_are_benign(domain, value, verdict):
    assert benign.judge(domain, value, DEMO) == verdict


def test_in_production_a_name_for_documentation_is_benign_too():
    assert benign.judge("gateway_host", "relay.example", NOBODYS) == "benign-listed"


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        ("gateway_host", "api.aster.example"),
        ("email_domain", "eu.api.aster.example"),
        ("net", "5.5.7.7/32"),
        ("net", "5.5.0.0/16"),
        ("net", "2a00:5:0:1::/64"),
        ("url:value", "https://api.aster.example/v1/chat"),
        ("url:value", "http://5.5.1.1/x"),
        ("email-addr:value", "ops@api.aster.example"),
    ],
)
def test_what_a_member_makes_known_as_its_own_is_benign_with_all_below_it(domain, value):
    assert benign.judge(domain, value, MEMBERS) == "benign-listed"
    assert benign.judge(domain, value, DEMO) == ""


@pytest.mark.parametrize("value", ["aster.example", "api2.aster.example", "notapi.aster.example"])
def test_and_nothing_beside_or_above_it(value):
    assert benign.judge("gateway_host", value, MEMBERS) == ""


@pytest.mark.parametrize(
    ("domain", "value", "verdict"),
    [
        *(
            ("net", value, "benign-listed") for value in ("104.16.1.1/32", "104.16.0.0/16", "17.5.0.0/24")
        ),  # of a network that many share
        ("net", "13.128.0.0/16", "benign-listed"),  # a cloud's range as it is listed
        ("net", "100.20.0.0/17", "benign-listed"),  # a wide part of one
        ("net", "100.20.0.7/32", ""),  # rented there by somebody
        ("net", "100.20.1.0/24", ""),
        ("net", "5.188.10.7/32", ""),
        *((domain, "google.com", "benign-listed") for domain in ("gateway_host", "email_domain", "domain-name:value")),
        ("gateway_host", "somebodys.vercel.app", ""),
        ("gateway_host", "bit.ly", "benign-listed"),
        ("email_domain", "mit.edu", "benign-listed"),
        ("url:value", "https://google.com/", "benign-listed"),
        ("url:value", "https://sites.google.com/view/relay", ""),
        ("file:hashes.md5", "d41d8cd98f00b204e9800998ecf8427e", "benign-listed"),
        ("file:hashes.md5", "00000000000000000000000000000001", ""),
        ("crypto_addr", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "benign-listed"),
        ("cryptocurrency-wallet:value", "0x" + "0" * 40, "benign-listed"),
        ("crypto_addr", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", ""),
        ("crypto_addr", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", ""),
        ("bin_range", "411111-411119", ""),
        ("email", "ab" * 32, ""),
    ],
)
def test_what_the_bundled_lists_say(domain, value, verdict):
    assert benign.judge(domain, value, DEMO) == verdict


def test_in_production_card_ranges_for_tests_and_wallets_of_documentation_are_benign():
    assert benign.judge("bin_range", "411111-411119", NOBODYS) == "benign-listed"
    assert benign.judge("bin_range", "41111100", NOBODYS) == "benign-listed"
    assert benign.judge("bin_range", "455673", NOBODYS) == ""
    assert benign.judge("crypto_addr", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", NOBODYS) == "benign-listed"


def test_the_list_is_named():
    assert benign.listed_in("gateway_host", "bit.ly", DEMO) in {"cisco_top10k", "tranco10k", "url-shortener"}
    assert benign.listed_in("net", "104.16.1.1/32", DEMO)


def test_a_snapshot_is_made_of_warninglists_and_takes_the_place_of_the_bundled_one(tmp_path):
    def list_of(name):
        return {
            "cloudflare": ["203.0.113.0/24", "no network"],
            "tranco10k": ["Top.Example", "throwaway.example"],
            "google": [".below.example", "only.example"],
            "empty-hashes": ["D41D8CD98F00B204E9800998ECF8427E", "3::"],
            "disposable-email": ["throwaway.example"],
        }.get(name, [])

    path = tmp_path / "lists.json.gz"
    path.write_bytes(snapshot.built(list_of))
    own = Known.of([], examples=True, lists=snapshot.Lists.at(path))
    said = {
        "top.example": "benign-listed",
        "x.top.example": "",
        "throwaway.example": "",
        "x.below.example": "benign-listed",
        "only.example": "benign-listed",
        "x.only.example": "",
        "google.com": "",
    }
    assert {value: benign.judge("gateway_host", value, own) for value in said} == said
    assert benign.judge("net", "203.0.113.7/32", own) == ""  # for documentation, in a demo
    assert benign.judge("file:hashes.md5", "d41d8cd98f00b204e9800998ecf8427e", own) == "benign-listed"


def test_a_page_at_a_provider_of_many_may_be_listed_and_its_front_not():
    assert benign.judge("url:value", "https://github.io/", DEMO) == "benign-listed"
    assert benign.judge("url:value", "https://gmail.com/x", DEMO) == ""
    assert benign.judge("url:value", "https://api.openai.com/v1", DEMO) == "benign-listed"
    assert benign.judge("url:value", "http://[::1]/x", DEMO) == "benign-listed"


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("api.aster.example", True),
        ("5.5.0.0/16", True),
        *((value, False) for value in ("com", "co.uk", "gmail.com", "0.0.0.0/0", "5.0.0.0/8", "10.0.0.0/16", "::/0")),
    ],
)
def test_nobody_makes_known_as_their_own_what_many_share(value, taken):
    assert benign.is_declarable(value) is taken


def test_the_bundled_suffixes_pass_the_lists_own_test():
    path = Path(__file__).parents[4] / "shared/data/infra/test_psl.txt"
    if not path.exists():
        pytest.skip("the shared data is not beside the repository")
    import re

    for given_name, registered in re.findall(r"checkPublicSuffix\('([^']+)', (?:'([^']+)'|null)\)", path.read_text()):
        if given_name.isascii() and not given_name.startswith(".") and registered == "" and "." in given_name:
            if given_name.endswith(".local"):  # no public registry has it
                continue
            name = given_name.lower()
            listed = benign._is_public_suffix(name)
            assert listed or name.count(".") == 1, name
        if registered and registered.isascii():
            assert not benign._is_public_suffix(registered.lower())
