"""What a rule of STIX is: a small pure function over one parsed object; it returns what is wrong and never raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Wrong = tuple[str, str]
Stix = Mapping[str, Any]
Rule = Callable[[Stix], Iterable[Wrong]]
