"""From what a lab found to a complete indicator: one builder per subkind, built with `stix2`, marked and labelled.

    tokeniser = Tokeniser(client)
    made = build.email(tokeniser, "anna@example.org", publisher_action="suspended", entry_program="api")
    client.publish(made, groups=["ring"])

Every builder returns a list, of one indicator but for `phrase`, of which a prompt has any number. What it says besides
is given by the names of the vocabulary: `review`, `publisher_action`, `control`, `severity`, `confidence`,
`techniques`, `first_seen`, `last_seen` (cut to the hour), `volume_bucket`, `detector`, `benign_hit_rate`,
`attribution`, `entry_program`, `instrument`, `accounts_per_instrument`, `elicitation`, `languages`, `shared_infra`,
`psp_scope`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import stix2
import stix2patterns.validator
import tldextract

from exchange.client.errors import Unusable
from exchange.client.tokenising import Token, Tokenised, Tokeniser, documents
from exchange.stix import words
from exchange.stix.patterns import extension_pointer, pattern_of
from exchange.tokens import defanging, forms, normalising

#: TLP 2.0 (the `stix2` library knows TLP 1.0 alone).
MARKINGS = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}
#: How long each lives at most (vocabulary); without a wish, 30 days, or this where it is less.
LONGEST = {
    subkind: timedelta(days=7 if subkind == "net" else 30 if subkind == "bin_range" else 180 if subkind in {
        *("cluster_rule", "nova_rule", "feature_rule"),
    } else 90)
    for subkind in words.KIND_OF
}  # fmt: skip
_USUAL = timedelta(days=30)
_DEFAULTS: dict[str, Any] = {"attribution": "named", "review": "machine", "publisher_action": "observed"}
#: What is a property of STIX's own; everything else is said in the extension.
_OUTSIDE = frozenset({"confidence", "created_by_ref", "id"})
_HOURS = ("first_seen", "last_seen")
_TYPE_OF = {
    "actor_controlled": "malicious-activity",
    "reseller_pool": "malicious-activity",
    "compromised_victim": "compromised",
}
_ATLAS_PAGE = "https://atlas.mitre.org/techniques/"
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


class NotBuilt(Unusable):
    """A value that gives no indicator, or a word that the vocabulary does not know; the message never has the value.

    `at` is the place in the indicator, for a word.
    """

    def __init__(self, said: str, *, at: str = "") -> None:
        super().__init__(said)
        self.at = at


@dataclass(frozen=True, slots=True)
class Frame:
    """What all indicators of one call have in common."""

    tlp: str = "amber"
    valid_for: timedelta | None = None
    now: datetime | None = None


class _Indicator(stix2.Indicator):  # type: ignore[misc]  # the library has no types
    """`stix2`'s own, but what patterns of one shape share is read once: that was five sixths of building one."""

    def _check_object_constraints(self) -> None:
        super(stix2.Indicator, self)._check_object_constraints()
        if self["pattern_type"] == "stix" and not _is_grammatical(_LITERAL.sub("'x'", self["pattern"])):
            raise ValueError("not a pattern of STIX")


#: A string whose content makes no difference to the grammar (STIX 2.1 §9.2); one with a backslash is read as it is.
_LITERAL = re.compile(r"'[^'\\]*'")


@lru_cache(maxsize=256)
def _is_grammatical(pattern: str) -> bool:
    return not stix2patterns.validator.run_validator(pattern, "2.1")


