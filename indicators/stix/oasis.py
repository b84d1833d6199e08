"""OASIS's own JSON Schemas of STIX 2.1, compiled once, with the few amendments that the specification's text asks for.

The files under `schemas/oasis/` are as OASIS publishes them (BSD-3-Clause, beside them). Where a schema says other
than the text of the standard, the text wins: each amendment below says which sentence. Regular expressions run on
an engine without backtracking, so no value can make a check slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

_FILES = Path(__file__).parent / "schemas" / "oasis"
_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_FOLDERS_OF_TYPES = ("observables", "sdos", "sros")
_META = ("extension-definition", "language-content", "marking-definition")

Schema = dict[str, Any]


@cache
def _documents() -> dict[str, Schema]:
    """Every schema by its path, such as `common/core`, amended."""
    found = {f"{path.parent.name}/{path.stem}": orjson.loads(path.read_bytes()) for path in _FILES.glob("*/*.json")}
    for place, amend in _AMENDMENTS.items():
        amend(found[place])
    return found


def types_of(folder: str) -> frozenset[str]:
    """The object types that a folder of the schemas describes: `observables`, `sdos` or `sros`."""
    return frozenset(path.stem for path in (_FILES / folder).glob("*.json"))


SCOS = types_of("observables")
TYPES = frozenset().union(*(types_of(folder) for folder in _FOLDERS_OF_TYPES), _META)


def is_valid(data: Mapping[str, Any], schema: str) -> bool:
    """Whether an object meets the schema of a type, or `core` or `cyber-observable-core` for types of others."""
    return bool(_validator(schema).is_valid(data))


def faults(data: Mapping[str, Any], schema: str, *, at_most: int) -> Iterator[tuple[Any, list[str]]]:
    """What the library says is wrong with an object that is not valid, each with the path to it; values are masked.

    The library finds all errors before it tells the first, so a large object is looked at window by window; where
    none of the first windows is at fault, nothing is told.
    """
    for window in range(_MAX_WINDOWS):
        part = _part(data, window)
        if not is_valid(part, schema):
            found = islice(_validator(schema).iter_errors(part), at_most)
            yield from ((fault.kind, _path(data, fault.instance_path, window)) for fault in found)
            return


_WINDOW = 200
_MAX_WINDOWS = 50


def _part(value: Any, window: int) -> Any:
    """The value with at most a window of each list, and of the properties that no schema names."""
    if isinstance(value, list):
        return [_part(inner, window) for inner in value[_window_of(value, window)]]
    if isinstance(value, dict):
        if len(value) <= _WINDOW:
            return {name: _part(inner, window) for name, inner in value.items()}
        others = [name for name in value if name not in names()]
        kept = [name for name in value if name in names()] + others[_window_of(others, window)]
        return {name: _part(value[name], window) for name in kept}
    return value


def _window_of(held: list[Any], window: int) -> slice:
    start = window * _WINDOW if len(held) > window * _WINDOW else 0
    return slice(start, start + _WINDOW)


def _path(value: Any, path: list[Any], window: int) -> list[str]:
    """A path in a part of the value, as a path in the whole."""
    whole: list[str] = []
    for step in path:
        if isinstance(value, list):
            step += _window_of(value, window).start  # noqa: PLW2901
        whole.append(str(step))
        value = value[step]
    return whole


@cache
def names() -> frozenset[str]:
    """Every property that a schema names, ours included."""
    own = [orjson.loads(path.read_bytes()) for path in _FILES.parent.glob("*.json")]
    return frozenset(name for document in (*_documents().values(), *own) for name in _named(document))


def _named(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        for inner in schema.values():
            yield from _named(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _named(inner)


@cache
def _validator(schema: str) -> Any:
    documents = _documents()
    place = next(place for place in documents if place.endswith(f"/{schema}"))
    return jsonschema_rs.Draft202012Validator(
        documents[place],
        registry=_registry(),
        pattern_options=jsonschema_rs.RegexOptions(),
        validate_formats=True,
        email_options=jsonschema_rs.EmailOptions(allow_display_text=False),
        mask="\u2026",
    )


@cache
def _registry() -> Any:
    return jsonschema_rs.Registry([(document["$id"], document) for document in _documents().values()])


def _identifier(schema: Schema) -> None:
    """A UUID of any version that RFC 4122, or RFC 9562 which takes its place, defines (§2.9)."""
    schema["pattern"] = f"^[a-z][a-z0-9-]+[a-z0-9]--{_UUID}$"


def _properties(schema: Schema) -> None:
    """Names are a rule of ours (`rules.names`), which is quicker, and stricter where the schema's pattern is loose."""
    del schema["patternProperties"]
    schema["additionalProperties"] = _SAYS_SOMETHING


