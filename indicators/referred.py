"""What objects refer to and the exchange itself stands for: its identity and the partners', TLP 2.0, our extensions.

Nobody publishes these, so that no holding can be told from them. They are the same for every reader: that somebody is
a partner, every partner knows, and whether anything here was named by anybody, nothing here tells.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache, lru_cache

import stix2
from django.conf import settings

from indicators.stix import tlp, vocabulary
from partners import directory

_SINCE = datetime(2026, 11, 1, tzinfo=UTC)
_TLP_SINCE = datetime(2022, 10, 1, tzinfo=UTC)  # as the extension's authors give it


def bodies(stix_ids: Collection[str]) -> dict[str, str]:
    """The bytes of those among these ids (in lower case) that the exchange stands for. One query, or none."""
    fixed = _fixed(settings.BASE_URL)
    found = {stix_id: fixed[stix_id] for stix_id in stix_ids if stix_id in fixed}
    identities = {stix_id for stix_id in stix_ids if stix_id.startswith("identity--")} - found.keys()
    if identities:
        known = directory.known().filter(identity_id__in=identities).order_by("pk")
        for identity_id, name, created_at in known.values_list("identity_id", "name", "created_at"):
            found[identity_id] = _identity(identity_id, name, created_at, "organization")
    return found


def is_fixed(stix_id: str) -> bool:
    """Whether the exchange stands for this id, whoever the partners are."""
    return stix_id.lower() in _fixed(settings.BASE_URL)


@cache
def _fixed(base_url: str) -> dict[str, str]:
    made = {
        vocabulary.EXCHANGE_IDENTITY_ID: _identity(vocabulary.EXCHANGE_IDENTITY_ID, "The exchange", _SINCE, "system")
    }
    for marking_id, word in tlp.TLP2_IDS.items():
        extension = {"extension_type": "property-extension", "tlp_2_0": word}
        marking = stix2.MarkingDefinition(
            id=marking_id, created=_TLP_SINCE, name=f"TLP:{word.upper()}", extensions={tlp.EXTENSION_ID: extension}
        )
        made[marking_id] = str(marking.serialize())
    for described in vocabulary.extension_definitions(schemas_url=f"{base_url}/schemas"):
        made[described["id"]] = str(stix2.ExtensionDefinition(**described).serialize())
    return made


@lru_cache(maxsize=1_024)
def _identity(identity_id: str, name: str, created: datetime, identity_class: str) -> str:
    made = stix2.Identity(id=identity_id, created=created, modified=created, name=name, identity_class=identity_class)
    return str(made.serialize())
