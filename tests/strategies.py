"""Hypothesis: STIX 2.1 objects by the book, with one thing broken, and of any shape."""

from __future__ import annotations

import uuid
from datetime import datetime

from hypothesis import settings
from hypothesis import strategies as st


def examples(few: int) -> int:
    """How many examples a test tries that needs long for each: `few` in drills, a quarter in `make test`."""
    profile = settings.get_current_profile_name()
    return {"quick": max(2, few // 4), "deep": few * 20}.get(profile, few)


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
_UUID4 = st.uuids(version=4).map(str)
_UUID5 = st.builds(lambda name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), st.text(max_size=5))
_MOMENTS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1))


def _stamp(moment) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _two_moments():
    return st.tuples(_MOMENTS, _MOMENTS).map(lambda both: [_stamp(moment) for moment in sorted(both)])


def _ids(stix_type: str):
    return _UUID4.map(lambda made: f"{stix_type}--{made}")


_ANY_ID = st.sampled_from(["campaign", "indicator", "tool", "malware", "identity"]).flatmap(_ids)
_KNOWN = {
    "attack-pattern": {"name": _NAMES, "aliases": st.lists(_NAMES, min_size=1, max_size=3)},
    "campaign": {"name": _NAMES, "objective": _NAMES},
    "course-of-action": {"name": _NAMES},
    "grouping": {"context": _NAMES, "object_refs": st.lists(_ANY_ID, min_size=1, max_size=3)},
    "identity": {"name": _NAMES, "sectors": st.lists(_NAMES, min_size=1, max_size=3)},
    "infrastructure": {"name": _NAMES},
    "intrusion-set": {"name": _NAMES, "goals": st.lists(_NAMES, min_size=1, max_size=3)},
    "location": {"region": _NAMES},
    "malware": {"is_family": st.just(False)},
    "note": {"content": _NAMES, "object_refs": st.lists(_ANY_ID, min_size=1, max_size=3)},
    "opinion": {
        "opinion": st.sampled_from(["strongly-disagree", "disagree", "neutral", "agree", "strongly-agree"]),
        "object_refs": st.lists(_ANY_ID, min_size=1, max_size=3),
    },
    "relationship": {"relationship_type": st.just("uses"), "source_ref": _ANY_ID, "target_ref": _ANY_ID},
    "report": {
        "name": _NAMES,
        "published": _MOMENTS.map(_stamp),
        "object_refs": st.lists(_ANY_ID, min_size=1, max_size=3),
    },
    "sighting": {"sighting_of_ref": _ANY_ID, "count": st.integers(0, 999_999_999)},
    "threat-actor": {"name": _NAMES},
    "tool": {"name": _NAMES},
    "vulnerability": {"name": _NAMES},
    "x-somebodys-type": {"whatever": st.integers()},
}
_REQUIRED = {
    stix_type: [name for name in known if name in {"name", "context", "content", "opinion", "is_family", "object_refs"}]
    for stix_type, known in _KNOWN.items()
} | {"identity": ["name"], "relationship": ["source_ref", "target_ref"], "sighting": ["sighting_of_ref"]}
_OBSERVABLES = {
    "domain-name": {"value": st.just("made.example")},
    "ipv4-addr": {"value": st.ip_addresses(v=4).map(str)},
    "ipv6-addr": {"value": st.ip_addresses(v=6).map(str)},
    "url": {"value": st.just("https://made.example/a?b=c#d")},
    "file": {"name": _NAMES, "size": st.integers(0, 2**40)},
    "mutex": {"name": _NAMES},
    "autonomous-system": {"number": st.integers(0, 2**32)},
}


