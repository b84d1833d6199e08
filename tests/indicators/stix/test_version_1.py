"""Version 1 of our extension, which is still read: its words, and no refusal that repeats a value."""

import base64
import copy
import json
import secrets
from urllib.parse import urlsplit

import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st

from exchange.stix import wording
from indicators.stix import identifiers, parsing, vocabulary
from indicators.stix.drafts import Draft, TokenValue
from tests.indicators.stix import shared
from tests.indicators.stix import version1 as making

SUBKINDS = {
    making.account_pattern: (
        "email", "email_domain", "phone", "device", "net", "client_fp", "gateway_host", "signup_template", "cluster_rule"),
    making.payment_fingerprint: ("par", "pan_token", "iban_token", "psp_fp", "crypto_addr", "bin_range", "billing_rule"),
    making.prompt_signature: ("skeleton", "minhash", "regex", "nova_rule", "feature_rule"),
}  # fmt: skip
EVERY = [(make, subkind) for make, subkinds in SUBKINDS.items() for subkind in subkinds]
AT = f"/extensions/{vocabulary.EXTENSION_ID}"
CANARY = "anna.canary@example.org"


def fault(made):
    refusal = vocabulary.check(made)
    assert refusal is not None
    assert "canary" not in f"{refusal.field}{refusal.message}"
    return refusal.code, refusal.field.removeprefix(AT)


@pytest.mark.parametrize(("make", "subkind"), EVERY, ids=[subkind for _, subkind in EVERY])
def test_every_subkind_can_be_said_and_reads_back(make, subkind):
    made = make(subkind)
    assert vocabulary.check(made) is None
    (draft,) = parsing.read_batch(json.dumps(made).encode())
    assert isinstance(draft, Draft)
    assert (draft.kind, draft.subkind, draft.severity) == (make.__name__.replace("_", "-"), subkind, "high")


@pytest.mark.parametrize(("make", "subkind"), EVERY, ids=[subkind for _, subkind in EVERY])
def test_every_subkind_is_an_indicator_for_the_standards_own_library(make, subkind):
    made = make(subkind)
    extension = made["extensions"].pop(vocabulary.EXTENSION_ID)
    read = stix2.parse(made, allow_custom=True)
    assert read["type"] == "indicator"
    assert stix2.parse(made | {"extensions": {vocabulary.EXTENSION_ID: extension}}, allow_custom=True)


@pytest.mark.parametrize(("make", "subkind"), EVERY, ids=[subkind for _, subkind in EVERY])
def test_every_subkind_belongs_to_one_kind_and_carries_one_thing(make, subkind):
    for other in SUBKINDS:
        if other is not make:
            assert vocabulary.check(other(subkind)) is not None
    extension = make(subkind)["extensions"][vocabulary.EXTENSION_ID]
    carried = {"token", "value", "rule", "signature"} & set(extension)
    assert len(carried) == 1
    for extra in {"token", "value", "rule", "signature"} - carried:
        wrong = make(subkind, extension={extra: {"token": making.token("0" * 64), "value": CANARY}.get(extra, {})})
        assert fault(wrong) == ("vocabulary", f"/{extra}")
    missing = make(subkind)
    del missing["extensions"][vocabulary.EXTENSION_ID][carried.pop()]
    assert fault(missing)[0] == "vocabulary"


@pytest.mark.parametrize(
    "required",
    ["extension_type", "kind", "subkind", "schema_version", "entry_program", "token"],
)
def test_what_is_required_is_missed(required):
    made = making.account_pattern()
    del made["extensions"][vocabulary.EXTENSION_ID][required]
    assert fault(made) == ("vocabulary", f"/{required}")


