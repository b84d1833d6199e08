"""Read objects, matches, lists and exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exchange.client.calls import bounded
from exchange.client.calls.connection import Connection, feed_named, given


class Reading(Connection):
    """Read objects, matches, lists and exports."""

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

    def blocklist(self, feed: str = "all", *, form: str = "text", kind: str = "", line: str = "") -> bytes:
        """A flat list: every live value, sorted, each once."""
        return self._call(
            "GET",
            f"/api/v1/blocklists/{feed_named(feed)}",
            params=given(format=form, kind=kind, filter=line),
            max_bytes=bounded.FILE_BYTES,
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
