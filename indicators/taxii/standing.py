"""What stands before the log in each collection: what objects refer to and the exchange itself says (`referred`).

The list depends on nothing that is published, and is read only by who begins at the beginning: whoever has come to the
log pays nothing for it.
"""

from __future__ import annotations

from datetime import datetime

from indicators.reading import referred
from indicators.reading.referred import Referred
from indicators.stix import identifiers
from indicators.taxii.filters import Query


def found(query: Query, *, after: datetime) -> list[Referred]:
    """Of these objects those that a query asks for and that were added after a moment. One query, or none."""
    if after >= referred.BEFORE_THE_LOG or (query.spec_versions and referred.SPEC_VERSION not in query.spec_versions):
        return []
    stix_ids = identifiers.canonical(query.ids) if query.ids else None
    listed = referred.found(stix_ids=stix_ids, stix_types=query.types)
    return [one for one in listed if one.date_added > after and _is_wanted(one, query)]


def holds(stix_id: str) -> bool:
    """Whether the exchange stands for this id."""
    return bool(referred.found(stix_ids=[stix_id.lower()]))


def _is_wanted(one: Referred, query: Query) -> bool:
    """Each has one version, which is the first, the last, and all of them."""
    version = datetime.fromisoformat(one.version)
    return any(not isinstance(wanted, datetime) or wanted == version for wanted in query.versions)
