"""A breaker for each endpoint: one that fails again and again is asked less often, and its owner is told.

`delivering.conclude` notes how each attempt ended. MOST failures in succession open the breaker: news brings the next
attempt forward only once in REST, and replays wait. One message that arrives, a test too, closes it. Nothing is lost
meanwhile: the log waits, and the plan of attempts goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Least

from exchange.translating import later
from indicators.models import Delivery, Subscription
from partners import mailing
from partners.models import User
from partners.scopes import ROLE_SCOPES, Role, Scope

#: Failures in succession that open it.
MOST = 5
#: How long an endpoint is left alone after a failure, whatever news there is: of a closed breaker, and of an open one.
REST = timedelta(minutes=1)
LONG_REST = timedelta(minutes=15)
#: The counter stops here.
_ENOUGH = 1_000_000
#: People of one partner that are mailed, at most.
_MOST_PEOPLE = 20
#: What a person asked for to see whether it arrives says nothing of the endpoint where it fails.
_COUNTED = (Delivery.Kind.AGAIN, Delivery.Kind.CHANGES, Delivery.Kind.REPLAY, Delivery.Kind.START_OVER)


def rest(subscription: Subscription) -> timedelta:
    """How long its endpoint is left alone after a failure."""
    return LONG_REST if subscription.opened_at else REST


def note(ended: Sequence[tuple[Delivery, bool]], *, at: datetime) -> None:
    """Count how attempts ended, each with whether it arrived, within the transaction that writes it down.

    No query where all arrived and nothing had failed.
    """
    told = [(one, arrived) for one, arrived in ended if _is_news(one, arrived=arrived)]
    if not told:
        return
    ids = {one.subscription_id for one, _ in told}
    list(Subscription.unrestricted.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    for delivery, arrived in told:
        own = Subscription.unrestricted.filter(pk=delivery.subscription_id)
        if arrived:
            own.update(failures=0, opened_at=None)
            continue
        own.update(failures=Least(F("failures") + 1, _ENOUGH))
        if own.filter(failures__gte=MOST, opened_at=None, state=Subscription.State.ACTIVE).update(opened_at=at):
            tell(delivery.subscription, subject=_OPENED, words=_OPENED_WORDS)


def _is_news(delivery: Delivery, *, arrived: bool) -> bool:
    failed_before = bool(delivery.subscription.failures or delivery.subscription.opened_at)
    return failed_before if arrived else delivery.kind in _COUNTED


def given_up(subscription: Subscription) -> None:
    """Tell its owner that nothing more is sent until somebody resumes it."""
    tell(subscription, subject=_GIVEN_UP, words=_GIVEN_UP_WORDS)


def tell(subscription: Subscription, *, subject: str, words: str) -> None:
    """Mail those of the partner who may change it. Of the address the host alone: the rest may be a secret."""
    may = [role for role in Role if Scope.SUBSCRIBE in ROLE_SCOPES[role]]
    people = User.objects.filter(partner=subscription.partner_id, role__in=may, is_active=True).exclude(email="")
    host = urlsplit(subscription.url).hostname or ""
    text = f"{words.format(host=host, count=MOST)}\n\n{settings.BASE_URL}/subscriptions\n"
    for email in people.order_by("pk").values_list("email", flat=True)[:_MOST_PEOPLE]:
        mailing.tell(email, subject=str(subject), text=text, partner_id=subscription.partner_id)


_OPENED = later("A system of yours does not take its messages")
_OPENED_WORDS = later(
    "{count} messages in succession to {host} failed. Until one arrives it is asked less often. Nothing is lost: the"
    " next message tells all that is new.\n\nWhen it works again, send it a test: everything goes on at once."
)
_GIVEN_UP = later("A system of yours is not told any more")
_GIVEN_UP_WORDS = later(
    "Messages to {host} were given up: it says that it is gone, or it failed for 28 hours. Nothing more is sent to it."
    "\n\nWhen you resume it, it is told of everything from where it stopped."
)
