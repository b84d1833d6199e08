"""What is wrong with an object by STIX 2.1: OASIS's schemas and the rules beside them, as codes with places.

Under `closed-facts` the first of these refuses the object; under `open-cti` all of them mark it, and its bytes stay
as they came. Only what the specification says with MUST counts; what it recommends (open vocabularies, prefixes of
custom names, registered extensions) is nobody's fault. What is unknown to the specification is the producer's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from indicators.stix import oasis, rules
from indicators.stix.drafts import Refusal

#: Marks of one object, at most.
MAX_MARKS = 20

#: Each code with what it means. Codes are stable.
WORDS = {
    "altered-marking": "A TLP marking definition other than the standard's own",
    "bad-combination": "Properties that do not go together, or of which one is required",
    "bad-format": "Not in the form that is required",
    "bad-hash": "Not a hash of the algorithm that it is named for",
    "bad-id": "Not an identifier that this type may have",
    "bad-language": "Not a language tag (RFC 5646)",
    "bad-name": "A name that the specification does not allow",
    "bad-reference": "Not the identifier of an object that may stand here",
    "bad-selector": "A granular marking that selects nothing",
    "bad-timestamp": "Not a timestamp in UTC that exists",
    "bad-value": "Not one of the values of the enumeration",
    "empty": "An empty list or dictionary",
    "end-before-start": "An end that lies before its beginning",
    "missing-property": "A required property is missing",
    "missing-spec-version": "It does not say which version of STIX it is",
    "modified-before-created": "Modified before it was created",
    "old-spec-version": "An object of STIX 2.0",
    "out-of-range": "A number outside of its range",
    "reserved-name": "A name that the specification reserves",
    "self-reference": "A marking that marks itself",
    "timestamp-precision": "A timestamp without milliseconds",
    "unknown-pattern-object": "The pattern speaks of an object that STIX does not define",
    "wrong-type": "A value of the wrong type",
}

_SECTION_OF_TYPE = {
    stix_type: f"{chapter}.{place}"
    for chapter, types in {
        4: "attack-pattern campaign course-of-action grouping identity incident indicator infrastructure intrusion-set"
        " location malware malware-analysis note observed-data opinion report threat-actor tool vulnerability",
        5: "relationship sighting",
        6: "artifact autonomous-system directory domain-name email-addr email-message file ipv4-addr ipv6-addr"
        " mac-addr mutex network-traffic process software url user-account windows-registry-key x509-certificate",
        7: "language-content marking-definition extension-definition",
    }.items()
    for place, stix_type in enumerate(types.split(), 1)
}
_SECTION_OF_CODE = {
    "altered-marking": "7.2.1.4",
    "bad-hash": "2.7",
    "bad-id": "2.9",
    "bad-name": "3.1",
    "bad-reference": "2.9",
    "bad-selector": "7.2.3.1",
    "bad-timestamp": "2.15",
    "empty": "2.12",
    "missing-spec-version": "3.2",
    "modified-before-created": "3.2",
    "old-spec-version": "3.2",
    "reserved-name": "3.8",
    "self-reference": "7.2",
    "timestamp-precision": "3.2",
    "unknown-pattern-object": "9.6",
}
#: What all objects have; what is wrong with it is wrong by §3.2.
_COMMON_NAMES = frozenset(
    {
        *("confidence", "created", "created_by_ref", "defanged", "extensions", "external_references"),
        *("granular_markings", "labels", "lang", "modified", "object_marking_refs", "revoked", "spec_version"),
    }
)


def problems(data: Mapping[str, Any]) -> tuple[Refusal, ...]:
    """What is wrong with an object that has a `type` and an `id`; () where it conforms."""
    stix_type = data["type"]
    schema = _schema_of(data, stix_type)
    found = [] if oasis.is_valid(data, schema) else list(_by_schema(data, schema))
    found += rules.broken(data)
    if stix_type == "observed-data" and isinstance(data.get("objects"), dict):
        found += islice(_inside(data["objects"]), MAX_MARKS)
    if not found:
        return ()
    each = list(dict.fromkeys(found))[:MAX_MARKS]
    return tuple(Refusal(code, at, explained(code, at, stix_type=stix_type)) for code, at in each)


def explained(code: str, at: str, *, stix_type: str) -> str:
    """A code in words, with the section of the specification that it follows from; `at` is its pointer."""
    return f"{WORDS[code]} (STIX 2.1 §{_section(code, at, stix_type)})."


def _section(code: str, at: str, stix_type: str) -> str:
    if code in _SECTION_OF_CODE:
        return _SECTION_OF_CODE[code]
    if at.partition("/")[2].partition("/")[0] in _COMMON_NAMES:
        return "3.2"
    return _SECTION_OF_TYPE.get(stix_type, "3.2")


def _schema_of(data: Mapping[str, Any], stix_type: str) -> str:
    """The schema for an object; of one of an unknown type, what it says of itself tells whether it is an observable."""
    if stix_type in oasis.TYPES:
        return str(stix_type)
    extensions = data.get("extensions")
    held = extensions.values() if isinstance(extensions, dict) else ()
    made = {str(each.get("extension_type")) for each in held if isinstance(each, dict)}
    if "new-sco" in made or not (made & {"new-sdo", "new-sro"} or "created" in data or "modified" in data):
        return "cyber-observable-core"
    return "core"


def _by_schema(data: Mapping[str, Any], schema: str) -> Iterator[tuple[str, str]]:
    told = False
    for kind, path in oasis.faults(data, schema, at_most=MAX_MARKS):
        if kind.name == "required":
            path.append(kind.property)
        told = True
        yield _code_of(kind, path), pointer(path)
    if not told:  # somewhere deep in a huge object
        yield "bad-combination", ""


_BY_KEYWORD = {
    "additionalProperties": "bad-name",
    "const": "bad-value",
    "enum": "bad-value",
    "maximum": "out-of-range",
    "minItems": "empty",
    "minProperties": "empty",
    "minimum": "out-of-range",
    "propertyNames": "bad-name",
    "type": "wrong-type",
}
_WITHOUT_MILLISECONDS = "T\\d"


def _code_of(kind: Any, path: list[str]) -> str:
    """The code for a keyword of JSON Schema; where it judges a value's form, its property's name says what it is."""
    name = next((part for part in reversed(path) if not (part.isascii() and part.isdigit())), "")
    if kind.name == "required":
        return "missing-spec-version" if path == ["spec_version"] else "missing-property"
    if kind.name in _BY_KEYWORD:
        return _BY_KEYWORD[kind.name]
    if path == ["id"]:
        return "bad-id"
    if name.endswith(("_ref", "_refs")):
        return "bad-reference"
    if "hashes" in path[:-1]:
        return "bad-hash"
    if kind.name == "pattern":
        if kind.pattern.startswith(_WITHOUT_MILLISECONDS) and name in {"created", "modified"}:
            return "timestamp-precision"
        return "bad-timestamp" if kind.pattern.startswith("^[0-9]{4}-(0") else "bad-format"
    if kind.name == "not" and path in ([], ["type"]):
        return "reserved-name" if path or "severity" in str(kind.schema) else "bad-combination"
    return "bad-format" if kind.name == "format" else "bad-combination"


def _inside(objects: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The observables inside of observed data, in the deprecated way (§4.14): keys name them, so they need no ids."""
    for key, held in objects.items():
        stix_type = held.get("type") if isinstance(held, dict) else None
        if not isinstance(stix_type, str) or stix_type not in oasis.SCOS:
            continue
        for code, at in () if oasis.is_valid(held, stix_type) else _by_schema(held, stix_type):
            if not at.startswith(("/id", "/extensions")):
                yield code, pointer(["objects", key]) + at


_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,250}")
_MAX_POINTER_CHARS = 400


def pointer(path: list[str]) -> str:
    """A JSON pointer. It ends before a name that is no plain word: a key may itself be a value not to be shown."""
    told = ""
    for part in path:
        if not _PLAIN.fullmatch(part) or len(told) + len(part) >= _MAX_POINTER_CHARS:
            break
        told += f"/{part}"
    return told
