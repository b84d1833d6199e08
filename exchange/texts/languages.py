"""Figures that labs say of themselves, in six languages: how many are ours, and what we charge. Pure, in linear time.

Each language is a line of words; the rules that they fill are the same for all. Numbers may be written in words; those
of English are digits here already (`numbering`), and more is asked of English in `speech`.
"""

from __future__ import annotations

from typing import NamedTuple

import re2


class _Words(NamedTuple):
    """What the rules ask for in one language."""

    we: str  # who speaks of themselves
    number: str  # any number, in words or digits
    many: str  # a number of a hundred and more
    things: str  # what labs count
    sold: str  # what labs sell
    in_all: str  # what makes a number exact
    money: str  # a currency behind a number
    price: str
    per: str
    gap: str = r"[^.\n]"


_PERCENT = "(?:%|percent|prozent|pour ?cent|por ciento|パーセント)"
_DIGITS = r"[0-9][0-9.,'\x{2019}]*"
_BIG_DIGITS = r"[0-9]{1,3}(?:[,. '\x{2019}][0-9]{3})+|[0-9]{3,}"

_DE = (
    r"(?:ein|zwei|zwo|drei|vier|f(?:ü|ue)nf|sech|sieb|sieben|acht|neun|zehn|elf|zw(?:ö|oe)lf|zwanzig|s?zig"
    r"|(?:ß|ss)ig|hundert|tausend|s|und)"
)
_DE_NUMBER = rf"(?:\b{_DE}+|\beine[rn]?(?: halben?)?|{_DIGITS})"
_FR = (
    r"(?:une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize|vingts?|trente"
    r"|quarante|cinquante|soixante|septante|huitante|nonante)"
)
_ES = (
    r"(?:un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince"
    r"|dieci[a-zé]+|veinte|veinti[a-zá-ú]+|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa)"
)
_HAN = "[0-9.,〇零一二三四五六七八九十两兩百千万萬亿億多余]"
_HAN_DIGIT = _HAN.replace(".,", "").replace("多余", "")
_HAN_BIG = "[百千万萬亿億]"
_HAN_MANY = rf"(?:{_HAN}+{_HAN_BIG}{_HAN}*|[0-9]{{3,}}|[0-9]{{1,3}}(?:,[0-9]{{3}})+)"

