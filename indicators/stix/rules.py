"""What STIX 2.1 demands and a schema cannot say: small pure functions, each over one parsed object.

A rule returns what is wrong as (code, pointer) and never raises, whatever the object holds: the schemas judge types,
a rule judges only what has the type that it needs. Sections are of STIX 2.1 (OASIS standard, 10 June 2021).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from exchange.stix import schemas
from exchange.stix.patterns import is_of_tokens
from indicators.stix import oasis, tlp
from indicators.stix.rule import Rule, Stix, Wrong
from indicators.stix.times import TIMES, dates, inner_dates, order

_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-([1-8])[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_IDENTIFIER = re.compile(rf"[a-z][a-z0-9-]+[a-z0-9]--{_UUID}")


def versions(data: Stix) -> Iterable[Wrong]:
    """`spec_version` is 2.1 (§3.2); that it is missing, the schemas say. 2.0 objects are read and marked."""
    return (("old-spec-version", "/spec_version"),) if data.get("spec_version") == "2.0" else ()


_NAME = re.compile(r"id|[a-z][a-z0-9_]{2,249}")
_KNOWN = frozenset(name for name in oasis.names() if _NAME.fullmatch(name)) | {*schemas.extension()["properties"]}
_BINARY = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")
_HEXADECIMAL = re.compile(r"(?:[a-fA-F0-9]{2})+")


def names(data: Stix) -> Iterable[Wrong]:
    """Names of properties, of extensions too, have 3 to 250 characters of a few (§3.1).

    What ends in `_bin` or `_hex` holds such a value (§2.1, §2.8). Known names, nearly all, need no second look.
    """
    if not data.keys() <= _KNOWN:
        yield from _named(data, "")
    extensions = data.get("extensions")
    for key, inner in extensions.items() if isinstance(extensions, dict) else ():
        if isinstance(inner, dict) and not inner.keys() <= _KNOWN:
            yield from _named(inner, f"/extensions/{key}" if _KEY.fullmatch(key) else "/extensions")


_KEY = re.compile(r"[a-z0-9-]{1,250}")


def _named(data: Stix, at: str) -> Iterable[Wrong]:
    for name, value in data.items():
        if name in _KNOWN:
            continue
        if not _NAME.fullmatch(name):
            yield "bad-name", at
        elif (name.endswith("_bin") and not _is(value, _BINARY)) or (
            name.endswith("_hex") and not _is(value, _HEXADECIMAL)
        ):
            yield "bad-format", f"{at}/{name}"


def _is(value: Any, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


#: What a reference may point to, where the schemas say only that it is a string, and for those of all objects.
_MAIL = frozenset({"email-addr"})
_ADDRESS = frozenset({"domain-name", "ipv4-addr", "ipv6-addr", "mac-addr"})
_COMMON_TARGETS = {"created_by_ref": frozenset({"identity"}), "object_marking_refs": frozenset({"marking-definition"})}
_TARGETS: dict[str, dict[str, frozenset[str]]] = {
    "directory": {"contains_refs": frozenset({"directory", "file"})},
    "domain-name": {"resolves_to_refs": frozenset({"domain-name", "ipv4-addr", "ipv6-addr"})},
    "email-addr": {"belongs_to_ref": frozenset({"user-account"})},
    "email-message": {
        **dict.fromkeys(("from_ref", "sender_ref", "to_refs", "cc_refs", "bcc_refs"), _MAIL),
        "raw_email_ref": frozenset({"artifact"}),
    },
    "file": {"content_ref": frozenset({"artifact"}), "parent_directory_ref": frozenset({"directory"})},
    "ipv4-addr": {"belongs_to_refs": frozenset({"autonomous-system"}), "resolves_to_refs": frozenset({"mac-addr"})},
    "ipv6-addr": {"belongs_to_refs": frozenset({"autonomous-system"}), "resolves_to_refs": frozenset({"mac-addr"})},
    "network-traffic": {
        **dict.fromkeys(("src_ref", "dst_ref"), _ADDRESS),
        **dict.fromkeys(("src_payload_ref", "dst_payload_ref"), frozenset({"artifact"})),
        **dict.fromkeys(("encapsulates_refs", "encapsulated_by_ref"), frozenset({"network-traffic"})),
    },
    "process": {
        "child_refs": frozenset({"process"}),
        "creator_user_ref": frozenset({"user-account"}),
        "image_ref": frozenset({"file"}),
        "opened_connection_refs": frozenset({"network-traffic"}),
        "parent_ref": frozenset({"process"}),
    },
    "windows-registry-key": {"creator_user_ref": frozenset({"user-account"})},
}
_TARGETS = {stix_type: _COMMON_TARGETS | own for stix_type, own in _TARGETS.items()}


def references(data: Stix) -> Iterable[Wrong]:
    """A reference is the identifier of an object of a type that may stand there (§2.9; the type's own section)."""
    for name, targets in _TARGETS.get(data["type"], _COMMON_TARGETS).items():
        if name not in data:
            continue
        value = data[name]
        if not name.endswith("_refs"):
            if not _is_reference(value, name, targets):
                yield "bad-reference", f"/{name}"
        elif isinstance(value, list):
            for place, ref in enumerate(value):
                if not _is_reference(ref, name, targets):
                    yield "bad-reference", f"/{name}/{place}"


def _is_reference(ref: Any, name: str, targets: frozenset[str]) -> bool:
    """The whole form of those that all objects have is the schemas' to tell."""
    if not isinstance(ref, str) or not _may_stand(ref.partition("--")[0], targets):
        return False
    return name in _COMMON_TARGETS or _IDENTIFIER.fullmatch(ref) is not None


def _may_stand(stix_type: str, targets: frozenset[str]) -> bool:
    """Types of others may stand where observables do: an extension may have made them for that."""
    return stix_type in targets or (stix_type not in oasis.TYPES and targets <= oasis.SCOS)


#: A well-formed language tag (RFC 5646 §2.1); whether it is registered is not asked.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE | re.ASCII,
)
_TAG_CHARS = 100


