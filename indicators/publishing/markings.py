"""A marking is what its definition says: a TLP stated under an id of somebody's own is not lost.

The standard's TLP ids speak for themselves, whatever an altered definition under them claims. Of any other marking the
publisher's own definitions say what it is, and several, or a corrected one, can only make it stricter. A marking that
its publisher has not defined leads nowhere: its object is as RED until the definition comes (`rejudging`). What others
define under the same id counts for nothing: nobody marks, or unmarks, what somebody else publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from msgspec.structs import replace

from exchange.sql import Message
from indicators.stix import tlp
from indicators.stix.drafts import Draft, Refusal, Revocation, Unreadable

#: A definition that a publisher holds: its id, its bytes, whether it is withdrawn.
Row = tuple[str, str, bool]


@dataclass(slots=True)
class Definitions:
    """What a publisher's definitions say: the TLP by marking, in lower case, and which markings are explained."""

    words: dict[str, str] = field(default_factory=dict)
    explained: set[str] = field(default_factory=set)

    def add(self, stix_id: str, data: Mapping[str, Any], *, withdrawn: bool = False) -> None:
        """Take in a definition. A withdrawn one explains nothing any more, but what it said is not weakened."""
        marking, word = stix_id.lower(), tlp.word_in(data)
        if word is not None:
            self.words[marking] = _stricter(word, self.words.get(marking))
        if not withdrawn and tlp.explains(data):
            self.explained.add(marking)


def named(elements: Iterable[Draft | Unreadable | Revocation]) -> list[str]:
    """The markings that are named and not the standard's, as written and in lower case; sorted."""
    refs = {ref for element in elements if isinstance(element, Draft) for ref in element.markings}
    own = {ref for ref in refs if ref.lower() not in tlp.KNOWN_IDS}
    return sorted(own | {ref.lower() for ref in own})


def held(publisher_id: UUID, markings: Sequence[str]) -> list[Row]:
    """The definitions that the publisher holds of these markings, all versions. One query, and none of none."""
    if not markings:
        return []
    message = Message()
    found = message.add(_DEFINED, [publisher_id, list(markings)])
    message.send()
    return list(found.rows)


class Known:
    """The definitions that the publisher holds of the markings which a batch names, as it is judged by them."""

    def __init__(self, publisher_id: UUID, markings: Sequence[str]) -> None:
        self._publisher_id, self._markings = publisher_id, markings
        self.rows = held(publisher_id, markings)

    def still(self, message: Message) -> Callable[[], bool]:
        """Returns a callable; call it after `message` is sent: whether they are the same behind the lock."""
        if not self._markings:
            return lambda: True
        found = message.add(_DEFINED, [self._publisher_id, list(self._markings)])
        return lambda: found.rows == self.rows


_DEFINED = """
SELECT h.stix_id, o.body, a.use = 'withdrawn' OR coalesce(x.hidden_from = 'all', false)
FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
JOIN indicators_stixobject o ON o.holding_id = h.id
LEFT JOIN indicators_hidden x ON x.version_id = o.id
WHERE h.publisher_id = %s AND h.stix_id = ANY(%s) AND h.stix_type = 'marking-definition'
ORDER BY o.id
"""


def defined(rows: Iterable[Row], elements: Iterable[Draft | Unreadable | Revocation] = ()) -> Definitions:
    """What these definitions say, those of a batch and those that are held."""
    found = Definitions()
    for stix_id, body, withdrawn in rows:
        found.add(stix_id, orjson.loads(body), withdrawn=withdrawn)
    for element in elements:
        if isinstance(element, Draft) and element.stix_type == "marking-definition":
            found.add(element.stix_id, element.data)
    return found


def tightened(
    elements: Sequence[Draft | Unreadable | Revocation], definitions: Definitions
) -> Sequence[Draft | Unreadable | Revocation]:
    """The batch, each object with the strictest TLP that its markings say, and with those that lead nowhere."""
    return [
        tighten(element, definitions) if isinstance(element, Draft) and element.markings else element
        for element in elements
    ]


def tighten(draft: Draft, definitions: Definitions) -> Draft:
    """The same for one object."""
    refs = {ref.lower() for ref in draft.markings}
    word = draft.tlp
    for ref in refs:
        if ref in definitions.words:
            word = _stricter(definitions.words[ref], word)
    unresolved = tuple(sorted(refs - tlp.KNOWN_IDS - definitions.explained))
    if word == draft.tlp and not unresolved:
        return draft
    return replace(draft, tlp=word, unresolved=unresolved)


def note(draft: Draft) -> tuple[Refusal, ...]:
    """What its publisher is told of an object that waits for a definition; it breaks nothing, so it is no mark."""
    return (_UNRESOLVED,) if draft.unresolved else ()


_UNRESOLVED = Refusal(
    "marking-unresolved",
    "/object_marking_refs",
    "You have not sent the definition of a marking that it names. Until you do, it is as TLP:RED: only partners that"
    " this push names see it.",
)


def _stricter(word: str, other: str | None) -> str:
    return word if other is None else max(word, other, key=tlp.WORDS.index)
