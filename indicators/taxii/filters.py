"""The URL query parameters of §3.4, read into values; whatever is malformed is a 400 that names the parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.http import QueryDict

from exchange.errors import Malformed
from indicators.reading.selecting import Selection, Wanted

MAX_LIMIT = 1_000
_MAX_VALUES = 1_000
_MAX_CHARS = 300

# A TAXII timestamp has six digits of a second and `Z` (§2); what clients send has any number, or an offset.
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_VALUE = re.compile(r"[!-~]+")
_KEYWORDS: dict[str, Wanted] = {"all": "all", "first": "first", "last": "last"}


@dataclass(frozen=True, slots=True)
class Query:
    """What one request asks for, besides its collection."""

    limit: int = MAX_LIMIT
    next: str | None = None
    added_after: datetime | None = None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    versions: tuple[Wanted, ...] = ("last",)
    spec_versions: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether it asks for less than the newest version of what it selects."""
        return self != Query(limit=self.limit)

    def every_version(self) -> Query:
        """The same, of all versions."""
        return replace(self, versions=("all",))

    @property
    def scope(self) -> str:
        """One string for the filters, into which cursors are bound.

        Not `added_after` and not `limit`: a client may change both from page to page and loses nothing by it.
        """
        versions = (v.isoformat() if isinstance(v, datetime) else v for v in self.versions)
        parts = (self.ids, self.types, versions, self.spec_versions)
        return "&".join(",".join(sorted(part)) for part in parts)

    def narrow(self, selection: Selection) -> Selection:
        """The part of a collection's selection that this query asks for."""
        return replace(
            selection,
            filter=selection.filter.narrowed(types=self.types),
            stix_ids=self.ids,
            versions=self.versions[0],
            or_versions=self.versions[1:],
            spec_versions=self.spec_versions,
            added_after=self.added_after,
        )


def read(parameters: QueryDict, *, matches: Iterable[str]) -> Query:
    """Read the query. Fields of `match` that an endpoint does not define are ignored (§3.4). Raises Malformed."""
    limits = parameters.getlist("limit")
    cursor = _single(parameters, "next")
    added_after = _single(parameters, "added_after")
    values = {field: _values(parameters, f"match[{field}]") for field in matches}
    return Query(
        limit=min((_limit(given) for given in limits), default=MAX_LIMIT),  # some clients send theirs and their user's
        next=cursor or None,
        added_after=None if added_after is None else _moment(added_after, at="added_after"),
        ids=values.get("id", ()),
        types=values.get("type", ()),
        versions=_versions(values.get("version", ())),
        spec_versions=values.get("spec_version", ()),
    )


def _single(parameters: QueryDict, name: str) -> str | None:
    given = set(parameters.getlist(name))
    if len(given) > 1:
        raise _malformed("A request names it once.", at=name)
    return given.pop() if given else None


def _values(parameters: QueryDict, name: str) -> tuple[str, ...]:
    given = _single(parameters, name)
    if given is None:
        return ()
    values = given.split(",")
    if len(values) > _MAX_VALUES:
        raise _malformed(f"At most {_MAX_VALUES} values.", at=name)
    if not all(len(value) <= _MAX_CHARS and _VALUE.fullmatch(value) for value in values):
        raise _malformed("Values are separated by a comma without spaces.", at=name)
    return tuple(values)


def _limit(given: str) -> int:
    digits = given.lstrip("0")
    if not (given.isascii() and given.isdigit() and digits):
        raise _malformed("A whole number greater than zero.", at="limit")
    return MAX_LIMIT if len(digits) > len(str(MAX_LIMIT)) else min(int(digits), MAX_LIMIT)


def _versions(given: tuple[str, ...]) -> tuple[Wanted, ...]:
    if not given:
        return ("last",)
    wanted = tuple(_KEYWORDS[value] if value in _KEYWORDS else _moment(value, at="match[version]") for value in given)
    if len(set(wanted)) < len(wanted):
        raise _malformed("No version twice in one request.", at="match[version]")
    if "all" in wanted and len(wanted) > 1:
        raise _malformed("'all' stands alone.", at="match[version]")
    return wanted


def _moment(given: str, *, at: str) -> datetime:
    """A timestamp, cut to microseconds: never later than what was meant, so that nothing after it is left out."""
    found = _TIMESTAMP.fullmatch(given)
    try:
        if found is None:
            raise ValueError(at)
        day, time, fraction, zone = found.groups()
        offset = "+00:00" if zone in "Zz" else zone
        return datetime.fromisoformat(f"{day}T{time}.{(fraction or '0').ljust(6, '0')}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise _malformed("A timestamp such as 2026-01-31T08:00:00.000000Z.", at=at) from None


def _malformed(detail: str, *, at: str) -> Malformed:
    return Malformed(detail, code="bad-parameter", at=f"/{at}")
