"""Plans, and calls to act together, in five languages beside English (`speech`); and what denies them. Pure.

Each language is a line of words; the rules that they fill are the same for all. In these languages a denial may stand
behind what it denies: "ein gemeinsamer Boykott ist untersagt".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import re2


class _Words(NamedTuple):
    """What the rules ask for in one language."""

    plan: str  # who plans, with the word that makes it no report of the past
    launch: str
    later: str
    ours: str  # whose prices
    price: str
    move: str  # up or down
    call: str  # who is to act: a subject with its verb
    together: str  # how they are to act
    act: str
    joint: str  # an act of several, as a noun
    whose: str  # beside such a noun
    denial: str
    empty: str  # words of denials that deny nothing
    turn: str  # what comes after is said anew
    gap: str = r"[^.!?;\n]"
    by_form: str = ""  # acts and plans whose verb says by its form who is to act


_DE_MONTH = r"(?:januar|februar|m(?:ä|ae)rz|april|mai|juni|juli|august|september|oktober|november|dezember)"
_FR_MONTH = (
    r"(?:janvier|f(?:é|e)vrier|mars|avril|mai|juin|juillet|ao(?:û|u)t|septembre|octobre|novembre|d(?:é|e)cembre)"
)
_ES_MONTH = r"(?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)"
_ZH_WE, _JA_WE = "(?:我们|我們|我方|我司|本公司|我公司)", "(?:当社|弊社|我々|私たち|我が社|わたしたち)"

_LANGUAGES = (
    _Words(  # German
        plan=r"\b(?:wir|unser(?:e[rmns]?)?)\b",
        launch=(
            r"(?:ver(?:ö|oe)ffentlichen|(?:herauszu|heraus)bringen|auf den markt (?:zu )?bringen|(?:ein|einzu)f(?:ü"
            r"|ue)hren"
            r"|ank(?:ü|ue)ndigen|anzuk(?:ü|ue)ndigen|freigeben|freizugeben|vorstellen|vorzustellen|abschalten"
            r"|abzuschalten|einstellen|einzustellen|starten|erscheint|erscheinen)\b"
        ),
        later=(
            rf"\b(?:q[1-4] ?20[0-9]{{2}}|20[0-9]{{2}}|n(?:ä|ae)chste[nrsm]? (?:woche|monat|quartal|jahr|fr(?:ü"
            rf"|ue)hjahr"
            rf"|sommer|herbst|winter)|(?:im|ende|anfang|mitte) {_DE_MONTH}|morgen)\b"
        ),
        ours=r"\b(?:wir|unser(?:e[rmns]?)?)\b",
        price=r"\b(?:preise?n?|rabatte?n?|geb(?:ü|ue)hr(?:en)?|tarife?n?|margen?|budgets?|umsatz)\b",
        move=(
            r"\b(?:(?:zu )?erh(?:ö|oe)h(?:en|t)|(?:zu )?senken|anheben|anzuheben|k(?:ü|ue)rzen|steigen|steigt|sinken"
            r"|sinkt)\b"
        ),
        call=(
            r"\b(?:lass(?:t|en sie) uns|wir (?:alle )?(?:sollten|m(?:ü|ue)ssen|schlagen vor|vereinbaren)"
            r"|alle (?:labs?|labore|mitglieder|partner)|(?:labs?|labore|mitglieder|partner) (?:sollten|sollen"
            r"|m(?:ü|ue)ssen|d(?:ü|ue)rfen|werden|vereinbaren))\b"
        ),
        together=r"\b(?:gemeinsam|zusammen|geschlossen|koordiniert)\b",
        act=(
            r"(?:\bboykott(?:ieren|iert)?\b|\bzu boykottieren\b|\bauszuschlie(?:ß|ss)en\b|\bausschlie(?:ß|ss)en\b"
            r"|\bnicht (?:mehr )?(?:zu )?be(?:dienen|liefern)\b|\b(?:zu )?sperren\b|\babsprechen\b|\babzusprechen\b"
            r"|\bpreise (?:anheben|anzuheben|(?:zu )?erh(?:ö|oe)hen|abstimmen|abzustimmen)\b|\baufteilen\b"
            r"|\baufzuteilen\b"
            r"|\bgemeinsam (?:vorgehen|vorzugehen|(?:zu )?handeln)\b)"
        ),
        joint=(
            r"\b(?:gemeinsam|koordiniert|abgestimmt|konzertiert)e[rnsm]? (?:boykotte?|aktion(?:en)?|vorgehen|preise?"
            r"|sperren?|weigerung|ma(?:ß|ss)nahmen?|reaktion)\b"
        ),
        whose=r"\b(?:labs?|labore[ns]?|mitgliede?rn?|partnern?|alle[rn]?|gegen|uns)\b",
        denial=(
            r"\b(?:nicht|kein(?:e[nmrs]?)?|nie|niemals|weder|ohne|niemand|nichts|verbiete[nt]|verboten|untersag(?:t"
            r"|en)"
            r"|unzul(?:ä|ae)ssig|ausgeschlossen|unterlassen|verzichten)\b"
        ),
        empty=(
            r"\bnicht (?:nur|allein|blo(?:ß|ss)|zuletzt|zuletzt|(?:l(?:ä|ae)nger |mehr )?(?:z(?:ö|oe)gern|warten"
            r"|zusehen)|umhin)\b"
            r"|\b(?:nicht|nie|nichts|kein(?:e[nmrs]?)?)\b(?: [a-zäöüß]+){0,3} (?:verboten|untersagt|unzul(?:ä|ae)ssig"
            r"|ausgeschlossen|dagegen|gegen|hindern|abhalten)\b"
            r"|\bohne (?:ausnahmen?|zweifel|z(?:ö|oe)gern|weiteres|einw(?:ä|ae)nde)\b|\bnichts (?:anderes"
            r"|weiter) als\b"
            r"|\bkeine?n? (?:ausnahmen?|zweifel|gr(?:u|ü|ue)nde?|z(?:ö|oe)gern|problem|wahl|einw(?:a|ä|ae)nde?"
            r"|hindernis)\b"
            r"|\b(?:warum|ob|wenn|falls|oder) nicht\b"
        ),
        turn=(
            r"\b(?:aber|sondern|jedoch|doch|stattdessen|au(?:ß|ss)er|es sei denn|obwohl|dennoch|trotzdem|daher"
            r"|deshalb"
            r"|also|denn|weil|dann|sonst|bis)\b"
        ),
    ),
    _Words(  # French
        plan=r"\b(?:nous|notre|nos)\b",
        launch=(
            r"\b(?:lancer|lan(?:ç|c)ons|lancerons|lancement|publier|publions|publierons|sortir|sortons|sortirons"
            r"|sortie"
            r"|annoncer|annon(?:ç|c)ons|annoncerons|d(?:é|e)ployer|d(?:é|e)ploierons|retirer|retirerons|arr(?:ê|e)ter"
            r"|arr(?:ê|e)terons|sortira|para(?:î|i)tra)\b"
        ),
        later=(
            rf"\b(?:[tq][1-4] ?20[0-9]{{2}}|20[0-9]{{2}}|(?:mois|semaine|trimestre|ann(?:é|e)e|printemps|(?:é"
            rf"|e)t(?:é|e)|automne|hiver)"
            rf" prochaine?|(?:en|d(?:é|e)but|fin|mi) {_FR_MONTH}|demain)\b"
        ),
        ours=r"\b(?:nous|notre|nos)\b",
        price=r"\b(?:prix|tarifs?|remises?|rabais|marges?|budgets?|co(?:û|u)ts?|frais)\b",
        move=(
            r"\b(?:augmenter(?:ons|ont|a)?|augmentons|augmentent|hausser|relever(?:ons)?|baisser(?:ons|ont)?|baissons"
            r"|r(?:é|e)duire|r(?:é|e)duirons|monteront)\b"
        ),
        call=(
            r"\b(?:(?:nous|on) (?:tous )?(?:ne )?(?:devrions|devons|devrait|doit|proposons de|convenons de)"
            r"|(?:tous les|les|ces) (?:labos?|laboratoires|membres|partenaires)"
            r"|(?:labos?|laboratoires|membres|partenaires) (?:ne )?(?:devraient|doivent|conviennent))\b"
        ),
        together=r"\b(?:ensemble|de concert|conjointement|collectivement)\b",
        act=(
            r"\b(?:boycott(?:er|ent|ons)?|refuser (?:tous )?de (?:le |la |les |leur )?(?:servir|vendre|traiter)"
            r"|(?:plus|pas) (?:les |leur |le |lui )?servir"
            r"|cesser de (?:les |leur |le |lui )?(?:servir|vendre)|bloquer (?:ce|ces|tous|les)|exclure (?:ce|ces"
            r"|tous|les)"
            r"|augmenter (?:nos|les|leurs) (?:prix|tarifs)|s'entendre|nous entendre|se partager|nous partager"
            r"|fixer (?:les|nos|leurs) prix|couper l'acc(?:è|e)s|agir (?:ensemble|de concert))\b"
        ),
        joint=(
            r"\b(?:actions?|boycotts?|r(?:é|e)ponses?|refus|politiques?|prix|tarifs)"
            r" (?:communs?|communes?|conjoint(?:e?s)?|conjointe|concert(?:é|e)e?s?|coordonn(?:é|e)e?s?)"
        ),
        whose=r"\b(?:labos?|laboratoires?|membres?|partenaires?|tous|contre|nous)\b",
        denial=(
            r"\b(?:ne|n'|pas|aucune?|jamais|ni|sans|personne|rien|interdi(?:t|te|ts|tes|re|sons|sent)|prohib(?:é|e"
            r"|er|ent)e?s?"
            r"|exclu(?:t|e|s|es|ent)?|s'abstien(?:t|nent)|s'abstenir|s'interdi(?:t|sent)|(?:é|e)cart(?:é|e)e?s?)\b"
            r"|\bn'"
        ),
        empty=(
            r"\b(?:pas|non) (?:seulement|uniquement|simplement)\b|\bsans (?:exception|doute|d(?:é|e)lai|h(?:é"
            r"|e)siter|attendre|tarder)\b"
            r"|\baucune? (?:exception|doute|raison|objection|h(?:é|e)sitation|obstacle)\b|\bpourquoi (?:pas"
            r"|ne pas)\b|\bne [a-zà-ü]+ que\b"
            r"|\b(?:ne|n'|rien|aucune?)\b ?(?:[a-zà-ü']+ ){0,4}(?:interdi|prohib|exclu|emp(?:ê|e)ch|oppos"
            r"|contre)[a-zà-ü]*(?: pas)?"
            r"|\bpas (?:interdit|prohib(?:é|e)|exclu)e?\b|\bne (?:devons|devrions|faut)? ?pas (?:h(?:é|e)siter"
            r"|attendre|tarder)\b"
            r"|\bn'h(?:é|e)sitons pas\b|\bne (?=[a-zà-ü]+ plus\b)"
        ),
        turn=(
            r"\b(?:mais|cependant|toutefois|sauf|(?:à|a) moins|bien que|tandis que|donc|ainsi|alors|car|parce que"
            r"|sinon|au contraire)\b"
        ),
        by_form=(
            r"\b(?:boycottons|refusons (?:tous )?de (?:les |leur |le |lui )?(?:servir|vendre)"
            r"|augmentons (?:tous )?nos (?:prix|tarifs))\b"
        ),
    ),
    _Words(  # Spanish
        plan=(
            r"\b(?:nosotr[oa]s|nuestr[oa]s?|vamos a|planeamos|pensamos|prevemos|queremos|(?:lanza|publica|saca"
            r"|anuncia|presenta"
            r"|retira|desplega)remos)\b"
        ),
        launch=(
            r"\b(?:lanzar(?:emos)?|lanzamiento|publicar(?:emos)?|sacar(?:emos)?|anunciar(?:emos)?|presentar(?:emos)?"
            r"|retirar(?:emos)?|desplegar(?:emos)?|saldr(?:á|a))\b"
        ),
        later=(
            rf"\b(?:[tq][1-4] ?20[0-9]{{2}}|20[0-9]{{2}}|(?:mes|semana|trimestre|a(?:ñ|n)o|primavera|verano|oto(?:ñ"
            rf"|n)o|invierno)"
            rf" (?:que viene|pr(?:ó|o)xim[oa])|pr(?:ó|o)xim[oa] (?:mes|semana|trimestre|a(?:ñ|n)o|primavera|verano"
            rf"|oto(?:ñ|n)o|invierno)|(?:en|finales de"
            rf"|principios de) {_ES_MONTH}|ma(?:ñ|n)ana)\b"
        ),
        ours=r"\b(?:nosotr[oa]s|nuestr[oa]s?|vamos a|subiremos|bajaremos|reduciremos|aumentaremos)\b",
        price=r"\b(?:precios?|tarifas?|descuentos?|m(?:á|a)rgen(?:es)?|presupuestos?|costes?|costos?)\b",
        move=(
            r"\b(?:subir(?:emos|(?:á|a)n?)?|bajar(?:emos|(?:á|a)n?)?|aumentar(?:emos|(?:á|a)n?)?|reducir(?:emos|(?:á"
            r"|a)n?)?|suben|bajan)\b"
        ),
        call=(
            r"\b(?:(?:deber(?:í|i)amos|debemos|tenemos que|hay que|acordemos|acordamos|proponemos) ?(?:todos)?"
            r"|todos los (?:laboratorios|miembros|socios)|(?:laboratorios|miembros|socios) (?:no )?(?:deber(?:í|i)an"
            r"|deben|acuerdan))\b"
        ),
        together=r"\b(?:juntos|conjuntamente|entre todos|de com(?:ú|u)n acuerdo)\b",
        act=(
            r"\b(?:boicot(?:ear(?:lo|la|los|las)?|ee[ns]?)?|negar(?:se|nos) a (?:servir|vender|atender)"
            r"|dejar de (?:servir|vender|atender)(?:le|les)?"
            r"|bloquear (?:a|este|estos|todos)|excluir (?:a|este|estos|todos)|subir (?:nuestros |los "
            r"|sus )?(?:precios|tarifas)|fijar (?:los |nuestros )?precios"
            r"|repartir(?:nos|se)?|cortar(?:les|le)? el acceso|actuar (?:juntos|de com(?:ú|u)n acuerdo"
            r"|de forma conjunta)|no (?:servir|atender)(?:le|les)?)\b"
        ),
        joint=(
            r"\b(?:acci(?:ó|o)n|acciones|boicots?|respuestas?|negativas?|pol(?:í|i)ticas?|precios|tarifas)"
            r" (?:com(?:ú|u)n(?:es)?|conjunt[oa]s?|concertad[oa]s?|coordinad[oa]s?)"
        ),
        whose=r"\b(?:laboratorios?|miembros?|socios?|todos|contra|nosotros)\b",
        denial=(
            r"\b(?:no|ning(?:ú|u)n[oa]?|nunca|jam(?:á|a)s|ni|sin|nadie|nada|proh(?:í|i)b(?:e|en|id[oa]s?|ir)"
            r"|vedad[oa]s?|excluid[oa]s?|excluyen?"
            r"|se abst(?:ienen?|endr(?:á|a)n?)|abstenerse)\b"
        ),
        empty=(
            r"\bno (?:s(?:ó|o)lo|solamente|(?:\w+ )?(?:dudar|esperar|dudemos|esperemos))\b|\bsin (?:excepci(?:ó"
            r"|o)n(?:es)?|duda|demora|dudarlo|m(?:á|a)s)\b"
            r"|\bning(?:ú|u)n[oa]? (?:excepci(?:ó|o)n|duda|raz(?:ó|o)n|objeci(?:ó|o)n|motivo|obst(?:á|a)culo)\b"
            r"|\bpor qu(?:é|e) no\b|\bsi no\b|\bnada m(?:á|a)s que\b"
            r"|\b(?:no|nada|nunca)\b(?: [a-zá-úñ]+){0,3} (?:prohib|vedad|exclu|impid|opon|contra)[a-zá-úñ]*"
        ),
        turn=(
            r"\b(?:pero|sino|sin embargo|no obstante|salvo|excepto|aunque|mientras|por tanto|por lo tanto|as(?:í"
            r"|i) que|entonces|porque|pues|hasta)\b"
        ),
        by_form=(
            r"\b(?:boicoteemos|negu(?:é|e)monos a (?:servir|vender|atender)|subamos (?:todos )?(?:nuestros "
            r"|los )?precios"
            r"|dejemos de (?:servir|vender|atender)(?:le|les)?|(?:lanza|publica|saca|anuncia|presenta|retira"
            r"|desplega)remos"
            rf"[^.!?;\n]{{0,60}}(?:20[0-9]{{2}}|pr(?:ó|o)xim[oa]|que viene|{_ES_MONTH}|ma(?:ñ|n)ana))\b"
        ),
    ),
    _Words(  # Chinese, simplified and traditional
        plan=f"{_ZH_WE}[^.!?;。\n]{{0,40}}(?:将|將|计划|計劃|打算|准备|準備|预计|預計|会|會|拟|擬)",
        launch="(?:发布|發布|推出|上线|上線|公布|下线|下線|停用|开放|開放)",
        later="(?:下个?月|下個月|明年|下个?季度|下個?季度|下周|下週|20[0-9]{2}年?|[0-9一二三四五六七八九十]+月|第[一二三四1-4]季度|q[1-4])",
        ours=_ZH_WE,
        price="(?:价格|價格|定价|定價|费用|費用|预算|預算|折扣|售价|售價)",
        move="(?:上调|上調|提高|上涨|上漲|下调|下調|降低|削减|削減|涨|漲)",
        call=(
            "(?:让我们|讓我們|所有(?:实验室|實驗室|成员|成員)|各(?:实验室|實驗室|成员|成員)"
            "|(?:我们|我們|大家)(?:应该|應該|应当|應當|必须|必須|都)|(?:实验室|實驗室|成员|成員)(?:应|應|都|必须|必須))"
        ),
        together="(?:一起|共同|联合|聯合|一致)",
        act=(
            "(?:抵制|杯葛|拒绝(?:服务|出售|销售|交易|提供)|拒絕(?:服務|出售|銷售|交易|提供)|停止(?:向[^.。\n]{0,12})?(?:销售|銷售|服务|服務|供应|供應|出售)"
            "|封杀|封殺|涨价|漲價|提高(?:价格|價格)|统一(?:价格|定价)|統一(?:價格|定價)|瓜分|划分市场|劃分市場|拉黑)"
        ),
        joint="(?:联合|聯合|共同|一致|协同|協同)(?:抵制|行动|行動|定价|定價|拒绝|拒絕|涨价|漲價)",
        whose="(?:实验室|實驗室|成员|成員|伙伴|夥伴|所有|各方|对|對|针对|針對|我们|我們)",
        denial="(?:不得|不会|不會|不能|不可|不应|不應|不构成|不構成|不是|不包括|不涉及|没有|沒有|无权|無權|禁止|严禁|嚴禁|避免|排除|不允许|不允許|不进行|不進行)",
        empty=(
            "(?:不得不|不能不|不可不|不应犹豫|不應猶豫|不是不|没有(?:理由|例外|异议|必要不)|沒有(?:理由|例外|異議)|不(?:应|應|会|會)?(?:禁止|反对|反對)|(?:并非|並非|不再|没有"
            "|沒有)(?:被)?禁止)"
        ),
        turn="(?:但是|但|而是|然而|不过|不過|因此|所以|除非|否则|否則|因为|因為)",
        gap="[^.!?;。\n]",
    ),
    _Words(  # Japanese
        plan=_JA_WE,
        launch="(?:公開|発表|リリース|提供開始|発売|投入|廃止|終了)(?:します|する|を?予定|いたします)",
        later="(?:来月|来週|来年|来四半期|来春|来夏|来秋|20[0-9]{2}年|[0-9]{1,2}月|第[1-4一二三四]四半期)",
        ours=_JA_WE,
        price="(?:価格|料金|割引|予算|手数料)",
        move="(?:引き上げ|値上げ|引き下げ|値下げ|削減)",
        call="(?:みんなで|皆で|各社|全社|全ラボ|(?:全て|すべて)の(?:ラボ|会員|メンバー)|(?:ラボ|会員|メンバー|参加者|私たち|我々)(?:は|が|全員)|お互いに)",
        together="(?:共同で|一緒に|協調して|一斉に|足並みを揃えて)",
        act=(
            "(?:ボイコット|不買|取引を(?:停止|拒否|やめ|断)|(?:販売|提供|サービス)(?:を|の)(?:停止|拒否|やめ)|値上げ|締め出|価格を(?:揃え|引き上げ|協定|統一)"
            "|市場を(?:分割|分け合))"
        ),
        joint="(?:共同|協調|一斉|合同)(?:で|の|した)?(?:行動|ボイコット|対応|拒否|値上げ|価格)",
        whose="(?:ラボ|会員|メンバー|参加者|パートナー|全員|各社|対する|に対し|私たち|我々)",
        denial="(?:ない|ません|なく|せず|禁止|禁じ|認め(?:ない|られない)|許され(?:ない|ません)|控え|除外|対象外)",
        empty=(
            "(?:だけで(?:は)?なく|のみならず|(?:せ|し)なければならない|しなければなりません|ためらわず|例外なく|違いない|(?:禁止|禁じ)(?:されて)?(?:は)?(?:い)?(?:ない|ません"
            "|られていない))"
        ),
        turn="(?:しかし|だが|ただし|けれども|したがって|だから|そのため|むしろ)",
        gap="[^.!?;。\n]",
    ),
)


def _rules(words: _Words) -> tuple[tuple[str, bool], ...]:
    """Each rule, with whether it has a subject of its own; its one group is its verb or noun."""
    near, far = f"{words.gap}{{0,40}}", f"{words.gap}{{0,60}}"
    plan, launch, later = words.plan, f"({words.launch})", words.later
    return (
        (f"{plan}{far}{launch}{far}{later}", True),
        (f"{plan}{far}{later}{far}{launch}", True),
        (f"{later}{near}{plan}{far}{launch}", True),
        (f"{words.ours}{near}({words.price}){far}{words.move}", True),
        (f"{words.ours}{near}({words.move}){near}{words.price}", True),
        (f"{words.call}{far}({words.act})", True),
        (f"{words.together}{far}({words.act})", False),
        (f"({words.joint}){far}{words.whose}", False),
        (f"{words.whose}{near}({words.joint})", False),
        *(((f"({words.by_form})", True),) if words.by_form else ()),
    )


class _Rule(NamedTuple):
    finds: re2.Pattern
    has_subject: bool


class _Language(NamedTuple):
    look: re2.Pattern  # what a text holds that any of the rules could find
    rules: tuple[_Rule, ...]
    denial: re.Pattern[str]
    empty: re.Pattern[str]
    turn: re.Pattern[str]
    ends: re.Pattern[str]  # a sentence


def _compiled(words: _Words) -> _Language:
    return _Language(
        re2.compile("(?i)" + "|".join(filter(None, (words.act, words.joint, words.launch, words.move, words.by_form)))),
        tuple(_Rule(re2.compile(f"(?i){one}"), has_subject) for one, has_subject in _rules(words)),
        re.compile(words.denial, re.IGNORECASE),
        re.compile(words.empty, re.IGNORECASE),
        re.compile(words.turn, re.IGNORECASE),
        re.compile(r"[.!?;。\n]"),
    )


_ALL = tuple(map(_compiled, _LANGUAGES))
#: Those that are written in letters alone; no sentence of the others is without a character of its own.
_IN_LATIN = _ALL[:3]
#: What stands further away denies nothing.
_SENTENCE = 400
_PARTS = re.compile("[,:()\\[\\]、]")


def hold(text: str) -> bool:
    """Whether a folded text says in one of these languages what a lab plans, or proposes to act together."""
    return any(rule.finds.search(text) is not None for language in _spoken_in(text) for rule in language.rules)


def leave_undenied(lines: str) -> bool:
    """The same of a folded text, its lines kept, in which a denial in the same sentence counts."""
    plain = lines.replace("\n", " ")
    return any(
        not _is_denied(language, lines, place=place, end=end, said=said, has_subject=rule.has_subject)
        for language in _spoken_in(plain)
        for rule in language.rules
        for place, said, end in _found(rule.finds, plain)
    )


def _spoken_in(text: str) -> Iterator[_Language]:
    for language in _IN_LATIN if text.isascii() else _ALL:
        if language.look.search(text) is not None:
            yield language


def _found(rule: re2.Pattern, text: str) -> Iterator[tuple[int, int, int]]:
    """Where each begins, where its verb or noun does, and where that ends; what lies within another is found too."""
    found = rule.search(text)
    while found is not None:
        yield found.start(), found.start(1), found.end(1)
        found = rule.search(text, found.start() + 1)


def _is_denied(language: _Language, lines: str, *, place: int, said: int, end: int, has_subject: bool) -> bool:
    """A number is never denied, nor what a comma parts from its subject, nor what is said anew."""
    if any(map(str.isdigit, lines[place:end])):
        return False
    first, last = max(0, said - _SENTENCE), min(len(lines), end + _SENTENCE)
    first = max((one.end() for one in language.ends.finditer(lines, first, said)), default=first)
    last = next((one.start() for one in language.ends.finditer(lines, end, last)), last)
    if has_subject:
        first = max((one.end() for one in _PARTS.finditer(lines, first, place)), default=first)
        last = next((one.start() for one in _PARTS.finditer(lines, end, last)), last)
    before, after = lines[first:said], lines[end:last]
    turns = [turn.end() for turn in language.turn.finditer(before)]
    before = before[max(turns, default=0) :]
    if (turn := language.turn.search(after)) is not None:
        after = after[: turn.start()]
    around = language.empty.sub(" ", f"{before} {lines[said:end]} {after}").replace(lines[said:end], " ")
    return language.denial.search(around) is not None
