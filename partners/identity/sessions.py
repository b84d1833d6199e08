"""Django's sessions in a table of our own, so that people can see where they are signed in, and end it.

This module is the session engine (SESSION_ENGINE), and the only writer of Session. A session that is ended is a row
that is gone: the next request with its cookie is nobody's.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import datetime, timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest

from exchange import clock
from exchange.origins import is_operators, origin_of
from partners.log import audit
from partners.models import Partner, Session, User
from partners.viewer import Viewer

_ABOUT = "_about"
_SEEN_GRAIN = timedelta(minutes=5)
#: What a browser calls itself, the first that fits: others name these, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


class SessionStore(DatabaseStore):
    """The session engine: beside the data, whose session it is and from where, for its person to see."""

    @classmethod
    def get_model_class(cls) -> Any:
        """Our own table."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """The row for what the session holds now."""
        row: Any = super().create_model_instance(data)
        about = data.get(_ABOUT, {})
        row.handle = handle_of(row.session_key)
        row.user_id = data.get(SESSION_KEY)
        row.browser = about.get("browser", "")
        row.network = about.get("network", "")
        if about:
            row.started_at = datetime.fromisoformat(about["started"])
            row.seen_at = datetime.fromisoformat(about["seen"])
        return row


def handle_of(session_key: str) -> str:
    """What names a session without being good for anything."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:32]


def begin(request: HttpRequest) -> None:
    """Note where somebody has just signed in from; forget the sessions that have run out."""
    moment = clock.now()
    Session.objects.filter(expire_date__lt=moment).delete()
    request.session[_ABOUT] = {
        "browser": browser_of(request.headers.get("User-Agent", "")),
        "network": network_of(get_adapter(request).get_client_ip(request)),
        "started": moment.isoformat(),
        "seen": moment.isoformat(),
    }


def is_open(request: HttpRequest) -> bool:
    """Whether the request's session is still there: it may have been ended while the request waited."""
    return Session.objects.filter(session_key=request.session.session_key, expire_date__gt=clock.now()).exists()


def touch(request: HttpRequest) -> None:
    """Note that a session is in use, every few minutes."""
    about, moment = request.session.get(_ABOUT), clock.now()
    if about and datetime.fromisoformat(about["seen"]) < moment - _SEEN_GRAIN:
        request.session[_ABOUT] = about | {"seen": moment.isoformat()}


def of(user: User) -> list[Session]:
    """The open sessions of a person, the last used first."""
    return list(user.sessions.filter(expire_date__gt=clock.now()).order_by("-seen_at", "session_key"))


def end(user: User, *, by: Viewer, handle: str = "", keep: str | None = None) -> int:
    """End one session of a person, or all but the one with the key `keep`; returns how many there were."""
    rows = Session.objects.filter(user=user)
    if handle:
        rows = rows.filter(handle=handle)
    if keep is not None:
        rows = rows.filter(~Q(session_key=keep))
    with transaction.atomic():
        ended, _ = rows.delete()
        if ended:
            audit.record(audit.Verb.SESSIONS_ENDED, by=by, target=f"user:{user.pk}", sessions=ended)
    return ended


def browser_of(user_agent: str) -> str:
    """The families of browser and system, as far as a browser says so."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "Unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


def network_of(address: str) -> str:
    """The network of an address: enough to know one's own again, too little to find a person."""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def is_elsewhere(request: HttpRequest, viewer: Viewer) -> bool:
    """Whether it is one of the operator's people, from where none of them is let in (OPERATOR_NETWORKS)."""
    return viewer.kind == Partner.Kind.OPERATOR and not is_operators(origin_of(request))
