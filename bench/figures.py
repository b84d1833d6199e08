"""Counts and prices in words, in six languages: what the door is to find where CTI is open. All of it is made up."""

from __future__ import annotations

import random

#: Counts and prices, by language: `n` is a number of many in words, `s` one of a few.
IN_WORDS: dict[str, tuple[str, ...]] = {
    "English": (
        "we have {n} accounts",
        "our service counts {n} users by now",
        "exactly {n} requests",
        "it costs {s} dollars per million tokens",
        "thirty-{s} cents a request",
    ),
    "German": (
        "wir haben {n} Konten",
        "bei uns sind {n} Kunden angemeldet",
        "{n} Anfragen haben wir im Mai bedient",
        "insgesamt {n} Nutzer",
        "{s} Dollar pro Million Token",
        "unser Preis liegt bei {s} Euro je Nutzer",
    ),
    "French": (
        "nous avons {n} comptes",
        "nos {n} clients en Europe",
        "au total {n} utilisateurs",
        "{s} dollars par million de jetons",
        "notre tarif est de {s} euros par utilisateur",
    ),
    "Spanish": (
        "tenemos {n} cuentas",
        "nuestros {n} usuarios de pago",
        "en total {n} solicitudes",
        "{s} dólares por millón de tokens",
        "el precio es de {s} euros por usuario",
    ),
    "Chinese": (
        "我们有{n}个账户",
        "我方目前拥有{n}名用户",
        "总共{n}个请求",
        "每百万令牌{s}美元",
        "价格为每个用户{s}元",
    ),
    "Japanese": (
        "当社には{n}のアカウントがあります",
        "我々は{n}人のユーザーを抱えています",
        "合計{n}件のリクエスト",
        "百万トークンあたり{s}ドル",
        "料金は1ユーザーにつき{s}円",
    ),
}
#: Numbers of accounts, and of sums.
NUMBERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "English": (("twelve thousand", "two hundred and ten", "a million", "forty-five thousand"), ("three", "seven")),
    "German": (
        ("zwölf Millionen", "zwölftausend", "dreihundertfünfzig", "fünfundzwanzigtausend", "eine Million"),
        ("zwölf", "fünfundvierzig", "dreißig"),
    ),
    "French": (
        ("douze millions de", "douze mille", "trois cent cinquante", "vingt-cinq mille", "quatre-vingt mille"),
        ("douze", "quarante-cinq", "trente et un"),
    ),
    "Spanish": (
        ("doce millones de", "doce mil", "trescientas cincuenta", "veinticinco mil", "un millón de"),
        ("doce", "cuarenta y cinco", "treinta"),
    ),
    "Chinese": (("一千二百万", "一万两千", "三百五十", "二十五万"), ("十二", "四十五", "三十")),
    "Japanese": (("千二百万", "一万二千", "三百五十", "二十五万"), ("十二", "四十五", "三十")),
}
#: Sentences that were written after the rules, tried once, and never mended by: what other people's words come to.
UNSEEN: dict[str, tuple[str, ...]] = {
    "English": (
        "We process nine billion prompts per week",
        "each month fourteen thousand teams pay us",
        "The monthly fee for a seat rises to eighty dollars",
        "we now hold sixty thousand GPUs",
        "Our customers: two thousand four hundred",
        "we lost seven hundred accounts to this reseller",
    ),
    "German": (
        "Wir verarbeiten neun Milliarden Prompts pro Woche",
        "Uns zahlen vierzehntausend Firmen im Monat",
        "Die Gebühr je Platz steigt auf achtzig Euro",
        "Wir halten inzwischen sechzigtausend GPUs",
        "Unsere Kundenzahl: zweitausendvierhundert",
        "An diesen Händler verloren wir siebenhundert Konten",
    ),
    "French": (
        "Nous traitons neuf milliards de prompts par semaine",
        "quatorze mille entreprises nous paient chaque mois",
        "Les frais par siège passent à quatre-vingts euros",
        "nous détenons désormais soixante mille GPU",
        "Nos clients : deux mille quatre cents",
        "nous avons perdu sept cents comptes à cause de ce revendeur",
    ),
    "Spanish": (
        "Procesamos nueve mil millones de prompts por semana",
        "catorce mil empresas nos pagan cada mes",
        "La tarifa por puesto sube a ochenta euros",
        "ya tenemos sesenta mil GPU",
        "Nuestros clientes: dos mil cuatrocientos",
        "perdimos setecientas cuentas por este revendedor",
    ),
    "Chinese": (
        "我们每周处理九十亿条提示",
        "每月有一万四千家企业向我们付费",
        "每个席位的月费涨到八十元",
        "我们现有六万块GPU",
        "我们的客户有两千四百家",
        "因这个经销商我们损失了七百个账户",
    ),
    "Japanese": (
        "当社は毎週九十億件のプロンプトを処理する",
        "毎月一万四千社が当社に支払っている",
        "一席あたりの料金は八十ユーロに上がる",
        "当社は今や六万基のGPUを持つ",
        "当社の顧客は二千四百社",
        "この再販業者のせいで我々は七百のアカウントを失った",
    ),
}


def in_words(language: str, turn: str, pick: random.Random) -> str:
    many, few = NUMBERS[language]
    return turn.format(n=pick.choice(many), s=pick.choice(few))
