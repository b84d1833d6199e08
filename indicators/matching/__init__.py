"""Find what partners have in common. The parts of this package are verbs; `hint` wakes them."""

from indicators.matching.tokens import catch_up, hint

__all__ = ["catch_up", "hint"]
