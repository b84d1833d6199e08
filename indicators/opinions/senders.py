"""Which person or key of a partner sent a version: read from the answers of the pushes around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson
from django.db.models import Q

from indicators.models import Batch, Opinion, StixObject

#: A push is stored within so long of its answer's time: as a rule, and at the most.
_WITHIN = (timedelta(seconds=15), timedelta(minutes=10))


def of(row: Opinion) -> str:
    """Who sent the version of an opinion that was pushed as an object; empty where that is known no more.

    The answers of the seconds around it are read first: a busy partner gets many thousands within minutes.
    """
    version = StixObject.unrestricted.select_related("holding").filter(pk=row.place).first()
    if version is None:
        return ""
    return next((found for within in _WITHIN if (found := _around([version], within).get(version.pk, ""))), "")


def of_versions(versions: Sequence[StixObject]) -> dict[int, str]:
    """Who sent each of a few versions of one partner, by its key; without those of whom it is known no more.

    One query.
    """
    return _around(versions, _WITHIN[0]) if versions else {}


def _around(versions: Sequence[StixObject], within: timedelta) -> dict[int, str]:
    then = Q()
    for one in versions:
        at = one.stored_at
        then |= Q(received_at__range=(at - within, at + within), results__contains=f'"{one.stix_id}"')
    batches = Batch.unrestricted.filter(then, partner=versions[0].publisher_id).order_by("-received_at", "pk")
    found: dict[int, str] = {}
    for actor, results in batches.values_list("actor", "results").iterator():
        answers = orjson.loads(results)
        for one in versions:
            if one.pk not in found and _let_in(answers, one):
                found[one.pk] = str(actor)
        if len(found) == len(versions):
            break
    return found


def _let_in(answers: Sequence[dict[str, object]], version: StixObject) -> bool:
    """Whether a batch with these answers brought this version; a later one may have brought it once more."""
    return any(
        (one["id"], one["status"]) == (version.stix_id, "accepted") and one.get("version") in (version.version, None)
        for one in answers
    )
