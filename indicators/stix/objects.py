"""From one parsed object to a draft: the rules common to all STIX 2.1 objects, checked by hand because it is fast.

What is not understood is kept: unknown types, properties and extensions pass untouched. Sloppy but readable
objects of real feeds pass too (no `spec_version`, `modified` before `created`), with what is wrong as their marks
(`conformance`); a value that has the wrong type where the exchange must read it does not. Sections are of STIX 2.1
(OASIS standard, 10 June 2021).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from indicators.stix import conformance, patterns, tlp, vocabulary
from indicators.stix.drafts import Draft, Refusal, TokenValue

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
ID = re.compile(rf"[a-z0-9][a-z0-9_-]{{1,248}}[a-z0-9]--{_UUID}")
_MARKING = re.compile(rf"marking-definition--{_UUID}")
_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{1,248}[a-z0-9]")
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d{0,21})?Z")
_TITLE_CHARS = 200
_TITLE_CHARS_READ = 4 * _TITLE_CHARS  # a character may become eighteen (NFKC), and a property a megabyte
_NESTED = ("bundle",)


class _Wrong(Exception):
    """Ends the reading of one object; carries the refusal."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(code)
        self.refusal = Refusal(code, field, message)


def draft(index: int, raw: bytes, data: Mapping[str, Any]) -> Draft | Refusal:
    """Read one object; a Refusal names the property and the rule."""
    try:
        return _draft(index, raw, data)
    except _Wrong as wrong:
        return wrong.refusal


def _draft(index: int, raw: bytes, data: Mapping[str, Any]) -> Draft:
    stix_type = _type(data)
    stix_id = _id(data, stix_type)
    version = data.get("modified") or data.get("created")
    created = _moment(data, "created")
    modified = _moment(data, "modified") or created
    extension = vocabulary.extension_of(data)
    is_indicator = stix_type == "indicator"
    if is_indicator:
        _indicator(data)
    markings = _markings(data)
    return Draft(
        index=index,
        raw=raw,
        data=data,
        stix_id=stix_id,
        stix_type=stix_type,
        version=version,
        created=created,
        modified=modified,
        revoked=_boolean(data, "revoked"),
        created_by_ref=_creator(data),
        title=_title(data, stix_type),
        tlp=tlp.strictest(markings),
        kind=_word(extension, "kind"),
        subkind=_word(extension, "subkind"),
        severity=_word(extension, "severity"),
        confidence=_confidence(data),
        pattern_type=data["pattern_type"] if is_indicator else None,
        valid_from=_moment(data, "valid_from"),
        valid_until=_moment(data, "valid_until"),
        tokens=_tokens(data, extension) if is_indicator else (),
        markings=tuple(markings),
        marks=conformance.problems(data),
    )


def _type(data: Mapping[str, Any]) -> str:
    stix_type = data.get("type")
    if not isinstance(stix_type, str) or not _TYPE.fullmatch(stix_type):
        raise _Wrong("bad-type", "/type", "A type of 3 to 250 characters a-z, 0-9 and '-' is required (§3.1).")
    if stix_type in _NESTED:
        raise _Wrong("nested-bundle", "/type", "A bundle cannot be an object of a batch (§8).")
    spec_version = data.get("spec_version", "2.1")
    if spec_version not in ("2.1", "2.0"):
        raise _Wrong("unsupported-version", "/spec_version", "Only STIX 2.1 is read here (§3.1).")
    return stix_type


def _id(data: Mapping[str, Any], stix_type: str) -> str:
    stix_id = data.get("id")
    if not isinstance(stix_id, str) or not ID.fullmatch(stix_id):
        raise _Wrong("bad-id", "/id", "An identifier is a type, '--' and a UUID (§2.9).")
    if not stix_id.startswith(f"{stix_type}--"):
        raise _Wrong("bad-id", "/id", "The identifier must begin with the object's own type (§2.9).")
    return stix_id


