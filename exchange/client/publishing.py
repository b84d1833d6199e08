"""Push in batches that can be retried: what was sent, and what became of each object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from exchange.client.errors import ExchangeClientError

MAX_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that did not enter: its place in the input, and why."""

    index: int
    stix_id: str | None
    status: str
    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What STIX 2.1 says is wrong with an object that entered all the same."""

    index: int
    stix_id: str
    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference of an object that entered, to something that is not there."""

    index: int
    stix_id: str
    field: str
    ref: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object that a second person of the publisher's own looks at before anybody is told."""

    index: int
    stix_id: str


#: Where that person finds it, as every command says it.
WAITS = "waits for a second person of yours: portal, Waiting"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of an object that was to be revoked or withdrawn.

    Its status is `accepted` where it ended by that, `unchanged` where it had ended before, and else `refused`.
    """

    index: int
    stix_id: str
    status: str
    code: str
    message: str


@dataclass(slots=True)
class PublishResult:
    """What became of everything that was sent. `refusals` holds refused and quarantined objects.

    `references` are those that lead nowhere; it is filled where a report was asked for. `dropped` are revoked versions
    that ended their objects and were not kept. `ended` has each object, after `revoke` and `withdraw`.
    `stopped` is what broke between two batches, and `unanswered` are the places of what had no answer by then: the
    exchange may have taken those of the batch that was on its way, so send all again, which doubles nothing.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("accepted", "unchanged", "withdrawn", "waiting", "quarantined", "refused"), 0
        )
    )
    refusals: list[Refusal] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    dropped: list[Refusal] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)
    batches: list[str] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)
    stopped: ExchangeClientError | None = None

    @property
    def total(self) -> int:
        """How many objects were answered."""
        return sum(self.counts.values())

    @property
    def ok(self) -> bool:
        """Whether every object is now in the exchange."""
        return not self.refusals and not self.counts.get("waiting") and self.stopped is None

    def told_of_stop(self) -> dict[str, Any]:
        """For a document: what broke, and the places of what had no answer; nothing where all was answered."""
        return {} if self.stopped is None else {"stopped": str(self.stopped), "unanswered": self.unanswered}

    def add(self, answer: dict[str, Any], *, places: Sequence[int]) -> None:
        """Take in the answer to one batch; `places` says which object of the input each of its objects was."""
        self.batches.append(answer["id"])
        for status, count in answer["counts"].items():
            self.counts[status] = self.counts.get(status, 0) + count
        for reference in (
            *answer.get("report", {}).get("unresolved", ()),
            *answer.get("report", {}).get("dangling", ()),
        ):
            self.references.append(
                Reference(places[reference["index"]], reference["id"], reference["field"], reference["ref"])
            )
        for result in answer["results"]:
            for mark in result.get("marks", ()):
                self.marks.append(
                    Mark(places[result["index"]], result["id"], mark["code"], mark["field"], mark["message"])
                )
            if result["status"] in ("accepted", "unchanged"):
                self.entered.add(result["id"])
            if result["status"] == "waiting":
                self.waiting.append(Waiting(places[result["index"]], result["id"]))
            if result["status"] in ("refused", "quarantined"):
                self.refusals.append(_refusal(result, places))
            elif result.get("code") == "content-dropped":
                self.dropped.append(_refusal(result, places))

    def keep_right(
        self, placed: Iterable[Placed], check: Callable[[bytes], tuple[str, str, str] | None]
    ) -> list[Placed]:
        """Those objects that `check` finds nothing wrong with; the others are refused, as the exchange would."""
        kept = []
        for one in placed:
            fault = check(one.raw)
            if fault is None:
                kept.append(one)
                continue
            stix_id = json.loads(one.raw).get("id")
            self.counts["refused"] += 1
            self.refusals.append(Refusal(one.place, stix_id if isinstance(stix_id, str) else None, "refused", *fault))
        return kept

    def join(self, more: PublishResult) -> None:
        """Take in what became of another file."""
        for status, count in more.counts.items():
            self.counts[status] = self.counts.get(status, 0) + count
        self.refusals += more.refusals
        self.dropped += more.dropped
        self.marks += more.marks
        self.references += more.references
        self.waiting += more.waiting
        self.ended += more.ended
        self.entered |= more.entered
        self.batches += more.batches
        self.unanswered += more.unanswered
        self.stopped = self.stopped or more.stopped

    def leave_ended(self) -> None:
        """What its publisher has revoked counts as withdrawn: a table says each night what somebody took back."""
        final = [one for one in self.refusals if one.code == "revoked-is-final"]
        self.refusals = [one for one in self.refusals if one not in final]
        self.counts["refused"] -= len(final)
        self.counts["withdrawn"] += len(final)

    def add_ended(self, answer: dict[str, Any], *, places: Sequence[int]) -> None:
        """Take in the answer to one batch of ids."""
        self.add(answer, places=places)
        for result in answer["results"]:
            said = (result["status"], result.get("code", ""), result.get("message", ""))
            self.ended.append(Ended(places[result["index"]], result["id"], *said))


