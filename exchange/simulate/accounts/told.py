"""What story is told: how many accounts and operators, how payment is seen, who is blind and who lies. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LABS = ("aster", "borealis", "cygnus", "dorado", "eridanus")
#: Accounts in all, and how many of these are operators', as the reports have it at full size.
SIZES = {
    "tiny": (2_100, 120),
    "demo": (3_000, 300),
    "21k": (21_000, 500),
    "65k": (65_000, 1_600),
    "205k": (205_000, 5_000),
    "1025k": (1_025_000, 25_000),
}


class Format(StrEnum):
    """How a lab's accounts are written."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    CSV = "csv"


class Payment(StrEnum):
    """Whether a card looks the same at every lab (a payment account reference) or is a provider's own at each."""

    GLOBAL = "global"
    PER_LAB = "per-lab"


class Lie(StrEnum):
    """What the lying lab invents."""

    NONE = ""
    POPULAR = "popular"
    COMPANIES = "companies"
    GLUE = "glue"


@dataclass(frozen=True, slots=True)
class Told:
    """What story is told."""

    accounts: int = 21_000
    fraudulent: int = 500
    seed: int = 1
    payment: Payment = Payment.GLOBAL
    flags: float = 1.0
    blind: tuple[str, ...] = ()
    careful: bool = False
    lie: Lie = Lie.NONE
    liar: str = "eridanus"
    prompts: bool = True
    operators: int = 0

    @property
    def campaigns(self) -> int:
        """How many operators there are."""
        return self.operators or max(2, round(self.fraudulent / 1_700))