_LANGUAGES = (
    _Words(  # English
        we=r"\b(?:we|our)\b",
        number=_DIGITS,
        many=rf"(?:{_DIGITS} ?(?:k|m|bn|thousand|million|billion)\b|{_BIG_DIGITS})",
        things=(
            r"(?:accounts?|users?|customers?|requests?|subscribers?|gpus?|h100s?|servers?|seats?|tokens|prompts?"
            r"|sign-?ups)\b"
        ),
        sold=r"\b(?:tokens|seats?|users?|requests?|gpu hours?|api calls?)\b",
        in_all=r"\b(?:exactly|in total|precisely)",
        money=r"(?:dollars?|euros?|cents?|pounds?|usd|eur|gbp|[$€£])",
        price=r"\b(?:prices?|pricing|discounts?|rebates?|fees?|costs?|charges?|go(?:es)? for|sells? for|bill)\b",
        per=r"\b(?:per|an?|each|every)\b",
    ),
    _Words(  # German
        we=r"\b(?:wir|unser(?:e[rmns]?)?|uns)\b",
        number=_DE_NUMBER,
        many=(
            rf"(?:\b{_DE}*(?:hundert|tausend){_DE}*\b|{_DE_NUMBER} ?(?:tausend|tsd|mio|mrd|millione?n?|milliarden?)\b"
            rf"|{_BIG_DIGITS})"
        ),
        things=(
            r"(?:konto|konten|accounts?|(?:be)?nutzer|kund(?:en|innen)|anfragen|abonnenten|abos|token|server|gpus?"
            r"|pl(?:atz|(?:ä|ae)tze)|registrierungen|anmeldungen|prompts?)"
        ),
        sold=r"(?:token|pl(?:atz|(?:ä|ae)tze)|nutzer|anfrage|gpu|abo\b)",
        in_all=r"\b(?:genau|exakt|insgesamt)",
        money=r"(?:dollar|euro|cent|franken|usd|eur|chf|[$€])",
        price=r"(?:preise?n?|rabatte?n?|nachlass|geb(?:ü|ue)hr(?:en)?|kosten|kostet|berechnen|verlangen)",
        per=r"\b(?:pro|je|f(?:ü|ue)r eine?|per)\b",
    ),
    _Words(  # French
        we=r"\b(?:nous|nos|notre)\b",
        number=rf"(?:\b{_FR}(?:[ -](?:et[ -])?{_FR}|[ -]cents?|[ -]mille)*\b|{_DIGITS})",
        many=(
            rf"(?:\b(?:{_FR}[ -](?:et[ -])?)*(?:cents?|mille)\b|(?:\b{_FR}|\bcents?|\bmille|\bdemi|{_DIGITS})[ -]"
            rf"?(?:mille|millions?|milliards?)\b|{_BIG_DIGITS})"
        ),
        things=(
            r"(?:comptes?|utilisateurs?|clients?|requ(?:ê|e)tes?|abonn(?:é|e)s|jetons?|tokens?|serveurs?|gpus?"
            r"|inscriptions?|si(?:è|e)ges?|postes?|prompts?)"
        ),
        sold=r"(?:jetons?|tokens?|si(?:è|e)ges?|postes?|utilisateur|requ(?:ê|e)te|gpu)",
        in_all=r"\b(?:exactement|au total|pr(?:é|e)cis(?:é|e)ment)",
        money=r"(?:dollars?|euros?|centimes?|francs?|usd|eur|chf|[$€])",
        price=r"(?:prix|tarifs?|remises?|rabais|frais|co(?:û|u)te?(?:nt)?|facturons)",
        per=r"\b(?:(?:par|le|la|pour une?)\b|l')",
    ),
    _Words(  # Spanish
        we=(r"\b(?:nosotr[oa]s|nuestr[oa]s?|[a-z]{1,12}(?:amos|emos|[^xtr]imos))\b"),
        number=rf"(?:\b{_ES}(?: (?:y )?{_ES})*\b|\bcien(?:to)?\b|{_DIGITS})",
        many=(
            rf"(?:\b(?:{_ES} (?:y )?)*(?:cien|ciento|[a-z]{{2,6}}cient[oa]s|quinient[oa]s|mil)\b"
            rf"|(?:\b{_ES}|\bmil|\bcien|\bmedio|{_DIGITS}) ?(?:mil|mill(?:ó|o)n|millones)\b|{_BIG_DIGITS})"
        ),
        things=(
            r"(?:cuentas?|usuari[oa]s?|clientes?|solicitudes|peticiones|suscriptor(?:es|as)|tokens?|servidores|gpus?"
            r"|registros|asientos?|puestos?|prompts?)"
        ),
        sold=r"(?:tokens?|asientos?|puestos?|usuari[oa]|solicitud|petici(?:ó|o)n|gpu)",
        in_all=r"\b(?:exactamente|en total|un total de|precisamente)",
        money=r"(?:d(?:ó|o)lar(?:es)?|euros?|centavos?|c(?:é|e)ntimos?|pesos?|usd|eur|[$€])",
        price=r"(?:precios?|tarifas?|descuentos?|cuesta[n]?|costos?|costes?|cobramos)",
        per=r"\b(?:por|cada|al|a la)\b",
    ),
    _Words(  # Chinese, simplified and traditional
        we="(?:我们|我們|我方|我司|本公司|我公司)",
        number=f"{_HAN_DIGIT}{_HAN}*",
        many=_HAN_MANY,
        things=(
            "(?:[账帐賬帳][户号戶號]|用[户戶]|客[户戶]"
            "|[请請]求|令牌|服务器|伺服器|注册|註冊"
            "|[订訂][阅閱]|席位|tokens?|gpu)"
        ),
        sold="(?:令牌|席位|用[户戶]|[请請]求|tokens?|gpu)",
        in_all="(?:正好|总共|總共|一共|共计|共計|合计)",
        money="(?:美元|元|欧元|歐元|美金|美分|usd|[$€])",
        price="(?:价格|價格|定价|定價|折扣|费用|費用|收费|收費)",
        per="(?:每|/)",
        gap="[^.\n。]",
    ),
    _Words(  # Japanese
        we="(?:当社|弊社|我々|私たち|我が社|わたしたち)",
        number=f"{_HAN_DIGIT}{_HAN}*",
        many=_HAN_MANY,
        things=("(?:アカウント|ユーザ|利用者|顧客|リクエスト|トークン|サーバ|契約者|口座|登録|席|gpu)"),
        sold="(?:トークン|席|ユーザ|リクエスト|gpu)",
        in_all="(?:ちょうど|合計|全部で|総計)",
        money="(?:円|ドル|ユーロ|セント|usd|[$€])",
        price="(?:価格|料金|割引|単価|手数料)",
        per="(?:につき|あたり|毎|ごと|/)",
        gap="[^.\n。]",
    ),
)


