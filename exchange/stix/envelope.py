"""What STIX's own properties of an indicator of ours (version 2) may say: what follows from the extension, no more.

The exchange acts on the extension, every other reader on the pattern, so the one is a function of the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from exchange.stix import schemas, words
from exchange.stix.faults import Fault
from exchange.stix.patterns import pattern_of

_OTHER_PATTERN = (
    'The pattern and its type follow from the extension (vocabulary, "Patterns"): anything else says something else'
    " to readers who do not know the extension."
)
_LABELS = "Labels are the indicator's own kind, subkind, control and severity."
_TYPES = (
    "One of: malicious-activity (where control is actor_controlled or reseller_pool), compromised, anomalous-activity,"
    " unknown."
)
_REFERENCES = "A technique of MITRE ATLAS: source_name mitre-atlas, external_id, and its page as url."


def check(data: Mapping[str, Any], extension: Mapping[str, Any]) -> Fault | None:
    """Judge an indicator whose extension meets its schema."""
    if pattern_of(extension) != (data.get("pattern"), data.get("pattern_type")):
        return Fault("other-pattern", "/pattern", _OTHER_PATTERN)
    for name, judge, message in (
        ("labels", _is_label, _LABELS),
        ("indicator_types", _is_type, _TYPES),
        ("external_references", _is_reference, _REFERENCES),
    ):
        if name not in data:
            continue
        if not isinstance(data[name], list):
            return Fault("vocabulary", f"/{name}", "A list.")
        for place, one in enumerate(data[name]):
            if not judge(one, extension):
                return Fault("vocabulary", f"/{name}/{place}", message)
    return None


def _is_label(label: Any, extension: Mapping[str, Any]) -> bool:
    return isinstance(label, str) and label in {extension.get(name) for name in _LABELLED}


_LABELLED = ("kind", "subkind", "control", "severity")


def _is_type(said: Any, extension: Mapping[str, Any]) -> bool:
    if said == words.MALICIOUS:
        return extension.get("control") in words.MALICIOUS_CONTROLS
    return isinstance(said, str) and said in words.INDICATOR_TYPES


def _is_reference(said: Any, extension: Mapping[str, Any]) -> bool:
    if not isinstance(said, dict) or not said.keys() <= {"source_name", "external_id", "url"}:
        return False
    technique = said.get("external_id")
    if said.get("source_name") != words.ATLAS or not isinstance(technique, str) or not _TECHNIQUE.fullmatch(technique):
        return False
    page = f"{words.ATLAS_PAGES}{technique}"
    return bool(said.get("url", page) == page)


_TECHNIQUE = re.compile(schemas.TECHNIQUE)
