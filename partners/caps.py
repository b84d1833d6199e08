"""How much a partner sends out, and ends, before a second person looks. Pure; the strictest of two caps holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from exchange.errors import Refused

#: How many living objects a partner ends within an hour before more are disarmed, where nobody has set it.
ENDS = 500
MOST = 100_000_000


@dataclass(frozen=True, slots=True)
class Caps:
    """Numbers, or None for no bound of one's own.

    Within a day (24 hours): `objects` that go out; `recipients`, the partners that see each of them, added up; and
    `broad` values (`door.breadth`). More waits for a second person. Within an hour: `ends` of living objects. More
    disarms at once.
    """

    objects: int | None = None
    recipients: int | None = None
    broad: int | None = None
    ends: int | None = None

    @classmethod
    def of(cls, kept: Mapping[str, int]) -> Caps:
        """As they are kept with the partner."""
        return cls(**{name: kept[name] for name in NAMES if name in kept})

    @classmethod
    def read(cls, given: Mapping[str, Any], *, at: str) -> Caps:
        """Of what somebody sends: each a number from 1, or null. Raises Refused naming the field."""
        for name, value in given.items():
            if name not in NAMES:
                raise Refused(f"One of: {', '.join(NAMES)}.", code="unknown-property", at=f"{at}/{name[:60]}")
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise Refused("A whole number, or null.", code="wrong-type", at=f"{at}/{name}")
            if value is not None and not 1 <= value <= MOST:
                raise Refused(f"From 1 to {MOST:,}, or null.", code="bad-number", at=f"{at}/{name}")
        return cls(**given)

    def to_json(self) -> dict[str, int]:
        """To be kept: what is bound."""
        return {name: value for name, value in self.by_name().items() if value is not None}

    def by_name(self) -> dict[str, int | None]:
        """The numbers, by the names of `NAMES`."""
        return asdict(self)

    def loosens(self, other: Caps) -> bool:
        """Whether it lets pass what `other` does not."""
        return any(_looser(mine, theirs) for mine, theirs in zip(self._values(), other._values(), strict=True))

    @property
    def of_a_day(self) -> bool:
        """Whether what goes out is counted at all."""
        return (self.objects, self.recipients, self.broad) != (None, None, None)

    @property
    def most_ends(self) -> int:
        """How many living objects may end within an hour without being disarmed."""
        return ENDS if self.ends is None else self.ends

    def _values(self) -> tuple[int | None, ...]:
        """With what holds where nothing is set."""
        return (self.objects, self.recipients, self.broad, self.most_ends)


#: The caps by name.
NAMES = tuple(one.name for one in fields(Caps))
NONE = Caps()


def strictest(*caps: Caps) -> Caps:
    """The one cap of each name that several make together."""
    said = {name: [value for each in caps if (value := each.by_name()[name]) is not None] for name in NAMES}
    return Caps(**{name: min(values) for name, values in said.items() if values})


def _looser(mine: int | None, theirs: int | None) -> bool:
    return theirs is not None and (mine is None or mine > theirs)
