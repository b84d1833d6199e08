"""Fixed sizes of requests to the key service: what a lab asks tells in coarse steps how many values it has.

One request holds 16, 128 or 1,000 points, filled up with random ones. A larger stock is asked about in full requests,
whose number is rounded up to one with three binary digits (1 to 8, 10, 12, 14, 16, 20, …): at most an eighth more.
"""

from __future__ import annotations

from datetime import timedelta

SIZES = (16, 128, 1_000)
#: So long before a key answers, it is published.
AHEAD = timedelta(days=1)


def batches(count: int) -> list[int]:
    """The sizes of the requests in which `count` values are asked about; none for none."""
    if count <= 0:
        return []
    small = next((size for size in SIZES if count <= size), None)
    if small is not None:
        return [small]
    return [SIZES[-1]] * _rounded(-(-count // SIZES[-1]))


def _rounded(number: int) -> int:
    step = 1 << max(0, number.bit_length() - 3)
    return -(-number // step) * step
