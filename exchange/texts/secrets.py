"""Keys, tokens and private keys in a folded text, by the forms that their makers publish. Pure, in linear time.

Each form is that of a vendor's documentation or of its entry with GitHub's secret scanning; where a maker gives a
secret no form of its own, a name beside it tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2

import re2

#: Forms that begin with letters of their maker's.
_PREFIXED = (
    r"ex[kl]_[a-z2-7]{8}_[A-Za-z0-9]{32,}",  # the exchange
    r"whsec_[A-Za-z0-9+/]{32,}",  # Standard Webhooks, Stripe
    r"sk-(?:ant-|proj-|svcacct-|admin-|or-v1-|None-)?[A-Za-z0-9_\-]{32,}",  # OpenAI, Anthropic, DeepSeek, OpenRouter
    r"sess-[A-Za-z0-9]{40}",
    r"(?:gsk|xai|csk|fw|tgp_v1)[_\-][A-Za-z0-9_\-]{40,}",  # Groq, xAI, Cerebras, Fireworks, Together
    r"pplx-[A-Za-z0-9]{40,}",  # Perplexity
    r"r8_[A-Za-z0-9]{37}",  # Replicate
    r"(?:hf|api_org)_[A-Za-z0-9]{30,}",  # Hugging Face
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}",
    r"gl(?:pat|dt|rt|ptt|ft|soat|cbt|agent|oas|imt)-[A-Za-z0-9_\-]{20,}",  # GitLab
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_\-]{50,}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{27,}",  # Docker
    r"xox[abeoprs](?:\.[a-z]+)?-[0-9A-Za-z\-]{20,}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,}",  # Slack
    r"ya29\.[A-Za-z0-9_\-]{30,}|AIza[0-9A-Za-z_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{28}",  # Google
    r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",  # Stripe
    r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",  # SendGrid
    r"key-[0-9a-f]{32}",  # Mailgun
    r"[0-9a-f]{32}-us[0-9]{1,2}",  # Mailchimp
    r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}",  # Brevo
    r"SK[0-9a-f]{32}",  # Twilio
    r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",  # Telegram
    r"[MNO][A-Za-z0-9]{23,25}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,40}",  # Discord
    r"do[opr]_v1_[a-f0-9]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
    r"sq0(?:atp|csp|idp)-[A-Za-z0-9_\-]{22,}|EAAA[A-Za-z0-9_\-]{60}",  # Square
    r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}",  # Braintree
    r"dapi[a-f0-9]{32}(?:-[0-9])?",  # Databricks
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.\-]{40,}",  # Doppler
    r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}",  # Linear
    r"(?:secret|ntn)_[A-Za-z0-9]{43,50}",  # Notion
    r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",  # Postman
    r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}",  # Grafana
    r"NRA[KA]-[A-Z0-9]{27}",  # New Relic
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=\-]{60,}",  # Terraform
    r"hv[sbr]\.[A-Za-z0-9_\-]{24,}",  # Vault
    r"HRKU-[A-Za-z0-9_\-]{30,}",  # Heroku
    r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}",  # Cloudflare
    r"AT(?:ATT3|CTT3|BBT3)[A-Za-z0-9_=\-]{50,}",  # Atlassian
    r"figd_[A-Za-z0-9_\-]{40,}",  # Figma
    r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",  # Airtable
    r"LTAI[A-Za-z0-9]{16,24}|AKID[A-Za-z0-9]{32}",  # Alibaba, Tencent
    r"sntry[su]_[A-Za-z0-9+/=_]{40,}",  # Sentry
    r"sb[ps]_[a-f0-9]{40}",  # Supabase
    r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_\-]{32,}",  # PlanetScale
    r"rubygems_[a-f0-9]{48}",
    r"CLOJARS_[a-f0-9]{60}",
    r"sl\.[A-Za-z0-9_\-]{130,}",  # Dropbox
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"eyJ[A-Za-z0-9_\-]{15,}\.eyJ[A-Za-z0-9_\-]{15,}\.[A-Za-z0-9_\-]{20,}",  # JSON Web Token
)
_FORMS = re2.compile(rf"(?:^|[^A-Za-z0-9_\-])(?:{'|'.join(_PREFIXED)})(?:$|[^A-Za-z0-9_\-])")
#: Forms that say what they are in words.
_WORDED = re2.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/+]{20,}"
    r"|discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_\-]{50,}"
    r"|(?i:accountkey=[a-z0-9+/]{80,}={0,2}|sharedaccesskey=[a-z0-9+/]{40,}={0,2}|sharedaccesssignature=\S{20,})"
    r"|[?&]sv=[0-9]{4}-[0-9]{2}-[0-9]{2}&\S{0,300}sig=[A-Za-z0-9%+/]{40,}"
    r"|(?i:\bauthorization[\"']?\s?[:=]\s?[\"']?(?:bearer|basic|token|ssws) [a-z0-9._~+/=\-]{16,})"
    r"|(?i:\bbearer [a-z0-9._~+/\-]{32,}={0,2})"
    r"|(?i:\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|rediss|amqps?)://[^\s:/@]{1,80}:[^\s:/@]{6,200}@)"
)
#: A name that says that a secret follows, and what follows.
_NAMED = re2.compile(
    r"(?i)(?:session[ _\-]?(?:id|token|key)|sess(?:ion)?key|(?:access|refresh|auth|bearer|id|api|bot|user)[ _\-]?token"
    r"|(?:api|access|secret|account|private|signing|encryption|master|service)[ _\-]?(?:access[ _\-]?)?key(?:[ _\-]id)?"
    r"|client[ _\-]?secret|app[ _\-]?secret|_authtoken|passw(?:or)?d|passphrase|set-cookie|cookie|credentials?)"
    r"[\"'`]?(?: is| was)?\s{0,2}[:=]?>?\s{0,2}[\"'`]?([a-z0-9._~+/=!@#$%^&*\-]{16,512})"
)
_PLAIN = re.compile(r"[a-z]+(?:[._/\-][a-z]+)*|[A-Z][a-z]+(?:[A-Z][a-z]+)*|[0-9.]+|https?:.*", re.IGNORECASE)


def holds_secret(text: str) -> bool:
    """Whether a key, token or private key is in the text."""
    if _FORMS.search(text) is not None or _WORDED.search(text) is not None:
        return True
    return any(_is_random(found) for found in _said(text))


def _said(text: str) -> Iterator[str]:
    return (found[1] for found in _NAMED.finditer(text))


#: Bits of each character, on average: words of languages lie below.
_LEAST_BITS = 3.0
#: Of letters alone: so many, in either case, and an eighth of them letters that are rare in words.
_MIXED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])[A-Za-z]{24,}")
_RARE = frozenset("jkqvxzJKQVXZ")


def _is_random(value: str) -> bool:
    """Whether what stands beside a name is a value that somebody drew: no words, digits among letters, few repeated."""
    if _MIXED.fullmatch(word := value.rstrip(".!")):
        return sum(character in _RARE for character in word) * 8 >= len(word)
    if _PLAIN.fullmatch(value) or not any(map(str.isdigit, value)) or not any(map(str.isalpha, value)):
        return False
    counts = [value.count(character) / len(value) for character in set(value)]
    return -sum(share * log2(share) for share in counts) >= _LEAST_BITS