def test_a_psp_fingerprint_names_its_scope():
    made = making.payment_fingerprint("psp_fp")
    del made["extensions"][vocabulary.EXTENSION_ID]["psp_scope"]
    assert fault(made) == ("vocabulary", "/psp_scope")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("severity", CANARY, "/severity"),
        ("control", "canary", "/control"),
        ("shared_infra", CANARY, "/shared_infra"),
        ("first_seen", "2026-01-31T08:15:00Z", "/first_seen"),
        ("first_seen", "2026-13-31T08:00:00Z", "/first_seen"),
        ("first_seen", "2026-01-31T08:00:00Z\n", "/first_seen"),
        ("volume_bucket", 28_800_000, "/volume_bucket"),
        ("volume_bucket", "10^8", "/volume_bucket"),
        ("review", "three_analysts", "/review"),
        ("publisher_action", "recommend_ban", "/publisher_action"),
        ("attribution", CANARY, "/attribution"),
        ("techniques", ["T1059"], "/techniques/0"),
        ("techniques", "AML.T0024", "/techniques"),
        ("benign_hit_rate", CANARY, "/benign_hit_rate"),
        ("detector", {"name": "x", "sha256": CANARY}, "/detector/sha256"),
        ("detector", {"name": "x", "threshold": 0.5}, "/detector/threshold"),
        ("entry_program", CANARY, "/entry_program"),
        ("instrument", "card", "/instrument"),
        ("recommended_action", "suspend", "/recommended_action"),
        (CANARY, "x", ""),
        ("kind", CANARY, "/kind"),
        ("schema_version", "3", "/schema_version"),
        ("schema_version", 1, "/schema_version"),
        ("token", CANARY, "/token"),
        ("token", making.token(CANARY), "/token/value"),
        ("token", making.token("A" * 64), "/token/value"),
        ("token", making.token("a" * 62), "/token/value"),
        ("token", making.token("0" * 64) | {"note": CANARY}, "/token/note"),
    ],
)
def test_other_words_are_refused_by_their_field_and_never_repeated(name, value, field):
    assert fault(making.account_pattern(extension={name: value})) == ("vocabulary", field)


def test_the_last_sight_does_not_lie_before_the_first():
    seen = {"first_seen": "2026-01-31T08:00:00Z", "last_seen": "2026-01-31T07:00:00.000Z"}
    assert fault(making.account_pattern(extension=seen)) == ("vocabulary", "/last_seen")
    assert vocabulary.check(making.account_pattern(extension=seen | {"last_seen": "2026-01-31T08:00:00Z"})) is None


@pytest.mark.parametrize("scheme", ["sha256", "SHA-256", "md5", "", None, 1, ["hmac-sha256"], ...])
def test_an_unkeyed_hash_is_refused_as_such(scheme):
    token = making.token("0" * 64) | {"scheme": scheme}
    if scheme is ...:
        del token["scheme"]
    assert fault(making.account_pattern(carrier={"token": token})) == ("unkeyed-hash", "/token/scheme")
    thing = vocabulary.token_object(kind="account-pattern", subkind="email", token=making.token("0" * 64)) | {
        "scheme": scheme
    }
    if scheme is ...:
        del thing["scheme"]
    assert vocabulary.check(thing).code == "unkeyed-hash"


@pytest.mark.parametrize(
    ("make", "subkind", "value"),
    [
        (making.account_pattern, "email_domain", CANARY),
        (making.account_pattern, "email_domain", "Canary.example"),
        (making.account_pattern, "email_domain", "canary.example."),
        (making.account_pattern, "email_domain", "canary.example\n"),
        (making.account_pattern, "gateway_host", "canary.example/path?query"),
        (making.account_pattern, "gateway_host", "canary.example:8443"),
        (making.account_pattern, "gateway_host", f"{'canary' * 11}.example"),
        (making.account_pattern, "net", "198.51.100.7"),
        (making.account_pattern, "net", "198.51.100.7/24"),
        (making.account_pattern, "net", "2001:DB8::/48"),
        (making.account_pattern, "net", "2001:0db8::/48"),
        (making.account_pattern, "net", "as4294967296"),
        (making.account_pattern, "client_fp", "canary"),
        (making.payment_fingerprint, "bin_range", "4111111111111111"),
        (making.payment_fingerprint, "bin_range", "411119-411111"),
        (making.payment_fingerprint, "crypto_addr", CANARY),
    ],
)  # fmt: skip
def test_a_value_in_clear_is_of_its_kind_and_in_its_normal_form(make, subkind, value):
    assert fault(make(subkind, carrier={"value": value})) == ("vocabulary", "/value")


