"""What waits for a second person of the caller's partner. A person decides, in the portal; a key may look."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators import awaiting
from indicators.api.documents import HeldList
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope

_IDS = 1_000


class HeldView(Face):
    """Batches that nobody may publish alone."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="held", responses=HeldList)
    def get(self, request: Request) -> HttpResponse:
        """What waits for a second person, oldest first; nobody else sees it."""
        return answer(
            {
                "held": [
                    {
                        "id": held.pk,
                        "batch": held.batch_id,
                        "at": clock.rfc3339(held.at),
                        "actor": held.actor,
                        "why": held.why,
                        "audience": awaiting.audience_of(held),
                        "objects": len(held.places),
                        "ids": awaiting.ids_of(held)[:_IDS],
                    }
                    for held in awaiting.waiting(viewer_of(request))
                ]
            }
        )
