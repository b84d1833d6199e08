"""A feed that behaves like the exchange's, over HTTP on the loopback address: a log, cursors, and failures on demand.

It tells its log by the delta, with trailer and set hash, or with `proved` False as an exchange does that has no delta.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

from exchange.lists import pages, sets


class FakeExchange:
    """`publish` and `remove` write the log; `broken` answers are given before good ones."""

    def __init__(self) -> None:
        self.log: list[dict] = []
        self.broken: list[tuple[int, dict]] = []
        self.asked: list[str] = []
        self.broken_after: int | None = None  # answers until none is good
        self.generation = 0
        self.proved = True
        self.cut = 0  # so many bytes of the next page of the delta are not sent, under 200
        self.clock: float | None = None  # what the Date of each answer says, if not the truth
        self.altered: list[bytes] = []  # bodies of the delta that are sent as they stand, before good ones
        self.endless: Callable[[str], bytes] | None = None  # makes each page of the delta of the cursor that was sent
        self.acks: list[dict] = []
        self.unknown: set[str] = set()  # what an acknowledgement is refused for
        self.min_wait: float = 0
        self.retry_after = ""  # of answers that are no success
        self.snapshots: list[tuple[int, dict | bytes]] = []  # answers to who asks for one, then there is none
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path.endswith("/snapshot"):
                    status, document = fake.snapshots.pop(0) if fake.snapshots else (404, {})
                else:
                    fake.asked.append(self.path)
                    status, document = fake.answer(self.path)
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                if isinstance(document, bytes):
                    body, fake.cut = body[: len(body) - fake.cut], 0
                self.send_response_only(status)
                self.send_header("Date", formatdate(fake.clock, usegmt=True))
                if fake.retry_after and status >= 400:
                    self.send_header("Retry-After", fake.retry_after)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.acks.append(document)
                body = b'{"code": "unknown-property"}' if fake.unknown & set(document) else b""
                self.send_response(422 if body else 204 if fake.proved else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(
        self,
        publisher: str,
        stix_id: str,
        *values: str,
        confidence: int | None = 80,
        valid_from: str = "",
        valid_until: str = "",
    ) -> None:
        entries = [
            {"kind": "account-pattern", "subkind": "email", "scheme": "hmac-sha256", "key_epoch": "1", "value": value}
            for value in values
        ]
        self._write(
            "upsert",
            publisher,
            stix_id,
            entries=entries,
            confidence=confidence,
            valid_from=valid_from or None,
            valid_until=valid_until or None,
        )

    def remove(self, publisher: str, stix_id: str, *, reason: str = "", date_added: str | None = None) -> None:
        self._write("remove", publisher, stix_id, entries=[], reason=reason, date_added=date_added)

    def forget_cursors(self) -> None:
        """From now on no cursor given before is taken."""
        self.generation += 1

    def list(self) -> set[str]:
        """The values that are in force by the log."""
        held: dict[tuple[str, str], set[str]] = {}
        for change in self.log:
            whose = (change["publisher"]["id"], change["id"])
            held[whose] = {entry["value"] for entry in change["entries"]} if change["op"] == "upsert" else set()
        return set().union(*held.values())

    def restore(self, place: int) -> None:
        """Go back to an earlier point of the log, as a restored store does: what came later never was."""
        del self.log[place:]
        self.forget_cursors()

    def held(self, place: int) -> list[tuple[str, str, str, str]]:
        """What is in force by the log up to a place: publisher, id, SHA-256, end."""
        held = {}
        for change in self.log[:place]:
            whose = (change["publisher"]["id"], change["id"])
            held.pop(whose, None)
            if change["op"] == "upsert":
                held[whose] = (_sha256(change), sets.moment(change.get("valid_until")))
        return [(*whose, *what) for whose, what in held.items()]

    def page(self, start: int, limit: int) -> bytes:
        """A page of the delta: the last of each object, removes first."""
        reached = min(len(self.log), start + limit)
        last = {(change["publisher"]["id"], change["id"]): change for change in self.log[start:reached]}
        writer, pieces, key = pages.Writer(), [], b"%032d" % self.generation
        for change in sorted(last.values(), key=lambda one: one["op"]):
            row = {"reason": "", **change, "valid_from": change.get("valid_from"), "type": "indicator", "kind": None}
            if change["op"] == "upsert":
                row["sha256"] = _sha256(change)
                row["object"] = row.pop("object", {"id": change["id"]})
            pieces.append(writer.row(json.dumps(row).replace('"object": ', '"object":').encode()))
        more = reached < len(self.log)
        total = sets.SetHash()
        for publisher, stix_id, sha256, end in self.held(reached):
            total.add(sets.element(key, source=publisher, stix_id=stix_id, sha256=sha256, end=end))
        proof = {} if more else {"set_key": key.hex(), "set_count": total.count, "set_hash": total.hex}
        pieces.append(writer.trailer(f"{self.generation}:{reached}", more=more, **proof, min_wait_s=self.min_wait))
        return b"".join(pieces)

    def answer(self, path: str) -> tuple[int, dict | bytes]:
        delta = urlsplit(path).path.endswith("/delta")
        if delta and not self.proved:
            return 404, {"code": "not-found", "detail": "There is nothing here"}
        if self.broken_after is not None:
            self.broken_after -= 1
            if self.broken_after < 0:
                self.broken_after = None
                return 503, {"code": "unavailable", "detail": "Try again in a moment"}
        if self.broken:
            return self.broken.pop(0)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if delta and self.endless:
            return 200, self.endless(asked.get("cursor", ""))
        cursor = asked.get("cursor", f"{self.generation}:0")
        generation, _, place = cursor.partition(":")
        if int(generation) != self.generation:
            return 410, {"code": "start-over", "detail": "Begin again.", "request_id": "r"}
        start, limit = int(place), int(asked.get("limit", "1000"))
        if delta and self.altered:
            return 200, self.altered.pop(0)
        if delta:
            return 200, self.page(start, limit)
        changes = self.log[start : start + limit]
        reached = start + len(changes)
        return 200, {"changes": changes, "cursor": f"{self.generation}:{reached}", "more": reached < len(self.log)}

    def _write(self, op: str, publisher: str, stix_id: str, **more) -> None:
        self.log.append({"op": op, "id": stix_id, "publisher": {"id": publisher, "name": publisher.title()}, **more})


def _sha256(change: dict) -> str:
    return hashlib.sha256(json.dumps(change.get("object", {"id": change["id"]})).encode()).hexdigest()