def _rules(words: _Words) -> tuple[str, ...]:
    we, number, many, things, sold, in_all, money, price, per, gap = words
    near, far = f"{gap}{{0,24}}", f"{gap}{{0,60}}"
    sum_ = rf"(?:{number} ?{money}|[$€] ?{number})"
    share = rf"(?:{number} ?{_PERCENT}|百分之{number})"
    return (
        f"{we}{far}{many}{near}{things}",
        f"{we}{near}{things}{near}{many}",
        f"{many}{gap}{{0,6}}{things}{near}{we}",
        f"{in_all}{near}{many}{near}{things}",
        f"{sum_}{near}{per}{near}{sold}",
        f"{sold}{gap}{{0,12}}{per}{gap}{{0,12}}{sum_}",
        f"{per}{gap}{{0,12}}{sold}{gap}{{0,12}}{sum_}",
        f"{sold}{near}{price}{near}{sum_}",
        f"{price}{far}(?:{sum_}|{share}){near}{sold}",
        f"{we}{far}{price}{far}(?:{sum_}|{share})",
        f"{price}{near}{we}{near}(?:{sum_}|{share})",
        f"{we}{far}{share}{near}{price}",
    )


class _Language(NamedTuple):
    """The rules of a language, and what a text holds that any of them could find: two quick looks, and none further."""

    of_what: re2.Pattern
    how_much: re2.Pattern
    rules: tuple[re2.Pattern, ...]  # each by itself: all in one are more than RE2 keeps tables of


def _compiled(words: _Words) -> _Language:
    of_what, how_much = f"{words.things}|{words.price}", f"{words.we}|{words.in_all}|{words.money}"
    ways = (re2.compile(f"(?i){one}") for one in (of_what, how_much, *_rules(words)))
    return _Language(next(ways), next(ways), tuple(ways))


_BY_LANGUAGE = tuple(map(_compiled, _LANGUAGES))
#: Those that are written in letters alone; no sentence of the others is without a character of its own.
_IN_LATIN = _BY_LANGUAGE[:4]

#: Digits that count nothing: hashes and ids, names and versions, years after a word, days, addresses, ports and codes.
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_NO_COUNT = re2.compile(
    r"(?i)\b[0-9a-f]{32,64}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b(?:[a-gi-z]|[a-z]{2,})[0-9][0-9a-z]*(?:\.[0-9a-z]+)*|\b(?:cve|cwe|aes|sha|rsa|storm|dev)-[0-9][0-9-]*"
    rf"|\b(?:since|during|until|early|mid|late|seit|depuis|desde|{_MONTH})[ -](?:19|20)[0-9]{{2}}\b"
    rf"|\b(?:19|20)[0-9]{{2}}-[0-9]{{2}}-[0-9]{{2}}\b|\b(?:{_OCTET}\[?\.\]?){{3}}{_OCTET}\b"
    r"|\b(?:microsoft|office) 365\b|\b(?:ports?|http|rfc|error|event id) [0-9]{1,5}\b"
)


def hold_figures(text: str) -> bool:
    """Whether a folded text says in one of these languages how many are a lab's, or what it charges."""
    text = _NO_COUNT.sub("x", text)
    return any(
        any(rule.search(text) is not None for rule in language.rules)
        for language in (_IN_LATIN if text.isascii() else _BY_LANGUAGE)
        if language.of_what.search(text) is not None and language.how_much.search(text) is not None
    )
