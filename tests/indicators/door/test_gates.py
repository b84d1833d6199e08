"""The gates: who speaks, in which words, for how long, and what must not lie in free text."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tokens import normalising
from indicators.door import gates
from indicators.door.benign import Known
from indicators.stix import making, parsing, vocabulary
from indicators.stix.drafts import Draft, Refusal

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINE = "identity--aaaaaaaa-0000-4000-8000-000000000001"
THEIRS = "identity--bbbbbbbb-0000-4000-8000-000000000002"
OUTSIDE = "identity--cccccccc-0000-4000-8000-000000000003"
OPEN = gates.Door(
    now=NOW,
    publisher_identity=MINE,
    partner_identities=frozenset({MINE, THEIRS}),
    policy="open-cti",
    known=Known(examples=True),
)
CLOSED = replace(OPEN, policy="closed-facts")


def drafted(made: dict) -> Draft:
    (draft,) = parsing.read_batch(json.dumps(made).encode())
    assert isinstance(draft, Draft), draft
    return draft


def examine(made: dict, door: gates.Door = OPEN):
    return gates.examine(drafted(made), door)


def a_note(**more) -> dict:
    return {"type": "note", "id": "note--00000000-0000-4000-8000-000000000001", "content": "x"} | more


def an_indicator(make=making.account_pattern, subkind="email", **more) -> dict:
    return make(subkind, **({"at": NOW} | more))


@pytest.mark.parametrize("door", [OPEN, CLOSED], ids=["open-cti", "closed-facts"])
def test_an_indicator_of_ours_passes_under_either_policy(door):
    assert examine(an_indicator(), door) is None


@pytest.mark.parametrize("creator", [MINE, OUTSIDE, "identity--not-available", None])
def test_a_publisher_speaks_for_itself_and_relays_creators_outside(creator):
    assert examine(a_note(created_by_ref=creator)) is None


@pytest.mark.parametrize("creator", [THEIRS, THEIRS.replace("bbbbbbbb", "BBBBBBBB")])
def test_nobody_speaks_in_another_partners_name(creator):
    verdict = examine(a_note(created_by_ref=creator))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.field) == ("foreign-creator", "/created_by_ref")
    assert creator not in verdict.message


def test_nobody_describes_another_partner():
    identity = {"type": "identity", "name": "x"}
    verdict = examine(identity | {"id": THEIRS.replace("bbbbbbbb", "BBBBBBBB")})
    assert (verdict.code, verdict.field) == ("foreign-creator", "/id")
    assert examine(identity | {"id": MINE}) is None
    assert examine(identity | {"id": OUTSIDE}) is None


CLASSICAL = {
    "type": "indicator",
    "id": "indicator--00000000-0000-4000-8000-000000000001",
    "pattern": "[domain-name:value = 'evil.example']",
    "pattern_type": "stix",
    "valid_from": "2020-01-01T00:00:00Z",
}


def test_classical_indicators_are_welcome_where_the_policy_is_open():
    assert examine(CLASSICAL) is None


def test_classical_indicators_are_refused_where_only_facts_of_our_kinds_are_shared():
    verdict = examine(CLASSICAL, CLOSED)
    assert (verdict.code, verdict.field) == ("not-our-kinds", "/extensions")


def test_what_breaks_stix_is_refused_where_facts_are_closed_and_marked_where_they_are_open():
    sloppy = an_indicator() | {"created": "2026-11-25T12:00:00.000Z", "modified": "2026-11-24T12:00:00.000Z"}
    verdict = examine(sloppy, replace(CLOSED, now=datetime(2026, 11, 25, 12, tzinfo=UTC)))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.field) == ("modified-before-created", "/modified")
    note = a_note(spec_version="2.1", created="2026-01-02T00:00:00.000Z", modified="2026-01-01T00:00:00.000Z")
    assert examine(note, OPEN) is None
    marks = [(mark.code, mark.field) for mark in drafted(note).marks]
    assert marks == [("missing-property", "/object_refs"), ("modified-before-created", "/modified")]


def test_the_vocabulary_is_asked():
    assert examine(an_indicator(extension={"severity": "extreme"})).code == "vocabulary"


LONGEST = [
    (making.account_pattern, "net", 7),
    (making.account_pattern, "email", 90),
    (making.account_pattern, "client_fp", 90),
    (making.account_pattern, "cluster_rule", 180),
    (making.payment_fingerprint, "pan_token", 90),
    (making.payment_fingerprint, "bin_range", 30),
    (making.payment_fingerprint, "billing_rule", 90),
    (making.prompt_signature, "skeleton", 90),
    (making.prompt_signature, "phrase", 90),
    (making.prompt_signature, "regex", 90),
    (making.prompt_signature, "nova_rule", 180),
    (making.prompt_signature, "feature_rule", 180),
]


@pytest.mark.parametrize(("make", "subkind", "days"), LONGEST, ids=[subkind for _, subkind, _ in LONGEST])
def test_each_subkind_lives_as_long_as_the_vocabulary_says(make, subkind, days):
    assert examine(an_indicator(make, subkind, valid_for=days * DAY)) is None
    verdict = examine(an_indicator(make, subkind, valid_for=days * DAY + DAY / 2))
    assert (verdict.code, verdict.field) == ("too-long-lived", "/valid_until")


@pytest.mark.parametrize(
    ("until", "code"),
    [
        (None, "no-end"),
        ("2026-11-24T11:59:59Z", "bad-validity"),
        ("2026-11-24T12:00:00Z", "bad-validity"),
    ],
)
def test_an_indicator_of_ours_ends_after_it_began(until, code):
    assert examine(an_indicator() | {"valid_until": until}).code == code


@pytest.mark.parametrize(
    ("epochs", "moment", "code"),
    [
        (["2026q4"], NOW, None),
        (["2026q3"], NOW, "ended-epoch"),
        (["2026q3", "2026q4"], NOW, None),  # a new version of what lives from before
        (["2027q1"], NOW, "ended-epoch"),
        (["2027q1"], datetime(2026, 12, 18, tzinfo=UTC), None),
        (["2026q4"], datetime(2026, 12, 31, 23, tzinfo=UTC), None),
        (["2026q4"], datetime(2027, 1, 1, tzinfo=UTC), "ended-epoch"),
        (["ring-2026q4-2"], NOW, None),
        (["ring-2026q3-1"], NOW, "ended-epoch"),
    ],
)
def test_one_token_at_least_is_made_with_a_key_of_now(epochs, moment, code):
    carrier = {"tokens": [making.token(f"{place:064x}") | {"key_epoch": one} for place, one in enumerate(epochs)]}
    door = replace(OPEN, now=moment, groups=frozenset({"ring"}))
    verdict = examine(an_indicator(carrier=carrier, at=moment), door)
    assert (verdict and verdict.code) == code
    revoked = an_indicator(carrier=carrier, at=moment, revoked=True)
    assert examine(revoked, door) is None


def test_what_has_ended_is_refused():
    assert examine(an_indicator(at=NOW - 8 * DAY, valid_for=7 * DAY)).code == "expired"


def test_what_begins_far_in_the_future_is_refused():
    begins = an_indicator(at=NOW + 200 * DAY, valid_for=DAY)
    dated = {"created": "2026-11-24T12:00:00Z", "modified": "2026-11-24T12:00:00Z"}
    assert examine(begins | dated).code == "too-long-lived"
    assert examine(begins).code == "dated-ahead"


def test_a_revocation_needs_no_time_to_live():
    assert examine(an_indicator(at=NOW - 100 * DAY, valid_for=DAY) | {"revoked": True}) is None


CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3782 822463 10005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6200000000000005",
]


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("text", ["{}", "paid with {}, twice.", "({})", "card\n{}\n", 'number: "{}"', "карта {}!"])
def test_a_card_number_in_free_text_is_refused(number, text):
    verdict = examine(a_note(content=text.format(number)))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.field) == ("card-number", "/content")
    assert number not in verdict.message


def test_a_card_number_is_found_at_any_depth_and_behind_escapes():
    deep = a_note(x_list=[{"a/b": "4111111111111111"}])
    assert examine(deep).field == "/x_list/0/a~1b"
    escaped = json.dumps(a_note(content="@")).replace("@", "".join(f"\\u00{ord(digit):02x}" for digit in CARDS[0]))
    (draft,) = parsing.read_batch(escaped.encode())
    assert gates.examine(draft, OPEN).code == "card-number"


NO_CARDS = [
    "4111111111111112",  # wrong check digit
    "1111111111111117",  # no card begins so
    "a4111111111111111f",
    "4111111111111111-4111-8111",
    "2026-01-31 08:00:00 4111",
    "00004111111111111111",
    "4,111,111,111,111,111",
    "0.4111111111111111",
    "4111111111111111.5",
    "de4111111111111111ad",
]


@pytest.mark.parametrize("text", NO_CARDS)
def test_other_numbers_are_left_alone(text):
    assert examine(a_note(content=f"see {text} there")) is None


@pytest.mark.parametrize("name", ["external_id", "serial_number", "url", "hashes", "object_refs", "x_ref"])
def test_ids_hashes_and_addresses_are_looked_at_too(name):
    assert examine(a_note(**{name: ["4111111111111111"]})).code == "card-number"
    assert examine(a_note(**{name: ["note--41111111-1111-4111-8111-411111111111"]})) is None


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"x": 4111111111111111}, "card-number"),
        ({"x": 4111111111111111.0}, "card-number"),
        ({"x": ["4111", "1111", "1111", "1111"]}, "card-number"),
        ({"x_cvv": "123"}, "card-details"),
        ({"x": "https://shop.example/?id=4111%3111111111111"}, "card-number"),
        ({"x": "NDExMTExMTExMTExMTExMQ=="}, "card-number"),
        ({"x": "34313131313131313131313131313131"}, "card-number"),
        ({"x": "٤١١١ ١١١١ ١١١١ ١١١١"}, "card-number"),
        ({"x": "4\u200b1\u200b1\u200b1111111111111"}, "card-number"),
        ({"x": "de89 3704 0044 0532 0130 00"}, "iban"),
        ({"x_api_key": "a1B2c3d4e5F6g7H8i9J0k1L2m3N4o5P6"}, "secret"),
        ({"x": "customer Anna Adler opened it"}, "personal-data"),
        ({"x": "our price rises to $20 per million tokens"}, "competitive-data"),
    ],
)
def test_what_is_written_in_other_ways_is_found(more, code):
    verdict = examine(a_note(**more))
    assert isinstance(verdict, Refusal)
    assert verdict.code == code


def test_our_own_extension_is_not_taken_for_text():
    made = an_indicator(carrier={"token": making.token("4111111111111111" * 4)})
    assert examine(made) is None


def key(prefix: str, rest: str) -> str:
    """Put together here, so that no scanner of this repository takes the example for a secret."""
    return prefix + rest


SECRETS = [
    key("sk-", "a1B2" * 10),
    key("sk-ant-", "api03-" + "a1B2" * 10),
    key("AKIA", "ABCDEFGHIJKLMNOP"),
    key("gh", "p_" + "a1B2" * 9),
    key("xox", "b-" + "1234567890-abcdefghij"),
    key("AIza", "a1B2c" * 7),
    key("sk_live", "_" + "a1B2c3" * 5),
    key("exk_", "abcdefgh_" + "abcdefgh234567" * 3),
    key("whsec_", "abcdefgh/+234567" * 3),
    key("eyJ", "hbGciOiJIUzI1NiJ9aa." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "a1B2" * 8),
    key("-----BEGIN ", "RSA PRIVATE KEY-----"),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_free_text_is_refused(secret):
    verdict = examine(a_note(description=f"they used {secret} for it"))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.field) == ("secret", "/description")
    assert secret not in verdict.message


IBANS = ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "NO9386011117947"]
DETAILS = ["CVV 123", "cvc2: 4567", "the card security code is 123", "a Visa card ending in 4242", "card 4*, exp 04/27"]
MORE_SECRETS = [
    "api key: " + key("WUHlzyGNxwTyxbkE", "QrcjrzbZNGFMKaGG") + ". That is all.",
    key("glpat-", "a1B2c3" * 4),
    key("hf_", "a1B2c3" * 6),
    "Authorization: Bearer " + "a1B2c3d4" * 4,
    "session_id=" + "a1B2c3d4" * 4,
    "sessionKey: '" + "a1B2c3d4" * 4,
    key("-----BEGIN ", "PGP PRIVATE KEY BLOCK-----"),
]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (one, code)
        for code, all_ in (("iban", IBANS), ("card-details", DETAILS), ("secret", MORE_SECRETS))
        for one in all_
    ],
)
def test_payment_data_and_session_tokens_are_refused(text, code):
    verdict = examine(a_note(content=f"they used {text}, twice"))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.field) == (code, "/content")
    assert text not in verdict.message


@pytest.mark.parametrize(
    "text",
    ["DE89370400440532013001", "CVE-2026-1234", "a CVV checker", "the session expired", "version 04/27", "card games"],
)
def test_what_only_resembles_payment_data_is_left_alone(text):
    assert examine(a_note(content=f"see {text} there")) is None


def test_the_name_of_a_property_is_looked_at_and_never_repeated():
    for name in (CARDS[0], SECRETS[0]):
        verdict = examine(a_note(x_map={"deep": {name: {"more": "4111111111111111"}}}))
        assert isinstance(verdict, Refusal)
        assert verdict.field == "/x_map/deep"


@pytest.mark.parametrize(
    "said", ["WindowsCredentialVaultBackup", "GetWindowsKeyboardLayoutName", "correct-horse-battery-staple"]
)
def test_words_beside_the_name_of_a_secret_are_none(said):
    assert examine(a_note(description=f"the credentials {said} are read")) is None


def test_a_secret_in_an_address_is_one():
    assert examine(a_note(external_references=[{"url": f"https://x.example/?k={SECRETS[2]}"}])).code == "secret"


@pytest.mark.parametrize("text", ["sk-learn and task-force-" + "a" * 40, "risk-" + "a" * 40, "a public key", "eyJ"])
def test_words_that_resemble_secrets_are_left_alone(text):
    assert examine(a_note(description=text)) is None


@given(st.text(max_size=60) | st.from_regex(r"[\w ./:-]{0,9}[2-6][0-9 -]{11,22}[\w ./:-]{0,9}"))
def test_what_is_quarantined_does_hold_digits_that_pass(text):
    verdict = examine(a_note(content=text.replace("\0", "")))
    if verdict is not None:
        digits = "".join(character for character in text if character in "0123456789")
        assert any(
            normalising.passes_luhn(digits[begin : begin + length])
            for length in range(13, 20)
            for begin in range(len(digits) - length + 1)
        )


def test_the_first_verdict_wins_and_what_must_not_be_said_is_first():
    both = a_note(created_by_ref=THEIRS, content=CARDS[0], labels=["TLP:RED"])
    assert examine(both).code == "card-number"
    assert examine(a_note(created_by_ref=THEIRS, labels=["TLP:RED"])).code == "foreign-creator"


def test_a_token_object_passes():
    token = vocabulary.token_object(kind="account-pattern", subkind="email", token=making.token("0" * 64))
    assert examine(token) is None
    assert examine(token | {"scheme": "sha256"}).code == "unkeyed-hash"
