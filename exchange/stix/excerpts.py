"""An excerpt of an attacker's prompt, for people: a type of ours (`x-exchange-excerpt`), and its JSON Schema.

The exchange takes it for itself and shows it to people; it is in no list, feed, collection or bundle.
"""

from __future__ import annotations

from exchange.stix import words
from exchange.stix.schemas import Schema

TYPE = "x-exchange-excerpt"
MOST_CHARS = 280
#: AMBER+STRICT: no excerpt is marked more openly.
MARKING = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MOMENT: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$",
}


def schema() -> Schema:
    """The schema of an excerpt as it is sent."""
    own: dict[str, Schema] = {
        "type": {"const": TYPE},
        "spec_version": {"const": "2.1"},
        "id": {"type": "string", "pattern": f"^{TYPE}--{_UUID}$"},
        "created": _MOMENT,
        "modified": _MOMENT,
        "valid_until": _MOMENT | {"description": "At most 30 days after it is sent."},
        "object_marking_refs": {"const": [MARKING]},
        "indicator_ref": {
            "type": "string",
            "pattern": f"^indicator--{_UUID}$",
            "description": "A prompt signature of its publisher's that is live.",
        },
        "text": {
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_CHARS,
            "description": "Of an attacker's prompt; never of a customer's.",
        },
        "extensions": {"const": {words.EXCERPT_EXTENSION_ID: {"extension_type": "new-sdo"}}},
    }
    return {"type": "object", "additionalProperties": False, "required": list(own), "properties": own}
