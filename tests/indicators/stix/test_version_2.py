"""Version 2 of our extension: its words, its tokens, and the pattern that follows from it."""

import copy
import json
import uuid

import pytest
import stix2

from exchange.stix import classes, words  # noqa: F401 - stix2 knows our extensions by them
from exchange.stix.patterns import pattern_of
from indicators.stix import making, parsing, vocabulary
from indicators.stix.drafts import PATTERN_HASH, Draft, TokenValue
from tests.indicators.stix import version1

MAKERS = {
    "account-pattern": making.account_pattern,
    "payment-fingerprint": making.payment_fingerprint,
    "prompt-signature": making.prompt_signature,
}
EVERY = [(MAKERS[kind], subkind) for kind, subkinds in words.SUBKINDS.items() for subkind in subkinds]
EACH = pytest.mark.parametrize(("make", "subkind"), EVERY, ids=[subkind for _, subkind in EVERY])
AT = f"/extensions/{vocabulary.EXTENSION_ID}"
CANARY = "anna.canary@example.org"
HEX = "0b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186"


def extension_of(made):
    return made["extensions"][vocabulary.EXTENSION_ID]


def a_token(value=HEX, **more):
    return {"scheme": words.OBLIVIOUS, "key_epoch": "2026q4", "norm_version": "2", "value": value} | more


def fault(made):
    refusal = vocabulary.check(made)
    assert refusal is not None
    assert "canary" not in f"{refusal.field}{refusal.message}"
    return refusal.code, refusal.field.removeprefix(AT)


@EACH
def test_every_subkind_can_be_said_and_reads_back(make, subkind):
    made = make(subkind)
    assert vocabulary.check(made) is None
    (draft,) = parsing.read_batch(json.dumps(made).encode())
    assert isinstance(draft, Draft)
    assert not draft.marks
    assert (draft.kind, draft.subkind) == (make.__name__.replace("_", "-"), subkind)
    assert len(draft.tokens) == 1
    assert stix2.parse(made)["pattern"] == made["pattern"]


@EACH
def test_each_carries_one_thing(make, subkind):
    carried = words.CARRIED_BY[subkind]
    for extra in {"tokens", "token", "value", "rule", "signature"} - {carried}:
        said = {"tokens": [a_token()], "token": a_token(), "value": "x"}.get(extra, {})
        assert fault(make(subkind, extension={extra: said})) == ("vocabulary", f"/{extra}")
    missing = make(subkind)
    del extension_of(missing)[carried]
    assert fault(missing) == ("vocabulary", f"/{carried}")


@EACH
def test_what_every_indicator_says_is_required(make, subkind):
    for name in ("review", "publisher_action", "attribution", "schema_version"):
        made = make(subkind)
        del extension_of(made)[name]
        assert fault(made)[0] == "vocabulary"


def test_a_network_says_who_shares_it():
    made = making.account_pattern("net")
    del extension_of(made)["shared_infra"]
    assert fault(made) == ("vocabulary", "/shared_infra")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("detector", {"name": "signup-graph"}, "/detector/name"),
        ("detector", {"name": "d-1f2e3d4c", "version": "for 20 dollars"}, "/detector/version"),
        ("schema_version", "3", "/schema_version"),
        ("schema_version", 2, "/schema_version"),
        ("techniques", ["AML.T0021", "AML.T0021"], "/techniques"),
        ("severity", CANARY, "/severity"),
        ("volume_bucket", 25_000, "/volume_bucket"),
        ("kind", "payment-fingerprint", "/kind"),
        ("instrument", "card", "/instrument"),
        (CANARY, "x", ""),
        ("tokens", [], "/tokens"),
        ("tokens", [a_token(HEX.replace("0", str(place))) for place in range(5)], "/tokens"),
        ("tokens", [a_token(), a_token()], "/tokens"),
        ("tokens", [a_token(HEX.upper())], "/tokens/0/value"),
        ("tokens", [a_token(HEX * 2)], "/tokens/0/value"),
        ("tokens", [a_token(norm_version="1")], "/tokens/0/norm_version"),
        ("tokens", [a_token(key_epoch="buy-now-20")], "/tokens/0/key_epoch"),
        ("tokens", [a_token(key_epoch="ring-2026q4-1")], "/tokens/0/key_epoch"),
        ("tokens", [a_token(note=CANARY)], "/tokens/0/note"),
    ],
)
def test_other_words_are_refused_by_their_field_and_never_repeated(name, value, field):
    assert fault(making.account_pattern(extension={name: value})) == ("vocabulary", field)


