"""TLP 2.0 as an ordered set: the larger the value, the fewer may see (FIRST, Traffic Light Protocol 2.0)."""

from django.db import models


class Tlp(models.IntegerChoices):
    """The five markings of TLP 2.0, from the most open to the strictest."""

    CLEAR = 0, "TLP:CLEAR"
    GREEN = 1, "TLP:GREEN"
    AMBER = 2, "TLP:AMBER"
    AMBER_STRICT = 3, "TLP:AMBER+STRICT"
    RED = 4, "TLP:RED"

    @property
    def word(self) -> str:
        """The marking as the API writes it: `clear`, `green`, `amber`, `amber+strict`, `red`."""
        return _WORDS[self]

    @classmethod
    def from_word(cls, word: str) -> "Tlp":
        """Read `word`, in any case, with or without the `TLP:` prefix. Raises ValueError for anything else."""
        bare = word.strip().lower().removeprefix("tlp:")
        for marking in cls:
            if marking.word == bare:
                return marking
        raise ValueError("not a TLP 2.0 marking")


_WORDS = {marking: marking.name.lower().replace("_", "+") for marking in Tlp}
_STORED = {int(marking): word for marking, word in _WORDS.items()}


def word_of(marking: int) -> str:
    """The word of a marking as it is stored: without making a `Tlp` of each row of a page."""
    return _STORED[marking]