def _refusal(result: dict[str, Any], places: Sequence[int]) -> Refusal:
    said = (result.get(name, "") for name in ("code", "field", "message"))
    return Refusal(places[result["index"]], result.get("id"), result["status"], *said)


def loss_report(result: PublishResult) -> dict[str, Any]:
    """The report on everything that was sent, over all its batches: what one left open, another may have brought."""
    held_back = {refusal.stix_id for refusal in result.refusals if refusal.stix_id} - result.entered
    lead_nowhere = [asdict(reference) for reference in result.references if reference.ref not in result.entered]
    return {
        "counts": {**result.counts, "marked": len({(mark.index, mark.stix_id) for mark in result.marks})},
        "refused": [asdict(refusal) for refusal in result.refusals],
        "marked": [asdict(mark) for mark in result.marks],
        "unresolved": [reference for reference in lead_nowhere if reference["ref"] not in held_back],
        "dangling": [reference for reference in lead_nowhere if reference["ref"] in held_back],
        **result.told_of_stop(),
    }


def as_far_as_answered(push: Callable[[], PublishResult]) -> PublishResult:
    """The result of a push, also where it broke after some batches. Raises what broke it before the first answer."""
    try:
        return push()
    except ExchangeClientError as error:
        if error.answered is None or not error.answered.batches:
            raise
        error.answered.stopped = error
        return error.answered


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Placed:
    """An object's bytes and its place in the input."""

    place: int
    raw: bytes


def in_order(objects: Iterable[bytes]) -> list[Placed]:
    """The objects as they are to be sent: marking definitions first.

    The exchange keeps an object from its readers until it knows what its markings say, so a definition at the end of a
    long file must not come batches later.
    """
    placed = [Placed(place, raw) for place, raw in enumerate(objects)]
    return sorted(placed, key=lambda one: not _is_definition(one.raw))  # sorting keeps the order of the others


def _is_definition(raw: bytes) -> bool:
    if b"marking-definition" not in raw and b"\\u" not in raw:
        return False
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):  # the exchange says what is wrong with it
        return False
    return isinstance(read, dict) and read.get("type") == "marking-definition"


def batches(objects: Iterable[Placed], *, size: int) -> Iterator[list[Placed]]:
    """Group objects: at most `size` each, and at most 16 MiB together."""
    batch: list[Placed] = []
    weight = 0
    for one in objects:
        if batch and (len(batch) >= size or weight + len(one.raw) > MAX_BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(one)
        weight += len(one.raw)
    if batch:
        yield batch


def envelope(batch: Iterable[Placed]) -> bytes:
    """The body of one push: the objects' own bytes, joined."""
    return b'{"objects":[' + b",".join(one.raw for one in batch) + b"]}"
