"""The library that objects of the exchange's own are made with."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def stix2() -> Any:
    """The module `stix2`, loaded by whoever makes the first object: that takes long, and most processes make none."""
    import stix2  # noqa: PLC0415 - see above

    return stix2
