"""Values in what people wrote are not to be followed: titles are shown with them defanged."""

from __future__ import annotations

import pytest

from exchange.tokens.defanging import defanged_text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Relay kit", "Relay kit"),
        ("relay.example", "relay[.]example"),
        ("Proxies at relay.example.", "Proxies at relay[.]example."),
        ("From 203.0.113.7:8080, or 203.0.113.64/26", "From 203.0.113[.]7:8080, or 203.0.113[.]64/26"),
        ("(see https://relay.example/v1?x=1)", "(see hxxps://relay[.]example/v1?x=1)"),
        ("relay.example/login and ops@relay.example", "relay[.]example/login and ops@relay[.]example"),
        ("[domain-name:value = 'relay.example']", "[domain-name:value = 'relay[.]example']"),
        ("2001:db8:41:7::/64 in use", "2001[:]db8:41:7::/64 in use"),
        ("Already 203.0.113[.]7", "Already 203.0.113[.]7"),
        ("Version 2.1 of 5, e.g. this ...", "Version 2.1 of 5, e.g. this ..."),
        ("account-pattern: email_domain", "account-pattern: email_domain"),
        ("." * 200, "." * 200),
    ],
)
def test_each_value_of_a_text_is_defanged_and_nothing_else(written, shown):
    assert defanged_text(written) == shown
