"""What the indicators of MISP events are for us, and what of them is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from typing import Any

from exchange.formats import flat
from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.formats.misp.tags import NAMESPACE
from exchange.stix import words
from exchange.stix.patterns import carried_by

_TAG = re.compile(rf'{NAMESPACE}:([a-z_.]+)="([^"]*)"')

_EMAIL = ("email", "email-src", "email-dst", "email-reply-to", "whois-registrant-email", "dns-soa-email")
#: What a MISP type is for us.
_SUBKINDS = {
    **dict.fromkeys(_EMAIL, "email"),
    **dict.fromkeys(("phone-number", "whois-registrant-phone"), "phone"),
    **dict.fromkeys(("ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "AS"), "net"),
    **dict.fromkeys(("domain", "hostname", "hostname|port"), "gateway_host"),
    **dict.fromkeys(("btc", "dash", "xmr"), "crypto_addr"),
    "bin": "bin_range",
    "cc-number": "pan_token",
    "iban": "iban_token",
}
#: Types whose attributes are for detection unless they say otherwise (describeTypes of MISP 2.5).
_DETECTED = frozenset(_SUBKINDS) - {"AS", "phone-number", "whois-registrant-phone"}
_PERSONAL_TYPES = """
bank-account-nr country-of-residence date-of-birth email-dst-display-name email-src-display-name first-name
frequent-flyer-number full-name gender identity-card-number issue-date-of-the-visa last-name middle-name nationality
passenger-name-record-locator-number passport-country passport-expiration passport-number payment-details
place-of-birth place-port-of-clearance place-port-of-onward-foreign-destination place-port-of-original-embarkation
primary-residence prtn redress-number special-service-request target-email target-external target-location
target-machine target-org target-user travel-details visa-number whois-registrant-name whois-registrant-org
"""
_PERSONAL = frozenset(_PERSONAL_TYPES.split())
#: Objects about a person or a card: whatever in them is not of a type above.
_PERSONAL_OBJECTS = frozenset({"bank-account", "credit-card", "person"})
_TEXTS = frozenset({"comment", "email-body", "email-header", "email-subject", "other", "text"})
#: What a relation of an object is for us, whatever its type; a prompt gives a skeleton and phrases.
_RELATIONS = {
    ("ai-chat-prompt", "prompt"): ("skeleton", "phrase"),
    ("coin-address", "address"): ("crypto_addr",),
    ("coin-address", "address-crypto"): ("crypto_addr",),
    ("coin-address", "address-xmr"): ("crypto_addr",),
    ("email", "from-domain"): ("email_domain",),
    ("ja4-plus", "ja4-fingerprint"): ("client_fp",),
    ("nova-rule", "raw-rule"): ("nova_rule",),
    ("regexp", "regexp"): ("regex",),
}
#: Objects about the one value above: what else they say is about it.
_ABOUT_ONE = frozenset({"ai-chat-prompt", "coin-address", "ja4-plus", "nova-rule", "regexp", "stix2-pattern"})
#: Of whom a mail was sent to, nothing is shared.
_VICTIMS = frozenset({("email", "bcc"), ("email", "cc"), ("email", "to")})
_AROUND = ("EventReport", "Galaxy", "ObjectReference", "RelatedEvent", "Sighting", "SightingSummary")
_TLP_WORDS = {"white": "clear", **{word: word for word in flat.TLPS}}
_CONTEXT_TAG = re.compile(r"tlp:([a-z+]+)", re.IGNORECASE)
Item = Found | Loss


class NoEvent(ValueError):
    """JSON that is no event of MISP, nor a list of them."""


def read(document: Any) -> Iterator[Item]:
    """What an event, a list of events, or the answer of a search holds. Raises NoEvent."""
    for event, path in _events(document, ""):
        yield from _event(event, path)


def _events(document: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    if isinstance(document, list):
        for place, one in enumerate(document):
            yield from _events(one, f"{path}/{place}")
    elif isinstance(document, dict) and "response" in document:
        yield from _events(document["response"], f"{path}/response")
    elif isinstance(document, dict) and isinstance(document.get("Event"), dict):
        yield document["Event"], f"{path}/Event"
    elif isinstance(document, dict) and ({"Attribute", "Object"} & document.keys() or "info" in document):
        yield document, path
    else:
        raise NoEvent("no event of MISP")


def _event(event: Mapping[str, Any], path: str) -> Iterator[Item]:
    if event.get("info"):
        yield Loss(f"{path}/info", "title-dropped")
    for name in ("distribution", "sharing_group_id"):
        if str(event.get(name, "0")) != "0":
            yield Loss(f"{path}/{name}", "audience-dropped")
    yield from _around(event, path)
    tlp, says = yield from _tags(event, path)
    says = {name: text for name, text in says.items() if name in flat.NAMES}
    for place, attribute in enumerate(_listed(event, "Attribute")):
        yield from _attribute(attribute, f"{path}/Attribute/{place}", of=("", ""), tlp=tlp, says=says)
    for place, held in enumerate(_listed(event, "Object")):
        yield from _object(held, f"{path}/Object/{place}", tlp=tlp, says=says)


def _object(held: Any, path: str, *, tlp: str, says: Mapping[str, str]) -> Iterator[Item]:
    if not isinstance(held, dict):
        yield Loss(path, "unreadable")
        return
    if is_deleted(held):
        yield Loss(path, "deleted")
        return
    if held.get("comment"):
        yield Loss(f"{path}/comment", "comment-dropped")
    yield from _around(held, path)
    name = str(held.get("name", ""))
    only_ja4 = name == "ja4-plus" and "JA4" not in {
        one.get("value")
        for one in _listed(held, "Attribute")
        if isinstance(one, dict) and one.get("object_relation") == "ja4-type"
    }
    for place, attribute in enumerate(_listed(held, "Attribute")):
        at = f"{path}/Attribute/{place}"
        if only_ja4:
            yield Loss(at, "no-subkind")
            continue
        relation = str(attribute.get("object_relation", "")) if isinstance(attribute, dict) else ""
        yield from _attribute(attribute, at, of=(name, relation), tlp=tlp, says=says)


def _attribute(attribute: Any, path: str, *, of: tuple[str, str], tlp: str, says: Mapping[str, str]) -> Iterator[Item]:
    if not isinstance(attribute, dict) or not isinstance(attribute.get("value"), str):
        yield Loss(path, "unreadable")
        return
    if is_deleted(attribute):
        yield Loss(path, "deleted")
        return
    kind, value = str(attribute.get("type", "")), attribute["value"]
    if kind in _DETECTED and "to_ids" in attribute and not _is_true(attribute["to_ids"]):
        yield Loss(path, "not-for-detection")
        return
    yield from _around(attribute, path)
    if attribute.get("comment"):
        yield Loss(f"{path}/comment", "comment-dropped")
    own_tlp, own = yield from _tags(attribute, path)
    said = dict(own)
    for name in ("first_seen", "last_seen"):
        if isinstance(attribute.get(name), str):
            said[name], cut = _hour(attribute[name])
            if cut:
                yield Loss(f"{path}/{name}", "cut-to-hour")
    common = {"tlp": max(tlp, own_tlp, key=("", *flat.TLPS).index), "source_id": str(attribute.get("uuid") or "")}
    for found in _found(kind, value, path, of=of, named=said.pop("subkind", "")):
        if isinstance(found, Loss):
            yield found
        else:
            takes = flat.takes(found.subkind)
            around = {name: text for name, text in says.items() if name.partition(".")[0] in takes}
            yield _with(found, {**around, **said}, **common)


def _with(found: Found, said: Mapping[str, str], *, tlp: str, source_id: str) -> Found:
    says = flat.unsaid({name: text for name, text in said.items() if name in flat.NAMES})
    confidence = said.get("confidence", "")
    return Found(
        found.path,
        found.subkind,
        raw=found.raw,
        carried=found.carried,
        says={**found.says, **says}
        | ({"confidence": int(confidence)} if confidence.isdecimal() and len(confidence) < 4 else {}),
        tlp=tlp,
        valid_until=said.get("valid_until", ""),
        source_id=source_id,
    )


def _found(kind: str, value: str, path: str, *, of: tuple[str, str], named: str) -> Iterator[Item]:
    """What an attribute is for us; `of` is the object that it stands in, and as what; `named` our own tag's subkind."""
    if of in _VICTIMS:
        yield Loss(path, "personal")
    elif of in _RELATIONS:
        for subkind in _RELATIONS[of]:
            yield from _texts(subkind, value, path)
    elif kind == "stix2-pattern":
        yield _of_pattern(value, path)
    elif kind == "domain|ip":
        host, _, address = value.partition("|")
        yield Found(path, "gateway_host", raw=host)
        yield Found(path, "net", raw=address)
    elif kind in _SUBKINDS:
        if kind.endswith("|port"):
            yield Loss(path, "port-dropped")
            value = value.partition("|")[0]
        subkind = _SUBKINDS[kind]
        if subkind == "gateway_host" and named == "email_domain":
            subkind = named
        yield Found(path, subkind, raw=f"as{value.upper().removeprefix('AS')}" if kind == "AS" else value)
    elif kind == "text" and named in words.RULES:
        try:
            yield Found(path, named, carried={"rule": json.loads(value)})
        except ValueError:
            yield Loss(path, "unreadable")
    elif of[0] in _ABOUT_ONE:
        yield Loss(path, "context-dropped")
    elif kind in _PERSONAL or of[0] in _PERSONAL_OBJECTS:
        yield Loss(path, "personal")
    else:
        yield Loss(path, "free-text" if kind in _TEXTS else "no-subkind")


