"""The closed words of the vocabulary and the ids of our extensions: data only, so that everybody has the same."""

from __future__ import annotations

EXTENSION_ID = "extension-definition--433655db-7720-5ad0-91a4-c4555836d02f"
TOKEN_EXTENSION_ID = "extension-definition--159394a8-e215-5ed7-b86f-c6ca99451cbe"  # noqa: S105 - a public id
VALUE_EXTENSION_ID = "extension-definition--9725c490-ee25-5bcd-990a-92364474a4e0"
OPINION_EXTENSION_ID = "extension-definition--d311f1f1-be10-57c5-85e3-47f808b1224c"
CAMPAIGN_EXTENSION_ID = "extension-definition--18b2dcc8-ff42-570e-a3e1-901254edadc5"
EXCERPT_EXTENSION_ID = "extension-definition--d5864f6b-225c-5863-a39d-10966749daa1"
EXCHANGE_IDENTITY_ID = "identity--1a639da4-fb52-5f78-a845-aafd8cf4ebee"
#: Our extensions: name and type of extension (STIX 2.1 §7.3).
EXTENSIONS = {
    EXTENSION_ID: ("Indicator of a campaign against an AI lab", "property-extension"),
    TOKEN_EXTENSION_ID: ("Token", "new-sco"),
    VALUE_EXTENSION_ID: ("Value in clear", "new-sco"),
    OPINION_EXTENSION_ID: ("Reason of an opinion", "property-extension"),
    CAMPAIGN_EXTENSION_ID: ("Campaign", "property-extension"),
    EXCERPT_EXTENSION_ID: ("Excerpt of an attacker's prompt, for people", "new-sdo"),
}

#: The version of the extension that is written; version 1 is still read.
SCHEMA_VERSION = "2"
#: How values are normalised before they are tokenised, in version 2.
NORM_VERSION = "2"

OBLIVIOUS = "oprf-ristretto255-sha512"
GROUP_KEY = "hmac-sha256"

#: Every kind with its subkinds.
SUBKINDS: dict[str, tuple[str, ...]] = {
    "account-pattern": (
        *("email", "email_domain", "phone", "device", "net", "client_fp", "gateway_host", "signup_template"),
        "cluster_rule",
    ),
    "payment-fingerprint": ("par", "pan_token", "iban_token", "psp_fp", "crypto_addr", "bin_range", "billing_rule"),
    "prompt-signature": ("skeleton", "phrase", "regex", "nova_rule", "feature_rule"),
}
KIND_OF = {subkind: kind for kind, subkinds in SUBKINDS.items() for subkind in subkinds}

#: What each subkind carries: the property of the extension.
TOKENISED = (
    *("email", "phone", "device", "signup_template", "par", "pan_token", "iban_token", "psp_fp"),
    *("skeleton", "phrase"),
)
IN_CLEAR = ("email_domain", "net", "client_fp", "gateway_host", "crypto_addr", "bin_range")
RULES = ("cluster_rule", "billing_rule", "feature_rule")
SIGNATURES = {"regex": "regex", "nova_rule": "nova"}
CARRIED_BY = {
    **dict.fromkeys(TOKENISED, "tokens"),
    **dict.fromkeys(IN_CLEAR, "value"),
    **dict.fromkeys(RULES, "rule"),
    **dict.fromkeys(SIGNATURES, "signature"),
}
#: Tokenised under the key of one group only.
OF_GROUP_KEY = frozenset({"signup_template", "phrase"})

