"""Before something of weight is changed: has the person said, lately, who they are? And how often may one try?"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.core.internal import ratelimit
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext

from exchange.errors import Forbidden, TooMany
from partners.models import SignOn, User
from partners.viewer import Viewer

View = Callable[Concatenate[HttpRequest, Viewer, ...], HttpResponseBase]


def confirmed(view: View) -> View:
    """Inside `page`: whoever changes something here has just signed in or confirms who they are first.

    The change then goes on by itself; only somebody who confirms at their identity provider alone does it again.
    """

    @wraps(view)
    def asking(request: HttpRequest, viewer: Viewer, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            require(request)
        return view(request, viewer, *args, **kwargs)

    return asking


def require(request: HttpRequest) -> None:
    """Have the person confirm who they are, unless they lately have. Raises what allauth's middleware answers."""
    if recently(request):
        return
    if get_reauthentication_flows(person(request)):
        raise ReauthenticationRequired
    raise ImmediateHttpResponse(HttpResponseRedirect(where(request, request.path)))


def recently(request: HttpRequest) -> bool:
    """Whether the person has said within the last minutes who they are."""
    said = [record for record in get_authentication_records(request, person(request)) if record.get("reauthenticated")]
    return bool(said) and time.time() - float(said[-1]["at"]) < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def where(request: HttpRequest, back: str) -> str:
    """The page on which this person confirms who they are. Raises Forbidden where there is no way to."""
    user, query = person(request), urlencode({"next": back})
    if get_reauthentication_flows(user):
        return f"{reverse('account_reauthenticate')}?{query}"
    sign_on = SignOn.objects.filter(partner=user.partner_id).first()
    if sign_on is None:
        raise Forbidden(
            gettext("You have no way to confirm who you are: ask your partner's admin."), code="unconfirmed"
        )
    return f"{reverse('sign-on', args=[sign_on.pk])}?{query}"


def person(request: HttpRequest) -> User:
    """Who is signed in; `page` has seen to it."""
    if not isinstance(request.user, User):
        raise TypeError("nobody is signed in")
    return request.user


def within(request: HttpRequest, action: str, *, key: str) -> bool:
    """Count something against ACCOUNT_RATE_LIMITS under a name of its own; whether it is within them."""
    return bool(ratelimit.consume(request, app="allauth.account", action=action, key=key, limit_get=True))


def limit(request: HttpRequest, action: str, *, user: User | None = None) -> None:
    """Count an attempt against ACCOUNT_RATE_LIMITS, in PostgreSQL. Raises TooMany."""
    counted = ratelimit.consume(request, app="allauth.account", action=action, user=user, limit_get=True)
    if not counted:
        raise TooMany(gettext("That was tried too often. Wait a minute."), retry_after_s=60)
