"""A revoked version of an object, made of the bytes of another: all else stays as it was written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

_SPACE = re.compile(r"[ \t\r\n]*")
_SCAN = json.JSONDecoder().raw_decode


def revoked(body: str, *, modified: str) -> str | None:
    """The same object with this `modified`, and revoked. None for what has no `modified`, and so one version only."""
    places = _values(body)
    if "modified" not in places:
        return None
    changes = {places["modified"]: json.dumps(modified)}
    if "revoked" in places:
        changes[places["revoked"]] = "true"
    else:
        end = body.rindex("}")
        changes[end, end] = ',"revoked":true'
    for (start, end), value in sorted(changes.items(), reverse=True):
        body = body[:start] + value + body[end:]
    return body


def after(held: datetime, *, now: datetime) -> str:
    """A timestamp of milliseconds that lies after what is held, now if that does (STIX 2.1 §3.2)."""
    moment = max(now.astimezone(UTC), held.astimezone(UTC) + timedelta(milliseconds=1))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _values(body: str) -> dict[str, tuple[int, int]]:
    """Where the value of each property of the outermost object stands. The body was read before, so it is JSON."""
    found: dict[str, tuple[int, int]] = {}
    place = _skip(body, _skip(body, 0) + 1)
    while body[place] != "}":
        name, place = _SCAN(body, place)
        start = _skip(body, _skip(body, place) + 1)
        _, end = _SCAN(body, start)
        found[str(name)] = (start, end)
        place = _skip(body, end)
        if body[place] == ",":
            place = _skip(body, place + 1)
    return found


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
