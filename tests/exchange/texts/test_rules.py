"""What words that partners agree on may not say: the purpose and the legal basis of a group, which others read."""

import pytest

from exchange.texts import rules


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("We raise prices to 40 USD per million tokens in March", "competitive-data"),
        ("To share facts. Our price is 40 dollars per million tokens from March on.", "competitive-data"),
        ("Labs should boycott this reseller together", "competitive-data"),
        ("Our roadmap: the launch is on 2027-03-01", "competitive-data"),
        ("T3VyIHByaWNlIGlzIDQwIGRvbGxhcnMgcGVyIG1pbGxpb24gdG9rZW5z", "competitive-data"),
        ("Questions: contact anna@acme.example", "personal-data"),
        ("Not a secret: customer John Smith, born 1990-01-02", "personal-data"),
        ("Billed to ４１１１ １１１１ １１１１ １１１１, never to others", "card-number"),
    ],
)
def test_what_no_text_may_say_is_found(words, code):
    assert rules.broken_in(words) == code


@pytest.mark.parametrize(
    "words",
    [
        "Facts about accounts, instruments and prompts of distillation campaigns.",
        "Mutual sharing agreement of Aster and Borealis, contract 2026-14, from 2026-01-01 until 2027-12-31.",
        "Legitimate interests (Art. 6(1)(f) GDPR); no joint action of members against a customer.",
        "Members shall not agree on prices, discounts or the release dates of models. They never boycott together.",
        "18 U.S.C. § 1030; Cybersecurity Information Sharing Act of 2015, 6 U.S.C. 1501-1510; antitrust counsel consulted.",
        "Joint controllers agreement, Art. 26 GDPR, signed in Dublin on 3 March 2026; reviewed each quarter.",
        "Sharing of indicators of compromise of the payment system, with a threshold of two independent publishers.",
    ],
)
def test_what_contracts_say_is_let_through(words):
    assert rules.broken_in(words) is None
