"""TLP markings of STIX objects: TLP 2.0 (FIRST; STIX 2.1 extension) and TLP 1.0 (STIX 2.1 §7.2.1.4), as words."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: From the most open to the strictest.
WORDS = ("clear", "green", "amber", "amber+strict", "red")

TLP2_IDS = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}

#: TLP 1.0 WHITE became CLEAR; AMBER of 1.0 let recipients share with clients, as AMBER of 2.0 does.
TLP1_IDS = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}

#: Of a widespread platform, which had AMBER+STRICT before the standard gave it an id.
_IDS_OF_OTHERS = {"marking-definition--826578e1-40ad-459f-bc73-ede076f81f37": "amber+strict"}

ALL_IDS = TLP1_IDS | TLP2_IDS
_WORD_OF = ALL_IDS | _IDS_OF_OTHERS
#: The markings whose TLP is known without a definition.
KNOWN_IDS = frozenset(_WORD_OF)
EXTENSION_ID = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
ID_OF = {word: marking for marking, word in TLP2_IDS.items()}


def strictest(marking_refs: Iterable[object]) -> str | None:
    """The strictest TLP among the refs; None if none of them is a TLP marking (other markings are fine).

    A UUID may be written in capitals (RFC 9562 §4): a marking must not be missed for that.
    """
    refs = [ref.lower() for ref in marking_refs if isinstance(ref, str)]
    known = [_WORD_OF[ref] for ref in refs if ref in _WORD_OF]
    return max(known, key=WORDS.index, default=None) if len(known) != 1 else known[0]


def word_in(data: Mapping[str, Any]) -> str | None:
    """The TLP that a marking definition states, under whatever id: by TLP 1's `definition` or TLP 2.0's extension.

    Where it states both, the stricter; None where it states none that can be read.
    """
    words = (stated.lower().replace("white", "clear") for stated in _stated_in(data) if isinstance(stated, str))
    return max((word for word in words if word in WORDS), key=WORDS.index, default=None)


def explains(data: Mapping[str, Any]) -> bool:
    """Whether a definition says what its marking is: a TLP that can be read, or something that is no TLP.

    One that means a TLP and does not say it as the standard does explains nothing: it must not be taken for no TLP.
    """
    if word_in(data) is not None:
        return True
    means_tlp = data.get("definition_type") == "tlp" or any(stated is not None for stated in _stated_in(data))
    return not means_tlp and says_red_at(data) is None


def says_red_at(data: Mapping[str, Any]) -> str | None:
    """The JSON pointer at which a marking definition says `TLP:RED` in words, where that is not what it states."""
    if word_in(data) == "red":
        return None
    places = ((name, data.get(name)) for name in ("name", "definition", "extensions"))
    return next((at for name, value in places for at, text in _texts(value, f"/{name}") if is_red(text)), None)


def is_red(text: str) -> bool:
    """Whether a text is exactly `TLP:RED`, in any case, with or without blanks."""
    return len(text) <= _MAX_RED_CHARS and _RED.fullmatch(unicodedata.normalize("NFKC", text)) is not None


_MAX_RED_CHARS = 40
_RED = re.compile(r"\s*tlp\s*:\s*red\s*", re.IGNORECASE)


def _stated_in(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """What stands where a TLP is stated: in TLP 2.0's extension, and in TLP 1's `definition`."""
    extensions, definition = data.get("extensions"), data.get("definition")
    extension = extensions.get(EXTENSION_ID) if isinstance(extensions, dict) else None
    return (
        extension.get("tlp_2_0") if isinstance(extension, dict) else None,
        definition.get("tlp") if isinstance(definition, dict) else None,
    )


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Every string at any depth (the parser bounds it). A pointer leaves out names that are no plain words."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{pointer}/{name}" if _PLAIN.fullmatch(name) else pointer)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{pointer}/{place}")


_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,250}")