def _texts(subkind: str, value: str, path: str) -> Iterator[Item]:
    if subkind in words.SIGNATURES:
        yield Found(path, subkind, carried={"signature": {words.SIGNATURES[subkind]: value}})
    else:
        yield Found(path, subkind, raw=value)


def _of_pattern(value: str, path: str) -> Item:
    """An indicator of ours by its pattern: it says what the indicator carries, and the tags say the rest."""
    carried = carried_by(value)
    if carried is None or carried["subkind"] not in words.KIND_OF:
        return Loss(path, "foreign-pattern")
    says = {name: carried[name] for name in ("psp_scope",) if name in carried}
    name = words.CARRIED_BY[carried["subkind"]]
    return Found(path, carried["subkind"], carried={name: carried.get(name)}, says=says)


def _tags(held: Mapping[str, Any], path: str) -> Generator[Loss, None, tuple[str, dict[str, str]]]:
    """Of the tags: returns the TLP, and what ours say; the others are told."""
    tlp, says = "", dict[str, str]()
    for place, tag in enumerate(_listed(held, "Tag")):
        name = str(tag.get("name", "")) if isinstance(tag, dict) else ""
        marking, own = _CONTEXT_TAG.fullmatch(name), _TAG.fullmatch(name)
        word = _TLP_WORDS.get(marking[1].lower(), "") if marking else ""
        if word:
            tlp = max(tlp, word, key=("", *flat.TLPS).index)
        elif own and (own[1] in flat.NAMES or own[1] in _OWN_TAGS):
            says[own[1]] = own[2]
        else:
            yield Loss(f"{path}/Tag/{place}", "tag-dropped")
    return tlp, says


#: Our tags that are no property of the extension.
_OWN_TAGS = ("confidence", "kind", "subkind", "valid_until")


def _around(held: Mapping[str, Any], path: str) -> Iterator[Loss]:
    for name in _AROUND:
        if held.get(name):
            yield Loss(f"{path}/{name}", "context-dropped")
    for place, _ in enumerate(_listed(held, "ShadowAttribute")):
        yield Loss(f"{path}/ShadowAttribute/{place}", "proposal")


def _listed(held: Mapping[str, Any], name: str) -> list[Any]:
    found = held.get(name)
    return found if isinstance(found, list) else []


def is_deleted(held: Mapping[str, Any]) -> bool:
    """Whether an attribute or an object is deleted in its source, which keeps it as that."""
    return _is_true(held.get("deleted"))


def _is_true(said: Any) -> bool:
    return said is True or str(said).lower() in {"1", "true"}


def _hour(written: str) -> tuple[str, bool]:
    """The hour of a moment, and whether something was cut off; what is no moment stays as it is."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written, False
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour.isoformat(), hour != moment
