"""English words for numbers are read as digits, so that one rule finds both."""

import pytest

from exchange.texts import numbering


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("forty dollars", "40 dollars"),
        ("Forty-five or seventy two", "45 or 72"),
        ("two hundred and ten, a hundred, nineteen hundred", "210, 100, 1900"),
        ("three million tokens", "3 million tokens"),
        ("a million users, half a million, a dollar", "1 million users, half 1 million, a dollar"),
        ("sixty sixteen six", "60 16 6"),
        ("someone often weighs tenants", "someone often weighs tenants"),
        ("twenty-", "20-"),
        ("", ""),
    ],
)
def test_numbers_in_words_are_read_as_digits(words, digits):
    assert numbering.in_digits(words) == digits
