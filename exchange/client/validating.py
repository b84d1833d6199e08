"""What the exchange would refuse by its schemas, found before it is sent: the same schemas, words and places.

Left to the exchange are objects of version 1, and revoked versions, which end their objects even where they may not
enter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exchange.client.errors import ApiError
from exchange.stix import envelope, faults, words
from exchange.stix.faults import Fault

if TYPE_CHECKING:
    from exchange.client.api import Client

Check = Callable[[bytes], Fault | None]
_CLOSED = "closed-facts"
_FORBIDDEN = 403


def fault_of(raw: bytes, *, closed: bool) -> Fault | None:
    """What is wrong with an object's bytes; `closed` where it goes to a place of closed facts.

    What is no JSON object at all, the exchange says.
    """
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("revoked"):
        return None
    return _fault(data, closed=closed)


def _fault(data: Mapping[str, Any], *, closed: bool) -> Fault | None:
    extensions = data.get("extensions")
    found: Fault | None = None
    if isinstance(extensions, dict) and words.EXTENSION_ID in extensions:
        extension = extensions[words.EXTENSION_ID]
        if data.get("type") != "indicator":
            return faults.of_other_type()
        if isinstance(extension, dict) and extension.get("schema_version", "2") != words.SCHEMA_VERSION:
            return None
        found = faults.of_extension(extension) or envelope.check(data, extension)
    return found or (faults.of_closed(data) if closed else None)


def check_for(client: Client, *, groups: Sequence[str], partners: Sequence[str], everyone: bool) -> Check:
    """The check of what goes to an audience: asks the exchange once for the policies of the own groups."""
    closed = _is_closed(client, groups=groups, partners=partners, everyone=everyone)
    return lambda raw: fault_of(raw, closed=closed)


def _is_closed(client: Client, *, groups: Sequence[str], partners: Sequence[str], everyone: bool) -> bool:
    """Whether closed facts bind there: of several places, the strictest does. Unknown counts as not."""
    try:
        if everyone or partners:
            return bool(client.partner().get("open_policy", _CLOSED) == _CLOSED)
        if not groups:
            own = client.partner()
            default = own.get("default_audience") or {}
            if default.get("open_to_everyone") or default.get("partners"):
                return bool(own.get("open_policy", _CLOSED) == _CLOSED)
            groups = default.get("groups") or ()
        return any(one["policy"] == _CLOSED for one in client.groups() if one["slug"] in groups) if groups else False
    except ApiError as error:
        if error.status != _FORBIDDEN:  # a key that only publishes
            raise
        return False
