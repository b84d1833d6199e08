"""The client: every call of the REST API, with retries that are safe to make.

with Client("https://exchange.example", api_key) as client:
    result = client.publish(Path("indicators.json"), groups=["ring"])
    for change in client.changes():
        ...
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from exchange.client import publishing, slicing
from exchange.client.errors import ApiError, Unreachable
from exchange.lists import pages

if TYPE_CHECKING:
    from exchange.tokens.oprf import Evaluated

_RETRIED = frozenset({429, 502, 503, 504})
#: Answers of these statuses that no retry within a minute changes.
_FINAL = frozenset({"no-key-service", "quota"})
_GZIP_FROM = 2_048
_LONGEST_WAIT_S = 30.0
#: So many ids are revoked or withdrawn in one call.
_IDS = 500
_PING_S = 30.0
_PING_STEP_S = 0.3


class Making(Exception):
    """A snapshot is being made: ask again after `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("the snapshot is being made")
        self.wait_s = wait_s


def _counted(answer: httpx.Response, on_bytes: Callable[[int, int], None]) -> Iterator[bytes]:
    whole = int(answer.headers.get("Content-Length") or 0)
    for piece in answer.iter_bytes():
        on_bytes(answer.num_bytes_downloaded, whole)
        yield piece


_NOT_FOUND, _ACCEPTED = 404, 202


class Client:
    """A connection of one key to one exchange. Safe to use from several threads."""

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float = 60.0, retries: int = 5) -> None:
        self._retries = retries
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            timeout=timeout_s,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "exchange-client/0.1"},
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def me(self) -> dict[str, Any]:
        """Who the key belongs to, its groups and scopes."""
        return self._get("/api/v1/me")

    def partner(self) -> dict[str, Any]:
        """The own partner's facts and settings, its default audience among them."""
        return self._get("/api/v1/partner")

    def groups(self) -> list[dict[str, Any]]:
        """The own groups with their policies."""
        found: list[dict[str, Any]] = self._get("/api/v1/groups")["groups"]
        return found

    def publish(
        self,
        source: Path | bytes | Iterable[Mapping[str, Any]],
        *,
        groups: Sequence[str] = (),
        partners: Sequence[str] = (),
        everyone: bool = False,
        tlp: str = "",
        batch_size: int = 500,
        wake: bool = False,
        report: bool = False,
        check: Callable[[bytes], tuple[str, str, str] | None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> publishing.PublishResult:
        """Push a file, bytes or objects. The bytes of a file's objects are sent exactly as they stand in it.

        Marking definitions are sent first, wherever they stand, so all objects are read before the first is sent.
        What was withdrawn comes back only with `wake`. With `report`, the result also tells which references lead
        nowhere (`publishing.loss_report`). What `check` finds wrong (code, field, rule: `validating.check_for`) is
        refused here and not sent. Each batch carries an idempotency key of its own, so a retry after a lost answer
        changes nothing.

        Raises ApiError where a batch as a whole is refused, Unreachable where no answer comes, TypeError for what is
        none of these: one object is given as a list of one.
        """
        if isinstance(groups, str) or isinstance(partners, str):
            raise TypeError('groups and partners are lists of slugs, such as groups=["ring"]')
        asked: dict[str, str] = {"groups": ",".join(groups), "partners": ",".join(partners), "tlp": tlp}
        asked["everyone"] = "true" if everyone else ""
        asked["wake"] = "true" if wake else ""
        asked["report"] = "loss" if report else ""
        wanted = {name: value for name, value in asked.items() if value}
        result = publishing.PublishResult()
        placed = publishing.in_order(_objects(source))
        if check is not None:
            placed = result.keep_right(placed, check)
        for batch in publishing.batches(placed, size=batch_size):
            answer = self._call(
                "POST",
                "/api/v1/batches",
                params=wanted,
                body=publishing.envelope(batch),
                headers={"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/stix+json;version=2.1"},
            )
            result.add(answer.json(), places=[one.place for one in batch])
            if on_progress:
                on_progress(len(batch))
        return result

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The answer that one of the own batches was given."""
        return self._get(f"/api/v1/batches/{batch_id}")

    def objects(self, *, limit: int = 200, **filters: str) -> Iterator[dict[str, Any]]:
        """All objects that fit the filters (`kind`, `subkind`, `type`, `publisher`, `q`, `mine`), newest first."""
        cursor = ""
        while True:
            page = self._get("/api/v1/objects", limit=str(limit), cursor=cursor, **filters)
            yield from page["objects"]
            cursor = page["next"] or ""
            if not cursor:
                return

    def object(self, stix_id: str, *, versions: str = "last") -> list[dict[str, Any]]:
        """What each publisher says under an id. Raises ApiError (404) for what is absent or invisible."""
        statements: list[dict[str, Any]] = self._get(f"/api/v1/objects/{stix_id}", versions=versions)["statements"]
        return statements

    def changes(
        self, cursor: str = "", *, limit: int = 1_000, wait_s: int = 0, feed: str = "", kind: str = "", line: str = ""
    ) -> dict[str, Any]:
        """One stretch of the delta feed: `{"changes", "cursor", "more"}`. Hand the cursor back to go on."""
        wait = str(wait_s) if wait_s else ""
        return self._get(
            "/api/v1/changes", cursor=cursor, limit=str(limit), wait=wait, feed=feed, kind=kind, filter=line
        )

    def delta(
        self,
        cursor: str = "",
        *,
        feed: str = "all",
        limit: int = 1_000,
        wait_s: int = 0,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> pages.Page:
        """One verified page of a feed's delta (docs/delta.md): apply it whole, with its `next_cursor`.

        Raises ApiError, and Unreachable where no whole page comes.
        """
        path = f"/api/v1/feeds/{feed or 'all'}/delta"
        asked = _given(cursor=cursor, limit=str(limit), wait=str(wait_s) if wait_s else "")
        for attempt in range(1, self._retries + 2):
            again = attempt <= self._retries
            try:
                with self._http.stream("GET", path, params=asked) as answer:
                    if answer.is_error or answer.is_redirect:
                        answer.read()
                        if answer.status_code not in _RETRIED or not again:
                            raise ApiError(answer.status_code, _problem(answer), asked=_asked(path, {"feed": feed}))
                        wait = _wait_s(attempt, answer.headers.get("Retry-After"))
                    else:
                        if on_headers:
                            on_headers(answer.headers)
                        return pages.read(answer.iter_bytes())
            except (httpx.TransportError, httpx.DecodingError, pages.Incomplete) as error:
                if not again:
                    raise Unreachable(f"{self._http.base_url} gives no whole answer: {error}") from error
                wait = _wait_s(attempt, None)
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
        path = f"/api/v1/feeds/{feed or 'all'}/snapshot"
        try:
            with self._http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
                if answer.status_code == _NOT_FOUND:
                    return None
                if answer.status_code == _ACCEPTED:
                    raise Making(_wait_s(1, answer.headers.get("Retry-After")))
                if answer.is_error or answer.is_redirect:
                    answer.read()
                    raise ApiError(answer.status_code, _problem(answer), asked=_asked(path, {"feed": feed}))
                return pages.read(_counted(answer, on_bytes), on_row=on_row)
        except (httpx.TransportError, httpx.DecodingError, pages.Incomplete) as error:
            raise Unreachable(f"{self._http.base_url} gives no whole snapshot: {error}") from error

    def ack(self, feed: str, said: Mapping[str, Any]) -> None:
        """Tell the exchange what of a feed was applied (docs/delta.md, "Acknowledgement"). Raises ApiError."""
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        self._call("POST", f"/api/v1/feeds/{feed}/acks", body=body, headers=headers, retried=False)

    def revoke(self, stix_ids: str | Iterable[str]) -> publishing.PublishResult:
        """Revoke objects of the own partner: a revoked version of each, dated after what is held, is published.

        Each is in `ended` of the result; what is not held is among its refusals. Retried as a push is.
        """
        return self._end("revoke", stix_ids)

    def withdraw(self, stix_ids: str | Iterable[str]) -> publishing.PublishResult:
        """Take objects of the own partner back, in all versions: whoever holds them is told to drop them.

        Unlike a revocation it leaves nothing to read. Answered as `revoke`.
        """
        return self._end("withdraw", stix_ids)

    def excerpts(self) -> list[dict[str, Any]]:
        """The own partner's excerpts, without their texts, oldest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/excerpts")["excerpts"]
        return found

    def send_excerpt(self, excerpt: Mapping[str, Any]) -> dict[str, Any]:
        """Send one `x-exchange-excerpt`; it waits for a second person of the own partner."""
        return self._send("POST", "/api/v1/excerpts", excerpt)

    def end_excerpt(self, excerpt_id: str) -> None:
        """Delete one before its end."""
        self._call("DELETE", f"/api/v1/excerpts/{excerpt_id}")

    def service_hosts(self) -> list[dict[str, Any]]:
        """The hosts and ranges that partners name as their own, and whether they are proven."""
        found: list[dict[str, Any]] = self._get("/api/v1/service-hosts")["hosts"]
        return found

    def add_service_hosts(self, values: Iterable[str]) -> list[dict[str, Any]]:
        """Name hosts and ranges as the own partner's; each with the DNS record that proves it."""
        found: list[dict[str, Any]] = self._send("POST", "/api/v1/service-hosts", {"values": list(values)})["hosts"]
        return found

    def check_service_host(self, host_id: str) -> dict[str, Any]:
        """Have the DNS of a host of one's own asked now."""
        return self._send("POST", f"/api/v1/service-hosts/{host_id}/check", {})

    def confirm_service_host(self, host_id: str) -> dict[str, Any]:
        """Say that a range which another partner names is that partner's."""
        return self._send("POST", f"/api/v1/service-hosts/{host_id}/confirm", {})

    def end_service_host(self, host_id: str) -> None:
        """Say that it is the own partner's no more."""
        self._call("DELETE", f"/api/v1/service-hosts/{host_id}")

    def detectors(self) -> list[dict[str, Any]]:
        """The own partner's detectors, by name, retired ones last."""
        found: list[dict[str, Any]] = self._get("/api/v1/detectors")["detectors"]
        return found

    def register_detector(
        self, name: str, *, version: str = "", sha256: str = "", detector_id: str = ""
    ) -> dict[str, Any]:
        """Register a detector, under a new id or one that objects name already; its `id` goes into `detector.name`."""
        wish = _given(name=name, version=version, sha256=sha256, id=detector_id)
        return self._send("POST", "/api/v1/detectors", wish)

    def change_detector(self, detector_id: str, **wanted: str) -> dict[str, Any]:
        """Give a detector another `name`, `version` or `sha256`."""
        return self._send("PATCH", f"/api/v1/detectors/{detector_id}", wanted)

    def retire_detector(self, detector_id: str) -> None:
        """Let no new version name it; what names it stays."""
        self._call("DELETE", f"/api/v1/detectors/{detector_id}")

    def disarmed(self) -> list[dict[str, Any]]:
        """What the own partner revoked or withdrew in bulk within the last hour, and can bring back; oldest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/disarmed")["disarmed"]
        return found

    def undo(self, ending_ids: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Bring back what was disarmed, by these acts or by all; how many objects of each came back."""
        wish = {} if ending_ids is None else {"ids": list(ending_ids)}
        undone: list[dict[str, Any]] = self._send("POST", "/api/v1/disarmed/undo", wish)["undone"]
        return undone

    def prepare_recall(self, **wanted: Any) -> dict[str, Any]:
        """Find own objects to recall (`ids`, `detector`, `version`, `since`, `until`, `campaign`); nothing ends yet."""
        said = {name: value for name, value in wanted.items() if value}
        return self._send("POST", "/api/v1/recalls", said)

    def recalls(self) -> list[dict[str, Any]]:
        """The own recalls, newest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/recalls")["recalls"]
        return found

    def recall(self, recall_id: str) -> dict[str, Any]:
        """One recall, with its ids and receipts."""
        return self._get(f"/api/v1/recalls/{recall_id}")

    def decide_recall(self, recall_id: str, verb: str) -> dict[str, Any]:
        """`carry-out`, `undo` or `finish` it."""
        return self._send("POST", f"/api/v1/recalls/{recall_id}/{verb}", {})

    def usefulness(self, stix_id: str = "") -> dict[str, Any]:
        """What own indicators, or one of them, were good for to others; and what the own partner gives and uses."""
        return self._get(f"/api/v1/objects/{stix_id}/usefulness" if stix_id else "/api/v1/usefulness")

    def file_appeal(self, tokens: Sequence[Mapping[str, str]], *, reason: str, dissent: bool = False) -> dict[str, Any]:
        """Ask by tokens that what blocks somebody wrongly is looked at; the tickets on what the caller sees."""
        return self._send("POST", "/api/v1/appeals", {"tokens": list(tokens), "reason": reason, "dissent": dissent})

    def appeals(self) -> list[dict[str, Any]]:
        """The own appeals, newest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/appeals")["appeals"]
        return found

    def tickets(self) -> list[dict[str, Any]]:
        """Appeals on own indicators that wait for an answer, the next due first."""
        found: list[dict[str, Any]] = self._get("/api/v1/appeals/tickets")["tickets"]
        return found

    def decide_ticket(self, ticket_id: str, outcome: str) -> dict[str, Any]:
        """`keep` or `revoke`."""
        return self._send("POST", f"/api/v1/appeals/tickets/{ticket_id}", {"outcome": outcome})

    def appeal_statistics(self) -> dict[str, Any]:
        """How the own partner answered in 90 days."""
        return self._get("/api/v1/appeals/statistics")

    def _end(self, verb: str, stix_ids: str | Iterable[str]) -> publishing.PublishResult:
        ids = [stix_ids] if isinstance(stix_ids, str) else list(stix_ids)
        result = publishing.PublishResult()
        spans = [(first, ids[first : first + _IDS]) for first in range(0, len(ids), _IDS)]
        while spans:
            first, some = spans.pop(0)
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
            body = json.dumps({"ids": some}).encode()
            try:
                answer = self._call("POST", f"/api/v1/objects/{verb}", body=body, headers=headers)
            except ApiError as error:
                if error.code != "batch-too-large" or len(some) == 1:
                    raise
                half = len(some) // 2
                spans[:0] = [(first, some[:half]), (first + half, some[half:])]
                continue
            result.add_ended(answer.json(), places=range(first, first + len(some)))
        return result

    def readdress(
        self,
        stix_id: str,
        *,
        groups: Sequence[str] = (),
        partners: Sequence[str] = (),
        everyone: bool = False,
        tlp: str = "",
    ) -> None:
        """Show an object of the own partner to others, without new bytes. Raises ApiError (404, 422)."""
        wanted: dict[str, Any] = {"groups": list(groups), "partners": list(partners), "everyone": everyone}
        body = json.dumps(wanted | ({"tlp": tlp} if tlp else {})).encode()
        headers = {"Content-Type": "application/json"}
        self._call("PUT", f"/api/v1/objects/{stix_id}/audience", body=body, headers=headers)

    def matches_since(self, since: str, *, limit: int = 200) -> dict[str, Any]:
        """What was found since an earlier answer, oldest first: `matches`, `more`, and `since` for the next time.

        Without `since` nothing but that place, from which on matches are told.
        """
        page = self._get("/api/v1/matches", limit=str(limit), since=since) if since else None
        return page or self._get("/api/v1/matches", limit="1") | {"matches": [], "more": False}

    def matches(self, *, limit: int = 200) -> Iterator[dict[str, Any]]:
        """All matches of what the caller may see, each value once, newest first."""
        cursor = ""
        while True:
            page = self._get("/api/v1/matches", limit=str(limit), cursor=cursor)
            yield from page["matches"]
            cursor = page["next"] or ""
            if not cursor:
                return

    def opinions(self, stix_id: str) -> list[dict[str, Any]]:
        """How each publisher's object under an id stands, with the opinions on it."""
        judged: list[dict[str, Any]] = self._get(f"/api/v1/objects/{stix_id}/opinions")["judged"]
        return judged

    def give_opinion(self, stix_id: str, opinion: str, *, reason: str) -> dict[str, Any]:
        """Give or revise the own partner's opinion on somebody else's object; `{"status", "judged"}`."""
        return self._send("POST", f"/api/v1/objects/{stix_id}/opinions", {"opinion": opinion, "reason": reason})

    def sightings(self, stix_id: str) -> list[dict[str, Any]]:
        """The newest sightings of an object, in buckets."""
        found: list[dict[str, Any]] = self._get(f"/api/v1/objects/{stix_id}/sightings")["sightings"]
        return found

    def sight(self, stix_id: str, *, count: int = 1, first_seen: str = "", last_seen: str = "") -> dict[str, Any]:
        """Say that the own partner saw somebody else's object; the exchange keeps a power of ten and full hours."""
        said = {"count": count, **_given(first_seen=first_seen, last_seen=last_seen)}
        return self._send("POST", f"/api/v1/objects/{stix_id}/sightings", said)

    def feeds(self) -> list[dict[str, Any]]:
        """The own partner's feeds."""
        feeds: list[dict[str, Any]] = self._get("/api/v1/feeds")["feeds"]
        return feeds

    def preview_feed(self, line: str = "", *, feed: str = "") -> dict[str, Any]:
        """How many objects a filter lets through now, and how many of them are new, in other feeds, disputed."""
        return self._get("/api/v1/feeds/preview", filter=line, feed=feed)

    def save_feed(self, name: str, filters: Mapping[str, Any] | str) -> dict[str, Any]:
        """Save a filter, as JSON or in one line, under a name."""
        spelled = {"text": filters} if isinstance(filters, str) else {"filter": dict(filters)}
        return self._send("POST", "/api/v1/feeds", {"name": name, **spelled})

    def subscriptions(self) -> list[dict[str, Any]]:
        """The own partner's webhook subscriptions."""
        found: list[dict[str, Any]] = self._get("/api/v1/subscriptions")["subscriptions"]
        return found

    def subscribe(self, url: str, *, feed: str | None = None, format: str = "standard") -> dict[str, Any]:  # noqa: A002 - the API's name
        """Subscribe an address; the answer holds the signing secret, this once."""
        about = {"url": url, "feed": feed, "format": format if format != "standard" else None}
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
        again: dict[str, Any] = self._call("POST", f"/api/v1/deliveries/{delivery_id}/redeliver").json()
        return again

    def test_subscription(self, subscription_id: str) -> dict[str, Any]:
        """Have a signed ping sent; half a minute later at most: `delivered`, `outcome`, `status_code`."""
        sent: dict[str, Any] = self._call("POST", f"/api/v1/subscriptions/{subscription_id}/test").json()
        until = time.monotonic() + _PING_S
        while sent["state"] in ("due", "sending") and time.monotonic() < until:
            time.sleep(_PING_STEP_S)
            sent = self._get(f"/api/v1/deliveries/{sent['id']}")
        return {**sent, "delivered": sent["state"] == "delivered"}

    def api_keys(self) -> list[dict[str, Any]]:
        """The own partner's keys; needs the scope `admin`, as all about keys does."""
        found: list[dict[str, Any]] = self._get("/api/v1/keys")["keys"]
        return found

    def issue_key(self, name: str, *, scopes: Sequence[str], **limits: Any) -> dict[str, Any]:
        """Make a weaker key; the answer holds it as `secret`, this once. Limits as the API names them."""
        if isinstance(scopes, str):
            raise TypeError('scopes is a list, such as scopes=["read"]')
        return self._send("POST", "/api/v1/keys", {"name": name, "scopes": list(scopes), **limits})

    def rotate_key(self, key_id: str, *, overlap_minutes: int) -> dict[str, Any]:
        """Make a successor; the answer holds it as `secret`, this once. The old key ends after the overlap."""
        return self._send("POST", f"/api/v1/keys/{key_id}/rotate", {"overlap_minutes": overlap_minutes})

    def revoke_key(self, key_id: str) -> None:
        """End a key and all that descend from it, at once."""
        self._call("DELETE", f"/api/v1/keys/{key_id}")

    def blocklist(self, feed: str = "all", *, form: str = "text", kind: str = "", line: str = "") -> bytes:
        """A flat list: every live value, sorted, each once."""
        return self._call(
            "GET", f"/api/v1/blocklists/{feed}", params=_given(format=form, kind=kind, filter=line)
        ).content

    def export(self, target: Path, **filters: str) -> int:
        """Write everything that fits the filters as one STIX bundle, byte for byte; returns its size in bytes.

        The filters are those of `objects`, and `feed`, `id`, `versions` (`last` or `all`) and `referenced`. The file
        appears whole or not at all. Raises ApiError, and Unreachable where the bundle breaks off.
        """
        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as file:
                size = self.stream_bundle(file.write, **filters)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return size

    def stream_bundle(self, write: Callable[[bytes], Any], **filters: str) -> int:
        """The same, handed to `write` piece by piece."""
        return self._stream("/api/v1/bundle", write, filters)

    def stream_export(self, form: str, write: Callable[[bytes], Any], **filters: str) -> int:
        """The same as `misp`, `nova` or `csv`."""
        return self._stream("/api/v1/export", write, {"format": form, **filters})

    def export_losses(self, form: str, **filters: str) -> list[dict[str, Any]]:
        """What such an export loses or changes: path, code, `lost` or `changed`, and the reason in words."""
        lines = bytearray()
        self._stream("/api/v1/export", lines.extend, {"format": form, "losses": "true", **filters})
        return [json.loads(line) for line in bytes(lines).splitlines()]

    def _stream(self, path: str, write: Callable[[bytes], Any], filters: Mapping[str, str]) -> int:
        size = 0
        try:
            with self._http.stream("GET", path, params=_given(**filters)) as answer:
                if answer.is_error or answer.is_redirect:
                    answer.read()
                    raise ApiError(answer.status_code, _problem(answer), asked=_asked(path, filters))
                for piece in answer.iter_bytes():
                    write(piece)
                    size += len(piece)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._http.base_url} broke off: {error}") from error
        return size

    def log_head(self, *, first: str = "") -> dict[str, Any]:
        """The last signed head of the log; with `first`, the proof that it extends the head of that size."""
        return self._get("/api/v1/log/head", first=first)

    def log_export(self, *, first: str = "", since: str = "", until: str = "") -> bytes:
        """The own partner's records as signed JSON Lines, for `exchange audit verify`."""
        asked = _given(first=first, since=since, until=until)
        return self._call("GET", "/api/v1/log/export", params=asked).content

    def token_keys(self) -> dict[str, Any]:
        """The public keys of the key service with their proofs: `exchange.client.pinning` checks them."""
        return self._get("/api/v1/tokens/keys")

    def evaluate(self, subkind: str, epoch: str, points: Sequence[bytes]) -> Evaluated:
        """Have blinded points evaluated: 16, 128 or 1,000 of them. Raises ApiError, `quota` among its codes."""
        # Here, so that libsodium is loaded for those who make tokens, and not for the agent.
        from exchange.tokens import oprf  # noqa: PLC0415

        encoded = [base64.b64encode(one).decode() for one in points]
        body = json.dumps({"subkind": subkind, "epoch": epoch, "points": encoded}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._call("POST", "/api/v1/tokens/evaluate", body=body, headers=headers).json()
        return oprf.Evaluated(tuple(map(base64.b64decode, answer["points"])), base64.b64decode(answer["proof"]))

    def group_keys(self, group: str) -> list[dict[str, Any]]:
        """The keys of one of the own groups, oldest first; needs the scope `group-keys`."""
        found: list[dict[str, Any]] = self._get(f"/api/v1/groups/{group}/keys")["keys"]
        return found

    def consistency(self, first: int, second: int) -> list[str]:
        """The proof that one published head of the log extends another, as hashes."""
        asked = {"first": str(first), "second": str(second)}
        proof: list[str] = self._get("/api/v1/log/proof/consistency", **asked)["proof"]
        return proof

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Any call of the API that is safe to repeat, with the retries of all others; its JSON answer, {} if none."""
        headers = {"Content-Type": content_type} if body else {}
        came = self._call(method, path, params=params, body=body, headers=headers)
        answer: dict[str, Any] = came.json() if came.content else {}
        return answer

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        document: dict[str, Any] = self._call("GET", path, params=_given(**params)).json()
        return document

    def _send(self, method: str, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(document).encode()
        answer: dict[str, Any] = self._call(
            method, path, body=body, headers={"Content-Type": "application/json"}, retried=False
        ).json()
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        retried: bool = True,
    ) -> httpx.Response:
        """One request, tried again where that is safe and may help."""
        sent = dict(headers or {})
        if len(body) >= _GZIP_FROM:
            body, sent["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        attempt = 0
        while True:
            attempt += 1
            again = retried and attempt <= self._retries
            try:
                answer = self._http.request(method, path, params=params, content=body or None, headers=sent)
            except httpx.TransportError as error:
                if not again:
                    raise Unreachable(f"{self._http.base_url} does not answer: {error}") from error
                time.sleep(_wait_s(attempt, None))
                continue
            if answer.status_code in _RETRIED and again and _code(answer) not in _FINAL:
                time.sleep(_wait_s(attempt, answer.headers.get("Retry-After")))
                continue
            if answer.is_error or answer.is_redirect:
                raise ApiError(answer.status_code, _problem(answer), asked=_asked(path, params or {}))
            return answer


def _asked(path: str, params: Mapping[str, str]) -> str:
    """What a path and the parameters that name a thing ask for, in the words of the API."""
    named = [f"{name} {params[name]}" for name in ("feed", "id") if params.get(name)]
    return " ".join([path.removeprefix("/api/v1/"), *named])


def _objects(source: Path | bytes | Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    if isinstance(source, Mapping | str):  # whose elements are names, or letters
        raise TypeError(f"publish takes a Path, bytes or a list of objects, not a {type(source).__name__}")
    if isinstance(source, Path):
        return slicing.objects_in(source)
    if isinstance(source, bytes):
        return slicing.slices(source)
    return map(_written, source)


def _written(one: Mapping[str, Any]) -> bytes:
    """An object of the `stix2` library writes itself."""
    serialise = getattr(one, "serialize", None)
    text: str = serialise() if serialise else json.dumps(one, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def _given(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _wait_s(attempt: int, retry_after: str | None) -> float:
    """What the server asked for, else twice as long each time, with jitter so that clients do not march in step."""
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT_S)
    return min(0.25 * float(2**attempt), _LONGEST_WAIT_S) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _code(answer: httpx.Response) -> str:
    return str(_problem(answer).get("code", ""))


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {"detail": f"The server answered {answer.status_code}."}
    return document if isinstance(document, dict) else {}
