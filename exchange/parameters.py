"""Query parameters, read once and strictly: a misspelt filter must not widen a result."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from uuid import UUID

from django.http import HttpRequest

from exchange import clock
from exchange.errors import Refused

_MAX_CHARS = 2_048
_MAX_WORDS = 200


class Parameters:
    """The parameters of one request; each reader raises Refused naming the parameter."""

    def __init__(self, request: HttpRequest, *, known: Collection[str]) -> None:
        self._values = request.GET
        for name in self._values:
            if name not in known:
                raise Refused(
                    f"There is no such parameter here. {_there_are(known)}", code="unknown-parameter", at=_at(name)
                )
        for name, given in self._values.lists():
            if any("\0" in value or len(value) > _MAX_CHARS for value in given):
                raise Refused(f"At most {_MAX_CHARS} characters, none of them NUL.", code="bad-parameter", at=_at(name))
            if len(given) > 1:
                raise Refused("Give it once, values separated by commas.", code="bad-parameter", at=_at(name))

    def among(self, names: Iterable[str]) -> list[str]:
        """Of these names, in their order, those that the request has."""
        return [name for name in names if name in self._values]

    def text(self, name: str, default: str = "") -> str:
        """One string."""
        return self._values.get(name, default).strip()

    def narrowing(self, names: Iterable[str]) -> dict[str, str]:
        """What the request says of these. Raises Refused for one that is empty: left out, it would narrow nothing."""
        given = {name: self.text(name) for name in self.among(names)}
        for name, text in given.items():
            if not text.strip(", "):
                raise Refused("It is empty. Leave it out for everything.", code="bad-parameter", at=_at(name))
        return given

    def words(self, name: str) -> tuple[str, ...]:
        """Comma-separated words, sorted, each once."""
        found = sorted({word.strip() for word in self.text(name).split(",") if word.strip()})
        if len(found) > _MAX_WORDS:
            raise Refused(f"At most {_MAX_WORDS} values.", code="bad-parameter", at=_at(name))
        return tuple(found)

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number between bounds."""
        value = self.text(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
            raise Refused(f"A whole number from {least} to {most}.", code="bad-parameter", at=_at(name))
        return int(value)

    def flag(self, name: str) -> bool:
        """`true` or `false`; absent is false."""
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise Refused("true or false.", code="bad-parameter", at=_at(name))
        return value == "true"

    def choice(self, name: str, default: str, *, of: Collection[str]) -> str:
        """One of a closed set of words."""
        value = self.text(name) or default
        if value not in of:
            raise Refused(f"One of: {', '.join(sorted(of))}.", code="bad-parameter", at=_at(name))
        return value

    def day(self, name: str) -> date | None:
        """A day, as YYYY-MM-DD, or None where it is absent."""
        value = self.text(name)
        if not value:
            return None
        try:
            if len(value) != len("YYYY-MM-DD"):
                raise ValueError("another form of ISO 8601")
            return date.fromisoformat(value)
        except ValueError:
            raise Refused("A day, as YYYY-MM-DD.", code="bad-parameter", at=_at(name)) from None

    def moment(self, name: str) -> datetime | None:
        """A time with its zone, in UTC; None where it is absent."""
        value = self.text(name)
        if not value:
            return None
        moment = clock.moment_of(value)
        if moment is None:
            raise Refused("A time in UTC, such as 2026-11-24T11:00:00Z.", code="bad-parameter", at=_at(name))
        return moment

    def uuid(self, name: str) -> UUID | None:
        """A UUID, or None where it is absent; an empty one is refused, as a variable that was not set."""
        if name not in self._values:
            return None
        try:
            return UUID(self.text(name))
        except ValueError:
            raise Refused("A UUID.", code="bad-parameter", at=_at(name)) from None


def _at(name: str) -> str:
    return f"/{name[:60]}"


def _there_are(known: Collection[str]) -> str:
    """The parameters of an address, in a sentence: they are public, as its description is."""
    return f"There are: {', '.join(sorted(known))}." if known else "It takes none."
