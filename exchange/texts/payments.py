"""Payment data in a folded text: cards, what goes with them, and bank accounts. Pure, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

from exchange.tokens import normalising

#: What may stand between the digits of a number: one of these, twice at most.
_BETWEEN = r"[ \t\r\n.,:;_/|*+~\-\x{2022}\x{00b7}]{0,2}"
#: A run of digits, with letters that are taken for digits, and what stands between them.
_RUN = re2.compile(rf"[0-9](?:{_BETWEEN}[0-9OoIl]){{12,}}")
_PIECES = re.compile(r"[0-9OoIl]+|[^0-9OoIl]+")
_LOOKALIKES = str.maketrans("OoIl", "0011")
#: How the groups of a card number are written; or each digit, or each pair, alone.
_GROUPS = frozenset(
    {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 5), (6, 10), (8, 8), (4, 8, 4)}
    | {(6, 13), (4, 4, 8), (4, 12), (6, 6, 4), (6, 4, 6)}
)
#: Card numbers by their first digits and their lengths (public prefixes of ISO/IEC 7812 issuers).
_CARDS = (
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"3(?:0[0-5]|[689])"), (14,)),  # Diners Club
    (re.compile(r"6(?:011|4[4-9]|5)"), (16, 19)),  # Discover
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),  # JCB
    (re.compile(r"5(?:018|0[23]|[68])|6(?:304|759|76[123])"), (16, 18, 19)),  # Maestro
)
_FEWEST, _MOST = 13, 19


def holds_card_number(text: str) -> bool:
    """Whether a card number is in the text, as it is, in groups, or with letters or words for digits."""
    for run in _RUN.finditer(text):
        begin, end = run.span()
        if any(_is_issued(digits) for digits in _numbers(run[0], _edge(text, begin, -1), _edge(text, end - 1, 1))):
            return True
    return any(_is_issued(_spelt_digits(found[0])) for found in _SPELT.finditer(text))


def _numbers(run: str, before: str, after: str) -> Iterator[str]:
    """The digits that may be one number: groups with the same sign between them, or one group alone."""
    pieces = _PIECES.findall(run)
    groups, signs = pieces[::2], [before, *pieces[1::2], after]
    for place, group in enumerate(groups):
        if _FEWEST <= len(group) <= _MOST and _stands_alone(group, signs[place], signs[place + 1], place, len(groups)):
            yield group
    place = 0
    while place < len(groups) - 1:
        last = place + 1
        while last < len(groups) - 1 and signs[last + 1] == signs[place + 1]:
            last += 1
        yield from _in_groups(groups[place : last + 1])
        place = last


def _stands_alone(group: str, before: str, after: str, place: int, count: int) -> bool:
    """Whether a group is a number of its own: no part of a word of hexadecimal digits, a decimal or an identifier."""
    if (before in {".", ","} and place > 0) or (after in {".", ","} and place < count - 1):
        return False
    if (before == "-" and place > 0) or (after == "-" and place < count - 1):
        return False
    return _WORD not in {before, after} and group[0].isdigit()


def _in_groups(groups: list[str]) -> Iterator[str]:
    sizes = [len(group) for group in groups]
    if len(set(sizes)) == 1 and sizes[0] in {1, 2} and _FEWEST <= sum(sizes) <= _MOST:
        yield "".join(groups)
        return
    for begin in range(len(groups)):
        for count in range(2, 6):
            if tuple(sizes[begin : begin + count]) in _GROUPS and begin + count <= len(groups):
                yield "".join(groups[begin : begin + count])


_WORD = "word"


def _edge(text: str, place: int, step: int) -> str:
    """What stands beside a run: `word` for a letter that makes it part of an identifier, else the sign, or nothing."""
    place += step
    if not 0 <= place < len(text):
        return ""
    if not text[place].isalnum():
        beyond = place + step
        is_number = text[place] in ".," and 0 <= beyond < len(text) and text[beyond].isdigit()
        return _WORD if is_number else ""
    letters = 0
    while 0 <= place < len(text) and text[place].isalnum():
        letters += text[place].isalpha() and text[place].lower() not in "abcdefx"
        if text[place].isdigit():
            return _WORD
        place += step
    return "" if letters > 1 else _WORD


def _is_issued(written: str) -> bool:
    digits = written.translate(_LOOKALIKES)
    issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _CARDS)
    few = sum(character.isdigit() for character in written) < len(written) - 6
    return issued and not few and len(set(digits)) > 1 and normalising.passes_luhn(digits)


_SPELT_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NUMBER = "|".join((*_SPELT_DIGITS, "oh"))
_SPELT = re2.compile(rf"(?i)\b(?:{_NUMBER})(?:[ ,.-]{{1,3}}(?:{_NUMBER})){{12,18}}\b")


def _spelt_digits(text: str) -> str:
    spoken = re.findall(_NUMBER, text.lower())
    return "".join(str(_SPELT_DIGITS.index(word)) if word in _SPELT_DIGITS else "0" for word in spoken)


#: Lengths of account numbers by country (ISO 13616, registry of SWIFT).
_IBAN_CHARS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FK", "FO", "FI", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("HR", "LI", "LV", "CH"), 21),
    **dict.fromkeys(("BH", "BG", "CR", "GE", "DE", "IE", "ME", "RS", "GB", "VA"), 22),
    **dict.fromkeys(("TL", "GI", "IQ", "IL", "AE", "OM", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "MD", "PK", "RO", "SA", "SK", "ES", "SE", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MR", "MC", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "BY", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
#: The countries that have such numbers.
COUNTRIES = tuple(_IBAN_CHARS)
_IBAN = re2.compile(r"(?i)\b[a-z]{2}[ .\-]?[0-9]{2}(?:[ .\-]?[a-z0-9]){11,30}")


def holds_iban(text: str) -> bool:
    """Whether the number of a bank account is in the text: country, its length, and the check digits."""
    return any(_begins_iban(found[0]) for found in _IBAN.finditer(text))


def _begins_iban(run: str) -> bool:
    """Whether a run begins with one, or is one: what follows behind a blank may be the next word."""
    bare = re.sub(r"[ .\-]", "", run).upper()
    chars = _IBAN_CHARS.get(bare[:2], 0)
    if not chars or len(bare) < chars or (len(bare) > chars and re.fullmatch(r"[A-Za-z0-9]+", run)):
        return False
    try:
        normalising.iban(bare[:chars])
    except ValueError:
        return False
    return True


_CARD = r"(?:card|visa|mastercard|amex|karte|carte|tarjeta|pan)"
_CODE = re2.compile(
    r"(?i)\b(?:card )?(?:cvv2?|cvc2?|cvn|cid code|card (?:security|verification) (?:code|value|number))"
    r"(?: is| was| code| number)?[\"' :=#.\-]{0,4}[0-9]{3,4}\b"
)
_LAST_DIGITS = re2.compile(
    rf"(?i)\b{_CARD}\b[^.\n]{{0,40}}?\b(?:ending (?:in|with)|ends (?:in|with)|last (?:four"
    rf"|4)(?: digits)?(?: are| is|:)?)"
    r"[ :#*x.\-]{0,8}[0-9]{4}\b"
    rf"|\b(?:last ?4|last ?four)(?: digits)?(?: of (?:the |his |her )?{_CARD})?[ :=]{{1,3}}[0-9]{{4}}\b"
    rf"|\b{_CARD}\b[ :#]{{0,3}}(?:[*xX\x{{2022}}]{{4}}[ \-]?){{3}}[0-9]{{4}}\b"
)
_EXPIRY = re2.compile(
    rf"(?i)\b{_CARD}\b[^.\n]{{0,60}}?\b(?:exp(?:iry|ires|iration)?|valid (?:thru|until)"
    rf"|good thru)(?: date)?[ :.]{{0,3}}"
    r"(?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?[0-9]{2}\b"
    r"|\b(?:card )?expir(?:y|ation)(?: date)?[ :=]{1,3}(?:0[1-9]|1[0-2])[/-](?:20)?[0-9]{2}\b"
)
_HOLDER = re2.compile(r"(?i)\bcard ?holder(?:'s)?(?: name)?(?: is| was)?[ :=]{1,3}(?-i:[A-Z][\w'-]+ [A-Z][\w'-]+)")


def holds_card_details(text: str) -> bool:
    """Whether what goes with a card is in the text: security code, last digits, expiry, holder."""
    return any(pattern.search(text) is not None for pattern in (_CODE, _LAST_DIGITS, _EXPIRY, _HOLDER))