@st.composite
def valid_stix(draw, types: tuple[str, ...] = (*_KNOWN, *_OBSERVABLES)) -> dict:
    """An object that keeps to every MUST."""
    stix_type = draw(st.sampled_from(types))
    if stix_type in _OBSERVABLES:
        return {"type": stix_type, "spec_version": "2.1", "id": f"{stix_type}--{draw(_UUID5)}"} | {
            name: draw(value) for name, value in _OBSERVABLES[stix_type].items()
        }
    created, modified = draw(_two_moments())
    data = {
        "type": stix_type,
        "spec_version": "2.1",
        "id": draw(_ids(stix_type)),
        "created": created,
        "modified": modified,
    }
    data |= {name: draw(value) for name, value in _KNOWN[stix_type].items()}
    if draw(st.booleans()):
        data["confidence"] = draw(st.integers(0, 100))
    if draw(st.booleans()):
        data["created_by_ref"] = draw(_ids("identity"))
    if draw(st.booleans()):
        data["labels"] = draw(st.lists(_NAMES, min_size=1, max_size=3))
    return data


def _without_required(draw, data):
    missing = draw(st.sampled_from(_REQUIRED[data["type"]]))
    return {name: value for name, value in data.items() if name != missing}


_BREAKS = {
    "bad-id": lambda draw, data: data | {"id": f"{data['type']}--00000000-0000-0000-0000-000000000000"},
    "bad-name": lambda draw, data: data | {draw(st.sampled_from(["Ab", "1abc", "with space", "ab", "é"])): 1},
    "bad-reference": lambda draw, data: data | {"created_by_ref": draw(_ids("tool"))},
    "empty": lambda draw, data: data | {"labels": []},
    "missing-property": _without_required,
    "missing-spec-version": lambda draw, data: {k: v for k, v in data.items() if k != "spec_version"},
    "modified-before-created": lambda draw, data: data | {"modified": "1980-01-01T00:00:00.000Z"},
    "old-spec-version": lambda draw, data: data | {"spec_version": "2.0"},
    "out-of-range": lambda draw, data: data | {"confidence": draw(st.integers(101) | st.integers(max_value=-1))},
    "reserved-name": lambda draw, data: data | {"username": "x"},
    "timestamp-precision": lambda draw, data: data | {"created": data["created"][:19] + "Z"},
    "wrong-type": lambda draw, data: data | {"revoked": draw(st.text() | st.integers() | st.none())},
}


@st.composite
def broken_stix(draw) -> tuple[dict, str]:
    """An object with one thing broken, and the code of what is."""
    code = draw(st.sampled_from(sorted(_BREAKS)))
    types = tuple(stix_type for stix_type in _KNOWN if _REQUIRED[stix_type])
    return _BREAKS[code](draw, draw(valid_stix(types))), code


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)
_SOME_NAMES = (
    *("spec_version", "created", "modified", "created_by_ref", "labels", "confidence", "lang", "object_marking_refs"),
    *("granular_markings", "extensions", "external_references", "name", "value", "hashes", "objects", "object_refs"),
    *("contents", "definition", "definition_type", "languages", "pattern", "pattern_type", "valid_from", "valid_until"),
    *("first_seen", "last_seen", "x509_v3_extensions", "src_ref", "resolves_to_refs", "start_time", "stop_time"),
)


@st.composite
def any_stix(draw) -> dict:
    """An object with a type and an id, and anything at all in its other properties."""
    from indicators.stix import oasis

    stix_type = draw(st.sampled_from([*sorted(oasis.TYPES), "x-somebodys-type"]))
    more = draw(st.dictionaries(st.sampled_from(_SOME_NAMES) | _NAMES, _ANYTHING, max_size=6))
    return more | {"type": stix_type, "id": f"{stix_type}--{draw(st.uuids())}"}


def unknown_properties():
    """Properties that no specification knows, with names that it allows and values of any kind but null and []."""
    names = st.from_regex(r"\Ax_[a-z0-9_]{1,30}\Z").filter(lambda name: not name.endswith(("_bin", "_hex")))
    return st.dictionaries(names, _ANYTHING.filter(lambda value: value is not None and value != []), max_size=4)
