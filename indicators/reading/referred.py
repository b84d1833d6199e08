"""What objects refer to and the exchange itself stands for: its identity and the partners', TLP 2.0, our extensions.

Nobody publishes these, so that no holding can be told from them. They are the same for every reader: that somebody is
a partner, every partner knows, and whether anything here was named by anybody, nothing here tells.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson
from django.conf import settings

from indicators.stix import tlp, vocabulary
from indicators.stix.library import stix2
from partners.groups import directory

_SINCE = datetime(2026, 11, 1, tzinfo=UTC)
_TLP_SINCE = datetime(2022, 10, 1, tzinfo=UTC)  # as the extension's authors give it

_BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)

#: All these objects were added before this moment, and all that was ever published after it.
BEFORE_THE_LOG = datetime(2026, 1, 1, tzinfo=UTC)

SPEC_VERSION = "2.1"


class Referred(NamedTuple):
    """One of these objects. `version` is as its bytes write it; the date is a fixed one, before the whole log."""

    stix_id: str
    stix_type: str
    version: str
    date_added: datetime
    body: str


def bodies(stix_ids: Collection[str]) -> dict[str, str]:
    """The bytes of those among these ids (in lower case) that the exchange stands for. One query, or none."""
    return {one.stix_id: one.body for one in found(stix_ids=stix_ids)}


def found(*, stix_ids: Collection[str] | None = None, stix_types: Collection[str] = ()) -> list[Referred]:
    """All of these, or those with one of the ids (in lower case) and types, by date, which no two have in common.

    One query where identities of partners are asked for, else none. Who becomes a partner changes no other's date.
    """
    fixed = _fixed(settings.BASE_URL).values()
    chosen = [one for one in fixed if stix_ids is None or one.stix_id in stix_ids]
    if not stix_types or "identity" in stix_types:
        chosen += _partners(stix_ids)
    return [one for one in _apart(chosen) if not stix_types or one.stix_type in stix_types]


def fixed_ids() -> tuple[str, ...]:
    """The ids for which the exchange alone stands, whoever the partners are."""
    return tuple(_fixed(settings.BASE_URL))


def is_fixed(stix_id: str) -> bool:
    """Whether the exchange stands for this id, whoever the partners are."""
    return stix_id.lower() in _fixed(settings.BASE_URL)


def _partners(stix_ids: Collection[str] | None) -> list[Referred]:
    known = directory.known()
    if stix_ids is not None:
        identities = {stix_id for stix_id in stix_ids if stix_id.startswith("identity--")} - {*fixed_ids()}
        if not identities:
            return []
        known = known.filter(identity_id__in=identities)
    rows = known.order_by("created_at", "identity_id").values_list("identity_id", "name", "created_at")
    return [_of_partner(*row) for row in rows]


def _apart(chosen: list[Referred]) -> list[Referred]:
    """The same; where two have one date (registered at one moment), the second is a microsecond later."""
    made: list[Referred] = []
    for one in chosen:
        earliest = made[-1].date_added + _MICROSECOND if made else _BEGINNING
        made.append(one._replace(date_added=max(one.date_added, earliest)))
    return made


@cache
def _fixed(base_url: str) -> dict[str, Referred]:
    identity = _identity(vocabulary.EXCHANGE_IDENTITY_ID, "The exchange", _SINCE, "system")
    made = [str(identity.serialize())]
    for marking_id, word in tlp.TLP2_IDS.items():
        extension = {"extension_type": "property-extension", "tlp_2_0": word}
        marking = stix2().MarkingDefinition(
            id=marking_id, created=_TLP_SINCE, name=f"TLP:{word.upper()}", extensions={tlp.EXTENSION_ID: extension}
        )
        made.append(str(marking.serialize()))
    described = vocabulary.extension_definitions(schemas_url=f"{base_url}/schemas")
    made += (str(stix2().ExtensionDefinition(**one).serialize()) for one in described)
    # A second apart: some clients keep the last date in milliseconds, or in seconds.
    numbered = enumerate(made, start=1)
    referred = (_referred(body, date_added=_BEGINNING + place * _SECOND) for place, body in numbered)
    return {one.stix_id: one for one in referred}


@lru_cache(maxsize=1_024)
def _of_partner(identity_id: str, name: str, created: datetime) -> Referred:
    """Its date follows from when the partner was registered, a hundred times slower: no other partner moves it."""
    body = str(_identity(identity_id, name, created, "organization").serialize())
    return _referred(body, date_added=_BEGINNING + _MINUTE + max(created - _BEGINNING, timedelta()) / 100)


def _identity(identity_id: str, name: str, created: datetime, identity_class: str) -> Any:
    return stix2().Identity(id=identity_id, created=created, modified=created, name=name, identity_class=identity_class)


def _referred(body: str, *, date_added: datetime) -> Referred:
    read = orjson.loads(body)
    return Referred(read["id"], read["type"], read.get("modified", read["created"]), date_added, body)
