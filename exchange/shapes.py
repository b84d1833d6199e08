"""Small JSON bodies: the serializer that describes a body in the API's document is the one that validates it.

A view calls `NewGroup.read(request)` and gets what was sent, each field in its type; what was left out is absent. A
field takes JSON's own types alone (a number is no string), and says by `code` and `says` how it refuses what is out of
bounds. What may be left out may be null, too: that is as if it were left out, unless null is a value of the field's
(`allow_null`). Streams of objects have their own parser (`indicators.stix.parsing`).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, ClassVar

import jiter
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from exchange import bodies, clock
from exchange.errors import Malformed, Refused, UnsupportedMedia

_MAX_NAME_CHARS = 60
#: A value of another type than the field's.
_TYPE = "other-type"
_ELEMENT = "bad-element"
_ABSENT = frozenset({"null", "required"})
_NUL = "null_characters_not_allowed"


class Strict(serializers.Field[Any, Any, Any, Any]):
    """A field that takes one type of JSON.

    `code` and `says` are for what is out of bounds and, unless `missing` gives others, for what is not there.
    """

    json_type: ClassVar[type] = str

    def __init__(
        self,
        *,
        code: str = "bad-value",
        says: str = "Not what is asked for.",
        missing: tuple[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.code, self.says, self.missing = code, says, missing
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        """Refuse other types before DRF would convert them."""
        if type(data) is not self.json_type:
            raise ValidationError("", code=_TYPE)
        return self.converted(data)

    def converted(self, data: Any) -> Any:
        """The value, of the right type in JSON."""
        return super().to_internal_value(data)


class Text(Strict, serializers.CharField):
    """A string, as it was sent; where it may be left out, it may be empty, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": not options.get("required", True), **options})


class Email(Strict, serializers.EmailField):
    """An e-mail address, without blanks around it."""


@extend_schema_field({"type": "string", "format": "uri", "maxLength": 1000})
class Address(Text):
    """An address on the web; who asks it judges it."""


class Choice(Strict, serializers.ChoiceField):
    """One of a closed set of words."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices=choices, **options)


class Flag(Strict, serializers.BooleanField):
    """True or false."""

    json_type = bool


class Number(Strict, serializers.IntegerField):
    """A whole number."""

    json_type = int


class Measure(Strict, serializers.FloatField):
    """A number."""

    def to_internal_value(self, data: Any) -> Any:
        """Whole numbers, too."""
        if type(data) not in (int, float):
            raise ValidationError("", code=_TYPE)
        return self.converted(data)


class Id(Strict, serializers.UUIDField):
    """A UUID."""

    def __init__(self, *, code: str = "wrong-type", says: str = "A UUID.", **options: Any) -> None:
        super().__init__(code=code, says=says, **options)

    def converted(self, data: str) -> uuid.UUID:
        """In each of the spellings that Python reads."""
        try:
            return uuid.UUID(data)
        except ValueError:
            raise ValidationError("", code="bad") from None


class Day(Strict, serializers.DateField):
    """A day."""

    def __init__(self, *, code: str = "bad-date", says: str = "A day, as 2026-01-31.", **options: Any) -> None:
        super().__init__(code=code, says=says, **options)

    def converted(self, data: str) -> date:
        """In each of the spellings of ISO 8601 that Python reads."""
        try:
            return date.fromisoformat(data)
        except ValueError:
            raise ValidationError("", code="bad") from None


class Moment(Strict, serializers.DateTimeField):
    """A time with its zone; in UTC afterwards."""

    def __init__(
        self, *, code: str = "bad-time", says: str = "A time in UTC, such as 2026-11-24T11:00:00Z.", **options: Any
    ) -> None:
        super().__init__(code=code, says=says, **options)

    def converted(self, data: str) -> datetime:
        """A time without a zone is refused."""
        moment = clock.moment_of(data)
        if moment is None:
            raise ValidationError("", code="bad")
        return moment


class Json(Strict, serializers.DictField):
    """A JSON object that another module reads."""

    json_type = dict

    def converted(self, data: Any) -> Any:
        """As it was sent."""
        return data


class Words(Strict, serializers.ListField):
    """A list of strings of at most `chars` characters, without NUL; of `choices`, where they are given.

    What is no such string is told by `of_each` (code and words) at its place, or `at_list`; without them as the rest.
    """

    json_type = list

    def __init__(
        self,
        *,
        chars: int | None = None,
        choices: Collection[str] | None = None,
        of_each: tuple[str, str] | None = None,
        at_list: bool = False,
        **options: Any,
    ) -> None:
        self.chars, self.choices, self.of_each, self.at_list = chars, choices, of_each, at_list
        child = serializers.ChoiceField(list(choices)) if choices else serializers.CharField(max_length=chars)
        super().__init__(**{"child": child, **options})

    def converted(self, data: list[Any]) -> list[Any]:
        """Bounded before any element is looked at."""
        if not (self.min_length or 0) <= len(data) <= (self.max_length or len(data)):
            raise ValidationError("", code="bad")
        return [self._checked(place, one) for place, one in enumerate(data)]

    def element(self, sent: str) -> Any:
        """What one of the strings stands for. Raises ValueError."""
        return sent

    def _checked(self, place: int, one: Any) -> Any:
        try:
            if type(one) is not str or "\0" in one or (self.chars is not None and len(one) > self.chars):
                raise ValueError("no such string")
            found = self.element(one)
        except ValueError:
            if self.of_each and not self.at_list:
                raise ValidationError({str(place): [ErrorDetail("", code=_ELEMENT)]}) from None
            raise ValidationError("", code=_ELEMENT) from None
        if self.choices is not None and one not in self.choices:
            raise ValidationError("", code="bad")
        return found


class Body(serializers.Serializer[Any]):
    """A small JSON object that a request sends: every property is known, and of the type that its field says.

    `whole` is for objects inside of others: what is missing or not known in one is told of it as a whole.
    """

    max_bytes: ClassVar[int] = 65_536
    whole: ClassVar[tuple[str, str] | None] = None

    @classmethod
    def read(cls, request: HttpRequest) -> dict[str, Any]:
        """What was sent. Raises UnsupportedMedia, TooLarge and Malformed; Refused with the pointer of what is wrong."""
        sent = cls(data=_document(request, max_bytes=cls.max_bytes))
        return sent.valid()

    def valid(self) -> dict[str, Any]:
        """What was sent, if all of it is as it should be. Raises Refused naming the first that is not."""
        try:
            self.is_valid(raise_exception=True)
        except ValidationError as error:
            raise _refused(self, error.detail, at="") from None
        found: dict[str, Any] = self.validated_data
        return found

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """What may be left out may be null."""
        fields = super().get_fields()
        self._say_null = {name for name, field in fields.items() if field.allow_null}
        for field in fields.values():
            field.allow_null = field.allow_null or not field.required
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what is not known; leave out what is null, unless the field says something by that."""
        if isinstance(data, Mapping):
            for name in data:
                if name not in self.fields:
                    raise ValidationError({name: [ErrorDetail("", code="unknown")]})
        found = super().to_internal_value(data)
        return {name: value for name, value in found.items() if value is not None or name in self._say_null}


