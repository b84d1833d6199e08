"""Follow what changes: the delta feed, saved feeds, webhooks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from exchange.client.calls import bounded
from exchange.client.calls.connection import (
    RETRIED,
    Connection,
    asked_of,
    feed_named,
    given,
    narrowed_to,
    pause_s,
    refused,
)
from exchange.client.errors import Unreachable
from exchange.lists import pages

_PING_S = 30.0
_PING_STEP_S = 0.3
_NOT_FOUND, _ACCEPTED, _NOT_MODIFIED = 404, 202, 304


class Making(Exception):
    """A snapshot is being made: ask again after `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("the snapshot is being made")
        self.wait_s = wait_s


class Following(Connection):
    """Follow what changes: the delta feed, saved feeds, webhooks."""

    def changes(
        self,
        cursor: str = "",
        *,
        limit: int = 1_000,
        wait_s: int = 0,
        feed: str = "all",
        kind: str = "",
        line: str = "",
    ) -> dict[str, Any]:
        """One stretch of the delta feed: `{"changes", "cursor", "more"}`. Hand the cursor back to go on."""
        wait = str(wait_s) if wait_s else ""
        stretch = self._get(
            "/api/v1/changes",
            cursor=cursor,
            limit=str(limit),
            wait=wait,
            feed=narrowed_to(feed),
            kind=kind,
            filter=line,
        )
        if not (isinstance(stretch.get("changes"), list) and isinstance(stretch.get("cursor"), str)):
            raise Unreachable(f"{self._http.base_url} gives no answer of an exchange: no changes, or no cursor")
        return {"more": False, **stretch}

    def delta(
        self,
        cursor: str = "",
        *,
        feed: str = "all",
        limit: int = 1_000,
        wait_s: int = 0,
        on_headers: Callable[[Mapping[str, str], datetime], None] | None = None,
    ) -> pages.Page:
        """One verified page of a feed's delta (docs/delta.md): apply it whole, with its `next_cursor`.

        `on_headers` is told the headers of the page that is returned, and when they came: never those of a page that
        is not whole. Raises ApiError, and Unreachable where no whole page comes.
        """
        path = f"/api/v1/feeds/{feed_named(feed)}/delta"
        asked = given(cursor=cursor, limit=str(limit), wait=str(wait_s) if wait_s else "")
        for attempt in range(1, self._retries + 2):
            again = attempt <= self._retries
            try:
                with self._asked("GET", path, params=asked) as answer:
                    if answer.is_error or answer.is_redirect:
                        said = bounded.whole(answer, max_bytes=bounded.REFUSAL_BYTES)
                        if answer.status_code not in RETRIED or not again:
                            raise refused(said, asked_of(path, {"feed": feed}))
                        wait = pause_s(attempt, answer.headers.get("Retry-After"))
                    else:
                        came_at = datetime.now(tz=UTC)  # before the page, which may take minutes
                        page = pages.read(bounded.pieces(answer, max_bytes=pages.MAX_BYTES), most=limit)
                        if on_headers:
                            on_headers(answer.headers, came_at)
                        return page
            except (httpx.TransportError, httpx.DecodingError, pages.Incomplete) as error:
                if not again or isinstance(error, bounded.TooMuch):
                    raise Unreachable(f"{self._http.base_url} gives no whole answer: {error}") from error
                wait = pause_s(attempt, None)
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def snapshot(
        self,
        feed: str,
        *,
        on_row: Callable[[dict[str, Any]], None],
        on_bytes: Callable[[int, int], None] = lambda done, whole: None,
    ) -> pages.Page | None:
        """A feed's whole set from its file (docs/delta.md, "Snapshot"): rows one by one, then the verified trailer.

        None from an exchange that has none; Making where it is being made. `on_bytes` is told how many
        bytes of how many came. Raises Making, ApiError, and Unreachable where it is not whole: forget its rows then.
        """
        path = f"/api/v1/feeds/{feed_named(feed)}/snapshot"
        try:
            with self._asked("GET", path) as answer:
                if answer.status_code == _NOT_FOUND:
                    return None
                if answer.status_code == _ACCEPTED:
                    raise Making(pause_s(1, answer.headers.get("Retry-After")))
                if answer.is_error or answer.is_redirect:
                    said = bounded.whole(answer, max_bytes=bounded.REFUSAL_BYTES)
                    raise refused(said, asked_of(path, {"feed": feed}))
                return pages.read(_counted(answer, on_bytes), most=pages.MAX_OBJECTS, on_row=on_row)
        except (httpx.TransportError, httpx.DecodingError, pages.Incomplete) as error:
            raise Unreachable(f"{self._http.base_url} gives no whole snapshot: {error}") from error

    def range_head(self, feed: str, *, known: str = "") -> tuple[str, dict[str, Any], float]:
        """The newest ranges of a feed (docs/delta.md, "Look-up by prefix"): name, head, and how many seconds they last.

        The head is empty where they are still those of the name `known`. Raises Making while they are made, ApiError.
        """
        headers = {"If-None-Match": f'"{known}"'} if known else {}
        answer = self._call("GET", f"/api/v1/feeds/{feed_named(feed)}/ranges", headers=headers)
        if answer.status_code == _ACCEPTED:
            raise Making(pause_s(1, answer.headers.get("Retry-After")))
        lasts_s = float(answer.headers.get("X-Fresh-Seconds") or 0)
        if answer.status_code == _NOT_MODIFIED:
            return known, {}, lasts_s
        head = self._document(answer)
        return head["name"], head, lasts_s

    def range_of(self, feed: str, name: str, number: int) -> bytes:
        """One range, as it stands. Raises ApiError, of status 410 where other ranges took the place of these."""
        return self._call("GET", f"/api/v1/feeds/{feed_named(feed)}/ranges/{name}/{number}").content

    def ack(self, feed: str, said: Mapping[str, Any]) -> None:
        """Tell the exchange what of a feed was applied (docs/delta.md, "Acknowledgement"). Raises ApiError."""
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        self._call("POST", f"/api/v1/feeds/{feed_named(feed)}/acks", body=body, headers=headers, retried=False)

    def feeds(self) -> list[dict[str, Any]]:
        """The own partner's feeds."""
        feeds: list[dict[str, Any]] = self._get("/api/v1/feeds")["feeds"]
        return feeds

    def preview_feed(self, line: str = "", *, feed: str = "all") -> dict[str, Any]:
        """How many objects a filter lets through now, and how many of them are new, in other feeds, disputed."""
        return self._get("/api/v1/feeds/preview", filter=line, feed=narrowed_to(feed))

    def save_feed(self, name: str, filters: Mapping[str, Any] | str) -> dict[str, Any]:
        """Save a filter, as JSON or in one line, under a name."""
        spelled = {"text": filters} if isinstance(filters, str) else {"filter": dict(filters)}
        return self._send("POST", "/api/v1/feeds", {"name": name, **spelled})

    def change_feed(
        self, feed_id: str, *, name: str = "", filters: Mapping[str, Any] | str | None = None
    ) -> dict[str, Any]:
        """Change a feed's name, its filter, or both. Who follows it is told what comes and what goes by that."""
        spelled = {} if filters is None else {"text": filters} if isinstance(filters, str) else {"filter": filters}
        return self._send("PATCH", f"/api/v1/feeds/{feed_id}", ({"name": name} if name else {}) | spelled)

    def delete_feed(self, feed_id: str) -> None:
        """Delete a feed that no subscription uses."""
        self._call("DELETE", f"/api/v1/feeds/{feed_id}")

    def list_addresses(self, feed: str = "all") -> list[dict[str, Any]]:
        """The addresses of a feed's list, newest first; tokens are not shown again."""
        found: list[dict[str, Any]] = self._get(f"/api/v1/feeds/{feed_named(feed)}/addresses")["addresses"]
        return found

    def make_list_address(
        self, feed: str, name: str, *, form: str = "text", networks: Sequence[str] = (), minutes: int = 0
    ) -> dict[str, Any]:
        """Make an address that reads a feed in one format, and nothing else; the answer holds it, this once."""
        about = {"name": name, "format": form, "networks": list(networks), "expires_in_minutes": minutes}
        sent = {word: value for word, value in about.items() if value}
        return self._send("POST", f"/api/v1/feeds/{feed_named(feed)}/addresses", sent)

    def end_list_address(self, feed: str, address_id: str) -> None:
        """Revoke an address of a feed's list."""
        self._call("DELETE", f"/api/v1/feeds/{feed_named(feed)}/addresses/{address_id}")

    def subscriptions(self) -> list[dict[str, Any]]:
        """The own partner's webhook subscriptions."""
        found: list[dict[str, Any]] = self._get("/api/v1/subscriptions")["subscriptions"]
        return found

    def subscribe(
        self,
        url: str,
        *,
        feed: str | None = None,
        format: str = "standard",  # noqa: A002 - the API's name
        only: str = "",
    ) -> dict[str, Any]:
        """Subscribe an address, to everything or one feed; the answer holds the signing secret, this once.

        `only` is `yours` for what of it concerns your partner.
        """
        about = {
            "url": url,
            "feed": narrowed_to("all" if feed is None else feed),
            "format": format if format != "standard" else None,
            "only": only or None,
        }
        return self._send("POST", "/api/v1/subscriptions", {name: value for name, value in about.items() if value})

    def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription."""
        self._call("DELETE", f"/api/v1/subscriptions/{subscription_id}")

    def pause(self, subscription_id: str) -> dict[str, Any]:
        """Tell a subscription nothing until it is resumed."""
        return self._send("PATCH", f"/api/v1/subscriptions/{subscription_id}", {"state": "paused"})

    def resume(self, subscription_id: str) -> dict[str, Any]:
        """Go on telling a subscription, from where it stopped."""
        return self._send("PATCH", f"/api/v1/subscriptions/{subscription_id}", {"state": "active"})

    def rotate_secret(self, subscription_id: str, *, overlap_hours: int = 24) -> dict[str, Any]:
        """Make a new signing secret; the answer holds it, this once. Messages are signed with both for the overlap."""
        return self._send("POST", f"/api/v1/subscriptions/{subscription_id}/secret", {"overlap_hours": overlap_hours})

    def deliveries(self, subscription_id: str) -> list[dict[str, Any]]:
        """The newest deliveries of a subscription, newest first."""
        found: list[dict[str, Any]] = self._get(f"/api/v1/subscriptions/{subscription_id}/deliveries")["deliveries"]
        return found

    def dead_letters(self, subscription_id: str, *, since: str = "", until: str = "") -> dict[str, Any]:
        """What could not be told: `deliveries`, the oldest first, and `more`. Times in UTC, as 2026-11-24T11:00:00Z."""
        return self._get(f"/api/v1/subscriptions/{subscription_id}/dead-letters", since=since, until=until)

    def replay(
        self, subscription_id: str, *deliveries: str, since: str = "", until: str = "", everything: bool = False
    ) -> dict[str, Any]:
        """Have messages sent again in their order: these, or the dead letters of a time; `everything`: of that time."""
        about = {"deliveries": list(deliveries), "since": since, "until": until, "all": everything}
        asked = {name: value for name, value in about.items() if value}
        return self._send("POST", f"/api/v1/subscriptions/{subscription_id}/replay", asked)

    def redeliver(self, delivery_id: str) -> dict[str, Any]:
        """Have a delivery sent again."""
        return self._document(self._call("POST", f"/api/v1/deliveries/{delivery_id}/redeliver"))

    def test_subscription(self, subscription_id: str) -> dict[str, Any]:
        """Have a signed ping sent; half a minute later at most: `delivered`, `outcome`, `status_code`."""
        sent = self._document(self._call("POST", f"/api/v1/subscriptions/{subscription_id}/test"))
        until = time.monotonic() + _PING_S
        while sent["state"] in ("due", "sending") and time.monotonic() < until:
            time.sleep(_PING_STEP_S)
            sent = self._get(f"/api/v1/deliveries/{sent['id']}")
        return {**sent, "delivered": sent["state"] == "delivered"}


def _counted(answer: httpx.Response, on_bytes: Callable[[int, int], None]) -> Iterator[bytes]:
    said = answer.headers.get("Content-Length", "")
    whole = int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0
    for piece in bounded.pieces(answer, max_bytes=pages.MAX_SNAPSHOT_BYTES):
        on_bytes(answer.num_bytes_downloaded, whole)
        yield piece
