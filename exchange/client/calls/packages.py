"""Report packages: what was released to the own partner, who is given some, and when drafts are put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.client.calls import bounded
from exchange.client.calls.connection import Connection


class Packages(Connection):
    """Report packages: what was released to the own partner, who is given some, and when drafts are put together."""

    def reports(self) -> list[dict[str, Any]]:
        """What was released to the own partner and can be opened, newest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/reports")["reports"]
        return found

    def report_package(self, report_id: str) -> bytes:
        """One of them, as a zip for `exchange audit verify`. Raises ApiError, `not-sealed-yet` in its first minute."""
        path = f"/api/v1/reports/{report_id}/package"
        return self._call("GET", path, max_bytes=bounded.FILE_BYTES).content

    def recipients(self) -> list[dict[str, Any]]:
        """Who is given report packages, by name, each with its terms."""
        found: list[dict[str, Any]] = self._get("/api/v1/recipients")["recipients"]
        return found

    def record_terms(self, partner: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Record terms of a partner, with a key of the operator's; properties as `POST …/terms` has them."""
        return self._send("POST", f"/api/v1/operator/partners/{partner}/terms", dict(wish))

    def end_terms(self, partner: str, terms_id: str, *, why: str) -> dict[str, Any]:
        """End them now, with a key of the operator's."""
        return self._send("POST", f"/api/v1/operator/partners/{partner}/terms/{terms_id}/end", {"why": why})

    def report_schedules(self) -> list[dict[str, Any]]:
        """The own partner's schedules, by name; needs the scope `publish`, as all about them."""
        found: list[dict[str, Any]] = self._get("/api/v1/report-schedules")["schedules"]
        return found

    def make_report_schedule(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Have a draft put together each week or month; properties as `POST /report-schedules` has them."""
        return self._send("POST", "/api/v1/report-schedules", dict(wish))

    def change_report_schedule(self, schedule_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is named of a schedule, its state (`active`, `paused`) among it."""
        return self._send("PATCH", f"/api/v1/report-schedules/{schedule_id}", dict(wanted))

    def end_report_schedule(self, schedule_id: str) -> None:
        """No draft comes of it any more."""
        self._call("DELETE", f"/api/v1/report-schedules/{schedule_id}")
