"""Which browsers somebody has signed in with before: so that whoever guesses at an account locks only strangers out.

A browser that signed in keeps a signed cookie for half a year: it names the person, and ends with the password. Failed
sign-ins are counted for each account in each network, and for a known browser on its own (OWASP, "Device cookies").
"""

from __future__ import annotations

import hashlib
import secrets

from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from partners.models import User

COOKIE = "exchange_browser"
_SALT = "partners.identity.trusting"  # as cookies of before were signed
_AGE_S = 180 * 24 * 3600


def remember(response: HttpResponseBase, user: User, *, secure: bool) -> None:
    """Have the browser say, the next time, that this person has signed in with it."""
    value = signing.dumps([user.pk, _ends_with(user), secrets.token_hex(8)], salt=_SALT)
    response.set_cookie(COOKIE, value, max_age=_AGE_S, path="/account/", secure=secure, httponly=True, samesite="Lax")


def browser_of(request: HttpRequest, username: str) -> str | None:
    """What names the browser, if this person has signed in with it since the password last changed; else None."""
    try:
        user_id, ends_with, name = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_AGE_S)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    user = User.objects.filter(pk=user_id, username__iexact=username).first()
    return str(name) if user is not None and ends_with == _ends_with(user) else None


def _ends_with(user: User) -> str:
    """What changes with the password."""
    return hashlib.sha256(user.get_session_auth_hash().encode()).hexdigest()[:16]
