"""Let in again whoever has forgotten the password: by a link to the address that the person was invited at.

Whatever name is typed, the request writes one row and says one sentence; a worker looks whose it is. The link is good
once, for half an hour, and until the person signs in or changes the password (Django's token generator). It ends all
sessions, takes no second factor away, and signs nobody in.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext

from exchange.errors import NotFound, Refused, Unauthenticated
from partners import locks, mailing
from partners.identity import sessions
from partners.keys.auth import viewer_of_user
from partners.log import audit
from partners.models import User

LIFE = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
_MAX_CHARS = 254
#: People who share an address, each with an account of their own.
_MOST_PEOPLE = 5


class NoLink(NotFound):
    """The link is good for nothing; why, is not said."""


def ask(typed: str) -> None:
    """Have the link mailed to whoever this user name or address is of, if it is anybody's."""
    mailing.ask_later("password-reset", typed.strip()[:_MAX_CHARS] or "-", kept=LIFE)


def mail_links(typed: str) -> None:
    """Mail a link to each active person of this user name or address; they are few."""
    people = User.objects.filter(Q(username__iexact=typed) | Q(email__iexact=typed), is_active=True)
    for user in people.exclude(email="").order_by("pk")[:_MOST_PEOPLE]:
        _mail_link(user)


mailing.writes("password-reset", mail_links)


@transaction.atomic
def _mail_link(user: User) -> None:
    try:
        viewer = viewer_of_user(user)
    except Unauthenticated:  # the partner takes no part
        return
    if not user.has_usable_password():
        ways = "It has no password: you sign in with a passkey, or through your partner's sign-on.\n"
    else:
        audit.record(audit.Verb.PASSWORD_RESET_ASKED, by=None, about=viewer.partner_id, target=f"user:{user.pk}")
        token = f"{user.pk}-{default_token_generator.make_token(user)}"
        ways = gettext(
            "Open this link within {minutes} minutes to choose another password. It is good once, and your second"
            " factor is asked for as ever:\n\n{link}\n"
        ).format(
            minutes=LIFE.seconds // 60,
            link=f"{settings.BASE_URL}{reverse('password-reset-link')}?{urlencode({'token': token})}",
        )
    mailing.tell(
        user.email,
        subject=gettext("Your password at the exchange"),
        text=gettext(
            "Somebody, we hope you, asked for another password of your account {username} at the exchange.\n\n"
            "{ways}\nIf it was not you, do nothing: nothing has changed.\n"
        ).format(username=user.username, ways=ways),
        partner_id=user.partner_id,
    )


def find(token: str) -> User:
    """Whose link it is. Raises NoLink."""
    number, _, rest = token.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise NoLink
    user = User.objects.filter(pk=int(number), is_active=True).first()
    if user is None or not user.has_usable_password() or not default_token_generator.check_token(user, rest):
        raise NoLink
    try:
        viewer_of_user(user)
    except Unauthenticated:
        raise NoLink from None
    return user


def reset(token: str, *, password: str) -> None:
    """Use the link up: another password, and every session ends. Raises NoLink, Refused.

    Alone among the acts of the person's partner: what was under way in a session is written before, or finds its
    session ended and writes nothing.
    """
    user = find(token)
    try:
        validate_password(password, user)
    except ValidationError as refused:
        raise Refused(" ".join(refused.messages), code="weak-password", at="/password") from None
    with transaction.atomic():
        locks.acts_alone(viewer_of_user(user).partner_id)
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        user = find(token)  # as it is now: two who hold the link must not both succeed
        viewer = viewer_of_user(user)
        user.set_password(password)
        user.save(update_fields=["password"])
        audit.record(audit.Verb.PASSWORD_RESET, by=viewer, target=f"user:{user.pk}")
        sessions.end(user, by=viewer)
        mailing.tell(
            user.email,
            subject=gettext("Your password has changed"),
            text=gettext(
                "The password of your account {username} at the exchange was changed by a link that was mailed to this"
                " address.\n\nIf this was not you, tell your partner's admin now.\n"
            ).format(username=user.username),
            partner_id=user.partner_id,
        )
