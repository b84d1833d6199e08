"""Lists for devices: what each takes, in its own words, and nothing of a publisher's that could be more than a value."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from exchange.agent import allowing, cli, output, outputs
from exchange.lists import devices, formats, nets
from exchange.lists.devices import DEVICES
from exchange.lists.lines import Said

NETS = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/48")
HOSTS = ("pool.example", "xn--bcher-kva.example")


def says(value, subkind="net", *, publishers=("aster",), confidence=80):
    kind = "account-pattern"
    return Said(value, subkind, "", "", kind, publishers, publishers, confidence, None, ("indicator--x",))


def written(form, said):
    tally = formats.Tally()
    content = b"".join(formats.write(sorted(said, key=lambda one: one.value), form=form, tally=tally)).decode()
    return content, tally


ALL = [*map(says, NETS), *(says(host, "email_domain") for host in HOSTS), says("as64496"), says("ab" * 32, "email")]


def test_the_agent_and_the_exchange_know_the_same_formats():
    assert {one.value for one in cli.Form} == {*formats.FORMS, *formats.ALIASES}


@pytest.mark.parametrize("form", sorted(DEVICES))
def test_each_takes_networks_or_hosts_and_leaves_the_rest(form, tmp_path):
    content, tally = written(form, ALL)
    taken = HOSTS if form in ("edl-domain", "hosts", "nginx-map") else NETS
    assert tally.entries == len(taken)
    path = tmp_path / "list"
    path.write_text(content)
    assert {one.value for one in output.read(path, form=form)} == set(taken)  # as the agent reads it back
    assert "as64496" not in content


@pytest.mark.parametrize("form", sorted(DEVICES))
@pytest.mark.parametrize(
    "value",
    [
        "a.example;flush",
        'a.example"',
        "a.example}",
        "{a.example",
        "a.example#",
        "$a.example",
        "a..example",
        "1.2.3.4/33",
        "*.a.example",
    ],
)
def test_what_could_be_more_than_a_value_is_in_no_list(form, value):
    for subkind in ("net", "email_domain", "gateway_host", "domain-name:value"):
        content, tally = written(form, [says(value, subkind)])
        assert tally.entries == 0
        assert value not in content


@pytest.mark.parametrize("form", formats.FORMS)
@pytest.mark.parametrize(
    "value", ["fe80::1%eth0", "2001:db8::%1;include/etc/shadow;/64", "2001:db8::1%a}", "2001:db8::1%eth0/128"]
)
def test_an_address_with_a_zone_is_in_no_list(form, value):
    for subkind in ("net", "ipv6-addr:value", ""):
        content, tally = written(form, [says(value, subkind), says("2001:db8:1::/48")])
        assert (tally.refused, "%" in content) == (1, False)
    assert not list(outputs.entries([says(value)]))


@pytest.mark.parametrize("value", ["fe80::1%eth0", "fe80::1%eth0/128", "fe80::7%en0"])
def test_a_zone_counts_for_nothing_where_an_address_is_asked_about(value):
    assert nets.asked(value) == nets.asked(value.replace("%eth0", "").replace("%en0", ""))
    assert nets.read(value) is None
    allowed = allowing.Allowed()
    allowed.add("link", ["fe80::/10"])
    assert allowed.by("net", value) == "link"


def test_nftables_and_ipset_replace_their_sets_in_one_step():
    content, _ = written("nftables", ALL)
    lines = content.splitlines()
    assert lines[0] == "add table inet exchange"
    assert lines.index("flush set inet exchange exchange4") < lines.index(
        "add element inet exchange exchange4 { 192.0.2.0/24 }"
    )
    assert "add element inet exchange exchange6 { 2001:db8::/48 }" in lines
    lines = written("ipset", ALL)[0].splitlines()
    assert lines.index("add exchange4-new 192.0.2.0/24") < lines.index("swap exchange4 exchange4-new")
    assert lines[-1] == "destroy exchange6-new"
    empty = written("ipset", [])[0].splitlines()
    assert "flush exchange4-new" in empty
    assert "swap exchange4 exchange4-new" in empty  # an empty list empties the set


def test_envoy_reads_json_that_denies_these_and_nobody_where_there_is_none():
    said = json.loads(written("envoy", ALL)[0])
    principals = said["policies"]["exchange"]["principals"]
    assert principals[0] == {"remote_ip": {"address_prefix": "192.0.2.0", "prefix_len": 24}}
    assert (said["action"], len(principals)) == ("DENY", 3)
    assert json.loads(written("envoy", [])[0]) == {"action": "DENY", "policies": {}}


def test_of_too_many_a_firewall_gets_those_that_most_say_most_surely(monkeypatch):
    small = {**DEVICES, "edl-ip": devices.Device(DEVICES["edl-ip"].piece, DEVICES["edl-ip"].values, most=2)}
    monkeypatch.setattr(formats, "DEVICES", small)
    said = [
        says("192.0.2.1/32", confidence=90),
        says("192.0.2.2/32", publishers=("aster", "borealis"), confidence=10),
        says("192.0.2.3/32", confidence=20),
    ]
    content, tally = written("edl-ip", said)
    assert (content, tally.entries) == ("192.0.2.1/32\n192.0.2.2/32\n", 2)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_reads_them(tmp_path):
    for form in ("nginx-geo", "nginx-map"):
        (tmp_path / form).write_text(written(form, ALL)[0])
    (tmp_path / "nginx.conf").write_text(
        f"""pid {tmp_path}/pid; error_log stderr; events {{}}
        http {{ access_log off; geo $net {{ default 0; include {tmp_path}/nginx-geo; }}
        map $host $name {{ default 0; include {tmp_path}/nginx-map; }} }}"""
    )
    command = ["nginx", "-t", "-q", "-c", tmp_path / "nginx.conf", "-p", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_nft_reads_it(tmp_path):
    (tmp_path / "list.nft").write_text(written("nftables", ALL)[0])
    done = subprocess.run(["nft", "-c", "-f", tmp_path / "list.nft"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Operation not permitted" in done.stderr, done.stderr