#: No property is null, and no list is empty (§2, §2.12).
_SAYS_SOMETHING: Schema = {"type": ["string", "number", "boolean", "object", "array"], "minItems": 1}


def _core(schema: Schema) -> None:
    """A type name ends in a letter or digit (§3.1), and see `_extensions`."""
    _extensions(schema)
    schema["properties"]["type"]["pattern"] = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"


def _extensions(schema: Schema) -> None:
    """Keys of extensions are identifiers with a UUID of any version (see `_identifier`)."""
    kinds = schema["properties"]["extensions"]["patternProperties"]
    definition = next(key for key in kinds if key.startswith("^extension-definition"))
    kinds[f"^extension-definition--{_UUID}$"] = kinds.pop(definition)


def _granular_marking(schema: Schema) -> None:
    """A granular marking names a marking or a language, one of them (§7.2.3.1); the schema knows only markings."""
    schema["required"] = ["selectors"]
    schema["oneOf"] = [{"required": ["marking_ref"]}, {"required": ["lang"]}]


def _external_reference(schema: Schema) -> None:
    """Algorithms of hashes are an open vocabulary here as everywhere (§2.5, §2.7)."""
    schema["properties"]["hashes"] = {"$ref": "../common/hashes-type.json"}


def _marking_definition(schema: Schema) -> None:
    """The alternatives of §7.2.1 are a rule of ours (`rules.marking`), which can say what is wrong."""
    del schema["oneOf"]
    schema["properties"]["id"] = {"pattern": f"^marking-definition--{_UUID}$"}
    _extensions(schema)
    schema["required"] = ["id", "type", "spec_version", "created"]


def _observed_data(schema: Schema) -> None:
    """Objects inside are checked by their own schemas (`conformance`); names of types end where they end (§4.14)."""
    properties = schema["allOf"][1]["properties"]
    properties["objects"] = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}}
    listed = properties["object_refs"]["items"]["anyOf"][0]["allOf"][1]["not"]
    listed["pattern"] = listed["pattern"] + "--"


def _ipv6(schema: Schema) -> None:
    """An address or a network (§6.9), told by a rule of ours: the schema's pattern lost its backslashes."""
    schema["allOf"][1]["properties"]["value"] = {"type": "string"}


def _process(schema: Schema) -> None:
    """At least one property besides those that all have (§6.13); the schema names three of an earlier draft."""
    own = set(schema["allOf"][1]["properties"]) - {"type", "id"}
    schema["anyOf"] = [{"required": [name]} for name in sorted(own)]


def _languages(schema: Schema) -> None:
    """Language tags are checked by a rule of ours, in every place alike (§6.14, RFC 5646)."""
    schema["allOf"][1]["properties"]["languages"]["items"] = {"type": "string"}


_AMENDMENTS: dict[str, Callable[[Schema], None]] = {
    "common/core": _core,
    "common/cyber-observable-core": _core,
    "common/external-reference": _external_reference,
    "common/granular-marking": _granular_marking,
    "common/identifier": _identifier,
    "common/marking-definition": _marking_definition,
    "common/properties": _properties,
    "observables/ipv6-addr": _ipv6,
    "observables/process": _process,
    "observables/software": _languages,
    "sdos/observed-data": _observed_data,
}
