"""How people of the caller's partner are told by e-mail (docs/api.md, "Digests"). All of it needs the scope `admin`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from exchange.errors import NotFound
from indicators.api import requests
from indicators.models import Digest
from indicators.telling import digesting
from partners.api.base import Face, Request, answer, viewer_of
from partners.models import User
from partners.scopes import Scope
from partners.viewer import Viewer


class DigestDocument(serializers.Serializer[object]):
    """What a person has chosen."""

    every = serializers.ChoiceField(["off", "hourly", "daily"])
    hour = serializers.IntegerField(help_text="Of the daily one, 0 to 23, by the person's own clock.")
    time_zone = serializers.CharField(help_text="A name of the IANA database.")
    quiet_from = serializers.IntegerField(allow_null=True, help_text="The first hour in which nothing is sent.")
    quiet_until = serializers.IntegerField(allow_null=True, help_text="The first hour after it.")
    feeds = serializers.ListField(child=serializers.UUIDField(), help_text="Feeds whose changes are counted.")


class PersonDigestView(Face):
    """The digest of one person of the caller's partner."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="digest", responses=DigestDocument)
    def get(self, request: Request, user_id: int) -> HttpResponse:
        """How they are told by e-mail."""
        return answer(_document(digesting.of(_person(viewer_of(request), user_id))))

    @extend_schema(operation_id="choose_digest", request=requests.DigestWish, responses=DigestDocument)
    def put(self, request: Request, user_id: int) -> HttpResponse:
        """Choose how they are told; what is left out is as it is at first."""
        viewer, sent = viewer_of(request), requests.DigestWish.read(request)
        given = {name: value for name, value in sent.items() if value is not None}
        wish = digesting.Wish(**given | {"every": Digest.Every(sent["every"]), "feeds": tuple(sent.get("feeds") or ())})
        return answer(_document(digesting.choose(viewer, _person(viewer, user_id), wish)))


def _person(viewer: Viewer, user_id: int) -> User:
    user = User.objects.filter(partner=viewer.partner_id, pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def _document(wish: digesting.Wish) -> dict[str, Any]:
    return {
        "every": wish.every,
        "hour": wish.hour,
        "time_zone": wish.time_zone,
        "quiet_from": wish.quiet_from,
        "quiet_until": wish.quiet_until,
        "feeds": wish.feeds,
    }
