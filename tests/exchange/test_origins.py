"""Whence a request came: what is believed, and from whom."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from urllib.parse import quote

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from exchange import origins
from exchange.origins import Origin

DER = b"a certificate, as far as its digest is concerned"
PEM = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(DER).decode()}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def proxied(settings):
    settings.MTLS_PROXIES = ["10.0.0.0/8", "fd00::/8"]
    settings.MTLS_SUBJECT_HEADER = "X-Client-Subject"
    settings.MTLS_CERTIFICATE_HEADER = "X-Client-Certificate"


def origin(address: str, **headers: str) -> Origin:
    return origins.origin_of(RequestFactory().get("/", headers=headers, REMOTE_ADDR=address))


SHOWN = {"X-Client-Subject": "CN=a,O=Aster", "X-Client-Certificate": quote(PEM)}


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3"])
def test_a_certificate_is_believed_from_the_proxies(proxied, address):
    found = origin(address, **SHOWN)
    assert (found.subject, found.fingerprint) == ("CN=a,O=Aster", hashlib.sha256(DER).hexdigest())


@pytest.mark.parametrize("address", ["192.0.2.1", "fe80::1", "127.0.0.1", "", "unix:"])
def test_a_certificate_is_believed_from_nobody_else(proxied, address):
    found = origin(address, **SHOWN)
    assert (found.subject, found.fingerprint) == ("", "")


def test_without_proxies_no_certificate_is_believed(settings):
    settings.MTLS_SUBJECT_HEADER = "X-Client-Subject"
    assert origin("10.1.2.3", **SHOWN).subject == ""


def test_who_stands_behind_a_proxy_is_not_taken_for_it(proxied, settings):
    settings.PROXY_COUNT = 1
    found = origin("192.0.2.1", **SHOWN, **{"X-Forwarded-For": "10.0.0.1"})
    assert found == Origin(ipaddress.ip_address("10.0.0.1"))


@pytest.mark.parametrize(
    ("value", "fingerprint"),
    [
        ("AB" * 32, "ab" * 32),
        (":".join(["ab"] * 32), "ab" * 32),
        (PEM.replace("\n", " "), hashlib.sha256(DER).hexdigest()),
        ("ab" * 20, ""),  # SHA-1
        ("-----BEGIN CERTIFICATE-----!-----END CERTIFICATE-----", ""),
        ("", ""),
    ],
)
def test_a_fingerprint_comes_as_such_or_with_the_certificate(proxied, value, fingerprint):
    assert origin("10.1.2.3", **{"X-Client-Certificate": value}).fingerprint == fingerprint


@given(st.ip_addresses(), st.integers(0, 32), st.integers(0, 128))
def test_a_network_holds_its_address(address, bits4, bits6):
    network = ipaddress.ip_network(Origin(address).network(bits4=bits4, bits6=bits6))
    assert address in network
    assert network.prefixlen == (bits4 if address.version == 4 else bits6)


def test_no_address_is_an_unknown_network():
    assert Origin().network(bits4=24, bits6=48) == "unknown"
    assert origins.parsed("not an address") is None