@pytest.mark.parametrize(
    ("make", "subkind", "name", "value", "field"),
    [
        (making.payment_fingerprint, "psp_fp", "psp_scope", "example-psp/merchant-7", "/psp_scope"),
        (making.prompt_signature, "skeleton", "languages", ["klingon"], "/languages/0"),
        (making.prompt_signature, "skeleton", "languages", ["en-x-price20"], "/languages/0"),
        (making.prompt_signature, "phrase", "tokens", [a_token()], "/tokens/0/scheme"),
        (making.account_pattern, "signup_template", "tokens", [a_token()], "/tokens/0/scheme"),
    ],
)
def test_strings_have_closed_forms(make, subkind, name, value, field):
    assert fault(make(subkind, extension={name: value})) == ("vocabulary", field)


def test_minhash_has_gone_and_is_still_read_in_version_1():
    gone = making.prompt_signature("skeleton", extension={"subkind": "minhash"})
    assert fault(gone) == ("vocabulary", "/subkind")
    assert vocabulary.check(version1.prompt_signature("minhash")) is None


@pytest.mark.parametrize("scheme", ["sha256", None, 1, ["hmac-sha256"]])
def test_an_unkeyed_hash_is_refused_as_such(scheme):
    made = making.account_pattern(carrier={"tokens": [a_token(), a_token(scheme=scheme)]})
    assert fault(made) == ("unkeyed-hash", "/tokens/1/scheme")


def test_the_numbers_of_rules_lie_on_a_grid():
    said = {"feature": "sync_score", "op": ">", "value": 0.123}
    assert fault(making.account_pattern("cluster_rule", carrier={"rule": {"all": [said]}})) == (
        "vocabulary",
        "/rule/all/0/value",
    )
    for value in (20.0, 20, 0.85, 1_000_000, False):
        rule = {"all": [said | {"value": value}]}
        assert vocabulary.check(making.account_pattern("cluster_rule", carrier={"rule": rule})) is None


def test_a_range_of_bank_numbers_is_bounded():
    assert vocabulary.check(making.payment_fingerprint("bin_range", carrier={"value": "411100-411199"})) is None
    wide = making.payment_fingerprint("bin_range", carrier={"value": "411100-411200"})
    assert fault(wide) == ("too-broad", "/value")


def test_wallets_are_in_their_normal_form():
    upper = making.payment_fingerprint("crypto_addr", carrier={"value": "0x" + "AB" * 20})
    assert fault(upper) == ("vocabulary", "/value")


PATTERNS = [
    ("net", "198.51.100.7/32", "[ipv4-addr:value = '198.51.100.7']"),
    ("net", "198.51.100.0/24", "[ipv4-addr:value = '198.51.100.0/24']"),
    ("net", "2001:db8:1:2::/64", "[ipv6-addr:value = '2001:db8:1:2::/64']"),
    ("net", "as64496", "[autonomous-system:number = 64496]"),
    ("email_domain", "relay.example", "[domain-name:value = 'relay.example']"),
    ("gateway_host", "relay.example", "[domain-name:value = 'relay.example']"),
    (
        "bin_range",
        "411111-411119",
        "[x-exchange-value:subkind = 'bin_range' AND x-exchange-value:value = '411111-411119']",
    ),
]


@pytest.mark.parametrize(("subkind", "value", "pattern"), PATTERNS)
def test_the_patterns_of_values_are_the_vocabularys(subkind, value, pattern):
    assert pattern_of({"subkind": subkind, "value": value}) == (pattern, "stix")


def test_the_patterns_of_tokens_rules_and_texts_are_the_vocabularys():
    later, other = a_token(key_epoch="2027q1"), a_token(scheme=words.GROUP_KEY)
    names = ("subkind", "scheme", "key_epoch", "value")

    def said(token):
        each = [f"x-exchange-token:{name} = '{({'subkind': 'email'} | token)[name]}'" for name in names]
        return f"[{' AND '.join(each)}]"

    found = pattern_of({"subkind": "email", "tokens": [later, a_token(), other]})
    assert found == (" OR ".join(said(one) for one in (other, a_token(), later)), "stix")
    scoped, _ = pattern_of({"subkind": "psp_fp", "tokens": [a_token()], "psp_scope": "ab" * 16})
    assert f"x-exchange-token:psp_scope = '{'ab' * 16}' AND x-exchange-token:value = '{HEX}']" in scoped
    rule = {"all": [{"value": 20.0, "op": ">", "feature": "sync_score"}]}
    assert pattern_of({"subkind": "cluster_rule", "rule": rule}) == (
        '{"all":[{"feature":"sync_score","op":">","value":20}]}',
        "x-exchange-rule",
    )
    assert pattern_of({"subkind": "regex", "signature": {"regex": "a+"}}) == ("a+", "pcre")
    assert pattern_of({"subkind": "nova_rule", "signature": {"nova": "rule x"}}) == ("rule x", "nova")


