"""How other partners see the source of an object: the larger the value, the less is said (vocabulary)."""

from django.db import models


class Attribution(models.IntegerChoices):
    """From the most open to the most reserved."""

    NAMED = 0, "named"
    PSEUDONYM = 1, "pseudonym"
    EXCHANGE = 2, "exchange"

    @property
    def word(self) -> str:
        """As the vocabulary and the API write it."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> "Attribution":
        """Read `word`. Raises ValueError for anything else."""
        for attribution in cls:
            if attribution.word == word:
                return attribution
        raise ValueError("named, pseudonym or exchange")
