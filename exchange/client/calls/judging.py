"""Judge: opinions, sightings, appeals, and what one's own objects were good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.client.calls.connection import Connection, given


class Judging(Connection):
    """Judge: opinions, sightings, appeals, and what one's own objects were good for."""

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

    def report_sighting(
        self, stix_id: str, *, count: int = 1, first_seen: str = "", last_seen: str = ""
    ) -> dict[str, Any]:
        """Say that the own partner saw somebody else's object; the exchange keeps a power of ten and full hours."""
        said = {"count": count, **given(first_seen=first_seen, last_seen=last_seen)}
        return self._send("POST", f"/api/v1/objects/{stix_id}/sightings", said)

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
