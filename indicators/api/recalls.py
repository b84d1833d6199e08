"""Recall what should not have been published, and see it gone (docs/judgement.md)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators.api import requests
from indicators.api.documents.recalls import RecallDocument, RecallList
from indicators.ending import recalling, released
from indicators.models import Recall
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope

_IDS = 1_000


class RecallsView(Face):
    """Recalls of the caller's partner."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="recalls", responses=RecallList)
    def get(self, request: Request) -> HttpResponse:
        """The newest recalls, with what became of them; nobody else sees them."""
        return answer({"recalls": [_listed(one) for one in recalling.listed(viewer_of(request))]})

    @extend_schema(operation_id="prepare_recall", request=requests.RecallWish, responses={201: RecallDocument})
    def post(self, request: Request) -> HttpResponse:
        """Find living objects of your own and keep exactly these: how many they are, and their ids.

        Nobody is told of anything yet. All that you name must be true of an object: its id, its detector and that
        detector's version, that a version of it was pushed from `since` and before `until`, a campaign that it is
        joined with by a relationship or grouping. Carry it out within an hour.
        """
        sent = requests.RecallWish.read(request)
        wanted = recalling.Wanted(
            ids=tuple(dict.fromkeys(sent.get("ids") or ())),
            detector=sent.get("detector") or "",
            version=sent.get("version") or "",
            since=sent.get("since"),
            until=sent.get("until"),
            campaign=sent.get("campaign") or "",
        )
        made = recalling.prepare(viewer_of(request), wanted)
        return answer(_document(made, with_ids=True), status=201)


class RecallView(Face):
    """One recall."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="recall", responses=RecallDocument)
    def get(self, request: Request, recall_id: UUID) -> HttpResponse:
        """What it names, what became of it, and how many subscribers' instances have let go; never whose.

        `receipts` is null until two or more partners whose instances acknowledge deltas held it.
        """
        viewer = viewer_of(request)
        viewer.require_all_groups()
        found = recalling.find(viewer, recall_id)
        return answer(_document(found, with_ids=True) | {"receipts": _receipts(released.of(viewer, found))})


class CarryOutView(Face):
    """A prepared recall."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="carry_out_recall", request=None, responses=RecallDocument)
    def post(self, request: Request, recall_id: UUID) -> HttpResponse:
        """Carry it out: everybody is told to remove these objects at once. For an hour they can come back."""
        return answer(_document(recalling.carry_out(viewer_of(request), recall_id)))


class UndoRecallView(Face):
    """The way back."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="undo_recall", request=None, responses=RecallDocument)
    def post(self, request: Request, recall_id: UUID) -> HttpResponse:
        """Bring back what was recalled, each object in the version and to the audience that it had."""
        return answer(_document(recalling.undo(viewer_of(request), recall_id)))


class FinishRecallView(Face):
    """The end."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="finish_recall", request=None, responses=RecallDocument)
    def post(self, request: Request, recall_id: UUID) -> HttpResponse:
        """Make it final: the objects are revoked. Above the partner's cap a second person does this."""
        return answer(_document(recalling.finish(viewer_of(request), recall_id)))


def _listed(one: recalling.Listed) -> dict[str, Any]:
    return _said(one.recall, asked=one.asked, objects=one.objects)


def _document(recall: Recall, *, with_ids: bool = False) -> dict[str, Any]:
    said = _said(recall, asked=recall.asked, objects=len(recall.holdings))
    return said | {"ids": recalling.ids_of(recall, at_most=_IDS)} if with_ids else said


def _said(recall: Recall, *, asked: dict[str, Any], objects: int) -> dict[str, Any]:
    ending = recall.ending
    return {
        "id": recall.pk,
        "state": "prepared" if ending is None else ending.state,
        "asked": asked,
        "at": clock.rfc3339(recall.at),
        "actor": recall.actor,
        "objects": objects,
        "recalled": None if ending is None else ending.objects_ended,
        "recalled_at": None if ending is None else clock.rfc3339(ending.at),
        "until": clock.rfc3339(ending.until) if ending and ending.until else None,
        "needs_second_person": ending is not None and not ending.alone and ending.state == ending.State.DISARMED,
        "brought_back": None if ending is None else ending.brought_back,
    }


def _receipts(found: released.Receipts | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "holding": found.holding,
        "median_s": found.median_s,
        "slowest_s": found.slowest_s,
        "last_at": found.last_at and clock.rfc3339(found.last_at),
    }
