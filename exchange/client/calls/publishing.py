"""Push, and take back: batches, revocations, recalls, excerpts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from exchange.client import publishing, slicing
from exchange.client.calls.connection import Connection
from exchange.client.errors import ApiError, ExchangeClientError

#: So many ids are revoked or withdrawn in one call.
_IDS = 500


class Publishing(Connection):
    """Push, and take back: batches, revocations, recalls, excerpts."""

    def publish(
        self,
        source: Path | bytes | Iterable[Mapping[str, Any]],
        *,
        groups: Sequence[str] | None = None,
        partners: Sequence[str] | None = None,
        everyone: bool = False,
        tlp: str = "",
        batch_size: int = 500,
        wake: bool = False,
        report: bool = False,
        check: Callable[[bytes], tuple[str, str, str] | None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> publishing.PublishResult:
        """Push a file, bytes or objects. The bytes of a file's objects are sent exactly as they stand in it.

        Without groups, partners or everyone it goes to the default audience. An empty list is refused.
        Marking definitions are sent first, wherever they stand, so all objects are read before the first is sent.
        What was withdrawn comes back only with `wake`. With `report`, the result also tells which references lead
        nowhere (`publishing.loss_report`). What `check` finds wrong (code, field, rule: `validating.check_for`) is
        refused here and not sent. Each batch carries an idempotency key of its own, so a retry after a lost answer
        changes nothing.

        Raises ApiError where a batch as a whole is refused, Unreachable where no answer comes (both with what the
        batches before it were answered, `answered`), TypeError for what is none of these: one object is given as a list
        of one.
        """
        if isinstance(groups, str) or isinstance(partners, str):
            raise TypeError('groups and partners are lists of slugs, such as groups=["ring"]')
        named = {"groups": groups, "partners": partners}
        wanted = {name: ",".join(slugs) for name, slugs in named.items() if slugs is not None}
        asked = {"tlp": tlp, "everyone": "true" if everyone else "", "wake": "true" if wake else ""}
        asked["report"] = "loss" if report else ""
        wanted |= {name: value for name, value in asked.items() if value}
        result = publishing.PublishResult()
        placed = publishing.in_order(_objects(source))
        if check is not None:
            placed = result.keep_right(placed, check)
        result.unanswered = [one.place for one in placed]
        for batch in publishing.batches(placed, size=batch_size):
            try:
                answer = self._push(publishing.envelope(batch), wanted)
            except ExchangeClientError as error:
                error.answered = result
                raise
            result.add(answer, places=[one.place for one in batch])
            del result.unanswered[: len(batch)]
            if on_progress:
                on_progress(len(batch))
        return result

    def _push(self, body: bytes, wanted: Mapping[str, str]) -> dict[str, Any]:
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/stix+json;version=2.1"}
        return self._document(self._call("POST", "/api/v1/batches", params=wanted, body=body, headers=headers))

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The answer that one of the own batches was given."""
        return self._get(f"/api/v1/batches/{batch_id}")

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

    def _end(self, verb: str, stix_ids: str | Iterable[str]) -> publishing.PublishResult:
        ids = [stix_ids] if isinstance(stix_ids, str) else list(stix_ids)
        result = publishing.PublishResult()
        spans = [(first, ids[first : first + _IDS]) for first in range(0, len(ids), _IDS)]
        while spans:
            first, some = spans.pop(0)
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
            body = json.dumps({"ids": some}).encode()
            try:
                answer = self._document(self._call("POST", f"/api/v1/objects/{verb}", body=body, headers=headers))
            except ExchangeClientError as error:
                if not _is_too_large(error) or len(some) == 1:
                    error.answered, result.unanswered = result, list(range(first, len(ids)))
                    raise
                half = len(some) // 2
                spans[:0] = [(first, some[:half]), (first + half, some[half:])]
                continue
            result.add_ended(answer, places=range(first, first + len(some)))
        return result

    def readdress(
        self,
        stix_id: str,
        *,
        groups: Sequence[str] | None = None,
        partners: Sequence[str] | None = None,
        everyone: bool = False,
        tlp: str = "",
    ) -> bool:
        """Show an object of the own partner to others, without new bytes. Raises ApiError (404, 422).

        Returns whether that is done; if not, it waits for a second person, and the object stays where it is.

        An empty list names nobody. With `tlp` alone those who see it stay the same, as far as that marking lets them.
        """
        wanted = {"groups": groups, "partners": partners}
        said: dict[str, Any] = {name: list(slugs) for name, slugs in wanted.items() if slugs is not None}
        said |= {name: value for name, value in (("everyone", everyone), ("tlp", tlp)) if value}
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._call("PUT", f"/api/v1/objects/{stix_id}/audience", body=body, headers=headers)
        return answer.status_code != httpx.codes.ACCEPTED

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


def _is_too_large(error: ExchangeClientError) -> bool:
    return isinstance(error, ApiError) and error.code == "batch-too-large"


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