@EACH
def test_any_other_pattern_is_refused(make, subkind):
    for change in ({"pattern": "[domain-name:value = 'canary.example']"}, {"pattern_type": "sigma"}):
        assert fault(make(subkind) | change) == ("other-pattern", "/pattern")


def test_every_example_has_a_pattern_of_its_own():
    made = [make(subkind)["pattern"] for make, subkind in EVERY]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"labels": ["account-pattern", "prices go up"]}, "/labels/1"),
        ({"labels": ["low"]}, "/labels/0"),
        ({"labels": "high"}, "/labels"),
        ({"indicator_types": ["benign"]}, "/indicator_types/0"),
        ({"external_references": [{"source_name": "our blog"}]}, "/external_references/0"),
        ({"external_references": [{"source_name": "mitre-atlas", "external_id": "T1059"}]}, "/external_references/0"),
        (
            {
                "external_references": [
                    {"source_name": "mitre-atlas", "external_id": "AML.T0021", "url": "https://canary.example/"}
                ]
            },
            "/external_references/0",
        ),
    ],
)
def test_what_stix_has_beside_the_extension_follows_from_it(change, field):
    assert fault(making.account_pattern() | change) == ("vocabulary", field)


def test_labels_types_and_techniques_of_its_own_may_be_said():
    reference = {"source_name": "mitre-atlas", "external_id": "AML.T0024.002"}
    page = {"url": "https://atlas.mitre.org/techniques/AML.T0024.002"}
    said = {
        "labels": ["account-pattern", "email", "actor_controlled", "high"],
        "indicator_types": ["malicious-activity", "unknown"],
        "external_references": [reference, reference | page],
    }
    assert vocabulary.check(making.account_pattern() | said) is None
    victim = making.account_pattern(extension={"control": "compromised_victim"})
    assert vocabulary.check(victim | {"indicator_types": ["compromised"]}) is None
    assert fault(victim | {"indicator_types": ["malicious-activity"]}) == ("vocabulary", "/indicator_types/0")


def test_every_token_is_matched_on():
    tokens = [a_token(), a_token(HEX[::-1]), a_token(key_epoch="2027q1")]
    (draft,) = parsing.read_batch(json.dumps(making.account_pattern(carrier={"tokens": tokens})).encode())
    assert draft.tokens == tuple(TokenValue("email", one["scheme"], one["key_epoch"], one["value"]) for one in tokens)


def test_a_fingerprint_is_matched_on_within_its_scope():
    (draft,) = parsing.read_batch(json.dumps(making.payment_fingerprint("psp_fp")).encode())
    assert draft.tokens[0].psp_scope == "6f1ed002ab5595859014ebf0951522d9"


@pytest.mark.parametrize("subkind", ["cluster_rule", "billing_rule", "feature_rule", "regex", "nova_rule"])
def test_rules_and_texts_match_by_their_pattern_in_either_version(subkind):
    maker = MAKERS[words.KIND_OF[subkind]]
    of_old = getattr(version1, maker.__name__)
    (one,), (other,) = (vocabulary.tokens_of(extension_of(make(subkind))) for make in (maker, of_old))
    assert one == other
    assert (one.scheme, one.suppressed_by) == ("sha256", PATTERN_HASH)


def test_token_objects_of_a_fingerprint_differ_by_scope():
    said = {"kind": "payment-fingerprint", "subkind": "psp_fp"}
    ids = {
        vocabulary.token_object(**said, token=a_token(psp_scope=uuid.UUID(int=number).hex))["id"] for number in (1, 2)
    }
    assert len(ids) == 2


def test_both_schemas_are_published():
    made = json.loads(vocabulary.schema_text(vocabulary.EXTENSION_ID))
    assert made["properties"]["schema_version"] == {"const": "2"}
    assert "minhash" not in json.dumps(made)
    old = json.loads(vocabulary.schema_text(vocabulary.VERSION_1))
    assert old["properties"]["schema_version"] == {"enum": ["1", "1.0"]}


def test_the_published_schema_says_what_the_door_says():
    import jsonschema_rs

    published = jsonschema_rs.validator_for(json.loads(vocabulary.schema_text(vocabulary.EXTENSION_ID)))
    for make, subkind in EVERY:
        said = extension_of(make(subkind))
        assert published.is_valid(said)
        for name in list(said):
            wrong = copy.deepcopy(said) | {name: "canary"}
            assert published.is_valid(wrong) is (wrong == said)
