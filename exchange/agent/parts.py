"""What of a store is listed and looked up: of one kind, and as sure as the feed's settings ask."""

from __future__ import annotations

from typing import NamedTuple

from exchange.agent.policy import Statement


class Part(NamedTuple):
    """Of all kinds where none is said. What says no confidence is below every floor but 0, which is none."""

    kind: str = ""
    min_confidence: int = 0

    def has(self, one: Statement) -> bool:
        """Whether a statement is in it."""
        return self.takes(one.said.kind, one.said.confidence)

    def takes(self, kind: str, confidence: int | None) -> bool:
        """The same of a kind and a confidence."""
        return self.kind in {"", kind} and (self.min_confidence == 0 or (confidence or 0) >= self.min_confidence)
