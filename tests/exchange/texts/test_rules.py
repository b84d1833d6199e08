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


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Facts about customer John Q. Public, passport no. C01X00T47, tel. +49 30 12345678", "personal-data"),
        ("Questions by tel. +49 30 12345678", "personal-data"),
        ("Held under passport no. C01X00T47; nothing else", "personal-data"),
        ("Seat: 12 Main St. Springfield 94016", "personal-data"),
        ("Sent to customer\nJohn Smith", "personal-data"),
        ("Billed to 4111. 1111. 1111. 1111", "card-number"),
        ("Paid from DE89 3704 0044 0532 0130 00. It never changes", "iban"),
        ("Card! visa ending in 4242", "card-details"),
    ],
)
def test_no_stop_and_no_line_break_hides_what_is_about_a_person_or_a_payment(words, code):
    assert rules.broken_in(words) == code


@pytest.mark.parametrize(
    "words",
    [
        "No exchange of prices, capacities or plans.",
        "No joint action of members against a customer, and no common policy of all members.",
        "Members do not exchange prices, discounts, costs or capacities of theirs.",
        "Members never discuss what our prices or costs are, nor whether they rise.",
        "This agreement excludes any coordinated response of members.",
        "Members should not agree on prices, terms or customers.",
        "Under no circumstances labs should boycott a reseller together.",
        "Nothing in here means that members should act together.",
        "Without concerted action of labs: each decides alone.",
        "Members shall not (Art. 101 TFEU) take joint action against anybody.",
        "Neither coordinated pricing nor a joint boycott of labs is a purpose of this group.",
        "It is forbidden to propose joint action against a reseller; each lab decides for itself.",
        "Members can't agree a joint policy with all others here.",
        "We do not release indicators that others may misuse.",
        "We must not sell or pass on what we receive.",
        "No roadmap may be told here.\nNo joint price of members is set.",
    ],
)
def test_what_a_group_denies_to_do_it_may_name(words):
    assert rules.broken_in(words) is None


@pytest.mark.parametrize(
    "words",
    [
        "All members charge $20 per million tokens, no exceptions",
        "We do not hide it: we charge 20 dollars per million tokens",
        "Never below 40 percent: our discounts of 40 percent for all customers",
        "Our price is forty-five dollars per million tokens, nothing else",
        "Labs should boycott this reseller together, without exceptions",
        "Labs should boycott this reseller, and nobody is told",
        "Members not only share facts but labs should boycott this reseller",
        "Not only facts: labs should boycott this reseller",
        "No exceptions: labs should boycott this reseller",
        "It is not prohibited that labs should boycott this reseller",
        "Nothing forbids joint action of members against a reseller",
        "There is no reason not to take joint action against resellers",
        "To exclude abuse labs should boycott this reseller",
        "As nothing else helps, labs should boycott this reseller",
        "No personal data\nLabs should boycott this reseller",
        "No personal data\u2028Labs should boycott this reseller",
        "No personal data\u3002Labs should boycott this reseller",
        "No personal data\uff61 Joint action of members follows",
        "No personal data \u0964 Joint action of members follows",
        "No personal data\u06d4 Joint action of members follows",
        "No personal data\u1362 Joint action of members follows",
        "No personal data \u2022 Joint action of members follows",
        "No personal data.Joint action of members follows",
        "No personal data\uff0e Labs should boycott this reseller",
        "Labs sho\u200buld boy\u200dcott this reseller, no exceptions",
        "\uff2c\uff41\uff42\uff53 \uff53\uff48\uff4f\uff55\uff4c\uff44 \uff42\uff4f\uff59\uff43\uff4f\uff54\uff54 this reseller",
        "Labs should\nboycott this reseller",
        "No secrets \u2014 joint action of members follows",
        "Labs should, not later, boycott this reseller",
        "All labs should not serve this reseller",
        "Our roadmap, not final: the launch is on 2027-03-01",
        "No secret: our launch date is 2027-03-01",
        "We launch the next model in March, no later",
        "No joint action of members, but labs should boycott this reseller",
    ],
)
def test_what_a_denial_does_not_stand_before_is_found(words):
    assert rules.broken_in(words) == "competitive-data"
