"""Personal and competitive texts: what somebody says of people, and labs of themselves. Pure, in linear time.

Public reports of threats are full of names, sums and dates, so each rule asks for what makes such a thing personal or
competitive: an id by its name, a customer beside a name, a price of what labs sell, `we` beside a plan. What says it
in other words passes; where facts are closed, no text passes at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import re2

from exchange.texts import acts, languages

_NAME = r"(?-i:[A-Z][a-z'-]+(?: [A-Z]\.)? [A-Z][a-z'-]+)"
_PERSON = r"(?:customer|account ?holder|card ?holder|account owner|subscriber|applicant|data subject|patient|employee)"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:uary|ruary|ch|il|e|y|ust|tember|ober|ember)?"
_DAY = (
    rf"(?:[0-9]{{1,4}}[/.\-][0-9]{{1,2}}[/.\-][0-9]{{1,4}}|[0-9]{{1,2}} {_MONTH} [0-9]{{4}}"
    rf"|{_MONTH} [0-9]{{1,2}},? [0-9]{{4}})"
)
_MAIL = r"[a-z0-9._%+\-]{1,64}@[a-z0-9.\-]{1,190}\.[a-z]{2,24}"
_PHONE = r"\+?[0-9(][0-9 ().\-]{7,18}[0-9]"

_PERSONAL = (
    rf"\b{_PERSON}(?:'s)?(?: full)?(?: name)?(?: is| was| called| named|,|:)? {_NAME}",
    r"\b(?:full name|first name|last name|real name|legal name|surname)(?: is| was)?[ :=]{1,3}(?-i:[A-Z][a-z'-]+)",
    (
        rf"\b(?:her|his|their|the|my) name is {_NAME}|\bsigned up (?:as|by) {_NAME}\b|\b{_NAME} (?:signed up"
        rf"|registered|subscribed)\b"
    ),
    rf"\b(?:date of birth|birth ?date|birthday|d\.?o\.?b\.?|born(?: on)?)[ :=]{{1,3}}{_DAY}",
    r"\b(?:ssn|social security(?: number| no\.?)?)(?: is| was)?[ :=#]{1,3}[0-9]{3}[ \-]?[0-9]{2}[ \-]?[0-9]{4}\b",
    r"(?:^|[^0-9\-])[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}(?:$|[^0-9\-])",
    (
        r"\b(?:passport|driver'?s? licen[cs]e|national id|identity card|id card|tax id|nino|national insurance"
        r"|aadhaar|personalausweis|cpf)"
        r"(?: number| no\.?)?(?: is| was)?[ :=#]{1,3}[a-z]{0,3}[0-9][a-z0-9 .\-]{5,18}\b"
    ),
    (
        rf"\b(?:{_PERSON}|user|account|e-?mail|mailbox|contact|registered|signed up|login)(?:'s)?(?: e-?mail"
        rf"| address| with| as| is| was| of| at| by|:|=| from| used| owned){{0,3}} <?{_MAIL}"
    ),
    (
        rf"\b(?:phone|mobile|telephone|cell|tel|call(?: him| her| them)?|whatsapp)(?: number| no\.?)?(?: is"
        rf"| was| at| on)?[ .:=]{{1,3}}{_PHONE}"
    ),
    (
        r"\b[0-9]{1,5}[a-z]? (?-i:[A-Z][a-z]+)(?: (?-i:[A-Z][a-z]+)){0,2} (?:street|st|avenue|ave|road"
        r"|rd|lane|boulevard|blvd|drive|court|square|place)\b\.?[^.\n]{0,40}[0-9]{4,6}"
    ),
    r"\b(?-i:[A-Z][a-zäöüß]+)(?:straße|strasse|weg|gasse|platz|allee) [0-9]{1,4}[a-z]?, ?[0-9]{5}\b",
    r"\b(?:conversation|chat|session)[ _\-]?id(?: is| was)?[ :=#]{1,3}[a-z]{0,8}[_\-]?[a-z0-9\-]{12,}",
)

_MONEY = r"(?:[$€£¥] ?[0-9]|[0-9][0-9.,]* ?(?:usd|eur|gbp|dollars?|euros?|cents?)\b)"
_COUNT = r"[0-9]{1,3}(?:[,. ][0-9]{3})+|[0-9]{3,}|[0-9.]+ ?(?:k|m|bn|million|billion|thousand)\b"
_WE = r"\b(?:we|our|ours|us|our lab|our company|the labs?|all labs|members|each of us|both of us|let'?s|let us)\b"
_OUR = (
    r"\b(?:our|we (?:charge|pay|spend|have|run|serve|plan|expect|operate|own|see|saw|count|process|bill"
    r"|offer|sell|use))\b"
)
_LATER = (
    rf"(?:q[1-4](?: of)? ?20[0-9]{{2}}|20[0-9]{{2}}|next (?:week|month|quarter|year|spring|summer|autumn"
    rf"|fall|winter)|{_MONTH}|tomorrow)"
)

_LOAD = rf"(?:{_OUR})[^.\n]{{0,60}}\b(?:capacity|utili[sz]ation|traffic|throughput|headcount)\b[^.\n]{{0,40}}[0-9]"
#: What says a sum, a number or a name.
_FIGURES = (
    (
        rf"\b(?:prices?|pricing|priced|discounts?|rebates?|fees?|list price|rate card|costs?"
        rf"|surcharge)\b[^.\n]{{0,60}}(?:{_MONEY}|[0-9.]+ ?%|[0-9]+ percent)[^.\n]{{0,40}}\b(?:tokens?|seats?"
        rf"|month|api|users?|requests?|customers?|plans?|subscription|tier)"
    ),
    (
        rf"{_MONEY}[^.\n]{{0,30}}\b(?:per|a|an|each|/) ?(?:million |1m |1k |thousand |output "
        rf"|input )*(?:tokens?|seats?|users?|requests?|api calls?|gpus?(?:[ -]hours?)?)\b"
    ),
    (
        rf"(?:{_OUR})[^.\n]{{0,60}}(?:{_COUNT})[^.\n]{{0,20}}\b(?:accounts?|users?|customers?|requests?"
        rf"|subscribers?|gpus?|h100s?|servers?|seats?|tokens|prompts?|exchanges?|signups?|sign-ups?)\b"
    ),
    (
        rf"\b(?:exactly|in total|a total of|precisely) (?:{_COUNT}) (?:[a-z-]+ )?(?:accounts?|users?|customers?"
        rf"|requests?|prompts?|exchanges?|signups?)\b"
    ),
    _LOAD,
    (
        r"\b(?:our|my) (?:biggest |largest |key )?(?:customer|client|partner|vendor|supplier)s?(?: is| are"
        r"| include|,|:) (?-i:[A-Z][A-Za-z]+)"
    ),
    (
        rf"(?:{_OUR}|\bthe)[^.\n]{{0,40}}\b(?:threshold|cut-?off|weights?|score|risk score)\b[^.\n]{{0,30}}\b"
        rf"(?:is|are|of|at|=|to)\b ?(?:0?\.[0-9]+|[0-9]{{1,3}} ?%)"
    ),
    (
        r"\b(?:model|eval(?:uation)?|benchmark|mmlu|swe-bench|gpqa)\b[^.\n]{0,40}\b(?:scores?|scored|reaches"
        r"|accuracy)\b[^.\n]{0,20}[0-9]{1,3}(?:\.[0-9]+)? ?%"
    ),
)
#: What somebody plans, or proposes to do together; a subject of its own stands before `said`.
_ACTS = (
    (
        rf"(?:{_OUR})[^.\n]{{0,60}}\b(?P<said>prices?|pricing|discounts?|margins?|revenues?|spend(?:ing)?|budgets?"
        rf"|costs?|fees?)\b[^.\n]{{0,60}}(?:{_MONEY}|[0-9.]+ ?%|[0-9]+ percent|rises?|drops?|goes? up"
        rf"|goes? down|increase|cut)"
    ),
    (
        rf"(?:{_WE})[^.\n]{{0,40}}\b(?P<said>launch|release|ship|announce|roll out|deprecate|retire|discontinue"
        rf"|sunset)(?:e?s|ing)?\b[^.\n]{{0,60}}\b{_LATER}"
    ),
    (
        r"\b(?:let'?s|let us|we should|we must|we propose to|we agree to|labs should|all labs|everyone should"
        r"|members should|all of us|we all|together we)\b[^.\n]{0,40}"
        r"\b(?P<said>boycott|refuse to (?:sell|serve|deal)|raise (?:our |the )?(?:prices|rates)|stop (?:selling"
        r"|serving)|cut off|blacklist|block (?:them|this reseller|all)|ban (?:them|this)|suspend (?:them|all"
        r"|this)|agree(?:d)? (?:on|not)|coordinate|not (?:sell|serve|deal)|act (?:together|jointly)|split the)"
    ),
)
#: The same, as a noun that may be one of a list.
_NOUNS = (
    (
        rf"\b(?P<said>roadmap|release date|launch date|embargo)\b[^.\n]{{0,40}}"
        rf"\b(?:{_LATER}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})"
    ),
    (
        r"\b(?P<said>joint|coordinated|common|concerted) (?:action|boycott|ban|pricing|price|response|refusal"
        r"|policy)\b[^.\n]{0,40}\b(?:labs?|members|partners|us|all|everyone|against)\b"
    ),
)
_COMPETITIVE = tuple(one.replace("(?P<said>", "(?:") for one in (*_FIGURES, *_ACTS, *_NOUNS))


def _any_of(rules: Iterable[str]) -> re2.Pattern:
    return re2.compile("(?i)" + "|".join(f"(?:{one})" for one in rules))


_RULES = {"personal-data": _any_of(_PERSONAL), "competitive-data": _any_of(_COMPETITIVE)}
_ONLY_FIGURES = _any_of(_FIGURES)
#: Where numbers were words: beside a load those alone that say how much, for "one" and "two" stand in every text.
_FIGURES_OF_WORDS = _any_of(
    (*(one for one in _FIGURES if one != _LOAD), rf"{_LOAD}[0-9]* ?(?:%|(?:percent|thousand|million|billion)\b)")
)
_SAID = tuple((re2.compile(f"(?i){one}"), one in _ACTS) for one in (*_ACTS, *_NOUNS))


def holds_personal(text: str) -> bool:
    """Whether the text names a person, or says something that belongs to one."""
    return _RULES["personal-data"].search(text) is not None


def holds_competitive(text: str) -> bool:
    """Whether the text says what a lab charges, serves, plans or proposes to do together."""
    return _RULES["competitive-data"].search(text) is not None or languages.hold_figures(text) or acts.hold(text)


def holds_figures(text: str) -> bool:
    """Whether it says a sum, a number or a name of a lab's: no denial beside it takes that back."""
    return _ONLY_FIGURES.search(text) is not None or languages.hold_figures(text)


def holds_figures_of_words(text: str) -> bool:
    """The same of a text whose numbers in words were read as digits."""
    return _FIGURES_OF_WORDS.search(text) is not None or languages.hold_figures(text)


def acts_in(text: str) -> Iterator[tuple[int, int, int, bool]]:
    """What a text says of plans, or proposes to do together: where it begins, where its verb or noun does, and its end.

    With whether it has a subject of its own, so that a comma before it parts it from what stands there. Stretches may
    overlap: what lies within one is found too.
    """
    for rule, has_subject in _SAID:
        found = rule.search(text)
        while found is not None:
            yield found.start(), found.start(1), found.end(), has_subject
            found = rule.search(text, found.start() + 1)
