"""What did not survive a change of format: where, and why, by a code; never with a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: What is not there any more on the other side.
LOST = {
    "deleted": "It is deleted in its source.",
    "ended": "It has ended.",
    "foreign-pattern": "A pattern that is none of ours.",
    "free-text": "A free text, which indicators of ours do not carry.",
    "no-counterpart": "The format has nothing that could say it.",
    "no-phrase": "A prompt without a phrase that is tokenised.",
    "no-subkind": "No subkind of ours carries such a value.",
    "not-a-rule": "A rule that does not end.",
    "not-for-detection": "Its source says that it is not for detection (to_ids).",
    "not-of-its-form": "Not of the form of its subkind.",
    "personal": "About a person; never shared, not as a token either.",
    "proposal": "A proposal of a change, not what the event says.",
    "refused": "The exchange's schemas refuse what it would be.",
    "revoked": "It was revoked.",
    "same-name": "A file of rules has each name once; this rule has the name of one before it.",
    "too-long": "Longer than its subkind may be.",
    "unreadable": "Not what stands here in this format.",
}
#: What is there, and says less or says it otherwise.
CHANGED = {
    "audience-dropped": "Who may see it is chosen when it is published, not by its source.",
    "column-dropped": "A column that the map does not name.",
    "comment-dropped": "A comment: free text is not carried.",
    "context-dropped": "What stands around it (relations, sightings, reports, galaxies) is not carried.",
    "creator-dropped": "Who is named as its creator is not carried.",
    "cut-to-hour": "The hour is kept, the minutes are not.",
    "cut-to-second": "The second is kept, its fractions are not.",
    "detector-dropped": "A detector is its own lab's: say one of yours, with --say detector.name=….",
    "line-ends": "Each line ends with LF.",
    "marking-dropped": "A marking beside the TLP is not carried.",
    "port-dropped": "The address is kept, the port is not.",
    "quoted": "An apostrophe stands before it, so that no spreadsheet takes it for a formula.",
    "reference-dropped": "An external reference that is not of MITRE ATLAS is not carried.",
    "same-rule": "The same text was there before it.",
    "tag-dropped": "A tag that says nothing in our vocabulary.",
    "title-dropped": "The title of an event is free text, and is not carried.",
    "version-1": "It was of version 1 of our extension, and is said in the words of version 2.",
}
REASONS = LOST | CHANGED


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that was lost or changed.

    `path` is a JSON pointer into a JSON document, else `/<line>` or `/<line>/<column>`; of objects of ours their id and
    a pointer behind it. `at` is the place in the indicator that a schema refused, `why` its rule.
    """

    path: str
    code: str
    at: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        assert self.code in REASONS, self.code

    @property
    def is_lost(self) -> bool:
        """Whether nothing of it is on the other side."""
        return self.code in LOST

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        told = {"path": self.path, "code": self.code, "what": "lost" if self.is_lost else "changed"}
        return told | ({"at": self.at} if self.at else {}) | {"message": self.why or REASONS[self.code]}


def counted(losses: Iterable[Loss]) -> dict[str, int]:
    """How many of each code, by code."""
    return dict(sorted(Counter(one.code for one in losses).items()))