@pytest.mark.parametrize("value", ["198.51.100.0/24", "2001:db8::/48", "2001:db8::/64", "as64496"])
def test_networks_may_travel_in_clear(value):
    assert vocabulary.check(making.account_pattern("net", carrier={"value": value})) is None


def test_rules_speak_of_the_closed_list_of_features():
    own = {"feature": "decline_ratio", "op": ">", "value": 0.5}
    other = {"feature": "canary", "op": ">", "value": 0.5}
    at = "/rule/all/0/feature"
    assert fault(making.account_pattern("cluster_rule", carrier={"rule": {"all": [own]}})) == ("vocabulary", at)
    assert fault(making.payment_fingerprint("billing_rule", carrier={"rule": {"all": [other]}})) == ("vocabulary", at)


@pytest.mark.parametrize(
    ("subkind", "signature", "code", "field"),
    [
        ("regex", {"regex": r"(canary)\1"}, "bad-regex", "/signature/regex"),
        ("regex", {"regex": "((a{100}){100}){100}"}, "bad-regex", "/signature/regex"),
        ("regex", {"regex": "x" * 1_025}, "vocabulary", "/signature/regex"),
        ("minhash", {"minhash": [0] * 127}, "vocabulary", "/signature/minhash"),
        ("minhash", {"minhash": [2**64] * 128}, "vocabulary", "/signature/minhash/0"),
        ("minhash", {"minhash": ["canary"] * 128}, "vocabulary", "/signature/minhash/0"),
        ("nova_rule", {"regex": "x"}, "vocabulary", "/signature/regex"),
        ("nova_rule", {}, "vocabulary", "/signature/nova"),
    ],
)
def test_signatures_are_bounded(subkind, signature, code, field):
    assert fault(making.prompt_signature(subkind, carrier={"signature": signature})) == (code, field)


def test_the_extension_belongs_to_indicators():
    made = making.account_pattern() | {"type": "note"}
    assert fault(made) == ("vocabulary", "")


def test_objects_without_the_extension_are_none_of_the_vocabularys_business():
    assert vocabulary.check({"type": "indicator"}) is None
    assert vocabulary.check({"type": "note", "extensions": ["x"]}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EVERY), st.data())
def test_no_extension_breaks_the_judge(which, data):
    make, subkind = which
    made = copy.deepcopy(make(subkind))
    extension = made["extensions"][vocabulary.EXTENSION_ID]
    extension[data.draw(st.sampled_from(sorted(extension)))] = data.draw(json_values)
    for judged in (made, {**made, "extensions": {vocabulary.EXTENSION_ID: data.draw(json_values)}}):
        refusal = vocabulary.check(judged)
        assert refusal is None or refusal.field.startswith(AT)
        assert parsing.read_batch(json.dumps(judged).encode())


@pytest.mark.parametrize("size", [32, 64])
def test_a_token_is_compared_alike_however_it_was_written(size):
    content = secrets.token_bytes(size)
    as_base64 = base64.urlsafe_b64encode(content).decode().rstrip("=")
    found = []
    for value in (content.hex(), as_base64):
        made = making.account_pattern(carrier={"token": making.token(value)})
        assert vocabulary.check(made) is None
        found += vocabulary.tokens_of(made["extensions"][vocabulary.EXTENSION_ID])
    assert found[0] == found[1] == TokenValue("email", "hmac-sha256", "2026q4", content.hex())