def indicator(subkind: str, carried: Mapping[str, Any], *, frame: Frame | None = None, **said: Any) -> Any:
    """A complete indicator that carries `tokens`, `value`, `rule` or `signature`. Raises NotBuilt."""
    frame = frame or Frame()
    kind = words.KIND_OF[subkind]
    moment = (frame.now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    extension = _extension(kind, subkind, carried, said)
    pattern, pattern_type = pattern_of(extension)
    made = {
        "id": f"indicator--{uuid.uuid4()}",
        "created": moment,
        "modified": moment,
        "name": f"{kind}: {subkind}",
        "pattern": pattern,
        "pattern_type": pattern_type,
        "valid_from": moment,
        "valid_until": moment + _life(subkind, frame.valid_for),
        "labels": _labels(extension),
        "indicator_types": [_TYPE_OF.get(extension.get("control", ""), "unknown")],
        "external_references": [_atlas(one) for one in extension.get("techniques", ())],
        "object_marking_refs": [_marking(frame.tlp)],
        "extensions": {words.EXTENSION_ID: extension},
        **{name: said[name] for name in _OUTSIDE if said.get(name) is not None},
    }
    try:
        return _Indicator(**{name: value for name, value in made.items() if value != []})
    except (stix2.exceptions.STIXError, ValueError) as error:
        raise NotBuilt(f"stix2 does not take it: {type(error).__name__}") from error


def of_tokens(subkind: str, tokens: Sequence[Token], *, frame: Frame | None = None, **said: Any) -> Any:
    """An indicator of tokens that are there already."""
    return indicator(subkind, {"tokens": documents(tokens)}, frame=frame, **said)


def of_values(
    tokeniser: Tokeniser, subkind: str, values: Sequence[str], *, frame: Frame | None = None, **said: Any
) -> list[list[Any]]:
    """For each value the indicators that it gives; values are tokenised together. Raises NotBuilt for a wrong one."""
    return [
        [of_tokens(subkind, tokens, frame=frame, **said) for tokens in token_sets(subkind, one)]
        for one in map(_right, tokeniser.tokenise(subkind, values))
    ]


def token_sets(subkind: str, one: Tokenised) -> list[tuple[Token, ...]]:
    """The tokens of one value, by the indicator that carries them: each phrase has its own."""
    return list(one.by_form) if subkind == "phrase" else [one.tokens]


def _tokenised(subkind: str) -> Callable[..., list[Any]]:
    def builder(tokeniser: Tokeniser, value: str, *, frame: Frame | None = None, **said: Any) -> list[Any]:
        return of_values(tokeniser, subkind, [value], frame=frame, **said)[0]

    builder.__name__, builder.__doc__ = subkind, f"The indicators of one raw `{subkind}`. Raises NotBuilt."
    return builder


email = _tokenised("email")
phone = _tokenised("phone")
device = _tokenised("device")
signup_template = _tokenised("signup_template")
par = _tokenised("par")
pan_token = _tokenised("pan_token")
iban_token = _tokenised("iban_token")
psp_fp = _tokenised("psp_fp")
skeleton = _tokenised("skeleton")
phrase = _tokenised("phrase")


def _in_clear(subkind: str) -> Callable[..., list[Any]]:
    def builder(value: str, *, frame: Frame | None = None, **said: Any) -> list[Any]:
        return [indicator(subkind, {"value": clear_form(subkind, value)}, frame=frame, **said)]

    builder.__name__, builder.__doc__ = (
        subkind,
        f"The indicator of one `{subkind}`, in its normal form. Raises NotBuilt.",
    )
    return builder


email_domain = _in_clear("email_domain")
net = _in_clear("net")
client_fp = _in_clear("client_fp")
gateway_host = _in_clear("gateway_host")
crypto_addr = _in_clear("crypto_addr")
bin_range = _in_clear("bin_range")


_CONDITION = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|=|<|>)\s*([0-9.]+|true|false)\s*")


def rule_of(text: str) -> dict[str, Any]:
    """A rule as people write it: `signup_burst >= 50 and geo_mismatch = true`. Raises NotBuilt, without the text."""
    conditions = [_CONDITION.fullmatch(one) for one in re.split(r"\band\b|[,;&]+", text)]
    if not all(conditions):
        raise NotBuilt(
            "a rule is features, operators and numbers, joined by `and`: signup_burst >= 50 and duty_cycle > 0.9"
        )
    said = [one.groups() for one in conditions if one]
    return {"all": [{"feature": feature, "op": op, "value": _number(value)} for feature, op, value in said]}


def _number(text: str) -> float | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise NotBuilt("a condition compares with a number, true or false") from None


def _of_rule(subkind: str) -> Callable[..., list[Any]]:
    def builder(conditions: Iterable[tuple[str, str, Any]], *, frame: Frame | None = None, **said: Any) -> list[Any]:
        rule = {"all": [{"feature": feature, "op": op, "value": value} for feature, op, value in conditions]}
        return [indicator(subkind, {"rule": rule}, frame=frame, **said)]

    builder.__name__, builder.__doc__ = subkind, f"The indicator of a `{subkind}`: (feature, operator, number) each."
    return builder


cluster_rule = _of_rule("cluster_rule")
billing_rule = _of_rule("billing_rule")
feature_rule = _of_rule("feature_rule")


