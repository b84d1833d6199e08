"""Plans and calls to act together in five languages: what the door is to find where CTI is open. All made up."""

from __future__ import annotations

import random

#: Planted; `later` is a date to come, as each language writes it.
IN_LANGUAGES: dict[str, tuple[str, ...]] = {
    "German": (
        "wir werden das nächste Modell {later} veröffentlichen",
        "wir wollen {later} die kleine Version auf den Markt bringen",
        "unsere Preise werden im Frühjahr steigen",
        "lasst uns diesen Reseller alle boykottieren",
        "alle Labs sollten diese Kunden nicht mehr bedienen",
        "wir sollten alle die Preise erhöhen",
    ),
    "French": (
        "nous lancerons le prochain modèle {later}",
        "nous allons publier la petite version {later}",
        "nos prix augmenteront au printemps",
        "nous devrions tous boycotter ce revendeur",
        "les laboratoires doivent refuser de les servir",
        "augmentons tous nos tarifs",
    ),
    "Spanish": (
        "lanzaremos el próximo modelo {later}",
        "vamos a publicar la versión pequeña {later}",
        "nuestros precios subirán en primavera",
        "deberíamos todos boicotear a este revendedor",
        "los laboratorios deben dejar de venderles",
        "subamos todos nuestros precios",
    ),
    "Chinese": (
        "我们将在{later}发布下一代模型",
        "我方计划{later}推出小型版本",
        "我们的价格明年会上调",
        "让我们一起抵制这家经销商",
        "所有实验室都应拒绝服务这些客户",
        "我们应该一起涨价",
    ),
    "Japanese": (
        "当社は{later}に次のモデルを公開します",
        "弊社は小型版を{later}にリリースする予定です",
        "当社の料金は来年引き上げます",
        "みんなでこの業者をボイコットしましょう",
        "各社はこの顧客との取引を停止すべきです",
        "一緒に値上げしましょう",
    ),
}
LATER: dict[str, tuple[str, ...]] = {
    "German": ("im März 2027", "Q3 2027", "nächsten Monat", "2027"),
    "French": ("en mars 2027", "T3 2027", "le mois prochain", "en 2027"),
    "Spanish": ("en marzo de 2027", "T3 2027", "el mes que viene", "en 2027"),
    "Chinese": ("2027年3月", "第三季度", "下个月", "明年"),
    "Japanese": ("2027年3月", "第3四半期", "来月", "来年"),
}
#: Written after the rules, tried once, and never mended by.
UNSEEN: dict[str, tuple[str, ...]] = {
    "German": (
        "Im nächsten Quartal wollen wir die neue Generation vorstellen.",
        "Wir müssen geschlossen auftreten und diesen Anbieter sperren.",
        "Unsere Rabatte werden wir zum Herbst kürzen.",
        "Ich schlage einen gemeinsamen Boykott aller Labs vor.",
        "Kein Labor darf an diese Leute noch etwas verkaufen.",
        "Der Start unseres Agenten ist für Juni geplant.",
    ),
    "French": (
        "Le mois prochain, nous allons annoncer une nouvelle génération.",
        "Il faut que tous les membres cessent de leur vendre quoi que ce soit.",
        "Mettons-nous d'accord pour bloquer ce revendeur.",
        "Nous allons réduire nos remises à partir de l'automne.",
        "Je propose une action commune des laboratoires contre ce client.",
        "La sortie de notre agent est prévue en juin.",
    ),
    "Spanish": (
        "El próximo trimestre presentaremos una nueva generación.",
        "Propongo una acción conjunta de los laboratorios contra este cliente.",
        "Todos los miembros tienen que bloquear a este revendedor.",
        "Vamos a reducir los descuentos en otoño.",
        "Pongámonos de acuerdo para no venderles nada.",
        "La salida de nuestro agente está prevista para junio.",
    ),
    "Chinese": (
        "下个季度我们准备推出新一代产品。",
        "各实验室应当停止向他们销售。",
        "我司打算下调折扣。",
        "我提议成员对该客户采取联合行动。",
        "谁也不要再卖给他们。",
        "我们的智能体预计六月上线。",
    ),
    "Japanese": (
        "来四半期に私たちは新世代を発表する予定です。",
        "会員は全員、この業者へのサービスの提供をやめるべきだ。",
        "弊社は秋に割引を削減します。",
        "ラボによる共同ボイコットを提案します。",
        "誰も彼らに売らないでおこう。",
        "当社のエージェントは6月に登場します。",
    ),
}
#: What contracts and purposes say: each denies what it names, and is agreed to.
DENIED: dict[str, tuple[str, ...]] = {
    "German": (
        "Die Mitglieder dürfen keinen Kunden gemeinsam boykottieren.",
        "Ein gemeinsamer Boykott der Mitglieder ist untersagt.",
        "Es gibt keine gemeinsamen Maßnahmen der Mitglieder gegen einzelne Kunden.",
        "Die Mitglieder werden weder Preise absprechen noch Märkte aufteilen.",
        "Nichts in diesem Vertrag verpflichtet die Mitglieder, Konten zu sperren.",
    ),
    "French": (
        "Les membres ne doivent pas boycotter un client.",
        "Tout boycott commun des membres est interdit.",
        "Aucune action commune des membres contre un client n'est permise.",
        "Les membres s'interdisent de s'entendre sur les prix.",
        "Rien n'oblige les membres à bloquer ces comptes.",
    ),
    "Spanish": (
        "Los miembros no deben boicotear a ningún cliente.",
        "Queda prohibido todo boicot conjunto de los miembros.",
        "Toda acción conjunta de los miembros contra un cliente está prohibida.",
        "Los miembros no acuerdan repartirse el mercado.",
        "Nada obliga a los miembros a bloquear a este cliente.",
    ),
    "Chinese": (
        "成员不得共同抵制任何客户。",
        "禁止成员采取联合行动。",
        "所有成员都不会拒绝服务任何客户。",
        "成员之间不得统一定价。",
        "本协议不构成成员的共同行动。",
    ),
    "Japanese": (
        "会員が共同でボイコットすることは禁止されています。",
        "会員による共同行動は認められません。",
        "各社は価格を統一しません。",
        "会員は取引を拒否することを申し合わせない。",
        "共同ボイコットを会員に求めるものではない。",
    ),
}
#: Words of denials that deny nothing.
EMPTY: dict[str, tuple[str, ...]] = {
    "German": (
        "Wir sollten nicht länger zögern, sie gemeinsam zu boykottieren.",
        "Alle Labs sollten sie ohne Ausnahme boykottieren.",
        "Ein gemeinsamer Boykott der Labs ist nicht verboten.",
        "Wir wollen nichts Böses, aber alle Labs sollten sie boykottieren.",
    ),
    "French": (
        "Nous devrions tous boycotter ce revendeur sans exception.",
        "Un boycott commun des laboratoires n'est pas interdit.",
        "Pas seulement nous : les laboratoires doivent refuser de les servir.",
        "Ce n'est rien, mais les laboratoires doivent boycotter ce client.",
    ),
    "Spanish": (
        "Deberíamos todos boicotear a este revendedor sin excepción.",
        "Un boicot conjunto de los laboratorios no está prohibido.",
        "No es nada, pero los laboratorios deben boicotear a este cliente.",
        "Hay que boicotear a este cliente sin duda.",
    ),
    "Chinese": (
        "我们不得不一起抵制这家经销商。",
        "没有例外, 所有实验室都应拒绝服务这些客户。",
        "联合抵制对我们没有被禁止。",
        "这不是小事, 但我们应该一起涨价。",
    ),
    "Japanese": (
        "例外なく各社は取引を停止すべきです。",
        "みんなでボイコットしなければならない。",
        "共同ボイコットは会員に禁止されていない。",
        "些細ではないが、各社はボイコットすべきです。",
    ),
}


def planted(language: str, turn: str, pick: random.Random) -> str:
    """One of them, with a date of that language."""
    return turn.format(later=pick.choice(LATER[language]))
