"""A campaign in STIX: what a group is told of it, in buckets, made with stix2. Pure.

The same facts give the same objects but for `modified`: ids follow from the campaign's. Nothing says whose an account
or a sighting is.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from exchange.stix import words
from indicators.stix import tlp
from indicators.stix.library import stix2

#: A grouping refers to so many objects at most, and so many indicators are said to indicate a campaign.
MOST_REFERENCES = 300
MOST_INDICATES = 50
_NAMESPACE = uuid.UUID("6c1f2f5e-4d0f-5a63-9f3c-1f0f2f7f8f5e")
#: What evidence alone carries stands for kinds of indicators, too.
_KINDS = {
    **words.KIND_OF,
    **dict.fromkeys(("email_shape", "signup_burst"), "account-pattern"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a campaign. Moments are hours; `labs`: of each lab in it the bucket of its accounts, sorted."""

    name: str
    grade: str
    accounts: str
    labs: tuple[str, ...]
    kinds: tuple[str, ...]
    first_seen: str
    last_seen: str
    indicators: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()  # campaigns that one lab's word joins with it
    into: str = ""
    ended: bool = False
    dismissed: bool = False

    def to_json(self) -> dict[str, Any]:
        """To be kept, and compared with what is told next."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def kinds_of(subkinds: list[str]) -> tuple[str, ...]:
    """The kinds of indicators that tokens of these subkinds belong to."""
    return tuple(sorted({_KINDS[subkind] for subkind in subkinds}))


def hour(moment: datetime) -> str:
    """A moment as it is told."""
    return moment.strftime("%Y-%m-%dT%H:00:00Z")


def made(campaign: uuid.UUID, facts: Facts, *, created: datetime, modified: datetime) -> list[dict[str, Any]]:
    """The objects of a campaign: itself, its sightings, relationships, and the grouping of all of it.

    Of one that has ended, itself and the others, revoked.
    """
    frame = {
        "created": created.replace(microsecond=0),
        "modified": modified,
        "created_by_ref": words.EXCHANGE_IDENTITY_ID,
        "object_marking_refs": [tlp.ID_OF["amber"]],
    }
    itself = f"campaign--{campaign}"
    found: list[Any] = [_campaign(itself, facts, frame)]
    if not facts.ended:
        found += [_sighting(campaign, itself, place, count, facts, frame) for place, count in enumerate(facts.labs)]
        found += [_relationship(campaign, "indicates", one, itself, frame) for one in facts.indicators[:MOST_INDICATES]]
        found += [_relationship(campaign, "related-to", itself, one, frame) for one in facts.linked]
    elif facts.into:
        found.append(_relationship(campaign, "duplicate-of", itself, facts.into, frame))
    refs = [one["id"] for one in found] + list(facts.indicators)
    found.append(
        stix2().Grouping(
            id=_id("grouping", campaign),
            context="suspicious-activity",
            object_refs=refs[:MOST_REFERENCES],
            **frame,
            **({"revoked": True} if facts.ended else {}),
        )
    )
    return [_document(one) for one in found]


def id_of_part(campaign: uuid.UUID, stix_type: str, *parts: str) -> str:
    """The id of one of its objects."""
    return _id(stix_type, campaign, *parts)


def _campaign(itself: str, facts: Facts, frame: dict[str, Any]) -> Any:
    extension: dict[str, Any] = {"extension_type": "property-extension", "grade": facts.grade}
    if facts.accounts != "0":
        extension["accounts_bucket"] = facts.accounts
    if facts.kinds:
        extension["kinds"] = list(facts.kinds)
    return stix2().Campaign(
        id=itself,
        name=facts.name,
        first_seen=facts.first_seen,
        last_seen=facts.last_seen if facts.last_seen > facts.first_seen else None,
        extensions={words.CAMPAIGN_EXTENSION_ID: extension},
        **frame,
        **({"revoked": True} if facts.ended else {"confidence": 0} if facts.dismissed else {}),
    )


def _sighting(campaign: uuid.UUID, itself: str, place: int, count: str, facts: Facts, frame: dict[str, Any]) -> Any:
    """That one lab has so many accounts in it; which lab, nothing says."""
    return stix2().Sighting(
        id=_id("sighting", campaign, str(place)),
        sighting_of_ref=itself,
        count=10 ** int(count.removeprefix("10^")),
        first_seen=facts.first_seen,
        last_seen=facts.last_seen,
        **frame,
    )


def _relationship(campaign: uuid.UUID, kind: str, source: str, target: str, frame: dict[str, Any]) -> Any:
    return stix2().Relationship(
        id=_id("relationship", campaign, kind, source, target),
        relationship_type=kind,
        source_ref=source,
        target_ref=target,
        **frame,
    )


def _id(stix_type: str, campaign: uuid.UUID, *parts: str) -> str:
    """Ids that STIX wants to look random (§2.9), and that nobody but who knows the campaign can guess."""
    drawn = uuid.uuid5(_NAMESPACE, " ".join((str(campaign), stix_type, *parts)))
    return f"{stix_type}--{uuid.UUID(bytes=drawn.bytes, version=4)}"


def _document(one: Any) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(one.serialize())
    return document
