"""The resources of §3.7, §4 and §5 as bytes. Lists that would be empty are left out (§2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from exchange import bodies, clock
from indicators.publishing import Answer
from indicators.taxii import media
from indicators.taxii.collections import Collection
from indicators.taxii.pages import Record, TaxiiPage

API_ROOT_PATH = "/taxii2/exchange/"


def discovery(api_root: str) -> bytes:
    """The discovery resource (§4.1.1)."""
    return orjson.dumps(
        {
            "title": "Exchange",
            "description": "AI labs tell each other what belongs to a campaign against them.",
            "default": api_root,
            "api_roots": [api_root],
        }
    )


def api_root() -> bytes:
    """The API root resource (§4.2.1)."""
    return orjson.dumps(
        {
            "title": "Exchange",
            "description": "Your own collection, everything you may see, and one for each of your groups and feeds.",
            "versions": [media.TAXII],
            "max_content_length": bodies.MAX_BATCH_BYTES,
        }
    )


def collections(found: Iterable[Collection]) -> bytes:
    """The collections resource (§5.1.1)."""
    listed = [collection.to_json() for collection in found]
    return orjson.dumps({"collections": listed} if listed else {})


def collection(found: Collection) -> bytes:
    """The collection resource (§5.2.1)."""
    return orjson.dumps(found.to_json())


def envelope(page: TaxiiPage[str]) -> bytes:
    """The envelope (§3.7): the publishers' own bytes, side by side. Nothing is parsed and nothing is rebuilt."""
    if not page.items:
        return b"{}"
    return f'{{{_more(page)},"objects":[{",".join(page.items)}]}}'.encode()


def manifest(page: TaxiiPage[Record]) -> bytes:
    """The manifest (§5.3.1), with the envelope's `next`: clients turn its pages in the same way."""
    records = [
        {
            "id": record.stix_id,
            "date_added": clock.rfc3339(record.date_added),
            "version": record.version,
            "media_type": media.of_spec_version(record.spec_version),
        }
        for record in page.items
    ]
    return _listing("objects", records, page)


def versions(page: TaxiiPage[Record]) -> bytes:
    """The versions of one object (§5.8.1), in the order in which they were added."""
    return _listing("versions", [record.version for record in page.items], page)


def status(answer: Answer, *, unversioned: Mapping[str, Any]) -> bytes:
    """The status resource (§4.3.1) of a batch. `unversioned` says when what has no timestamps was added, by id.

    It is complete from the start, but for what waits for a second person: that is pending, since the server will
    still process it. What is quarantined counts as failed: it enters only if its publisher mends it and sends it
    anew.
    """
    successes: list[dict[str, str]] = []
    failures: list[dict[str, str]] = []
    pendings: list[dict[str, str]] = []
    for result in orjson.loads(answer.results):
        details = {
            "id": result["id"] or f"objects/{result['index']}",
            "version": result["version"] or _date(unversioned.get(result["id"]), answer),
        }
        match result["status"]:
            case "accepted" | "unchanged":
                said = _said(result)
                successes.append(details | {"message": said} if said else details)
            case "waiting":
                pendings.append(details | {"message": "Waits for a second person of your partner."})
            case held_back:
                where = f" at {result['field']}" if result.get("field") else ""
                failures.append(details | {"message": f"{held_back}: {result['message']} ({result['code']}{where})"})
    document: dict[str, Any] = {
        "id": str(answer.batch_id),
        "status": "pending" if pendings else "complete",
        "request_timestamp": clock.rfc3339(answer.received_at),
        "total_count": len(successes) + len(failures) + len(pendings),
        "success_count": len(successes),
        "failure_count": len(failures),
        "pending_count": len(pendings),
    }
    if successes:
        document["successes"] = successes
    if failures:
        document["failures"] = failures
    if pendings:
        document["pendings"] = pendings
    return orjson.dumps(document)


def _said(result: Mapping[str, Any]) -> str:
    """What there is to say of an object that entered: what was not kept, that it was held, and its marks."""
    parts = []
    if "code" in result:
        parts.append(f"{result['message']} ({result['code']})")
    elif result["status"] == "unchanged":
        parts.append("Held already, with the same bytes; its audience stays.")
    marks = result.get("marks", ())
    if marks:
        named = "; ".join(f"{mark['code']} at {mark['field'] or '/'}" for mark in marks[:_MARKS_TOLD])
        more = f"; and {len(marks) - _MARKS_TOLD} more" if len(marks) > _MARKS_TOLD else ""
        parts.append(f"Marked: {named}{more}.")
    return " ".join(parts)


_MARKS_TOLD = 5


def unversioned_ids(answer: Answer) -> list[str]:
    """The ids of what was stored by a batch and has no timestamps of its own."""
    return [
        result["id"]
        for result in orjson.loads(answer.results)
        if not result["version"] and result["status"] in {"accepted", "unchanged"}
    ]


def _date(added: Any, answer: Answer) -> str:
    return clock.rfc3339(added or answer.received_at)


def _listing(name: str, items: list[Any], page: TaxiiPage[Any]) -> bytes:
    if not items:
        return b"{}"
    return b"{" + _more(page).encode() + f',"{name}":'.encode() + orjson.dumps(items) + b"}"


def _more(page: TaxiiPage[Any]) -> str:
    """Cursors are base64url, so they need no escaping."""
    return '"more":false' if page.next is None else f'"more":true,"next":"{page.next}"'
