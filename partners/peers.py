"""Whose share of a web process a request is of: asked by the web server before it reads a body (`exchange.front`).

Only what the holder of a key or of a session may take up is decided here, never what they may see: that is asked anew
with each request. The people of a partner share one share, its keys another: a pipeline does not keep its analysts
waiting, and neither do strangers.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple
from uuid import UUID

from django.http import HttpRequest

from exchange import clock
from exchange.memory import Memory
from exchange.origins import origin_of
from partners import keys
from partners.keys import auth
from partners.models import ApiKey, Partner, Session

#: For so long a key or a session counts as its partner's without being asked about again.
_SECONDS = 60.0
_KNOWN: Memory[bytes, tuple[UUID, float]] = Memory(most=4_096)


class People(NamedTuple):
    """Those of a partner who are signed in."""

    partner: UUID


_SIGNED_IN: Memory[bytes, tuple[People, float]] = Memory(most=4_096)


def known(authorization: str) -> UUID | None:
    """Whose key it is, where that was asked within the last minute."""
    found = _KNOWN.get(_digest(authorization))
    return found[0] if found is not None and found[1] > time.monotonic() else None


def ask(request: HttpRequest) -> UUID | None:
    """Whose key the request came with, if it may be used from there; one query. Nothing is counted or written."""
    authorization = request.META.get("HTTP_AUTHORIZATION", "")
    presented = auth.key_in(authorization) or ""
    public_id = keys.public_id_of(presented)
    key = ApiKey.objects.select_related("partner").filter(public_id=public_id).first() if public_id else None
    if key is None or not hmac.compare_digest(bytes(key.digest), keys.digest(presented)):
        return None
    if not keys.is_usable(key, origin=origin_of(request), at=clock.now()):
        return None
    _KNOWN.put(_digest(authorization), (key.partner_id, time.monotonic() + _SECONDS))
    return key.partner_id


def known_people(session_key: str) -> People | None:
    """Whose session it is, where that was asked within the last minute."""
    found = _SIGNED_IN.get(_digest(session_key))
    return found[0] if found is not None and found[1] > time.monotonic() else None


def ask_people(session_key: str) -> People | None:
    """Whose session it is, if somebody is signed in with it; one query."""
    partner = (
        Session.objects.filter(session_key=session_key, expire_date__gt=clock.now(), user__is_active=True)
        .filter(user__partner__state=Partner.State.ACTIVE)
        .values_list("user__partner", flat=True)
        .first()
    )
    if partner is None:
        return None
    people = People(partner)
    _SIGNED_IN.put(_digest(session_key), (people, time.monotonic() + _SECONDS))
    return people


def _digest(secret: str) -> bytes:
    """Not the key itself: memory is read by others sooner than one thinks."""
    return hashlib.sha256(secret.encode("latin-1", "replace")).digest()
