"""What waits for a second person of the caller's partner: a person decides, in the portal; a key may look.

What is disarmed waits beside it: anybody who publishes brings it back, by one call.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators.api import requests
from indicators.api.documents.waiting import DisarmedList, UndoneList, WaitingList
from indicators.ending import deciding
from indicators.models import Ending
from indicators.publishing import awaiting
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope

_IDS = 1_000


class WaitingView(Face):
    """Batches that nobody may publish alone."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="waiting", responses=WaitingList)
    def get(self, request: Request) -> HttpResponse:
        """What waits for a second person, oldest first; nobody else sees it."""
        return answer(
            {
                "waiting": [
                    {
                        "id": one.pk,
                        "batch": one.batch_id,
                        "at": clock.rfc3339(one.at),
                        "actor": one.actor,
                        "why": one.why,
                        "audience": awaiting.audience_of(one),
                        "objects": len(one.places),
                        "ids": awaiting.ids_of(one)[:_IDS],
                    }
                    for one in awaiting.waiting(viewer_of(request))
                ]
            }
        )


class DisarmedView(Face):
    """Ends beyond the partner's cap, which can be undone."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="disarmed", responses=DisarmedList)
    def get(self, request: Request) -> HttpResponse:
        """What was revoked or withdrawn in bulk and can come back, oldest first; nobody else sees it."""
        viewer = viewer_of(request)
        viewer.require_all_groups()
        return answer({"disarmed": [_disarmed(one) for one in deciding.waiting(viewer)]})


class UndoView(Face):
    """The way back of what is disarmed."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="undo_disarmed", request=requests.Undo, responses=UndoneList)
    def post(self, request: Request) -> HttpResponse:
        """Bring back what was disarmed: by these acts or, without `ids`, by all that can be undone.

        Each object comes back in the version and to the audience that it had, and its readers are told of it as new.
        409 `already-decided` where a second person, the hour or somebody else was first.
        """
        undone = deciding.undo(viewer_of(request), requests.Undo.read(request).get("ids"))
        return answer(
            {
                "undone": [
                    {"id": one.pk, "brought_back": one.brought_back, "ended": one.objects_ended - one.brought_back}
                    for one in undone
                ]
            }
        )


def _disarmed(ending: Ending) -> dict[str, Any]:
    return {
        "id": ending.pk,
        "ended_by": ending.verb,
        "at": clock.rfc3339(ending.at),
        "until": ending.until and clock.rfc3339(ending.until),
        "actor": ending.actor,
        "objects": ending.objects_ended,
        "ids": deciding.ids_of(ending, at_most=_IDS),
    }
