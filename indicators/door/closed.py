"""Under `closed-facts`: only what is listed may be said (`exchange.stix.closed`), and what a list cannot say.

What is outside is refused with its place and the rule, and kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

import jsonschema_rs

from exchange.stix import closed, schemas, words
from exchange.stix.patterns import TOKEN_TYPE, VALUE_TYPE, pattern_of, tokens_in
from indicators.stix import vocabulary, wording
from indicators.stix.drafts import Draft, Refusal

_NOT_LISTED = "not-listed"
_NO_TYPE = f"Closed facts have these types: {', '.join(closed.TYPES)}."
_NAMED = "An indicator's name is its kind and subkind, such as 'account-pattern: email', or it has none."
_NO_PROPERTY = "The list of what may be said has no such property here."


def check(draft: Draft, *, publisher_identity: str, publisher_name: str, groups: frozenset[str]) -> Refusal | None:
    """Judge an object that goes where facts are closed; `groups` are the short names of its publisher's groups."""
    data = draft.data
    if draft.stix_type not in closed.TYPES:
        return Refusal(_NOT_LISTED, "/type", _NO_TYPE)
    validator = _validator(draft.stix_type)
    if draft.stix_type == "indicator":
        extension = data["extensions"][vocabulary.EXTENSION_ID]
        old = vocabulary.is_version_1(extension)
        if not _validator(_OLD if old else "indicator").is_valid(data):
            return _fault(data, _validator(_OLD if old else "indicator"))
        return _indicator(data, extension, groups=groups) if not old else _of_version_1(data, extension, groups=groups)
    if not validator.is_valid(data):
        return _fault(data, validator)
    beyond = _BEYOND.get(draft.stix_type)
    if draft.stix_type == "identity":
        return _identity(data, publisher_identity, publisher_name)
    return beyond(data) if beyond is not None else None


def holds_text(draft: Draft) -> bool:
    """Whether an object holds a text that no list can close: a regex or a NOVA rule."""
    return draft.subkind in words.SIGNATURES


def _indicator(data: Mapping[str, Any], extension: Mapping[str, Any], *, groups: frozenset[str]) -> Refusal | None:
    if data.get("name", own := f"{extension['kind']}: {extension['subkind']}") != own:
        return Refusal(_NOT_LISTED, "/name", f"An indicator's name is '{own}', or it has none.")
    for place, token in enumerate(tokens_in(extension)):
        named = _GROUP.match(token["key_epoch"])
        if named is not None and named[1] not in groups:
            at = f"/extensions/{vocabulary.EXTENSION_ID}/tokens/{place}/key_epoch"
            return Refusal(_NOT_LISTED, at, "The epoch of a group's key names a group that you are in.")
    return None


#: The group's short name in the epoch of its key.
_GROUP = re.compile(r"(.+)-[0-9]{4}q[1-4]-[0-9]+")


def _of_version_1(data: Mapping[str, Any], extension: Mapping[str, Any], *, groups: frozenset[str]) -> Refusal | None:
    """Version 1 has free texts: what is taken of it is what version 2 could say, under a pattern of its own."""
    said = schemas.as_version_2(extension)
    if said["subkind"] not in words.KIND_OF:
        return Refusal(_NOT_LISTED, f"/extensions/{vocabulary.EXTENSION_ID}/subkind", "Version 2 has no such subkind.")
    validator = _reading(said["subkind"])
    if not validator.is_valid(said):
        fault = _fault(said, validator)
        return Refusal(fault.code, f"/extensions/{vocabulary.EXTENSION_ID}{fault.field}", fault.message)
    if (data.get("pattern"), data.get("pattern_type")) not in _patterns_of_version_1(said):
        return Refusal(
            _NOT_LISTED, "/pattern", "The pattern says nothing but what the extension says (write version 2)."
        )
    return _indicator(data, said, groups=groups)


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


def _observable(data: Mapping[str, Any]) -> Refusal | None:
    """An object of a value has the id that follows from it, says its kind rightly and is in the normal form."""
    if data["kind"] != words.KIND_OF[data["subkind"]]:
        return Refusal(_NOT_LISTED, "/kind", "This subkind is of another kind.")
    if data["type"] == TOKEN_TYPE:
        named = ("scheme", "key_epoch", "norm_version", "subkind", "value")
        own = vocabulary.token_id(**{name: data[name] for name in named}, psp_scope=data.get("psp_scope"))
    else:
        own = vocabulary.value_id(subkind=data["subkind"], value=data["value"])
    if data["id"] != own:
        return Refusal(_NOT_LISTED, "/id", "The id follows from what the object says (STIX 2.1 §2.9).")
    return None


_BEYOND = {"opinion": _opinion, TOKEN_TYPE: _observable, VALUE_TYPE: _observable}
_OLD = "indicator of version 1"


@cache
def _validator(name: str) -> Any:
    """The validator of a type. Our extension itself has been judged by then (`vocabulary`), and is left out here."""
    schema = closed.schema_of("indicator" if name == _OLD else name)
    if schema["title"].endswith(": indicator"):
        own = dict(schema["properties"])
        held = {"type": "object", "additionalProperties": False, "properties": {vocabulary.EXTENSION_ID: True}}
        own["extensions"] = held
        if name == _OLD:
            own |= {"pattern_type": {"enum": [*own["pattern_type"]["enum"], "re2", "x-exchange"]}}
        schema = schema | {"properties": own}
    return jsonschema_rs.validator_for(schema, mask=wording.MASK)


@cache
def _reading(subkind: str) -> Any:
    """For what version 1 says: the forms of version 2, and not what that requires besides."""
    schema = schemas.of_subkind(subkind)
    return jsonschema_rs.validator_for(schema | {"required": ["kind", "subkind"]}, mask=wording.MASK)


def _fault(data: Mapping[str, Any], validator: Any) -> Refusal:
    """The first thing that is not listed: what stands there at all before how it is said, and never the value."""
    errors = list(islice(validator.iter_errors(data), 50))
    error = next((one for one in errors if one.kind.name == "additionalProperties"), errors[0])
    path = [str(part) for part in error.instance_path]
    if error.kind.name == "additionalProperties":
        path += next(([name] for name in error.kind.unexpected if _WORD.fullmatch(name)), [])
        return Refusal(_NOT_LISTED, _pointer(path), _NO_PROPERTY)
    if error.kind.name == "required":
        return Refusal(_NOT_LISTED, _pointer([*path, error.kind.property]), "It is required here.")
    if path == ["name"] and data.get("type") == "indicator":
        return Refusal(_NOT_LISTED, "/name", _NAMED)
    if error.kind.name == "anyOf":
        return Refusal(_NOT_LISTED, _pointer(path), "Not one of those that are listed.")
    return Refusal(_NOT_LISTED, _pointer(path), wording.said(error, path=path, value_of=""))


#: A name that may be repeated: longer ones, and those in other letters, may be values.
_WORD = re.compile(r"[a-z][a-z_]{0,39}")


def _pointer(path: list[str]) -> str:
    return "".join(f"/{part}" for part in path)
