"""When beat begins what: Celery's own schedule, which does not wait for a clock to come back to where it was."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler
from structlog import get_logger

log = get_logger()


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    """Celery's, on a machine whose clock may be set back.

    Celery begins what is due by when it was last begun, and keeps that in a file: where it was begun at a time that the
    clock has not reached yet, it would not be begun until then, whatever is restarted.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Begin what is due; returns for how many seconds nothing is. What was begun in the future, was just begun."""
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at > entry.default_now()]
        if ahead:
            log.warning("beat.clock-was-set-back", count=len(ahead))
            for entry in ahead:
                entry.last_run_at = entry.default_now()
            self._heap = None  # made anew, by the clock as it is
        wait_s: float = super().tick(*args, **kwargs)
        return wait_s
