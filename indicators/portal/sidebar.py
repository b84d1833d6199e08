"""Saved views in the side bar of every page: the frame is drawn by `partners`, which knows no feed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from indicators.models import Feed
from partners.viewer import Viewer

#: So many stand there; all of them are tabs of the list.
MOST = 8


class Saved(NamedTuple):
    """A line of the side bar."""

    feed: UUID
    name: str
    address: str


def saved_views(request: HttpRequest) -> dict[str, Callable[[], list[Saved]]]:
    """Context processor: the partner's feeds by name, read only where a page draws its side bar. One query then."""
    return {"saved_views": partial(_saved, getattr(request, "viewer", None))}


def _saved(viewer: Viewer | None) -> list[Saved]:
    if viewer is None:
        return []
    found = Feed.objects.of(viewer).order_by("name", "pk").values_list("pk", "name")[:MOST]
    return [Saved(pk, name, f"{reverse('indicators')}?{urlencode({'view': pk})}") for pk, name in found]