def _indicator(data: Mapping[str, Any]) -> None:
    """What an indicator must have (§4.7), and a pattern that can be read."""
    for name in ("pattern", "pattern_type"):
        if not isinstance(data.get(name), str) or not data[name]:
            raise _Wrong("missing-property", f"/{name}", "An indicator requires it, as a string (§4.7).")
    if data.get("valid_from") is None:
        raise _Wrong("missing-property", "/valid_from", "An indicator requires it (§4.7).")
    if len(data["pattern_type"]) > 60:
        raise _Wrong("too-long", "/pattern_type", "At most 60 characters.")
    verdict = patterns.check(data["pattern"], data["pattern_type"])
    if verdict is not None:
        raise _Wrong(verdict.code, verdict.field, verdict.message)


def _tokens(data: Mapping[str, Any], extension: Mapping[str, Any] | None) -> tuple[TokenValue, ...]:
    if extension is not None:
        return vocabulary.tokens_of(extension)
    return patterns.clear_values(data["pattern"]) if data["pattern_type"] == "stix" else ()


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    """A timestamp (§3.2), cut to microseconds for the column; the bytes keep what was written."""
    value = data.get(name)
    if value is None:
        return None
    try:
        return _moment_of(value)
    except (ValueError, TypeError):  # TypeError: a list cannot even be remembered
        raise _Wrong("bad-timestamp", f"/{name}", "A UTC timestamp, such as 2026-01-31T08:00:00.000Z (§3.2).") from None


@lru_cache(maxsize=8_192)
def _moment_of(written: str) -> datetime:
    """Remembered, because the objects of a batch share most of theirs. Raises ValueError, TypeError."""
    found = _TIMESTAMP.fullmatch(written)
    if found is None:
        raise ValueError("not a timestamp")
    microsecond = int((found[2] or "0").ljust(6, "0")[:6])
    return datetime.fromisoformat(found[1]).replace(microsecond=microsecond, tzinfo=UTC)


def _boolean(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise _Wrong("wrong-type", f"/{name}", "True or false (§2.1).")
    return value


def _creator(data: Mapping[str, Any]) -> str | None:
    """The creator's id. Real feeds also write words there, which name nobody and so claim nothing."""
    value = data.get("created_by_ref")
    if value is not None and not isinstance(value, str):
        raise _Wrong("wrong-type", "/created_by_ref", "An identifier (§3.2).")
    return value if value is not None and ID.fullmatch(value) else None


def _markings(data: Mapping[str, Any]) -> list[str]:
    """All markings, those of single properties included: the object travels whole, so the strictest holds for it."""
    refs = {f"/object_marking_refs/{place}": ref for place, ref in enumerate(_list(data, "object_marking_refs"))}
    for place, granular in enumerate(_list(data, "granular_markings")):
        if not isinstance(granular, dict):
            raise _Wrong("wrong-type", f"/granular_markings/{place}", "A granular marking is an object (§7.2.3).")
        if "marking_ref" in granular:
            refs[f"/granular_markings/{place}/marking_ref"] = granular["marking_ref"]
    for at, ref in refs.items():
        if not isinstance(ref, str):
            raise _Wrong("wrong-type", at, "A marking is named by its identifier (§7.2).")
        if not _MARKING.fullmatch(ref):  # `TLP:RED` in words must not be taken for no marking
            raise _Wrong("unknown-marking", at, "A marking is named by its identifier, marking-definition--… (§7.2).")
    return list(refs.values())


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name, [])
    if not isinstance(value, list):
        raise _Wrong("wrong-type", f"/{name}", "A list (§2.10).")
    return value


def _confidence(data: Mapping[str, Any]) -> int | None:
    value = data.get("confidence")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise _Wrong("out-of-range", "/confidence", "A whole number from 0 to 100 (§3.2).")
    return value


def _word(extension: Mapping[str, Any] | None, name: str) -> str | None:
    """A short word for a column; whether it is an allowed one, the vocabulary gate says."""
    value = extension.get(name) if extension else None
    return value if isinstance(value, str) and len(value) <= 20 + 20 * (name != "severity") else None


def _title(data: Mapping[str, Any], stix_type: str) -> str:
    """The name, else what best tells the object from others; in NFKC, as searches are."""
    for name in ("name", "value", "relationship_type", "abstract", "opinion", "pattern"):
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return " ".join(normalize("NFKC", value.strip()[:_TITLE_CHARS_READ]).split())[:_TITLE_CHARS]
    return stix_type
