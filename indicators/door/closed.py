"""Under `closed-facts`: only what is listed may be said (`exchange.stix.closed`), and what a list cannot say.

What is outside is refused with its place and the rule, and kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from exchange.stix import closed, faults, schemas, words
from exchange.stix.patterns import TOKEN_TYPE, VALUE_TYPE, pattern_of, tokens_in
from indicators.door import plain
from indicators.door.benign import Known
from indicators.stix import vocabulary
from indicators.stix.drafts import Draft, Refusal

_NOT_LISTED = faults.NOT_LISTED


def check(
    draft: Draft,
    *,
    now: datetime,
    known: Known,
    publisher_identity: str,
    publisher_name: str,
    groups: frozenset[str],
) -> Refusal | None:
    """Judge an object that goes where facts are closed; `groups` are the short names of its publisher's groups."""
    listed = _listed(draft, publisher_identity=publisher_identity, publisher_name=publisher_name, groups=groups)
    if listed is not None:
        return listed
    found = (
        plain.bytes_of(draft.raw, draft.data)
        or plain.times_of(draft.data, now=now)
        or _of_what_it_carries(draft, now=now, known=known)
    )
    return None if found is None else Refusal(_NOT_LISTED, *found)


def _of_what_it_carries(draft: Draft, *, now: datetime, known: Known) -> plain.Fault | None:
    """What forms alone let values say: epochs that never were, hosts and wallets that cannot be."""
    for at, epoch in _epochs(draft):
        if not plain.is_epoch(epoch, now=now):
            return at, _NO_EPOCH
    for token in draft.tokens:
        if token.domain in ("email_domain", "gateway_host") and (fault := plain.host_of(token.value, known)):
            return f"{_EXTENSION}{fault[0]}", fault[1]
        if token.domain == "crypto_addr" and (fault := plain.wallet_of(token.value)):
            return f"{_EXTENSION}{fault[0]}", fault[1]
    return None


def _epochs(draft: Draft) -> Iterator[tuple[str, str]]:
    """The epochs that it names, each with its place."""
    if draft.stix_type == TOKEN_TYPE:
        yield "/key_epoch", draft.data["key_epoch"]
    for place, token in enumerate(draft.tokens):
        if token.key_epoch:
            yield f"{_TOKENS}/{place}/key_epoch", token.key_epoch


_EXTENSION = f"/extensions/{vocabulary.EXTENSION_ID}"
_TOKENS = f"{_EXTENSION}/tokens"
_NO_EPOCH = "No token of now or of the year before was made with such a key."


def _listed(draft: Draft, *, publisher_identity: str, publisher_name: str, groups: frozenset[str]) -> Refusal | None:
    data = draft.data
    if draft.stix_type == "indicator" and vocabulary.is_version_1(data["extensions"][vocabulary.EXTENSION_ID]):
        old = _old_indicator()
        fault = None if old.is_valid(data) else faults.first_unlisted(data, old)
        extension = data["extensions"][vocabulary.EXTENSION_ID]
        return _of_version_1(data, extension, groups=groups) if fault is None else Refusal(*fault)
    if (fault := faults.of_closed(data)) is not None:
        return Refusal(*fault)
    if draft.stix_type == "indicator":
        return _indicator(data, data["extensions"][vocabulary.EXTENSION_ID], groups=groups)
    if draft.stix_type == "identity":
        return _identity(data, publisher_identity, publisher_name)
    if draft.stix_type == "opinion":
        return _opinion(data)
    return _observable(data, groups=groups) if draft.stix_type in (TOKEN_TYPE, VALUE_TYPE) else None


def holds_text(draft: Draft) -> bool:
    """Whether an object holds a text that no list can close: a regex or a NOVA rule."""
    return draft.subkind in words.SIGNATURES


def _indicator(data: Mapping[str, Any], extension: Mapping[str, Any], *, groups: frozenset[str]) -> Refusal | None:
    if data.get("name", own := f"{extension['kind']}: {extension['subkind']}") != own:
        return Refusal(_NOT_LISTED, "/name", f"An indicator's name is '{own}', or it has none.")
    if "external_references" in data:
        said = [one["external_id"] for one in data["external_references"]]
        if said != [one for one in extension.get("techniques", ()) if one in said]:
            return Refusal(_NOT_LISTED, "/external_references", "Of the extension's techniques, in their order.")
    conditions = [(one["feature"], one["op"]) for one in extension.get("rule", {}).get("all", ())]
    if len(set(conditions)) < len(conditions):
        at = f"/extensions/{vocabulary.EXTENSION_ID}/rule/all"
        return Refusal(_NOT_LISTED, at, "A feature is compared in one way once.")
    for place, token in enumerate(tokens_in(extension)):
        if _is_of_another_group(token, groups):
            return Refusal(_NOT_LISTED, f"{_TOKENS}/{place}/key_epoch", _OWN_GROUPS)
    return None


def _is_of_another_group(token: Mapping[str, Any], groups: frozenset[str]) -> bool:
    """Whether its key is of a group that the publisher is not in: any words could be such a group's name."""
    named = _GROUP.match(token["key_epoch"])
    return named is not None and named[1] not in groups


