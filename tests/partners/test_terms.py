"""Terms of recipients: the pure rule, who records and ends them, and who reads them."""

from __future__ import annotations

import json
from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import clock
from exchange.errors import Refused
from partners import terms
from partners.models import AuditRecord, RecipientTerms
from partners.scopes import Scope
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller, code, read

FIRST, LAST = date(2026, 1, 10), date(2026, 2, 10)
WISH = {"jurisdiction": "DE", "reference": "BSIG § 8b", "from": "2026-01-10", "strictest": "amber"}


def some(**more) -> RecipientTerms:
    return RecipientTerms(
        **{
            "jurisdiction": "DE",
            "reference": "BSIG",
            "basis_from": FIRST,
            "basis_until": LAST,
            "strictest": Tlp.AMBER,
            "forms": ["form", "csv"],
        }
        | more
    )


@pytest.mark.parametrize(
    ("on", "until", "why"),
    [
        (date(2026, 1, 9), LAST, "terms-ended"),
        (FIRST, LAST, None),
        (LAST, LAST, None),
        (date(2026, 2, 11), LAST, "terms-ended"),
        (date(2036, 1, 1), None, None),
    ],
)
def test_terms_are_in_force_from_their_first_day_to_their_last(on, until, why):
    said = terms.why_outside(some(basis_until=until), on=on)
    assert (said and said[0]) == why


def test_ended_terms_cover_nothing():
    assert terms.why_outside(some(ended_at=clock.now()), on=FIRST)[0] == "terms-ended"


@pytest.mark.parametrize(("strictest", "tlp"), list(product(Tlp, Tlp)))
def test_terms_cover_markings_up_to_theirs(strictest, tlp):
    said = terms.why_outside(some(strictest=strictest), on=FIRST, tlp=tlp)
    assert (said is None) == (tlp <= strictest)


@given(st.sets(st.sampled_from(terms.FORMS), min_size=1), st.sets(st.sampled_from(terms.FORMS)))
def test_terms_take_the_forms_that_they_name(wanted, offered):
    said = terms.why_outside(some(forms=sorted(wanted)), on=FIRST, forms=offered)
    assert (said is None) == (offered <= wanted)


def test_of_several_terms_the_first_in_force_that_takes_the_files_is_chosen():
    old = some(basis_until=FIRST, recorded_at=clock.now())
    table = some(jurisdiction="FR", forms=["csv"], recorded_at=clock.now())
    bundle = some(jurisdiction="US", forms=["stix"], recorded_at=clock.now())
    every = [bundle, table, old]
    assert terms.chosen(every, on=LAST, forms=["csv"]) is table
    assert terms.chosen(every, on=LAST, forms=["stix"]) is bundle
    assert terms.chosen(every, on=LAST, wanted=bundle.pk) is bundle
    assert terms.chosen([], on=LAST) is None, "none were ever recorded"
    for forms, wanted, why in (
        (["form"], None, "form-not-wanted"),
        ([], old.pk, "terms-ended"),
        ([], some().pk, "unknown-terms"),
        (["csv"], bundle.pk, "form-not-wanted"),
    ):
        with pytest.raises(Refused) as refused:
            terms.chosen(every, on=LAST, forms=forms, wanted=wanted)
        assert refused.value.code == why
    with pytest.raises(Refused) as refused:
        terms.chosen([old], on=LAST)
    assert refused.value.code == "terms-ended"


# --- Over the API


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def operator(cast):
    return Caller(build.a_key(cast.operator, Scope.ADMIN))


def test_the_operator_records_terms_and_ends_them_and_every_partner_reads_them(cast, operator):
    made = read(operator.send("POST", "operator/partners/dorado/terms", WISH | {"forms": ["form"]}), 201)
    assert made["in_force"]
    assert made["forms"] == ["form"]
    assert made["until"] is None
    for name in ("aster", "cygnus", "dorado"):
        (listed,) = [one for one in read(Caller(cast.keys[name]).get("recipients"))["recipients"] if one["terms"]]
        assert (listed["slug"], listed["terms"]) == ("dorado", [made])
    there = f"operator/partners/dorado/terms/{made['id']}/end"
    ended = read(operator.send("POST", there, {"why": "The law was repealed."}))
    assert not ended["in_force"]
    assert ended["ended_at"]
    assert code(operator.send("POST", there, {"why": "Again."}), 409) == "terms-ended"
    logged = AuditRecord.objects.filter(verb__startswith="terms.").order_by("pk").values_list("verb", "partner__slug")
    assert sorted(logged) == sorted(
        (verb, slug) for verb in ("terms.recorded", "terms.ended") for slug in ("dorado", cast.operator.slug)
    )
    said = AuditRecord.objects.filter(verb="terms.recorded", partner=cast.dorado).get()
    assert (said.actor, said.details["terms"]["reference"]) == ("operator", "BSIG § 8b")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"jurisdiction": "Germany"}, "bad-jurisdiction"),
        ({"jurisdiction": "de"}, "bad-jurisdiction"),
        ({"reference": "  "}, "bad-text"),
        ({"reference": "a\u0007b"}, "bad-text"),
        ({"from": "10.1.2026"}, "bad-date"),
        ({"until": "2025-01-01"}, "bad-date"),
        ({"strictest": "pink"}, "unknown-marking"),
        ({"forms": ["fax"]}, "bad-form"),
        ({"forms": None}, None),
    ],
)
def test_what_is_wrong_with_terms_is_said_by_field(operator, more, why):
    answer = operator.send("POST", "operator/partners/dorado/terms", WISH | more)
    if why is None:
        assert read(answer, 201)["forms"] == ["stix", "csv", "form"] or set(read(answer, 201)["forms"]) == set(
            terms.FORMS
        )
    else:
        assert json.loads(answer.content)["errors"][0]["code"] == why, answer.content
        assert not RecipientTerms.objects.exists()


def test_to_all_but_the_operator_there_is_nothing(cast, operator):
    made = read(operator.send("POST", "operator/partners/dorado/terms", WISH), 201)
    own = Caller(build.a_key(cast.dorado, Scope.ADMIN))
    assert code(own.send("POST", "operator/partners/dorado/terms", WISH), 404) == "not-found"
    assert code(own.send("POST", f"operator/partners/dorado/terms/{made['id']}/end", {"why": "x"}), 404) == "not-found"
    assert (
        code(operator.send("POST", f"operator/partners/aster/terms/{made['id']}/end", {"why": "x"}), 404) == "not-found"
    )


def test_the_operators_admin_records_and_ends_them_in_the_portal(client, cast):
    build.sign_in(client, build.a_user(cast.operator))
    sent = {"do": "terms", "jurisdiction": "us-ca", "reference": "A law", "from": "2026-01-10", "strictest": "green"}
    assert client.post("/operator/partners/dorado/act", sent | {"forms": ["csv"]}).status_code == 302
    made = RecipientTerms.objects.get()
    assert (made.jurisdiction, made.forms, made.basis_until) == ("US-CA", ["csv"], None)
    page = client.get("/operator/partners").content.decode()
    assert "US-CA" in page
    assert "A law" in page
    assert client.post("/operator/partners/dorado/act", sent | {"from": "soon"}).status_code == 302
    assert (
        client.post("/operator/partners/dorado/act", {"do": "end-terms", "terms": "x", "why": "y"}).status_code == 404
    )
    client.post("/operator/partners/dorado/act", {"do": "end-terms", "terms": str(made.pk), "why": "Repealed"})
    made.refresh_from_db()
    assert made.ended_why == "Repealed"
