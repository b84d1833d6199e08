"""What is said to a MISP: events that changed, events for it, and attributes that are taken back.

By the paths and fields of MISP's OpenAPI document: `events/restSearch`, `events/add`, `events/edit`, `attributes/edit`,
`attributes/delete`; edits and deletions by POST, as PyMISP sends them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from exchange import outbound
from exchange.formats.misp import write
from indicators.connections import remote
from indicators.connections.remote import TooLong, Trouble

_JSON = "application/json"
#: Events of one page; of a page that is too long, one at a time.
PAGE = 20
#: Ids of one question.
IDS = 100


@dataclass(frozen=True, slots=True)
class Server:
    """A MISP, and the key for it, which is the whole Authorization header."""

    url: str
    authorization: str
    takes_revoked = False

    def events(self, *, since: int, page: int, limit: int = PAGE) -> list[Mapping[str, Any]]:
        """Events that were published since a moment (seconds), with what was deleted in them. Raises Trouble.

        An edit unpublishes; publishing leaves `timestamp`, the moment of the last edit, as it is. Of an event that is
        longer than is read here comes its head alone, which has no `Attribute`.
        """
        asked = {"publish_timestamp": str(since), "page": page, "limit": limit, "published": True, "deleted": [0, 1]}
        try:
            return self._search(asked)
        except TooLong:
            if limit == 1:
                heads = self._search(asked | {"metadata": True})
                return [{name: said for name, said in one.items() if name != "Attribute"} for one in heads]
        first = (page - 1) * limit
        return [
            one for place in range(first, first + limit) for one in self.events(since=since, page=place + 1, limit=1)
        ]

    def still_there(self, uuids: Collection[str]) -> set[str]:
        """Of at most IDS events those that it still shows. Raises Trouble."""
        try:
            found = self._search({"uuid": sorted(uuids), "metadata": True, "limit": IDS, "page": 1, "published": True})
        except TooLong:
            raise Trouble("What it says of its events is longer than is read here.") from None
        return {str(one.get("uuid", "")) for one in found}

    def _search(self, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        reply = self._send("events/restSearch", {"returnFormat": "json", **asked})
        remote.require_ok(reply)
        said = remote.document(reply.body)
        rows = said.get("response") if isinstance(said, dict) else said
        if not isinstance(rows, list):
            raise Trouble("What it answered is no list of events.")
        events = [one.get("Event") for one in rows if isinstance(one, dict)]
        return [one for one in events if isinstance(one, dict)]

    def give(self, objects: Sequence[str], *, there: Collection[str]) -> tuple[int, dict[str, str]]:
        """Add objects, or edit those that are `there`: how many were taken, and by id why the others were not."""
        documents = {str(one["id"]).lower(): one for one in map(orjson.loads, objects)}
        refused: dict[str, str] = {}
        new = []
        for stix_id, document in documents.items():
            attribute = next((one for event in _events([document]) for one in _attributes(event)), None)
            if attribute is None:
                refused[stix_id] = "no-counterpart"
            elif stix_id not in there or not self._edit(attribute):
                new.append(document)
        for event in _events(new):
            if not self._add(event):
                refused |= {f"indicator--{one['uuid']}": "refused" for one in _attributes(event)}
        return len(documents) - len(refused), refused

    def _add(self, event: Mapping[str, Any]) -> bool:
        """Add an event, or what it has besides to the one that is there; whether it was taken. Raises Trouble."""
        reply = self._send("events/add", {"Event": event})
        if _is_there_already(reply):
            reply = self._send(f"events/edit/{quote(str(event['uuid']), safe='')}", {"Event": event})
            if reply.status in {403, 404}:
                return False  # it has it, and this user may not change it
        if _is_refused(reply):
            return False
        remote.require_ok(reply)
        return True

    def _edit(self, attribute: Mapping[str, Any]) -> bool:
        """Give an attribute, by its uuid, its present value and tags; whether it was taken. Raises Trouble."""
        reply = self._send(f"attributes/edit/{quote(str(attribute['uuid']), safe='')}", attribute)
        if reply.status in {400, 403, 404, 422}:
            return False
        remote.require_ok(reply)
        return True

    def delete(self, stix_id: str) -> bool:
        """Take the attribute of an indicator back; whether it did, or has it no more. Raises Trouble."""
        uuid = stix_id.partition("--")[2]
        reply = self._send(f"attributes/delete/{quote(uuid, safe='')}", {})
        if reply.status in {401, 429} or reply.status >= 500:
            remote.require_ok(reply)
        return reply.status in {200, 204, 404}

    def _send(self, path: str, document: Mapping[str, Any]) -> outbound.Reply:
        return remote.ask(
            "POST",
            f"{self.url}{path}",
            authorization=self.authorization,
            accept=_JSON,
            body=orjson.dumps(document),
            media=_JSON,
        )


def _is_there_already(reply: outbound.Reply) -> bool:
    """Whether an event was not added because it is there: MISP answers 404 and says where, in its user's language."""
    return reply.status in {400, 403, 404, 409} and (b"lready exists" in reply.body or "location" in reply.headers)


def _is_refused(reply: outbound.Reply) -> bool:
    """Whether it is what was sent that is refused: of a save that failed MISP answers 403 and says so."""
    if reply.status != 403:
        return reply.status in {400, 422}
    try:
        said = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and (said.get("saved") is False or bool(said.get("errors")))


def _events(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Indicators of ours as events; what has no place in one is not in them."""
    written = orjson.loads(b"".join(write(documents, lambda _: None)))
    return [one["Event"] for one in written["response"]] if documents else []


def _attributes(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The attributes that carry an indicator's id, its own and those inside of objects."""
    for held in (event, *event["Object"]):
        yield from (one for one in held["Attribute"] if "uuid" in one)
