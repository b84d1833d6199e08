"""From one parsed object to a draft: the rules common to all STIX 2.1 objects, checked by hand because it is fast.

What is not understood is kept: unknown types, properties and extensions pass untouched. Sloppy but readable objects
of real feeds pass too (no `spec_version`, a confidence of 101), with what is wrong as their marks (`conformance`).
What the exchange must be certain of is refused where it is not: markings, revocations, moments. Sections are of STIX
2.1 (OASIS standard, 10 June 2021).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from indicators.stix import conformance, facets, identifiers, patterns, references, tlp, vocabulary
from indicators.stix.drafts import Draft, Refusal, TokenValue

ID = identifiers.ID
_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{1,248}[a-z0-9]")
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d{0,21})?Z", re.ASCII)
#: The last second of a UTC day, when it has one more (RFC 3339 §5.7); it is held as the moment after it.
_LEAP_SECOND = "T23:59:60"
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
    spec_version = _spec_version(data)
    version = data.get("modified") or data.get("created")
    created = _moment(data, "created")
    modified = _moment(data, "modified") or created
    extension = vocabulary.extension_of(data)
    pattern_type = _pattern_type(data, spec_version) if stix_type == "indicator" else None
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
        spec_version=spec_version,
        revoked=_revoked(data),
        created_by_ref=_creator(data),
        title=_title(data, stix_type),
        tlp=tlp.strictest(markings),
        kind=_word(extension, "kind"),
        subkind=_word(extension, "subkind"),
        severity=_word(extension, "severity"),
        confidence=_confidence(data),
        pattern_type=pattern_type,
        valid_from=_moment(data, "valid_from"),
        valid_until=_moment(data, "valid_until"),
        tokens=_tokens(data, extension, pattern_type) if pattern_type else (),
        markings=tuple(markings),
        references=references.refs(data, raw),
        extension=extension,
        detector=None if extension is None else vocabulary.detector_in(extension),
        facets=facets.facets(data, extension),
        marks=conformance.problems(data),
    )


def _type(data: Mapping[str, Any]) -> str:
    stix_type = data.get("type")
    if not isinstance(stix_type, str) or not _TYPE.fullmatch(stix_type):
        raise _Wrong("bad-type", "/type", "A type of 3 to 250 characters a-z, 0-9 and '-' is required (§3.1).")
    if stix_type in _NESTED:
        raise _Wrong("nested-bundle", "/type", "A bundle cannot be an object of a batch (§8).")
    return stix_type


def _id(data: Mapping[str, Any], stix_type: str) -> str:
    """The id in lower case: a UUID in capitals is the same UUID (RFC 9562 §4). The bytes keep what was written."""
    stix_id = data.get("id")
    if not isinstance(stix_id, str) or not ID.fullmatch(stix_id):
        raise _Wrong("bad-id", "/id", "An identifier is a type, '--' and a UUID (§2.9).")
    if not stix_id.startswith(f"{stix_type}--"):
        raise _Wrong("bad-id", "/id", "The identifier must begin with the object's own type (§2.9).")
    return stix_id.lower()


def _spec_version(data: Mapping[str, Any]) -> str:
    """`2.0` or `2.1`, as the object says or, where it does not, as §3.2 says. What is no string is a mark.

    An object that says nothing is of 2.0, but for observables: those have no timestamps of their own.
    """
    said = data.get("spec_version")
    if said in ("2.0", "2.1"):
        return str(said)
    if isinstance(said, int | float) and not isinstance(said, bool):
        said = {2.0: "2.0", 2.1: "2.1"}.get(said, "")
        if said:
            return said
    if isinstance(said, str):
        raise _Wrong("unsupported-version", "/spec_version", "Only STIX 2.1 and 2.0 are read here (§3.1).")
    has_times = data.get("modified") is not None or data.get("created") is not None
    return "2.0" if has_times else "2.1"


def _pattern_type(data: Mapping[str, Any], spec_version: str) -> str:
    """The language of an indicator's pattern, which must be one that can be read (§4.7).

    In STIX 2.0 there is one language, so an indicator of 2.0 need not name it.
    """
    pattern_type: Any = data.get("pattern_type")
    if pattern_type is None and spec_version == "2.0":
        pattern_type = "stix"
    for name, value in (("pattern", data.get("pattern")), ("pattern_type", pattern_type)):
        if not isinstance(value, str) or not value:
            raise _Wrong("missing-property", f"/{name}", "An indicator requires it, as a string (§4.7).")
    if data.get("valid_from") is None:
        raise _Wrong("missing-property", "/valid_from", "An indicator requires it (§4.7).")
    if len(pattern_type) > 60:
        raise _Wrong("too-long", "/pattern_type", "At most 60 characters.")
    verdict = patterns.check(data["pattern"], pattern_type)
    if verdict is not None:
        raise _Wrong(verdict.code, verdict.field, verdict.message)
    return str(pattern_type)


def _tokens(data: Mapping[str, Any], extension: Mapping[str, Any] | None, pattern_type: str) -> tuple[TokenValue, ...]:
    if extension is not None:
        return vocabulary.tokens_of(extension)
    return patterns.clear_values(data["pattern"]) if pattern_type == "stix" else ()


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    """A timestamp (§3.2), cut to microseconds for the column; the bytes keep what was written."""
    value = data.get(name)
    if value is None:
        return None
    try:
        return _moment_of(value)
    except (ValueError, TypeError, OverflowError):  # TypeError: a list cannot even be remembered
        raise _Wrong("bad-timestamp", f"/{name}", "A UTC timestamp, such as 2026-01-31T08:00:00.000Z (§3.2).") from None


@lru_cache(maxsize=8_192)
def _moment_of(written: str) -> datetime:
    """Remembered, because the objects of a batch share most of theirs. Raises ValueError, TypeError, OverflowError."""
    found = _TIMESTAMP.fullmatch(written)
    if found is None:
        raise ValueError("not a timestamp")
    second, microsecond = found[1], int((found[2] or "0").ljust(6, "0")[:6])
    is_leap = second.endswith(_LEAP_SECOND)
    moment = datetime.fromisoformat(f"{second[:-2]}59" if is_leap else second)
    return moment.replace(microsecond=microsecond, tzinfo=UTC) + timedelta(seconds=is_leap)


#: What says one thing only, though not as a boolean: a revocation is neither missed nor made up.
_MEANT: dict[float | None, bool] = {0: False, 1: True, None: False}
_WORDS_MEANT = {"false": False, "true": True}


def revoked(data: Mapping[str, Any]) -> bool | None:
    """Whether an object says that it is revoked; None for what may mean either.

    Null, 0 and "false" are false, 1 and "true" are true, with a mark.
    """
    value = data.get("revoked", False)
    if isinstance(value, str):
        return _WORDS_MEANT.get(value.lower())
    return _MEANT.get(value) if value is None or isinstance(value, int | float) else None


def _revoked(data: Mapping[str, Any]) -> bool:
    said = revoked(data)
    if said is None:
        raise _Wrong("wrong-type", "/revoked", "True or false: whether it revokes must be certain (§3.2).")
    return said


def _creator(data: Mapping[str, Any]) -> str | None:
    """The creator's id. Real feeds also write words there, which name nobody and so claim nothing."""
    value = data.get("created_by_ref")
    return value if isinstance(value, str) and ID.fullmatch(value) else None


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
        if not identifiers.MARKING.fullmatch(ref):  # `TLP:RED` in words must not be taken for no marking
            raise _Wrong("unknown-marking", at, "A marking is named by its identifier, marking-definition--… (§7.2).")
    return list(refs.values())


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name, [])
    if not isinstance(value, list):
        raise _Wrong("wrong-type", f"/{name}", "A list (§2.10).")
    return value


def _confidence(data: Mapping[str, Any]) -> int | None:
    """From 0 to 100; 85.0 is a whole number (RFC 8259 §6, and the schemas). What is none is unknown, with a mark."""
    value = data.get("confidence")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= 100 and value == int(value) else None


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
