"""Two partners who mean the same value write the same text before they compare or tokenise it."""

import ipaddress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.tokens import normalising
from tests.strategies import examples

SAME = {
    "email_exact": [
        ("  Anna.Example+Tag@Example.ORG ", "anna.example+tag@example.org"),
        ("ANNA@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ("\uff41nna@example.org", "anna@example.org"),  # full width
        ("anna@example.org.", "anna@example.org"),
        ("mailto:anna@example.org", "anna@example.org"),
        ("Anna@GoogleMail.com", "anna@gmail.com"),
        ("bu\u0308cher@example.org", "b\u00fccher@example.org"),
    ],
    "email_folded": [
        ("Anna.Example+tag@example.org", "anna.example@example.org"),
        ("a.n.n.a+x+y@GoogleMail.com", "anna@gmail.com"),
        ("+tag@example.org", "+tag@example.org"),
    ],
    "phone": [
        ("+49 (0) 30 / 1234-567", "+49301234567"),
        ("0049301234567", "+49301234567"),
        ("+1 (212) 555 0100", "+12125550100"),
        ("\uff0b1\u00a0212\u2013555\u20130100", "+12125550100"),
    ],
    "address_net": [
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:DB8:0:0:1::7", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::7/128", "2001:db8::/64"),
    ],
    "network": [
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:DB8::1/48", "2001:db8::/48"),
        ("AS64496", "as64496"),
        ("2001:DB8:1:2::3/128", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("\uff11\uff19\uff12.0.2.7", "192.0.2.7/32"),  # full width
    ],
    "ip_network": [
        ("192.0.2.1/32", "192.0.2.1/32"),
        ("192.0.2.9/24", "192.0.2.0/24"),
        ("2001:DB8::0:1", "2001:db8::/64"),
    ],
    "as_number": [("64496", "as64496"), ("AS64496", "as64496")],
    "url": [
        ("HTTP://Host.Example", "http://host.example/"),
        ("https://host.example:443/A?b=C#d", "https://host.example/A?b=C"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://b\u00fccher.example/\u0075\u0308", "http://xn--bcher-kva.example/\u00fc"),
    ],
    "app_id": [(" com.Example.app ", "com.Example.app")],
    "sha256": [("AB" * 32, "ab" * 32)],
    "host": [
        ("API.Example.ORG.", "api.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("_dmarc.example.org", "_dmarc.example.org"),
    ],
    "pan": [("4111 1111-1111 1111", "4111111111111111")],
    "par": [("v0010013021233195110450032800", "V0010013021233195110450032800")],
    "iban": [("gb82 west 1234 5698 7654 32", "GB82WEST12345698765432")],
    "bin_range": [("411111", "411111"), (" 411111 - 411119 ", "411111-411119"), ("411111-411111", "411111")],
    "crypto_addr": [
        ("0xABCDEFabcdef0123456789ABCDEFabcdef012345", "0xabcdefabcdef0123456789abcdefabcdef012345"),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
        ("bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ],
}

NOT = {
    "email_exact": ["", "anna", "@example.org", "a b@example.org", "a@b@example.org", "anna@localhost", "a" * 65 + "@b.example"],
    "email_folded": ["anna"],
    "phone": ["+5315/02", "+530-01515/02", "030 1234567", "+0301234567", "+49", "+4930123456789012345", "+49x"],
    "address_net": ["192.0.2.300", "192.0.2.1/24", "example.org"],
    "network": ["as0", "as4294967296", "192.0.2.0/33", "host"],
    "ip_network": ["example.org", "999.1.1.1", "as64496", "fe80::1%eth0", "192.0.2.1\n0.0.0.0/0"],
    "as_number": ["", "0", "4294967296", "as", "x"],
    "url": ["", "host.example/x", "http://", "http://a b.example/", "http://a.example/\nx", "http://a.example/\u2028x", "http://a.example:x/"],
    "app_id": ["", "a b", "com.example\napp"],
    "sha256": ["ab", "xy" * 32],
    "host": ["", "localhost", "a..b", "-a.example", "a" * 64 + ".example", "x.example/path", "x.example:80", "192.0.2.1", "a b.example", "." * 5],
    "pan": ["4111111111111112", "411111111111", "4111x11111111111"],
    "par": ["V001", "V00100130212331951104500328-0"],
    "iban": ["GB82WEST12345698765433", "XX", "GB82"],
    "bin_range": ["41111", "411111111", "411119-411111", "411111-41111200", "4111x1"],
    "crypto_addr": ["", "a b", "anna@example.org"],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "written"), [(rule, *pair) for rule, pairs in SAME.items() for pair in pairs])
def test_one_value_has_one_spelling(rule, text, written):
    normalise = getattr(normalising, rule)
    assert normalise(text) == written
    assert normalise(written) == written


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in NOT.items() for text in texts])
def test_what_is_not_of_its_kind_is_refused_without_being_repeated(rule, text):
    with pytest.raises(ValueError) as told:
        getattr(normalising, rule)(text)
    if rule not in {"address_net", "network", "ip_network", "url"}:  # those messages are Python's, and are never shown
        assert not text or text not in str(told.value)


@pytest.mark.parametrize("rule", SAME)
@settings(max_examples=examples(60))
@given(text=st.data())
def test_normalising_twice_is_normalising_once(rule, text):
    normalise = getattr(normalising, rule)
    likely = {
        "phone": st.from_regex(r"\+?[0-9 ()./\u2013-]{5,20}"),
        "address_net": st.ip_addresses().map(str),
        "network": st.ip_addresses().map(str) | st.from_regex(r"(?i)as[0-9]{1,10}", fullmatch=True),
        "ip_network": st.ip_addresses().map(str),
        "as_number": st.from_regex(r"(?i)(as)?[0-9]{1,10}", fullmatch=True),
        "url": st.from_regex(
            r"(?i)https?://[a-z]{1,5}[.][a-z]{2,5}(:[0-9]{1,5})?(/[\w%;()]{0,9}){0,3}([?#]\w{0,5}){0,2}", fullmatch=True
        ),
        "host": st.from_regex(r"\w{1,9}[.。]\w{1,9}[.]?", fullmatch=True),
        "bin_range": st.from_regex(r"[0-9]{6,8}(-[0-9]{6,8})?", fullmatch=True),
        "crypto_addr": st.from_regex(r"(0x|bc1|BC1)[0-9a-zA-Z]{5,60}", fullmatch=True),
        "email_exact": st.from_regex(r"[\w.+]{1,9}@\w{1,9}\.\w{2,9}", fullmatch=True),
        "email_folded": st.from_regex(r"[\w.+]{1,9}@(gmail\.com|\w{1,9}\.\w{2,9})", fullmatch=True),
        "par": st.from_regex(r"[0-9a-zA-Z]{29}", fullmatch=True),
    }
    given_text = text.draw(likely.get(rule, st.nothing()) | st.text(max_size=40))
    try:
        once = normalise(given_text)
    except ValueError:
        return
    assert normalise(once) == once


@given(st.ip_addresses())
def test_an_address_lies_in_the_network_that_stands_for_it(address):
    net = ipaddress.ip_network(normalising.address_net(str(address)))
    if address.version == 4:
        assert (net.prefixlen, net.network_address) == (32, address)
    elif address.ipv4_mapped is None:
        assert net.prefixlen == 64
        assert address in net


@given(st.from_regex(r"[0-9]{12,18}", fullmatch=True))
@example("411111111111111")
def test_exactly_one_check_digit_passes(digits):
    assert sum(normalising.passes_luhn(digits + str(last)) for last in range(10)) == 1
