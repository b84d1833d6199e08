"""Other formats to and from indicators of ours (MISP, NOVA, CSV), for client and server. Pure, with a loss report.

An importer gives what it `Found`, in raw form: tokens are made by whoever may know the values, which is the client.
An exporter takes objects as they are read, and gives bytes piece by piece. Both name each `Loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from exchange.formats import misp, nova, table
from exchange.formats.losses import Loss

Writer = Callable[[Iterable[Mapping[str, Any]], Callable[[Loss], None]], Iterator[bytes]]
#: What indicators can be written as: the writer and its media type.
FORMS: dict[str, tuple[Writer, str]] = {
    "csv": (table.write, table.MEDIA_TYPE),
    "misp": (misp.write, misp.MEDIA_TYPE),
    "nova": (nova.write, nova.MEDIA_TYPE),
}


def writer_of(form: str) -> Writer | None:
    """The writer of a format, if there is one."""
    found = FORMS.get(form)
    return None if found is None else found[0]