def test_values_in_clear_are_compared_in_their_normal_form():
    upper = "0x" + "AB" * 20
    (found,) = vocabulary.tokens_of({"subkind": "crypto_addr", "value": upper})
    assert found == TokenValue("crypto_addr", "clear", "", upper.lower())


@shared.needed
def test_deterministic_ids_are_those_of_the_reference():
    for case in shared.lines("vectors", "stix-ids", "deterministic_ids.jsonl"):
        contributing = {name: value for name, value in case["object"].items() if name != "type"}
        if hashes := contributing.get("hashes"):
            first = next(name for name in ("MD5", "SHA-1", "SHA-256", "SHA-512") if name in hashes)
            contributing["hashes"] = {first: hashes[first]}
        assert identifiers.deterministic(case["object"]["type"], contributing) == case["expected_id"], case


def test_a_token_object_has_the_id_of_what_it_says():
    token = making.token("0" * 64)
    one, same = (vocabulary.token_object(kind="account-pattern", subkind="email", token=token) for _ in range(2))
    other = vocabulary.token_object(kind="account-pattern", subkind="phone", token=token)
    assert one["id"] == same["id"] != other["id"]
    assert vocabulary.check(one) is None
    assert isinstance(parsing.read_batch(json.dumps(one).encode())[0], Draft)


def test_a_token_object_is_judged_by_its_schema():
    one = vocabulary.token_object(kind="account-pattern", subkind="email", token=making.token("0" * 64))
    refusal = vocabulary.check(one | {"value": CANARY})
    assert (refusal.code, refusal.field) == ("vocabulary", "/value")
    assert CANARY not in refusal.message


def fault_message(change):
    made = making.account_pattern()
    change(made["extensions"][vocabulary.EXTENSION_ID])
    return vocabulary.check(made).message


def test_a_wrong_word_is_answered_with_every_word_that_there_is():
    said = fault_message(lambda extension: extension.update(severity=CANARY))
    assert said == "One of: low, medium, high, critical."


def test_a_wrong_form_is_answered_with_the_form_and_an_example():
    assert fault_message(lambda extension: extension.update(first_seen=CANARY)).endswith(
        "such as 2026-11-24T11:00:00Z."
    )
    assert "64 bytes" in fault_message(lambda extension: extension["token"].update(value=CANARY))
    net = making.account_pattern("net")
    net["extensions"][vocabulary.EXTENSION_ID]["value"] = "198.51.100.7"
    assert "such as 198.51.100.7/32" in vocabulary.check(net).message


@pytest.mark.parametrize("extension_id", [vocabulary.EXTENSION_ID, vocabulary.VERSION_1, vocabulary.TOKEN_EXTENSION_ID])
def test_every_form_of_the_schemas_is_said_in_words(extension_id):
    schema = json.loads(vocabulary.schema_text(extension_id))
    untold = {name for name in forms(schema, "") if name not in {*wording.FORMS, "value"}}
    assert not untold
    in_clear = {"email_domain", "gateway_host", "net", "client_fp", "bin_range", "crypto_addr"}
    assert in_clear | {"token/value"} <= set(wording.FORMS)


def forms(node, name):
    """The properties whose form a schema gives as a regular expression."""
    if isinstance(node, list):
        for inner in node:
            yield from forms(inner, name)
    elif isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield name
        for key, inner in node.items():
            if key == "properties":
                for named, rules in inner.items():
                    yield from forms(rules, named)
            else:
                yield from forms(inner, name)


def test_the_extensions_are_defined_by_objects_that_lead_to_their_schemas():
    for made in vocabulary.extension_definitions(schemas_url="https://exchange.example/schemas/"):
        (draft,) = parsing.read_batch(json.dumps(made).encode())
        assert isinstance(draft, Draft)
        name = urlsplit(made["schema"]).path.rpartition("/")[2].removesuffix(".json")
        assert name == made["id"]
        assert made["id"] in json.loads(vocabulary.schema_text(name))["$id"]


def test_other_schemas_are_not_found():
    assert vocabulary.schema_text("../../../etc/passwd") is None
