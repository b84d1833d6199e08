"""What the schemas find wrong with an object: the code, the place and the rule in words, and never the value.

The door asks the same of every push, so a client that asks first is told what the exchange would tell it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

from exchange.stix import closed, schemas, wording, words
from exchange.stix.patterns import extension_pointer


class Fault(NamedTuple):
    """A stable code, the field (a JSON pointer inside the object) and the rule in words."""

    code: str
    field: str
    message: str


NOT_LISTED = "not-listed"
_NO_TYPE = f"Closed facts have these types: {', '.join(closed.TYPES)}."
_NAMED = "An indicator's name is its kind and subkind, such as 'account-pattern: email', or it has none."
_NO_PROPERTY = "The list of what may be said has no such property here."
_MISPLACED = "This property does not belong to this kind and subkind."
_PROPERTIES = frozenset({*schemas.extension()["properties"], "token"})
#: A name that may be repeated: longer ones, and those in other letters, may be values.
_WORD = re.compile(r"[a-z][a-z_]{0,39}")
_LOOKED_AT = 50
#: As the library says that a property has no place beside the others: told before what is wrong inside it.
_FORBIDDEN = "False schema"
#: As the library says it; the name is one of the schema's.
_MISSED = re.compile(r'"([a-z_]+)" is a required property')


def compiled(schema: Mapping[str, Any]) -> Any:
    """The validator of a schema; what it says of a value has a mask in the place of the value."""
    return jsonschema_rs.validator_for(dict(schema), mask=wording.MASK)


def of_closed(data: Mapping[str, Any]) -> Fault | None:
    """What of an object is not listed under `closed-facts`; our extension in an indicator is judged apart."""
    stix_type = data.get("type")
    if stix_type not in closed.TYPES:
        return Fault(NOT_LISTED, "/type", _NO_TYPE)
    validator = closed_validator(str(stix_type))
    return None if validator.is_valid(data) else first_unlisted(data, validator)


@cache
def closed_validator(stix_type: str) -> Any:
    """The validator of an admitted type. Our extension itself has been judged by then, and is left out here."""
    schema = closed.schema_of(stix_type)
    return compiled(without_extension(schema) if stix_type == "indicator" else schema)


def without_extension(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of closed indicators, with any content in our extension."""
    held = {"type": "object", "additionalProperties": False, "properties": {words.EXTENSION_ID: True}}
    return {**schema, "properties": schema["properties"] | {"extensions": held}}


def first_unlisted(data: Mapping[str, Any], validator: Any) -> Fault:
    """The first thing that is not listed: what stands there at all before how it is said."""
    errors = list(islice(validator.iter_errors(data), _LOOKED_AT))
    error = next((one for one in errors if one.kind.name == "additionalProperties"), errors[0])
    path = [str(part) for part in error.instance_path]
    if error.kind.name == "additionalProperties":
        path += next(([name] for name in error.kind.unexpected if _WORD.fullmatch(name)), [])
        return Fault(NOT_LISTED, pointer(path), _NO_PROPERTY)
    if error.kind.name == "required":
        return Fault(NOT_LISTED, pointer([*path, error.kind.property]), "It is required here.")
    if path == ["name"] and data.get("type") == "indicator":
        return Fault(NOT_LISTED, "/name", _NAMED)
    if error.kind.name == "anyOf":
        return Fault(NOT_LISTED, pointer(path), "Not one of those that are listed.")
    return Fault(NOT_LISTED, pointer(path), wording.said(error, path=path, value_of=""))


def of_other_type() -> Fault:
    """Our extension in what is no indicator."""
    return Fault("vocabulary", extension_pointer([]), "This extension belongs to indicators only.")


def of_extension(extension: Any) -> Fault | None:
    """What is wrong with our extension by the schema of its subkind, or of the whole where it says none."""
    said = extension.get("subkind") if isinstance(extension, dict) else None
    known = isinstance(said, str) and words.KIND_OF.get(said) == extension.get("kind")
    validator = _extension_validator(said if known else "")
    return None if validator.is_valid(extension) else first_fault(extension, validator)


@cache
def _extension_validator(subkind: str) -> Any:
    """Compiled once: of one subkind, which is quickest; without one, of the whole extension."""
    return compiled(schemas.of_subkind(subkind) if subkind else schemas.extension())


def first_fault(extension: Any, validator: Any) -> Fault:
    """The first thing that is wrong with an extension that is not valid."""
    errors = list(islice(validator.iter_errors(extension), _LOOKED_AT))
    error = next((error for error in errors if _FORBIDDEN in str(error.message)), errors[0])
    path = [str(part) for part in error.instance_path]
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    message = wording.said(error, path=path, value_of=_subkind(extension))
    if keyword == "additionalProperties":
        message = "The vocabulary has no such property here."
        path += _unknown(error, extension, path)
        if len(path) == 1 and path[0] in _PROPERTIES:
            message = _MISPLACED
    if missed := _MISSED.match(message):
        path.append(missed[1])
        message = "This kind and subkind require it."
    if _FORBIDDEN in message:
        message = _MISPLACED
    return Fault("vocabulary", extension_pointer(path), message)


def _subkind(extension: Any) -> str:
    said = extension.get("subkind") if isinstance(extension, dict) else None
    return said if isinstance(said, str) else ""


def _unknown(error: Any, extension: Any, path: list[str]) -> list[str]:
    """The first property that the schema does not know, if its name is a plain word: other names may be values."""
    found = extension
    for part in path:
        found = found[int(part)] if isinstance(found, list) else found[part]
    unknown = set(error.kind.unexpected)
    return next(([name] for name in found if name in unknown and _WORD.fullmatch(name)), [])


def pointer(path: list[str]) -> str:
    """A JSON pointer inside an object."""
    return "".join(f"/{part}" for part in path)
