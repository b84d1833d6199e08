"""From accounts to normal forms: what is derived, each once, and what is left out."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.lab import features
from exchange.tokens import forms, normalising

ANNA = {
    "account": "a1",
    "created": datetime(2026, 11, 28, 13, 30, tzinfo=UTC),
    "email": "Anna.Example+news@GoogleMail.com",
    "payment": " 5001abcdefghijklmnopqrstuvwx1 ",
    "device": " dev-1 ",
    "addresses": ["198.51.100.7", "::ffff:198.51.100.9", "2001:db8:1:2:3::4"],
    "prompts": [
        "Show EVERY step of your reasoning, then answer: 12",
        "Show every step of your reasoning then answer 7",
    ],
    "flagged": True,
}
SCHEMA = {name: kind for name, kind in features.COLUMNS.items() if name in ANNA}


def derived(*rows, **options):
    return features.derive(pl.DataFrame(rows, schema=SCHEMA), **options)


def forms_of(found, sort):
    return found.carried.filter(pl.col("sort") == features.NUMBERS[sort])["form"].to_list()


def test_everything_is_derived_in_normal_form():
    found = derived(ANNA)
    assert not found.wrong
    assert forms_of(found, "payment") == ["5001ABCDEFGHIJKLMNOPQRSTUVWX1"]
    assert forms_of(found, "device") == ["dev-1"]
    assert forms_of(found, "mailbox") == ["annaexample@gmail.com"]
    assert forms_of(found, "domain") == ["gmail.com"]
    assert forms_of(found, "shape") == ["a4x1a7x1a4@gmail.com"]
    assert forms_of(found, "burst_domain") == ["gmail.com|2026-11-28T12Z"]
    assert sorted(forms_of(found, "address")) == ["198.51.100.7/32", "198.51.100.9/32"]
    assert sorted(forms_of(found, "network")) == ["198.51.100.0/24", "2001:db8:1:2::/64"]
    assert forms_of(found, "burst_network") == ["198.51.100.0/24|2026-11-28T12Z"]


def test_prompts_that_differ_in_case_and_digits_are_one_skeleton_with_its_phrases():
    found = derived(ANNA)
    assert len(forms_of(found, "skeleton")) == 1
    assert all(len(one.split(" ")) == 5 for one in forms_of(found, "phrase"))


def test_what_two_accounts_hold_is_theirs_both_and_what_one_holds_twice_is_once():
    found = derived(ANNA, ANNA | {"account": "a2", "email": "annaexample@gmail.com"})
    boxes = found.carried.filter(pl.col("sort") == features.NUMBERS["mailbox"])
    assert boxes["account"].to_list() == [0, 1]
    assert boxes["form"].n_unique() == 1
    assert found.carried.is_unique().all()


def test_what_is_none_of_its_kind_is_counted_and_the_rest_is_kept():
    found = derived(ANNA | {"email": "nobody", "addresses": ["198.51.100.7", "x"], "payment": "4111 1111"})
    assert found.wrong == {"email": 1, "addresses": 1, "payment": 1}
    assert forms_of(found, "address") == ["198.51.100.7/32"]


@pytest.mark.parametrize(("subkind", "value"), [("psp_fp", "pf_1"), ("iban_token", "DE89 3704 0044 0532 0130 00")])
def test_payment_may_be_of_another_subkind(subkind, value):
    assert len(forms_of(derived(ANNA | {"payment": value}, payment=subkind), "payment")) == 1


def test_what_is_skipped_is_not_derived():
    found = derived(ANNA, skip=["skeleton", "phrase"])
    assert not forms_of(found, "skeleton")
    assert not forms_of(found, "phrase")
    assert forms_of(found, "device")


def test_empty_columns_give_nothing():
    empty = dict.fromkeys(ANNA) | {"account": "a9"}
    assert derived(empty).carried.is_empty()
    assert features.derive(pl.DataFrame({"account": ["a"]})).carried.is_empty()


def test_a_lab_may_make_its_phrases_itself():
    frame = pl.DataFrame({"account": ["a"], "phrases": [["one two three four five", "too short"]]})
    found = features.derive(frame)
    assert forms_of(found, "phrase") == ["one two three four five"]
    assert found.wrong == {"phrases": 1}


_LETTERS = st.text("abz09._-+AÄ", min_size=1, max_size=9)


@given(
    _LETTERS, st.sampled_from(["b.example", "gmail.com", "GoogleMail.com", "x..y", "b.example.", "1.2", "ä.example"])
)
def test_plain_mail_addresses_are_read_as_all_others(local, domain):
    try:
        exact = normalising.email_exact(f"{local}@{domain}")
    except ValueError:
        with pytest.raises(ValueError, match="not"):
            list(features._email(f"{local}@{domain}"))
        return
    expected = [normalising.email_folded(exact), exact.rpartition("@")[2], forms.email_shape(exact)]
    assert [form for _, form in features._email(f"{local}@{domain}")] == expected


@given(st.lists(st.integers(0, 300), min_size=4, max_size=4).map(lambda some: ".".join(map(str, some))))
def test_plain_addresses_are_read_as_all_others(text):
    try:
        expected = normalising.address_net(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"not|does"):
            list(features._address(text))
        return
    assert next(form for sort, form in features._address(text) if sort == "address") == expected
