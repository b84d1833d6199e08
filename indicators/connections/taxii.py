"""What is said to a TAXII 2.1 server: pages of a collection, objects for it, and that one is taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

import orjson

from exchange import clock
from indicators.connections import remote
from indicators.connections.remote import TooLong, Trouble

_MEDIA = "application/taxii+json;version=2.1"
#: Objects of one page, at most; a server may give fewer.
PAGE = 500
_MAX_NEXT_CHARS = 4_000
#: Ids that one request asks for, so that its address stays short.
IDS = 20
#: Once so much is held of what was asked for by id, no more is asked for at a time.
MOST_BYTES = remote.MAX_BYTES
#: How a server answers a `next` that it does not know any more.
FORGOTTEN = frozenset({400, 404, 410})
_TRIED_DELETE = frozenset({200, 202, 204, 404})


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in the order in which they were added there; `body` is the envelope as it came.

    `next` goes on from here while there is `more`; `last` is when the last of them was added, by the server's clock.
    """

    body: bytes
    objects: int
    more: bool
    next: str
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Server:
    """A collection of another server, and the credential for it."""

    url: str
    authorization: str
    takes_revoked = True

    def page(self, *, after: datetime | None, next_: str, limit: int = PAGE) -> Page:
        """The next page of objects (§5.4). Raises Trouble. A page that is too long is asked for by smaller ones."""
        asked = {"limit": str(limit)}
        if after is not None:
            asked["added_after"] = clock.rfc3339(after)
        if next_:
            asked["next"] = next_
        try:
            return self._page(f"objects/?{urlencode(asked)}")
        except TooLong:
            if limit == 1:
                raise Trouble("One of its objects is longer than is read here.") from None
            return self.page(after=after, next_=next_, limit=max(1, limit // 8))

    def manifest(self, *, next_: str, after: datetime | None = None) -> tuple[list[str], Page]:
        """The ids of a page of what the collection holds (§5.3), in lower case, and the page. Raises Trouble.

        For what is not in it is taken back, only what says that it is TAXII is taken for one.
        """
        asked = {"limit": "1000"} | ({"next": next_} if next_ else {})
        if after is not None:
            asked["added_after"] = clock.rfc3339(after)
        try:
            page = self._page(f"manifest/?{urlencode(asked)}", strictly=True)
        except TooLong:
            raise Trouble("A page of its manifest is longer than is read here.") from None
        found = remote.document(page.body).get("objects") or []
        return [str(one["id"]).lower() for one in found if isinstance(one, dict) and "id" in one], page

    def some(self, stix_ids: Sequence[str]) -> list[bytes]:
        """Envelopes of the objects with these ids, as far as the collection has them (§3.4). Raises Trouble.

        What is too long as one answer is asked for by halves, and one that is so alone is left out. Once MOST_BYTES
        are held, the rest is left out, too: one answer more than that is held at the most.
        """
        found: list[bytes] = []
        rest = [stix_ids[start : start + IDS] for start in range(0, len(stix_ids), IDS)][::-1]
        while rest and sum(map(len, found)) < MOST_BYTES:
            asked = rest.pop()
            try:
                found.append(self._page(f"objects/?{urlencode({'match[id]': ','.join(asked)})}").body)
            except TooLong:
                if middle := len(asked) // 2:
                    rest += [asked[middle:], asked[:middle]]
        return found

    def _page(self, path: str, *, strictly: bool = False) -> Page:
        reply = remote.ask("GET", f"{self.url}{path}", authorization=self.authorization, accept=_MEDIA)
        remote.require_ok(reply)
        if strictly and not reply.headers.get("content-type", "").lower().startswith("application/taxii+json"):
            raise Trouble("What it answered does not say that it is TAXII.")
        envelope = remote.document(reply.body) if strictly or reply.body.strip() else {}
        if not isinstance(envelope, dict) or not isinstance(envelope.get("objects") or [], list):
            raise Trouble("What it answered is no TAXII envelope.")
        more, after = envelope.get("more") is True, envelope.get("next")
        next_ = after if isinstance(after, str) and len(after) <= _MAX_NEXT_CHARS else ""
        last = _moment(reply.headers.get("x-taxii-date-added-last", ""))
        if more and not next_ and last is None:
            raise Trouble("It says that there is more, and not where.")
        return Page(reply.body, len(envelope.get("objects") or []), more, next_, last)

    def give(self, objects: Sequence[str], *, there: Collection[str]) -> tuple[int, dict[str, str]]:
        """As `add`: who has an earlier version takes the newer one."""
        return self.add(objects)

    def add(self, objects: Sequence[str]) -> tuple[int, dict[str, str]]:
        """Add objects (§5.5): how many were taken, and by id what was refused. Raises Trouble.

        A batch that is refused as a whole for its size, or for what is in it, is halved until its fault stands alone.
        """
        body = ('{"objects":[' + ",".join(objects) + "]}").encode()
        try:
            reply = remote.ask(
                "POST", f"{self.url}objects/", authorization=self.authorization, accept=_MEDIA, body=body, media=_MEDIA
            )
        except TooLong:
            return len(objects), {}  # it took them, and says more of it than is read
        if reply.status in {400, 413, 422} and len(objects) > 1:
            middle = len(objects) // 2
            (first, refused), (second, others) = self.add(objects[:middle]), self.add(objects[middle:])
            return first + second, refused | others
        if reply.status in {400, 413, 422}:
            return 0, {str(orjson.loads(objects[0])["id"]).lower(): f"answered {reply.status}"}
        remote.require_ok(reply)
        return self._status(remote.document(reply.body), objects)

    def _status(self, said: object, objects: Sequence[str]) -> tuple[int, dict[str, str]]:
        """What a status resource (§4.3) says; what still pends was taken as far as anybody knows."""
        failures = said.get("failures") if isinstance(said, dict) else None
        named = [one.get("id") for one in failures or () if isinstance(one, dict)]
        refused = {stix_id.lower(): "refused" for stix_id in named if isinstance(stix_id, str)}
        return max(0, len(objects) - len(refused)), refused

    def delete(self, stix_id: str) -> bool:
        """Take an object back (§5.7); whether the server did, or has it no more. Raises Trouble."""
        try:
            path = f"objects/{quote(stix_id, safe='')}/"
            reply = remote.ask("DELETE", f"{self.url}{path}", authorization=self.authorization, accept=_MEDIA)
        except TooLong:
            return True
        if reply.status in {401, 429} or (reply.status >= 500 and reply.status != 501):
            remote.require_ok(reply)
        return reply.status in _TRIED_DELETE


def _moment(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written) if written else None
    except ValueError:
        return None
