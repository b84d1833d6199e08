"""A feed that behaves like the exchange's, over HTTP on the loopback address: a log, cursors, and failures on demand."""

from __future__ import annotations

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit


class FakeExchange:
    """`publish` and `remove` write the log; `broken` answers are given before good ones."""

    def __init__(self) -> None:
        self.log: list[dict] = []
        self.broken: list[tuple[int, dict]] = []
        self.asked: list[str] = []
        self.broken_after: int | None = None  # answers until none is good
        self.generation = 0
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                fake.asked.append(self.path)
                status, document = fake.answer(self.path)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
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

    def remove(self, publisher: str, stix_id: str) -> None:
        self._write("remove", publisher, stix_id, entries=[])

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

    def answer(self, path: str) -> tuple[int, dict]:
        if self.broken_after is not None:
            self.broken_after -= 1
            if self.broken_after < 0:
                self.broken_after = None
                return 503, {"code": "unavailable", "detail": "Try again in a moment"}
        if self.broken:
            return self.broken.pop(0)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        cursor = asked.get("cursor", f"{self.generation}:0")
        generation, _, place = cursor.partition(":")
        if int(generation) != self.generation:
            return 410, {"code": "start-over", "detail": "Begin again.", "request_id": "r"}
        start, limit = int(place), int(asked.get("limit", "1000"))
        changes = self.log[start : start + limit]
        reached = start + len(changes)
        return 200, {"changes": changes, "cursor": f"{self.generation}:{reached}", "more": reached < len(self.log)}

    def _write(self, op: str, publisher: str, stix_id: str, **more) -> None:
        self.log.append({"op": op, "id": stix_id, "publisher": {"id": publisher, "name": publisher.title()}, **more})
