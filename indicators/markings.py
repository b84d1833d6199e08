"""A marking is what its definition says, too: a TLP stated under an id of somebody's own is not lost.

The standard's TLP ids speak for themselves, whatever an altered definition under them claims; a definition of
another id, or one that claims more, can only make a marking stricter, never weaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from indicators.models import StixObject
from indicators.stix import tlp
from indicators.stix.drafts import Draft, Unreadable
from partners.sharing import Viewer


def tightened(elements: Sequence[Draft | Unreadable], *, by: Viewer) -> Sequence[Draft | Unreadable]:
    """The batch, each object with the strictest TLP that its markings say.

    Definitions are looked for in the batch and, with one query and only where the batch names markings that are not
    the standard's, among what the publisher may see.
    """
    named = {ref.lower() for element in elements if isinstance(element, Draft) for ref in element.markings}
    if not named:
        return elements
    stated = _stated(
        (element.stix_id, element.data)
        for element in elements
        if isinstance(element, Draft) and element.stix_type == "marking-definition"
    )
    unknown = named - tlp.ALL_IDS.keys()
    if unknown:
        held = StixObject.objects.visible_to(by).filter(stix_id__in=unknown, stix_type="marking-definition")
        for stix_id, word in _stated((row.stix_id, orjson.loads(row.body)) for row in held).items():
            stated[stix_id] = _stricter(word, stated.get(stix_id))
    return (
        [_tighten(element, stated) if isinstance(element, Draft) else element for element in elements]
        if (stated)
        else elements
    )


def _stated(definitions: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    words: dict[str, str] = {}
    for stix_id, data in definitions:
        word = tlp.word_in(data)
        if word is not None:
            words[stix_id.lower()] = _stricter(word, words.get(stix_id.lower()))
    return words


def _stricter(word: str, other: str | None) -> str:
    return word if other is None else max(word, other, key=tlp.WORDS.index)


def _tighten(draft: Draft, stated: Mapping[str, str]) -> Draft:
    word = draft.tlp
    for ref in draft.markings:
        if ref.lower() in stated:
            word = _stricter(stated[ref.lower()], word)
    return draft if word == draft.tlp else replace(draft, tlp=word)
