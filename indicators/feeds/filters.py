"""The filter that a feed saves: a plain value, and the one place that turns it into SQL."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from exchange.errors import Refused
from indicators.stix import vocabulary

_MAX_VALUES = 50
_MAX_CHARS = 250


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader wants to see of what it may see. Empty means all. Publishers are ids of partners that are named."""

    kinds: tuple[str, ...] = ()
    subkinds: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    min_confidence: int = 0
    with_entries: bool = False  # only objects that carry a value to match on

    @property
    def scope(self) -> str:
        """One string for the filter, into which cursors are bound; equal filters give equal strings."""
        return _scope_of(self)

    def narrowed(self, *, kinds: tuple[str, ...] = (), types: tuple[str, ...] = ()) -> "Filter":
        """This filter, and of it only these kinds and types."""
        if not kinds and not types:
            return self
        return replace(self, kinds=_both(self.kinds, kinds), types=_both(self.types, types))

    def within(self, other: "Filter") -> "Filter":
        """What this filter and the other both let through."""
        nobody = (str(UUID(int=0)),)
        both = _both(self.publishers, other.publishers)
        return Filter(
            kinds=_both(self.kinds, other.kinds),
            subkinds=_both(self.subkinds, other.subkinds),
            types=_both(self.types, other.types),
            publishers=nobody if both == _NOTHING else both,
            min_confidence=max(self.min_confidence, other.min_confidence),
            with_entries=self.with_entries or other.with_entries,
        )

    def sql(self, version: str = "o", holding: str = "h") -> tuple[str, dict[str, Any]]:
        """Conditions on a version and its holding, each with a leading AND, and their parameters."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        for of, column, values in (
            (version, "kind", self.kinds),
            (version, "subkind", self.subkinds),
            (holding, "stix_type", self.types),
        ):
            if values:
                conditions.append(f"AND {of}.{column} = ANY(%({column}s)s)")
                parameters[f"{column}s"] = list(values)
        if self.publishers:
            conditions.append(
                f"AND {holding}.publisher_id = ANY(%(publishers)s) AND {holding}.audience_id IN ({_NAMED})"
            )
            parameters["publishers"] = [UUID(publisher) for publisher in self.publishers]
        if self.min_confidence:
            conditions.append(f"AND {version}.confidence >= %(min_confidence)s")
            parameters["min_confidence"] = self.min_confidence
        if self.with_entries:
            conditions.append(f"AND EXISTS (SELECT FROM indicators_token w WHERE w.object_id = {version}.id)")
        return " ".join(conditions), parameters

    def to_json(self) -> dict[str, Any]:
        """The form that is stored and that the API shows."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@lru_cache(maxsize=1_024)
def _scope_of(wanted: Filter) -> str:
    parts = asdict(wanted)
    return ";".join(f"{name}={parts[name]}" for name in sorted(parts) if parts[name])


EVERYTHING = Filter()

#: A filter by publisher finds what names it, and never what it published without its name.
_NAMED = "SELECT named.id FROM partners_audience named WHERE named.attribution = 0"


def parse(document: Mapping[str, Any]) -> Filter:
    """Read a filter from JSON. Raises Refused naming the field."""
    known = {field.name: field for field in fields(Filter)}
    for name in document:
        if name not in known:
            raise Refused("A filter has no such field.", code="unknown-filter", at=f"/filter/{name}"[:200])
    values: dict[str, Any] = {}
    for name in ("kinds", "subkinds", "types", "publishers"):
        values[name] = _strings(document.get(name, []), at=f"/filter/{name}")
    for publisher in values["publishers"]:
        _uuid(publisher, at="/filter/publishers")
    confidence = document.get("min_confidence", 0)
    if not isinstance(confidence, int) or isinstance(confidence, bool) or not 0 <= confidence <= 100:
        raise Refused("A number from 0 to 100.", code="bad-filter", at="/filter/min_confidence")
    with_entries = document.get("with_entries", False)
    if not isinstance(with_entries, bool):
        raise Refused("True or false.", code="bad-filter", at="/filter/with_entries")
    return Filter(min_confidence=confidence, with_entries=with_entries, **values)


def accepted(document: Mapping[str, Any]) -> Filter:
    """Read a filter that is to be saved: as `parse`, and its kinds and subkinds are those that there are."""
    return checked(parse(document))


def checked(wanted: Filter) -> Filter:
    """The same, if its kinds and subkinds are those that there are. Raises Refused: it would else select nothing."""
    kinds(wanted.kinds, at="/filter/kinds")
    subkinds(wanted.subkinds, kinds=wanted.kinds, at="/filter/subkinds")
    return wanted


def kinds(words: tuple[str, ...], *, at: str) -> tuple[str, ...]:
    """The same words, if each is a kind. Raises Refused listing the kinds."""
    return _among(words, sorted(vocabulary.SUBKINDS), code="unknown-kind", at=at)


def subkinds(words: tuple[str, ...], *, kinds: tuple[str, ...] = (), at: str) -> tuple[str, ...]:
    """The same words, if each is a subkind, of one of these kinds if any are named. Raises Refused listing them."""
    of = kinds or tuple(vocabulary.SUBKINDS)
    allowed = sorted(name for kind in of for name in vocabulary.SUBKINDS.get(kind, ()))
    return _among(words, allowed, code="unknown-subkind", at=at)


def _among(words: tuple[str, ...], allowed: list[str], *, code: str, at: str) -> tuple[str, ...]:
    if not set(words) <= set(allowed):
        raise Refused(f"One or more of: {', '.join(allowed)}.", code=code, at=at)
    return words


#: What can never match: the intersection of two filters that have no kind or type in common.
_NOTHING = ("",)


def _both(mine: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    if not mine or not wanted:
        return tuple(sorted(mine or wanted))
    return tuple(sorted(set(mine) & set(wanted))) or _NOTHING


def _strings(value: Any, *, at: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused("A list of strings.", code="bad-filter", at=at)
    if len(value) > _MAX_VALUES or any(len(item) > _MAX_CHARS or "\0" in item for item in value):
        raise Refused(
            f"At most {_MAX_VALUES} values of {_MAX_CHARS} characters, none of them NUL.", code="bad-filter", at=at
        )
    return tuple(sorted(set(value)))


def _uuid(value: str, *, at: str) -> None:
    try:
        UUID(value)
    except ValueError:
        raise Refused("A partner's id.", code="bad-filter", at=at) from None
