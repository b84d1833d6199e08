"""Somebody who read only the schemas of closed facts tries to say a price, a name or a plan through what they admit.

Each attempt is refused, or goes through a channel that the security model names.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from exchange.stix import words
from exchange.stix.patterns import pattern_of
from indicators.door import gates, plain
from indicators.stix import making, parsing, vocabulary
from tests.indicators.door.test_closed import CLOSED, EXAMPLES, NOW, a_marking, an_id, changed
from tests.indicators.stix import version1

EXTENSION = words.EXTENSION_ID
MAKERS = {
    "account-pattern": making.account_pattern,
    "payment-fingerprint": making.payment_fingerprint,
    "prompt-signature": making.prompt_signature,
}


def saying(subkind, envelope=None, **extension):
    """An indicator with this in its extension, and the pattern that follows."""
    made = MAKERS[words.KIND_OF[subkind]](subkind, at=NOW)
    made["extensions"][EXTENSION] |= extension
    made["pattern"], made["pattern_type"] = pattern_of(made["extensions"][EXTENSION])
    return made | (envelope or {})


def of(stix_type, **more):
    return EXAMPLES[stix_type]() | more


def token(epoch, scheme=words.GROUP_KEY, value="ab"):
    return {"scheme": scheme, "key_epoch": epoch, "norm_version": "2", "value": value * 32}


def written(before, after, made=None):
    """The bytes of an indicator in which one text is replaced."""
    text = json.dumps(made or saying("email", {"confidence": 85}))
    assert before in text
    return text.replace(before, after).encode()


def said_in_version_1(norm_version):
    made = version1.account_pattern(at=NOW)
    made["extensions"][EXTENSION]["token"]["norm_version"] = norm_version
    return made


def references(*techniques):
    return {"external_references": [{"source_name": "mitre-atlas", "external_id": one} for one in techniques]}


A_RULE = saying("cluster_rule", rule={"all": [{"feature": "sync_score", "op": ">", "value": 0.95}]})
TWICE = [{"feature": "sync_score", "op": "=", "value": price} for price in (5, 20)]
#: What is refused, by what was tried.
SHUT = {
    "decimals that round away": written('"confidence": 85', '"confidence": 85.00000000000000000000003999'),
    "decimals of a rule": written("0.95", "0.950000000000000000003999", A_RULE),
    "an exponent": written('"confidence": 85', '"confidence": 8.50000E+0000000001'),
    "a run of blanks": written('", "', '",' + " \t" * 40 + '"'),
    "blanks before the end of a line": written('", "', '", \t \n"'),
    "empty lines": written('", "', '",\n\n"'),
    "escapes of letters": written('"indicator"', '"indic\\u0061tor"'),
    "escapes in names of properties": written('"confidence"', '"con\\u0066idence"'),
    "a property twice": written('"type"', '"type": "indicator", "type"'),
    "another property": saying("email", {"x_note": 40}),
    "a comment": written("{", '{"//": "price 40", '),
    "a detector of no registration": saying("email", detector={"name": "d-12345678", "version": "39.99.0"}),
    "letters of regions": saying("skeleton", languages=["en-WE", "en-RA", "en-IS", "en-EQ"]),
    "digits of techniques": saying("email", techniques=["AML.T3999.000"]),
    "digits of references": saying("email", references("AML.T0239")),
    "a reference again and again": saying("email", references("AML.T0021", "AML.T0021"), techniques=["AML.T0021"]),
    "references in an order of one's own": saying(
        "email", references("AML.T0054", "AML.T0021"), techniques=["AML.T0021", "AML.T0054"]
    ),
    "version 1: a norm": said_in_version_1("price.is.40-usd"),
    "version 1: a number": said_in_version_1(3999),
    "a sighting in a year to come": of("sighting", first_seen="3999-12-31T23:00:00Z", last_seen="3999-12-31T23:00:00Z"),
    "hours that are none": of("sighting", first_seen="2026-39-99T99:00:00Z", last_seen="2026-39-99T99:00:00Z"),
    "the day of a release: campaign": of("campaign", first_seen="2027-03-01T00:00:00Z"),
    "the day of a release: relationship": of("relationship", start_time="2027-03-01T00:00:00Z"),
    "the end of an offer": of("relationship", stop_time="2027-04-01T00:00:00Z"),
    "the day of a release: indicator": saying("email", last_seen="2027-03-01T00:00:00Z"),
    "a year that is a price": of("relationship", start_time="0039-09-09T00:00:00Z"),
    "a year that is a price: created": saying("email", {"created": "0039-09-09T00:00:00.000Z"}),
    "a year that is a price: seen": saying("email", first_seen="0039-09-09T00:00:00Z"),
    "a day to come of what is revoked": saying("email", {"revoked": True, "valid_until": "2039-09-09T00:00:00.000Z"}),
    "the beginning of what is revoked": saying(
        "email",
        {"revoked": True, "valid_from": "2039-09-09T00:00:00.000Z", "valid_until": "2039-09-10T00:00:00.000Z"},
    ),
    "ids of markings": saying("email", {"object_marking_refs": [an_id("marking-definition") for _ in range(10)]}),
    "ids of markings of a token": EXAMPLES["x-exchange-token"]()
    | {"object_marking_refs": [an_id("marking-definition")]},
    "a marking's date": a_marking() | {"created": "2025-03-09T12:34:56.789Z"},
    "a group's key of a number": saying("signup_template", tokens=[token("ring-2026q4-3999")]),
    "a quarter to come": saying(
        "email", tokens=[token("2026q4", words.OBLIVIOUS), token("3999q1", words.OBLIVIOUS, "cd")]
    ),
    "a token object of a quarter to come": vocabulary.token_object(
        kind="account-pattern", subkind="email", token=token("3999q1", words.OBLIVIOUS)
    ),
    "a token object of a group of one's own words": vocabulary.token_object(
        kind="prompt-signature", subkind="phrase", token=token("we-charge-3999-from-march-2026q4-1")
    ),
    "a host's name with a price": saying("gateway_host", value="our-price-is-40-dollars-per-million-tokens.com"),
    "a host's name with a price in words": saying("gateway_host", value="gpt-five-costs-forty-dollars-a-month.com"),
    "a domain with a count in words": saying("email_domain", value="we.have.two-hundred.customers.com"),
    "a host's name with a count in German words": saying("gateway_host", value="wir-haben-zwoelftausend-konten.com"),
    "a host's name with a price in Spanish words": saying("gateway_host", value="treinta-dolares-por-usuario.com"),
    "a domain with a plan": saying("email_domain", value="we.launch.our.new.model.in.march.org"),
    "a host that cannot be": saying("gateway_host", value="our.price.is.forty"),
    "a wallet that is a sentence": saying("crypto_addr", value="OurPriceIsFortyDollarsPerMillionTokens"),
    "a wallet with a wrong check sum": saying("crypto_addr", value="1BoatSLRHtKNngkdXEeobR76b53LETtpyU"),
    "a feature twice": saying("cluster_rule", rule={"all": TWICE}),
    "a free name": saying("email", {"name": "Borealis raises prices"}),
    "a pattern of one's own": saying("email") | {"pattern": "[domain-name:value = 'price-40.example']"},
    "an identity's name": of("identity", name="John Smith"),
    "a reason in words": of("opinion", explanation="they charge 40"),
}
#: What goes through, by the row of security.md that names it.
NAMED = {
    "values of tokens": saying("email", tokens=[token("2026q4", value="39")]),
    "| ids |": of("grouping", object_refs=[an_id("indicator") for _ in range(300)]),
    "`created_by_ref`": saying("email", {"created_by_ref": f"identity--{uuid.uuid4()}"}),
    "in capitals": saying("email", {"id": f"indicator--{str(uuid.uuid4()).upper()}"}),
    "codes and names alone": saying("gateway_host", value="john-smith-3999.com"),
    "Solana": saying("crypto_addr", value="HAC3kbetaHAC3kbetaHAC3kbetaHAC3kbetaHAC3kbe"),
    "AS numbers": saying("net", value="as3999"),
    "JA4": saying("client_fp", value="t13d9999zz_8daaf6152771_b186095e22b6"),
    "card ranges": saying("bin_range", value="00003999"),
    "`languages`": saying("skeleton", languages=["fo", "en-SE", "en-LY"]),
    "`techniques`": saying("email", techniques=["AML.T0239.009"]),
    "numbers of a grid": saying(
        "cluster_rule", rule={"all": [{"feature": "accounts_per_token", "op": "=", "value": 20}]}
    ),
    "| dates |": saying("email", {"valid_from": "2026-11-24T11:39:40.000039990Z"}),
    "of a campaign": of("campaign", name="amber falcon 3999"),
    "the order of properties": json.dumps(dict(reversed(saying("email").items()))).encode(),
    "blanks and line breaks": json.dumps(saying("email"), indent=3).encode(),
    "the text of a regex": saying("regex", signature={"regex": "(?P<plan>show every step of your hidden plan zzz)"}),
}


def judged(said):
    (draft,) = parsing.read_batch(said if isinstance(said, bytes) else json.dumps(said).encode())
    return draft.refusal if isinstance(draft, parsing.Unreadable) else gates.examine(draft, CLOSED)


@pytest.mark.parametrize("tried", SHUT)
def test_what_was_tried_is_refused_and_not_repeated(tried):
    refusal = judged(SHUT[tried])
    assert refusal is not None
    assert not any(
        said in f"{refusal.message}{refusal.field}" for said in ("3999", "0039", "2027", "WE", "rice", "Smith")
    )


@pytest.mark.parametrize("channel", NAMED)
def test_what_goes_through_is_named_with_its_bits(channel):
    assert judged(NAMED[channel]) is None
    security = Path(__file__).parents[3].joinpath("exchange/docs/security.md").read_text()
    assert channel in security.partition("## What remains sayable")[2].partition("\n## ")[0]


#: What a price, a name, a count and a plan may be written as; numbers beside.
SAYINGS = ("39.99 USD", "3999", "John Smith", "2027-03-01T00:00:00Z", "boycott", "2027q1", 3999, 39.99, -3999, 1e300)
#: Where some of these pass: texts that a second person reads, and dates within their bounds (rows of security.md).
READ_OR_BOUNDED = ("regex", "nova", "valid_until")
OPTIONAL = {
    "severity": "high",
    "control": "reseller_pool",
    "first_seen": "2026-11-24T11:00:00Z",
    "last_seen": "2026-11-24T11:00:00Z",
    "volume_bucket": "10^3",
    "techniques": ["AML.T0024.002"],
}


@pytest.mark.parametrize("subkind", words.KIND_OF)
def test_no_place_of_any_subkind_says_a_price_a_name_or_a_plan(subkind):
    """Each value at any depth, one after the other; the pattern follows, as its builder would have it."""
    made = saying(subkind, {"confidence": 85}, **OPTIONAL)
    assert judged(made) is None
    for path in leaves(made):
        for said in SAYINGS:
            tried = changed(made, path, said)
            if path[0] == "extensions":
                try:
                    tried["pattern"], tried["pattern_type"] = pattern_of(tried["extensions"][EXTENSION])
                except (AttributeError, KeyError, TypeError, ValueError):
                    pass  # no pattern follows of it: the old one stays
            if judged(tried) is None:
                assert path[-1] in READ_OR_BOUNDED, (path, said)


def leaves(value, path=()):
    """The path of each value that holds no other."""
    if not isinstance(value, dict | list):
        yield path
    else:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))


ENCODERS = {
    "compact": lambda made: json.dumps(made, separators=(",", ":")),
    "Python": json.dumps,
    "jq": lambda made: json.dumps(made, indent=2),
    "with tabs": lambda made: json.dumps(made, indent="\t"),
    "with CRLF": lambda made: json.dumps(made, indent=4).replace("\n", "\r\n"),
    "Go and .NET": lambda made: (
        json.dumps(made).replace("<", "\\u003c").replace(">", "\\u003E").replace("'", "\\u0027")
    ),
    "PHP": lambda made: json.dumps(made).replace("/", "\\/"),
    "numbers as doubles": lambda made: json.dumps(made).replace(": 85", ": 85.0"),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_usual_encoders_write_is_taken(encoder):
    made = saying("net", {"confidence": 85}, value="198.51.100.0/24")
    assert judged(ENCODERS[encoder](made).encode()) is None
    assert judged(ENCODERS[encoder](A_RULE).encode()) is None


WALLETS = (
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",  # bech32m
    f"0x{'ab' * 20}",
    "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9",  # Litecoin
    "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",  # Tron
    "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",  # Ripple
    "So11111111111111111111111111111111111111112",  # Solana
    "addr1vpu5vlrf4xkxv2qpwngf6cjhtw542ayty80v8dyr49rf5eg0yu80w",  # Cardano
    "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",  # Polkadot
)


@pytest.mark.parametrize("wallet", WALLETS)
def test_wallets_of_known_kinds_are_taken(wallet):
    assert plain.wallet_of(wallet) is None
    changed = wallet[:-1] + ("2" if wallet[-1] != "2" else "3")
    assert plain.wallet_of(changed) is not None or wallet[:2] in ("0x", "So"), "these two have no check sum"
