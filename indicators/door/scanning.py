"""What must not be said anywhere: payment data, secrets, and texts about people or between competitors. Pure.

One look at the bytes says whether it is worth looking closely: then every text of the object, folded and decoded
(`folding`), is asked by each rule. What is found is named by its rule and its place, never by its value; where the name
of a property is at fault, the place is that of what holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import re2

from exchange.texts import payments, rules
from indicators.door import folding


@dataclass(frozen=True, slots=True)
class Found:
    """By which rule, and where (a JSON pointer)."""

    code: str
    at: str


def found(data: Mapping[str, Any], raw: bytes) -> Found | None:
    """The first that is found, or None; `raw` are the bytes that were read as `data`."""
    if not _is_worth_a_look(raw):
        return None
    for pointer, text in folding.texts(data):
        if (code := rules.broken_by(text)) is not None:
            return Found(code, pointer)
    return None


def _is_worth_a_look(raw: bytes) -> bool:
    """Whether the bytes show a sign of anything that a rule could find; those of our kinds nearly never do.

    What is in other letters or encoded is looked at for that alone. Two quick looks cost less than one for all.
    """
    if not raw.isascii():
        return True
    return _NUMBERS.search(raw) is not None or _NAMES.search(raw) is not None


#: Escapes, percent signs, addresses of mail and money; a number as long as a card's, perhaps in pieces; base64; and
#: hexadecimal digits that spell digits.
_NUMBERS = re2.compile(
    rb"\\u|[%@$]|"
    rb"[0-9](?:[ .,:;_/|*+~-]?[ .,:;_/|*+~-]?[0-9OoIl]){12}|[0-9]\.[0-9]{10}[0-9]*[eE]"
    rb"|[A-Z][A-Za-z0-9+/_-]{15}|(?:3[0-9][ :]?){13}|[0-9]{3}-[0-9]{2}-[0-9]{4}"
    rb"|[0-9]\"?, ?\"?[0-9]{1,8}\"?, ?\"?[0-9]{1,8}\"?[,\]]|\\[nrt][0-9]"
)
_ACCOUNTS = "|".join(payments.COUNTRIES)
_DIGIT = "zero|one|two|three|four|five|six|seven|eight|nine|oh"
_SIGNS = (
    rf"\b(?:{_ACCOUNTS})[ .-]?[0-9][0-9][ .-]?[a-z0-9]{{1,4}}[ .-]?[a-z0-9]",
    rf"(?:{_DIGIT})[ ,.-]{{1,3}}(?:{_DIGIT})[ ,.-]",
    (
        "cvv|cvc|cvn|cid code|security (?:code|value|number)|verification|ending (?:in|with)|ends (?:in|with)"
        "|last.?(?:4|four)"
    ),
    "exp(?:iry|ires|iration| date|[ :.]{1,3}[01])|valid (?:thru|until)|good thru|holder|[*x]{4}[ -]?[*x]",
    (
        r"ex[kl]_|whsec_|\bsk-|sess-|gsk_|xai-|csk-|fw_|tgp_v1|pplx-|r8_|hf_|api_org|akia|asia[a-z0-9]{9}|abia"
        r"|acca|a3t|gh[pousr]_|github_pat"
    ),
    (
        r"gl(?:pat|dt|rt|ptt|ft|soat|cbt|agent|oas|imt)-|npm_|pypi-|dckr_|xox[a-z]|xapp-|ya29|aiza|gocspx"
        r"|[rs]k_(?:live|test)|sg[.]|\bkey-"
    ),
    (
        r"-us[0-9]|xkeysib|\bsk[0-9a-f]{16}|:aa|_v1_|shp(?:at|ca|pa|ss)|sq0|eaaa|access_token|dapi|dp[.]|lin_"
        r"|secret|ntn_|pmak|glsa_|glc_"
    ),
    (
        r"nra[ka]-|atlasv1|hv[sbr][.]|hrku|v1[.]0-|at(?:att|ctt|bbt)3|figd_|\bpat[a-z0-9]{14}|ltai|akid|sntry"
        r"|sb[ps]_|pscale|rubygems|clojars"
    ),
    (
        r"\bsl[.]|age-|eyj|private[ _-]key|hooks[.]slack|api/webhooks|accountkey|sharedaccess|sig="
        r"|authorization|bearer|authtoken|passw"
    ),
    (
        r"passphrase|cookie|credential|session|sesskey|(?:access|refresh|auth|id|api|bot|user)[ _-]?token"
        r"|[a-z]{3}[ _-]?key\b|[a-z]key[\"' ]?[:=]"
    ),
    (
        r"customer|subscriber|applicant|data subject|patient|employee|account owner|(?:full|first|last|real"
        r"|legal)[ _]?name|name is|surname"
    ),
    (
        r"signed up|registered|subscribed|birth|\bborn\b|\bd[.]?o[.]?b\b|ssn|social security|passport|driver"
        r"|national|identity card|id card"
    ),
    (
        r"tax id|nino\b|aadhaar|ausweis|\bcpf|phone|mobile|\bcell|\btel\b|\bcall|whatsapp|street|\bst\b"
        r"|avenue|\bave\b|\broad\b|\brd\b|lane\b"
    ),
    (
        r"dollars?\b|euros?\b|\bcents?\b|\bwir\b|\bunser|bei uns|genau\b|exakt|insgesamt|preis|rabatt|nachlass|kosten\b"
        r"|kostet|gebuehr|franken\b"
    ),
    (
        r"\bnous\b|\bnos\b|\bnotre\b|exactement|au total|precisement|\bprix\b|tarif|remises?\b|rabais|\bfrais\b|coute"
        r"|francs?\b"
    ),
    r"nosotr|nuestr|[a-z](?:amos|emos|imos)\b|en total|precio|descuento|cuesta|centavo|\bpesos?\b",
    (
        r"boykott|boycott|boicot|lasst uns|\balle (?:labs?|labore|mitglieder|partner)\b|\blabor|mitglied|gemeinsam"
        r"|zusammen|geschlossen|koordiniert|abgestimmt|konzertiert|\bpartner (?:soll|muess|duerf|werd|vereinb)"
    ),
    (
        r"\blabos\b|membres|partenaires|ensemble|de concert|jointe?ment|collectivement|refusons|augmentons"
        r"|\bon d(?:evrait|oit)\b"
    ),
    r"miembros|socios|juntos|conjunt|de comun acuerdo|entre todos|tenemos que|hay que|proponemos|vamos a\b",
    r"boulevard|blvd|drive\b|court\b|square|place\b|strasse|weg\b|gasse|platz|allee|conversation|chat",
    (
        r"pric|discount|rebate|\bfees?\b|rate card|cost|surcharge|[0-9] ?(?:usd|eur|gbp|dollar|euro|cents?)"
        r"|roadmap|release date|launch|embargo"
    ),
    (
        r"exactly|in total|a total of|precisely|\bwe\b|\bour|\bus\b|members|\blabs\b|let'?s|everyone"
        r"|each of us|all of us|both of us|joint"
    ),
    (
        r"coordinated|common|concerted|\bmy\b|threshold|cut-?off|weights?\b|score|benchmark|\beval|mmlu"
        r"|swe-bench|gpqa|accuracy"
    ),
)
_NAMES = re2.compile(("(?i)" + "|".join(f"(?:{words})" for words in _SIGNS)).encode())
