"""Look-up by prefix (docs/delta.md, "Look-up by prefix"): a feed's list in ranges of one size, each never altered."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers

from indicators.api.deltas import feed_word
from indicators.api.documents.changes import SnapshotWait
from indicators.feeds import ranging
from partners.api.base import Face, Request, answer, viewer_of
from partners.log import reads

_RETRY_S = 2
_MEDIA_TYPE = "application/octet-stream"


class RangesDocument(serializers.Serializer[object]):
    """How the ranges are laid out."""

    name = serializers.CharField(help_text="Of these ranges; newer ones have another.")
    format = serializers.IntegerField()
    bits = serializers.IntegerField(help_text="How many bits of a hash name a range.")
    slots = serializers.IntegerField(help_text="Records of each range.")
    record_bytes = serializers.IntegerField()
    net_lengths = serializers.DictField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="The prefix lengths of the networks in it, by version of IP.",
    )
    fresh_s = serializers.IntegerField(help_text="For so long they are not made anew.")


class RangesView(Face):
    """The head of a feed's ranges."""

    @extend_schema(operation_id="ranges", responses={200: RangesDocument, 202: SnapshotWait})
    def get(self, request: Request, feed: str) -> HttpResponse:
        """How the newest ranges are laid out; 202 while they are being made."""
        found = ranging.head(viewer_of(request), feed=feed_word(feed))
        if found is None:
            return answer({"state": "making"}, status=202, headers={"Retry-After": str(_RETRY_S)})
        headers = {"Cache-Control": "private, no-cache", "ETag": f'"{found.name}"', "Vary": "Authorization"}
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return HttpResponse(status=304, headers=headers | {"X-Fresh-Seconds": str(found.fresh_s)})
        told = {"name": found.name, **found.head.document(), "fresh_s": found.fresh_s}
        return answer(told, headers=headers | {"X-Fresh-Seconds": str(found.fresh_s)})


class RangeView(Face):
    """One range."""

    @extend_schema(operation_id="range", responses={(200, _MEDIA_TYPE): OpenApiTypes.BINARY})
    def get(self, request: Request, feed: str, name: str, number: int) -> HttpResponse:
        """The records of a range: always as many bytes, and of one name always the same ones."""
        viewer, feed = viewer_of(request), feed_word(feed)
        found = ranging.block(viewer, feed=feed, name=name, number=number)
        headers = {
            "Cache-Control": "private, max-age=31536000, immutable",
            "ETag": f'"{name}-{number}"',
            "Vary": "Authorization",
        }
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return HttpResponse(status=304, headers=headers)
        reads.tally(viewer, surface="rest:range", objects=1, feed="" if feed == "all" else feed)
        return HttpResponse(found, content_type=_MEDIA_TYPE, headers=headers)