#: The group's short name in the epoch of its key.
_GROUP = re.compile(r"(.+)-[0-9]{4}q[1-4]-[0-9]+")
_OWN_GROUPS = "The epoch of a group's key names a group that you are in."


def _of_version_1(data: Mapping[str, Any], extension: Mapping[str, Any], *, groups: frozenset[str]) -> Refusal | None:
    """Version 1 has free texts: what is taken of it is what version 2 could say, under a pattern of its own."""
    said = schemas.as_version_2(extension)
    if extension.get("token", {}).get("norm_version", "1") not in _NORMS_OF_VERSION_1:
        at = f"/extensions/{vocabulary.EXTENSION_ID}/token/norm_version"
        return Refusal(_NOT_LISTED, at, "1 or 2.")
    if said["subkind"] not in words.KIND_OF:
        return Refusal(_NOT_LISTED, f"/extensions/{vocabulary.EXTENSION_ID}/subkind", "Version 2 has no such subkind.")
    validator = _reading(said["subkind"])
    if not validator.is_valid(said):
        fault = faults.first_unlisted(said, validator)
        return Refusal(fault.code, f"/extensions/{vocabulary.EXTENSION_ID}{fault.field}", fault.message)
    if (data.get("pattern"), data.get("pattern_type")) not in _patterns_of_version_1(said):
        return Refusal(
            _NOT_LISTED, "/pattern", "The pattern says nothing but what the extension says (write version 2)."
        )
    return _indicator(data, said, groups=groups)


_NORMS_OF_VERSION_1 = ("1", "1.0", 1, "2", 2)


def _patterns_of_version_1(said: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The patterns that documentation and client gave to version 1, and that of version 2."""
    subkind, value = said["subkind"], said.get("value", "")
    found = {pattern_of(said), (f"{subkind}: see the extension", "x-exchange")}
    found |= {(f"[{TOKEN_TYPE}:value = '{token['value']}']", "stix") for token in tokens_in(said)}
    if subkind == "net" and not value.startswith("as"):
        address = f"ipv{6 if ':' in value else 4}-addr:value"
        found |= {(f"[{address} = '{value}']", "stix"), (f"[{address} ISSUBSET '{value}']", "stix")}
    if "regex" in said.get("signature", {}):
        found.add((said["signature"]["regex"], "re2"))
    return found


def _identity(data: Mapping[str, Any], publisher_identity: str, publisher_name: str) -> Refusal | None:
    if data["id"].lower() != publisher_identity.lower():
        return Refusal(_NOT_LISTED, "/id", "The only identity that you may send is your partner's own.")
    if data["name"] != publisher_name:
        return Refusal(_NOT_LISTED, "/name", "Your partner's registered name, to the letter.")
    return None


def _opinion(data: Mapping[str, Any]) -> Refusal | None:
    reason = data["extensions"][words.OPINION_EXTENSION_ID]["reason"]
    of_campaigns = all(ref.startswith("campaign--") for ref in data["object_refs"])
    allowed = words.REASONS_OF_CAMPAIGNS if of_campaigns else words.REASONS
    if reason not in allowed:
        at = f"/extensions/{words.OPINION_EXTENSION_ID}/reason"
        return Refusal(_NOT_LISTED, at, f"Of such objects, one of: {', '.join(allowed)}.")
    return None


def _observable(data: Mapping[str, Any], *, groups: frozenset[str]) -> Refusal | None:
    """An object of a value has the id that follows from it, says its kind rightly and names no other group."""
    if data["kind"] != words.KIND_OF[data["subkind"]]:
        return Refusal(_NOT_LISTED, "/kind", "This subkind is of another kind.")
    if data["type"] == TOKEN_TYPE and _is_of_another_group(data, groups):
        return Refusal(_NOT_LISTED, "/key_epoch", _OWN_GROUPS)
    if data["type"] == TOKEN_TYPE:
        named = ("scheme", "key_epoch", "norm_version", "subkind", "value")
        own = vocabulary.token_id(**{name: data[name] for name in named}, psp_scope=data.get("psp_scope"))
    else:
        own = vocabulary.value_id(subkind=data["subkind"], value=data["value"])
    if data["id"] != own:
        return Refusal(_NOT_LISTED, "/id", "The id follows from what the object says (STIX 2.1 §2.9).")
    return None


@cache
def _old_indicator() -> Any:
    """The validator of indicators whose extension is of version 1, which have other types of patterns, too."""
    schema = faults.without_extension(closed.schema_of("indicator"))
    types = {"enum": [*schema["properties"]["pattern_type"]["enum"], "re2", "x-exchange"]}
    return faults.compiled(schema | {"properties": schema["properties"] | {"pattern_type": types}})


@cache
def _reading(subkind: str) -> Any:
    """For what version 1 says: the forms of version 2, and not what that requires besides."""
    schema = schemas.of_subkind(subkind)
    return faults.compiled(schema | {"required": ["kind", "subkind"]})
