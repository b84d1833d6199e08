"""Rows of hand-written queries as instances of models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection, models


def instance[Model: models.Model](model: type[Model], row: Sequence[Any]) -> Model:
    """A row of a model's columns, in their order, as the ORM would read it."""
    fields = model._meta.concrete_fields  # noqa: SLF001 - the documented way to a model's fields
    values = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, row, strict=False)
    ]
    return model.from_db(connection.alias, [field.attname for field in fields], values)


def columns(model: type[models.Model], alias: str, *, but: Collection[str] = ()) -> str:
    """The columns that `instance` reads, as SQL; or of these not all."""
    names = [field.column for field in model._meta.concrete_fields]  # noqa: SLF001
    return ", ".join(f'{alias}."{name}"' for name in names if name not in but)
