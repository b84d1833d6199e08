"""The published vectors: what another implementation must give, byte for byte."""

import hashlib
import hmac
import json
import unicodedata
from datetime import datetime
from pathlib import Path

import pytest
import unicode_segmentation_rs as segmentation

from exchange.client import build
from exchange.stix import patterns, words
from exchange.tokens import forms, oprf, prompts
from tests.indicators.stix import shared

ROOT = Path(__file__).parents[3]
DOCUMENT = json.loads((ROOT / "exchange" / "docs" / "token-vectors.json").read_text())


@pytest.mark.parametrize("vector", DOCUMENT["vectors"], ids=lambda one: f"{one['subkind']}:{one['raw'][:20]!a}")
def test_a_raw_value_has_its_published_forms_and_tokens(vector):
    found = forms.of(vector["subkind"], vector["raw"])
    assert list(found) == vector["forms"]
    inputs = [b"exchange-token-v2\0" + vector["subkind"].encode() + b"\0" + form.encode() for form in found]
    assert [forms.input_bytes(vector["subkind"], form) for form in found] == inputs
    if vector["scheme"] == forms.Scheme.OBLIVIOUS:
        key = oprf.KeyPair(bytes.fromhex(DOCUMENT["oprf_secret"]), bytes.fromhex(DOCUMENT["oprf_public"]))
        blinded = [oprf.blind(one) for one in inputs]
        answer = oprf.evaluate(key, [one.point for one in blinded])
        outputs = oprf.finalise(blinded, answer, public_key=key.public)
        assert [oprf.token_value(one) for one in outputs] == vector["values"]
    else:
        group_key = bytes.fromhex(DOCUMENT["group_key"])
        assert [hmac.digest(group_key, one, "sha256").hex() for one in inputs] == vector["values"]


@pytest.mark.parametrize(("subkind", "raw"), DOCUMENT["refused"])
def test_what_has_no_form_is_refused_without_being_repeated(subkind, raw):
    with pytest.raises(ValueError) as told:
        forms.of(subkind, raw)
    assert subkind == "net" or not raw or raw not in str(told.value)


@pytest.mark.parametrize("vector", DOCUMENT["burst"])
def test_a_burst_is_named_by_the_start_of_its_slot(vector):
    assert forms.signup_burst(vector["place"], datetime.fromisoformat(vector["moment"])) == vector["form"]


def test_every_subkind_that_is_tokenised_has_a_vector():
    assert {one["subkind"] for one in DOCUMENT["vectors"]} == forms.SUBKINDS
    assert forms.OBLIVIOUS.keys() | forms.BY_GROUP.keys() | forms.EVIDENCE_ONLY >= forms.SUBKINDS


@pytest.mark.parametrize("vector", DOCUMENT["in_clear"], ids=lambda one: f"{one['subkind']}:{one['raw'][:20]!a}")
def test_a_value_in_clear_has_its_published_form_and_pattern(vector):
    assert build.clear_form(vector["subkind"], vector["raw"]) == vector["form"]
    extension = {"subkind": vector["subkind"], "value": vector["form"]}
    assert patterns.pattern_of(extension) == (vector["pattern"], vector["pattern_type"])


@pytest.mark.parametrize("vector", DOCUMENT["patterns"], ids=lambda one: one["extension"]["subkind"])
def test_an_extension_has_its_published_pattern_and_matches_by_its_digest(vector):
    extension = vector["extension"]
    assert patterns.pattern_of(extension) == (vector["pattern"], vector["pattern_type"])
    assert patterns.digest_of(extension) == vector.get("matches_by")
    if "matches_by" in vector:
        assert hashlib.sha256(vector["pattern"].encode()).hexdigest() == vector["matches_by"]


def test_every_subkind_has_a_vector():
    of_tokens = {one["subkind"] for one in DOCUMENT["vectors"]}
    in_clear = {one["subkind"] for one in DOCUMENT["in_clear"]}
    of_patterns = {one["extension"]["subkind"] for one in DOCUMENT["patterns"]}
    assert in_clear == set(words.IN_CLEAR)
    assert of_tokens | in_clear | of_patterns >= set(words.KIND_OF)


def test_the_disguises_of_one_prompt_are_one():
    plain = "show every step of your reasoning then answer"
    disguised = "Sh\u200bow EVERY  st\u0435p of\u202e y\u03bfur reas\u00adoning, \uff54hen *answer*"
    assert prompts.skeleton(disguised) == prompts.skeleton(plain)


def test_phrases_are_runs_of_five_words_chosen_by_their_hash_and_never_with_an_address():
    text = "one two three four five six seven eight nine ten anna@example.org eleven twelve thirteen fourteen"
    words = prompts.words(text)
    runs = [" ".join(words[at : at + 5]) for at in range(len(words) - 4)]
    expected = [run for run in runs if hashlib.sha256(run.encode()).digest()[0] % 3 == 0 and "\ue001" not in run]
    assert prompts.phrases(text) == expected
    assert expected


def test_what_unicode_15_has_not_assigned_and_our_own_signs_are_no_words():
    assert prompts.words("a\U000323b0b \ue001 c\ue002") == ["a", "b", "c"]


def test_the_forms_of_all_of_unicode_15_are_pinned():
    """Python's, the segmenter's or the table's change would change tokens: it is seen here, by every code point."""
    digest = hashlib.sha256()
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in {"Cs", "Co"}:
            continue
        folded = prompts.fold(f"a{character}b")
        if "\ufffd" not in folded:
            digest.update("\0".join(segmentation.split_word_bounds(folded)).encode())
    assert digest.hexdigest() == "f977b47691afd6c72e8a0a26f3d3eecb994a14b6a1e096493cac56aacd7c9405"


@shared.needed
def test_real_prompts_are_folded_once_and_for_all():
    """Folding again changes nothing but what its own prototypes read as another letter; phrases are about a third."""
    kept = runs = 0
    for text in [row["text"] for row in shared.lines("prompts", "prompts.jsonl.gz")][::40]:
        found = prompts.words(text)
        assert all(word == word.casefold() and not word.isspace() for word in found)
        runs += max(0, len(found) - 4)
        kept += len(prompts.phrases(text))
    assert 0.27 < kept / runs < 0.36  # 86 of 256 first bytes, less repetitions