def regex(expression: str, *, frame: Frame | None = None, **said: Any) -> list[Any]:
    """The indicator of a regular expression (RE2 syntax)."""
    return [indicator("regex", {"signature": {"regex": expression}}, frame=frame, **said)]


def nova_rule(text: str, *, frame: Frame | None = None, **said: Any) -> list[Any]:
    """The indicator of a NOVA rule."""
    return [indicator("nova_rule", {"signature": {"nova": text}}, frame=frame, **said)]


def clear_form(subkind: str, value: str) -> str:
    """The normal form of a value that travels in clear. Raises NotBuilt, without the value."""
    try:
        form = _CLEAR[subkind](value)
    except ValueError:
        raise NotBuilt(f"not of the form of {subkind}") from None
    if subkind == "email_domain" and not _SUFFIXES(form).domain:
        raise NotBuilt("a public suffix, which stands for many")
    return form


def _gateway(text: str) -> str:
    """The host of a gateway, of which logs know an address, often with a port: that says more than may be said."""
    plain = defanging.refanged(text.strip())
    host, _, port = (defanging.host_of(plain) or plain.partition("/")[0]).partition(":")
    if port and not port.isdecimal():
        raise ValueError("not a host name")
    return normalising.host(host)


_CLEAR: dict[str, Callable[[str], str]] = {
    "email_domain": normalising.host,
    "gateway_host": _gateway,
    "net": normalising.network,
    "client_fp": str.strip,
    "crypto_addr": normalising.crypto_addr,
    "bin_range": normalising.bin_range,
}


def _right(one: Tokenised) -> Tokenised:
    if one.problem:
        raise NotBuilt(one.problem)
    return one


def _extension(kind: str, subkind: str, carried: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    extension: dict[str, Any] = {
        "extension_type": "property-extension",
        "kind": kind,
        "subkind": subkind,
        "schema_version": words.SCHEMA_VERSION,
        **carried,
        **_DEFAULTS,
        **{name: value for name, value in said.items() if name not in _OUTSIDE and value is not None},
    }
    for name in _HOURS:
        if name in extension:
            extension[name] = _hour(extension[name], at=extension_pointer([name]))
    _check_listed(extension)
    return extension


def check_words(said: Mapping[str, Any], *, frame: Frame) -> None:
    """What can be wrong with words of lists, times and a marking before there is a value. Raises NotBuilt."""
    _check_listed(said)
    for name in _HOURS:
        if name in said:
            _hour(said[name], at=extension_pointer([name]))
    _marking(frame.tlp)


def _check_listed(said: Mapping[str, Any]) -> None:
    for name, known in _LISTED.items():
        if name in said and said[name] not in known:
            raise NotBuilt(f"{name}: one of {', '.join(known)}", at=extension_pointer([name]))


_LISTED = {
    "attribution": words.ATTRIBUTIONS,
    "review": words.REVIEWS,
    "publisher_action": words.ACTIONS,
    "control": words.CONTROLS,
    "severity": words.SEVERITIES,
    "shared_infra": words.SHARED_INFRA,
    "entry_program": words.ENTRY_PROGRAMS,
    "instrument": words.INSTRUMENTS,
    "elicitation": words.ELICITATIONS,
}


def _labels(extension: Mapping[str, Any]) -> list[str]:
    return [extension[name] for name in ("kind", "subkind", "control", "severity") if name in extension]


def _hour(moment: datetime | str, *, at: str) -> str:
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise NotBuilt(f"{at.rpartition('/')[2]}: a time such as 2026-11-28T12:00:00Z", at=at) from None
    return f"{found:%Y-%m-%dT%H}:00:00Z"


def _life(subkind: str, wished: timedelta | None) -> timedelta:
    longest = LONGEST[subkind]
    if wished is not None and not timedelta(0) < wished <= longest:
        raise NotBuilt(f"{subkind} lives {longest.days} days at most")
    return min(wished or _USUAL, longest)


def _marking(word: str) -> str:
    if word not in MARKINGS:
        raise NotBuilt(f"tlp: one of {', '.join(MARKINGS)}")
    return MARKINGS[word]


def _atlas(technique: str) -> dict[str, str]:
    return {"source_name": words.ATLAS, "external_id": technique, "url": f"{_ATLAS_PAGE}{technique}"}


__all__ = ["Frame", "NotBuilt", "forms", "indicator", "of_tokens", "of_values"]