def languages(data: Stix) -> Iterable[Wrong]:
    """`lang`, the languages of software and of granular markings, and the keys of a translation (RFC 5646)."""
    if "lang" in data and not _is_language(data["lang"]):
        yield "bad-language", "/lang"
    spoken = data.get("languages") if data["type"] == "software" else None
    for place, tag in enumerate(spoken if isinstance(spoken, list) else ()):
        if not _is_language(tag):
            yield "bad-language", f"/languages/{place}"
    contents = data.get("contents") if data["type"] == "language-content" else None
    for tag, texts in contents.items() if isinstance(contents, dict) else ():
        if not _is_language(tag):
            yield "bad-language", "/contents"
        elif not isinstance(texts, dict):
            yield "wrong-type", f"/contents/{tag}"
        elif not all(_NAME.fullmatch(name) for name in texts):
            yield "bad-name", f"/contents/{tag}"


def _is_language(tag: Any) -> bool:
    """What is no string is the schemas' to tell."""
    return not isinstance(tag, str) or (len(tag) <= _TAG_CHARS and _LANGUAGE.fullmatch(tag) is not None)


def selectors(data: Stix) -> Iterable[Wrong]:
    """A granular marking selects something that is there (§7.2.3.1)."""
    if not isinstance(data.get("granular_markings"), list):
        return
    for place, granular in enumerate(data["granular_markings"]):
        selected = granular.get("selectors") if isinstance(granular, dict) else None
        if isinstance(granular, dict) and not _is_language(granular.get("lang")):
            yield "bad-language", f"/granular_markings/{place}/lang"
        for which, selector in enumerate(selected if isinstance(selected, list) else ()):
            if isinstance(selector, str) and not _is_there(data, selector):
                yield "bad-selector", f"/granular_markings/{place}/selectors/{which}"


