"""Give memory back to the system after something large: the C library keeps what was freed, in case it is needed again.

A push of 20,000 objects makes and frees some hundred thousand small pieces; without this, each web process keeps the
places of its largest moments for ever. Only glibc knows how; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import gc

from exchange.soon import Soon

#: One trim for all that was large within so many seconds; it takes some milliseconds and no interpreter lock.
_WITHIN_S = 3.0


def _trim() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


_SOON = Soon("exchange-trim", _trim, within_s=_WITHIN_S)


def ask() -> None:
    """Have it done soon. Never raises and never waits."""
    _SOON.ask()
