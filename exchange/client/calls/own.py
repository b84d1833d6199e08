"""What is the own partner's: groups, hosts, detectors, keys, the log."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exchange.client.calls import bounded
from exchange.client.calls.connection import Connection, given

if TYPE_CHECKING:
    from exchange.tokens.oprf import Evaluated


class Own(Connection):
    """Calls about these; each returns what the exchange answers."""

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

    def connections(self) -> list[dict[str, Any]]:
        """The own partner's connections to servers of others, by name; needs the scope `admin`, as all about them."""
        found: list[dict[str, Any]] = self._get("/api/v1/connections")["connections"]
        return found

    def connect(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Have the exchange pull from a server or push to one; the properties are those of `POST /connections`."""
        return self._send("POST", "/api/v1/connections", dict(wish))

    def change_connection(self, connection_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is named of a connection, its state (`active`, `paused`) among it."""
        return self._send("PATCH", f"/api/v1/connections/{connection_id}", dict(wanted))

    def run_connection(self, connection_id: str) -> dict[str, Any]:
        """Have it run within seconds."""
        return self._send("POST", f"/api/v1/connections/{connection_id}/run", {})

    def end_connection(self, connection_id: str) -> None:
        """End it; what came in stays the partner's."""
        self._call("DELETE", f"/api/v1/connections/{connection_id}")

    def detectors(self) -> list[dict[str, Any]]:
        """The own partner's detectors, by name, retired ones last."""
        found: list[dict[str, Any]] = self._get("/api/v1/detectors")["detectors"]
        return found

    def register_detector(
        self, name: str, *, version: str = "", sha256: str = "", detector_id: str = ""
    ) -> dict[str, Any]:
        """Register a detector, under a new id or one that objects name already; its `id` goes into `detector.name`."""
        wish = given(name=name, version=version, sha256=sha256, id=detector_id)
        return self._send("POST", "/api/v1/detectors", wish)

    def change_detector(self, detector_id: str, **wanted: str) -> dict[str, Any]:
        """Give a detector another `name`, `version` or `sha256`."""
        return self._send("PATCH", f"/api/v1/detectors/{detector_id}", wanted)

    def retire_detector(self, detector_id: str) -> None:
        """Let no new version name it; what names it stays."""
        self._call("DELETE", f"/api/v1/detectors/{detector_id}")

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

    def log_head(self, *, first: str = "") -> dict[str, Any]:
        """The last signed head of the log; with `first`, the proof that it extends the head of that size."""
        return self._get("/api/v1/log/head", first=first)

    def log_export(self, *, first: str = "", since: str = "", until: str = "") -> bytes:
        """The own partner's records as signed JSON Lines, for `exchange audit verify`."""
        asked = given(first=first, since=since, until=until)
        return self._call("GET", "/api/v1/log/export", params=asked, max_bytes=bounded.FILE_BYTES).content

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
        answer = self._document(self._call("POST", "/api/v1/tokens/evaluate", body=body, headers=headers))
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