def _is_there(data: Any, selector: str) -> bool:
    found = data
    for step in selector.split("."):
        if step.startswith("[") and isinstance(found, list):
            digits = step[1:-1]
            if not (digits.isascii() and digits.isdigit() and len(digits) < 8 and int(digits) < len(found)):
                return False
            found = found[int(digits)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return False
    return True


_WORDS_OF_TLP1 = {"clear": "white"}
_STATED = {"type", "spec_version", "id", "created", "name", "definition_type", "definition"}


def marking(data: Stix) -> Iterable[Wrong]:
    """A marking definition states something, and a TLP marking is one of those that are defined (§7.2.1)."""
    own = data["id"].lower()
    if own in tlp.ALL_IDS or tlp.word_in(data) is not None:
        if not _is_the_standards_own(data, own):
            yield "altered-marking", ""
    elif data.get("definition_type") == "statement":
        stated = data.get("definition")
        if not (isinstance(stated, dict) and isinstance(stated.get("statement"), str)):
            yield "missing-property", "/definition/statement"
    elif "extensions" not in data:
        yield from (("missing-property", f"/{name}") for name in ("definition_type", "definition") if name not in data)
    refs = data.get("object_marking_refs")
    if isinstance(refs, list) and data["id"] in refs:
        yield "self-reference", "/object_marking_refs"
    granular = data.get("granular_markings")
    for place, one in enumerate(granular if isinstance(granular, list) else ()):
        if isinstance(one, dict) and one.get("marking_ref") == data["id"]:
            yield "self-reference", f"/granular_markings/{place}/marking_ref"


def _is_the_standards_own(data: Stix, own: str) -> bool:
    """TLP 1 to the letter, as §7.2.1.4 demands; TLP 2.0 by its extension, which leaves the rest open."""
    if own in tlp.TLP1_IDS:
        word = _WORDS_OF_TLP1.get(tlp.TLP1_IDS[own], tlp.TLP1_IDS[own])
        stated = (data.get("name"), data.get("definition_type"), data.get("definition"), data.get("created"))
        return data.keys() == _STATED and stated == (
            f"TLP:{word.upper()}",
            "tlp",
            {"tlp": word},
            "2017-01-20T00:00:00.000Z",
        )
    return own in tlp.TLP2_IDS and tlp.word_in(data) == tlp.TLP2_IDS[own] and "definition" not in data


_CONTRIBUTING = {
    "artifact": ("hashes", "payload_bin"),
    "email-message": ("from_ref", "subject", "body"),
    "process": (),
    "user-account": ("account_type", "user_id", "account_login"),
    "windows-registry-key": ("key", "values"),
    "x509-certificate": ("hashes", "serial_number"),
}


def observable_id(data: Stix) -> Iterable[Wrong]:
    """An observable without properties that could make its id has a random one, UUIDv4 (§2.9, §6.13)."""
    contributing = _CONTRIBUTING.get(data["type"])
    if contributing is None or any(name in data for name in contributing):
        return
    found = _IDENTIFIER.fullmatch(data["id"])
    if found is not None and found[1] != "4":
        yield "bad-id", "/id"


_PREFIX = re.compile(r"[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]")


def addresses(data: Stix) -> Iterable[Wrong]:
    """An IPv6 address, or a network in CIDR notation (§6.9)."""
    value = data.get("value")
    if data["type"] != "ipv6-addr" or not isinstance(value, str):
        return
    address, slash, prefix = value.partition("/")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        yield "bad-format", "/value"
    else:
        if slash and not _PREFIX.fullmatch(prefix):
            yield "bad-format", "/value"


_PATHS = re.compile(r"'(?:[^'\\]|\\.)*'|(?<![a-zA-Z0-9_-])([a-zA-Z_][a-zA-Z0-9_-]*+):", re.DOTALL)
_CUSTOM = re.compile(r"x-[a-z0-9-]{1,248}")
_ONE_COMPARISON = re.compile(r"\[([a-z][a-z0-9-]*+):[^':]*+'[^'\\]*+'\]")


def pattern_objects(data: Stix) -> Iterable[Wrong]:
    """A pattern speaks of observables that STIX or an extension knows (§9.6); `app`, which feeds use, is none."""
    pattern = data.get("pattern")
    if data.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):  # in 2.0 it need not be said
        return ()
    if is_of_tokens(pattern):
        return ()
    if (one := _ONE_COMPARISON.fullmatch(pattern)) is not None:  # quick, and nearly all
        named = {one[1]}
    else:
        named = {found[1] for found in _PATHS.finditer(pattern) if found[1] is not None}
    return () if all(_is_known(name) for name in named) else (("unknown-pattern-object", "/pattern"),)


#: Observables of others that patterns of ours speak of (vocabulary, "Patterns"): OpenCTI's.
_OF_OTHERS = frozenset({"cryptocurrency-wallet"})


def _is_known(stix_type: str) -> bool:
    return stix_type in oasis.SCOS or stix_type in _OF_OTHERS or _CUSTOM.fullmatch(stix_type) is not None


#: What holds for every object, and what for some types only.
COMMON: tuple[Rule, ...] = (versions, names, order, references)
_SCO_RULES: tuple[Rule, ...] = (dates, inner_dates, observable_id, addresses)
OF_TYPE: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(TIMES, (dates,)),
    **dict.fromkeys(oasis.SCOS, _SCO_RULES),
    "indicator": (pattern_objects,),
    "marking-definition": (marking,),
}
#: Rules of properties that few objects have: asked only where one of the names stands.
OF_PROPERTY: dict[str, Rule] = {
    "contents": languages,
    "granular_markings": selectors,
    "lang": languages,
    "languages": languages,
}


_RARE = frozenset(OF_PROPERTY)
_RULES: dict[str, tuple[Rule, ...]] = {stix_type: COMMON + own for stix_type, own in OF_TYPE.items()}


def broken(data: Stix) -> list[Wrong]:
    """Everything that is wrong by these rules, in their order."""
    found: list[Wrong] = []
    for rule in _RULES.get(data["type"], COMMON):
        found += rule(data)
    if not _RARE.isdisjoint(data):
        for rule in {OF_PROPERTY[name] for name in _RARE.intersection(data)}:
            found += rule(data)
    return found