SEVERITIES = ("low", "medium", "high", "critical")
CONTROLS = ("actor_controlled", "reseller_pool", "compromised_victim", "unknown")
SHARED_INFRA = ("none", "cgnat", "corporate_egress", "cloud", "vpn", "campus")
REVIEWS = ("machine", "one_analyst", "two_analysts")
ACTIONS = ("observed", "limited", "challenged", "suspended")
ATTRIBUTIONS = ("named", "pseudonym", "exchange")
#: How many of the bundled ordinary prompts a signature or phrase matches, as the exchange measured it: none; no more
#: than may match; more, which is refused today and was not when it was stored.
BENIGN_HITS = ("none", "few", "many")
BUCKETS = tuple(f"10^{power}" for power in range(8))
ENTRY_PROGRAMS = ("api", "consumer", "edu", "startup", "research", "cloud_resale")
INSTRUMENTS = ("card", "virtual_card", "prepaid", "wallet", "bank", "crypto")
ELICITATIONS = (
    *("cot", "grading", "tool_trace", "agentic_code", "computer_use", "vision", "censorship_rewrite", "dataset_gen"),
    "other",
)
#: Why an opinion is what it is; of a campaign, the second.
REASONS = ("confirmed_here", "false_positive", "benign_shared", "victim", "stale", "wrong_attribution")
REASONS_OF_CAMPAIGNS = ("two_campaigns", "same_campaign", "not_a_campaign")
#: Those of these that speak against an object: of appeals, and of campaigns that are dismissed.
REASONS_AGAINST = tuple(reason for reason in REASONS if reason != "confirmed_here")
#: How well a campaign is founded.
GRADES = ("corroborated", "on_one_labs_word")
#: Values in clear that no object of STIX observes: they have one of ours, `x-exchange-value`.
VALUES = ("client_fp", "bin_range")

MALICIOUS = "malicious-activity"
#: `indicator_types` (STIX 2.1 §10.9); the first only under one of these controls.
INDICATOR_TYPES = (MALICIOUS, "compromised", "anomalous-activity", "unknown")
MALICIOUS_CONTROLS = frozenset({"actor_controlled", "reseller_pool"})
#: How a technique of MITRE ATLAS is referred to.
ATLAS = "mitre-atlas"
ATLAS_PAGES = "https://atlas.mitre.org/techniques/"

_OF_ACCOUNTS = (
    *("signup_burst", "accounts_per_token", "sync_score", "duty_cycle", "model_pivot_h", "geo_mismatch"),
    *("client_fp_missing", "rotation_rate"),
)
FEATURES = {
    "cluster_rule": _OF_ACCOUNTS,
    "billing_rule": ("decline_ratio", "bin_concentration", "refund_loop"),
    "feature_rule": _OF_ACCOUNTS,
}
OPERATORS = ("<", "<=", ">", ">=", "=")
#: The numbers of a rule: shares in steps of 0.05, and 1, 2 and 5 times a power of ten up to a million.
GRID: tuple[int | float, ...] = tuple(
    sorted({step / 20 for step in range(1, 20)} | {0, 0.01, 0.02, 0.99, 0.98}
           | {digit * 10**power for power in range(6) for digit in (1, 2, 5)} | {1_000_000})
)  # fmt: skip

_LANGUAGES = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki
kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no
nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te
tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu ceb ckb cmn fil hak hmn hsb mul nan
prs sat tzm und wuu yue zgh zxx
"""
#: Languages by their subtags in the IANA registry: those of two letters, and some of three that prompts are in.
LANGUAGES = tuple(_LANGUAGES.split())
_SCRIPTS = """
Arab Armn Beng Bopo Cyrl Deva Ethi Geor Grek Gujr Guru Hang Hans Hant Hebr Hira Jpan Kana Khmr Knda Kore Laoo Latn
Mlym Mong Mymr Orya Sinh Taml Telu Tfng Thaa Thai Tibt
"""
#: Script subtags that may follow a language.
SCRIPTS = tuple(_SCRIPTS.split())
_REGIONS = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW 419
"""
#: Region subtags that may follow: the countries of ISO 3166, and Latin America.
REGIONS = tuple(_REGIONS.split())

#: The words of campaigns' names: an adjective, a noun and a number.
_ADJECTIVES = """
amber ashen azure bold brass brisk bronze calm cedar clear coral crimson dusky early ember faded flint frost gilded
grey hazel hollow indigo iron ivory jade keen late linen lone lunar maple marble mellow misty mossy muted narrow
noble ochre olive opal pale pearl pine plain polar quiet rapid rustic sandy scarlet silent silver slate solar still
stone sunny swift tawny teal umber violet
"""
CAMPAIGN_ADJECTIVES = tuple(_ADJECTIVES.split())
_NOUNS = """
anchor anvil arrow badger barn basin beacon birch bridge brook canyon cliff cloud comet crane creek delta dune eagle
falcon fern finch fjord forest fox garden glade grove harbor hawk heron hill island kestrel lagoon lake lantern
ledge marsh meadow mesa mill moor moth oak orchard otter owl peak pebble plover pond prairie raven reef ridge river
robin shore sparrow spring summit valley willow
"""
CAMPAIGN_NOUNS = tuple(_NOUNS.split())