class _Closed(OpenApiSerializerExtension):  # type: ignore[misc]
    """In the document, a body has no other properties than those that it names."""

    target_class = Body
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> Any:
        """What drf-spectacular makes of it, closed."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - as its documentation has it
        return schema | {"additionalProperties": False}


def _document(request: HttpRequest, *, max_bytes: int) -> dict[str, Any]:
    """The JSON object in the body, of at most `max_bytes`."""
    if bodies.media_type(request) != "application/json":
        raise UnsupportedMedia("Send application/json.")
    return object_in(bodies.read(request, max_bytes=max_bytes))


def object_in(raw: bytes) -> dict[str, Any]:
    """The JSON object that these bytes are. Raises Malformed; no name is there twice, and depth is bounded by jiter."""
    try:
        document = jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError:
        raise Malformed("The body is not JSON.", code="malformed-json", at="") from None
    if not isinstance(document, dict):
        raise Malformed("The body must be a JSON object.", code="malformed-json", at="")
    return document


def _refused(field: Any, detail: Any, *, at: str) -> Refused:
    """What DRF found first, as the API says it."""
    if isinstance(detail, Mapping) and "non_field_errors" not in detail:
        place, inner = next(iter(detail.items()))
        if isinstance(field, Words):
            return _refused(field, inner, at=f"{at}/{place}")
        found = field.fields.get(place)
        if field.whole and (found is None or _code(inner) == "required"):
            return Refused(field.whole[1], code=field.whole[0], at=at)
        if found is None:
            where = f"{at}/{str(place)[:_MAX_NAME_CHARS]}"
            return Refused("There is no such property here.", code="unknown-property", at=where)
        return _refused(found, inner, at=f"{at}/{place}")
    if isinstance(field, Body):
        return Refused("Must be of type dict.", code="wrong-type", at=at)
    if (found := _code(detail)) == _TYPE:
        return Refused(f"Must be of type {field.json_type.__name__}.", code="wrong-type", at=at)
    if found == _NUL:
        return Refused("Must not hold the character NUL.", code="nul-character", at=at)
    code, says = field.code, field.says
    if found in _ABSENT and field.missing:
        code, says = field.missing
    if found == _ELEMENT and field.of_each:
        code, says = field.of_each
    return Refused(says, code=code, at=at)


def _code(detail: Any) -> str:
    first = detail[0] if isinstance(detail, list) and detail else detail
    return str(getattr(first, "code", ""))
