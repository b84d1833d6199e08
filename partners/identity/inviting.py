"""Invite people and partners, and let them in. Writes Invitation; `keys.revoke` ends those that a key has sent.

An invitation is a link with 256 random bits, of which the digest is stored. It is good once, for seven days, while
the person or key that sent it is active and nobody has withdrawn it. A link that is wrong, used, withdrawn or too old
is the same thing to whoever holds it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused, TooMany
from partners import mailing
from partners.groups import life
from partners.groups.registering import register_user
from partners.keys import auth
from partners.log import audit
from partners.models import ApiKey, Invitation, Partner, User
from partners.scopes import Role, Scope, rights_of
from partners.viewer import Viewer

LIFE = timedelta(days=7)
_MAX_PENDING = 100
#: How many a partner sends within an hour, in all and to one address: each is a mail that leaves from here.
_MOST_IN_AN_HOUR, _MOST_TO_ONE_ADDRESS = 100, 5
_HOUR = timedelta(hours=1)
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,59}")


class NoInvitation(NotFound):
    """The link is good for nothing; why, is not said."""


def require_reach(viewer: Viewer, role: Role) -> None:
    """Raise Forbidden for a role that may do what the viewer may not: nobody gives a role above their own.

    People are of all groups of their partner, so a key for some of them makes, changes and ends none.
    """
    viewer.require_all_groups()
    if not rights_of(role, kind=viewer.kind) <= viewer.scopes:
        raise Forbidden("This role may do more than you may.", code="above-you")


def invite(viewer: Viewer, *, email: str, role: Role) -> tuple[Invitation, str]:
    """Invite somebody into the viewer's own partner; the second value is the link: mailed, shown once, not stored.

    A new invitation to the same address takes the place of the old one. Raises Forbidden, also where the old one is
    into a role that may do more than the viewer may; Refused; TooMany.
    """
    viewer.require(Scope.ADMIN)
    require_reach(viewer, role)
    with transaction.atomic():
        partner = Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        replaced = _usable().filter(partner=partner, email__iexact=email.strip())
        for of_old in replaced.values_list("role", flat=True):
            require_reach(viewer, Role(of_old))
        return _invite(viewer, partner, email=email, role=role)


def invite_partner(
    viewer: Viewer, *, name: str, slug: str, kind: Partner.Kind, email: str
) -> tuple[Partner, Invitation, str]:
    """The operator registers a partner, which takes part once its first admin has accepted the invitation.

    Raises NotFound for everybody but the operator, Refused, Conflict.
    """
    with transaction.atomic():
        partner = life.invite_partner(name, slug, kind, viewer)
        return partner, *_invite(viewer, partner, email=email, role=Role.ADMIN)


def invite_operator(*, name: str, slug: str, email: str) -> tuple[Partner, Invitation, str]:
    """Make the operator of an empty exchange, and invite its first admin; what was open before is withdrawn.

    For a command on the machine alone: it asks for no viewer. Raises Refused; Conflict once the operator has its admin.
    """
    with transaction.atomic():
        operator = life.register_operator(name, slug)
        return operator, *_invite_first_admin(auth.viewer_of_command(operator), operator, email=email)


def invite_first_admin(viewer: Viewer, partner_id: UUID, *, email: str) -> tuple[Partner, Invitation, str]:
    """The operator invites an admin into a partner that has none; what was open before is withdrawn.

    That is a partner whose first admin has not come yet, or whose last admin was deactivated. Whoever has an admin
    invites its own people. Raises NotFound for everybody but the operator and for a partner that has an admin, Refused.
    """
    life.require_operator_or_key(viewer)
    with transaction.atomic():
        takes_part = (Partner.State.INVITED, Partner.State.ACTIVE)
        found = Partner.objects.select_for_update(no_key=True).filter(pk=partner_id, state__in=takes_part)
        partner = found.exclude(users__in=User.objects.filter(is_active=True, role=Role.ADMIN)).first()
        if partner is None:
            raise NotFound("Only into a partner that takes part and has no admin: an admin invites the others.")
        return partner, *_invite_first_admin(viewer, partner, email=email)


def _invite_first_admin(viewer: Viewer, partner: Partner, *, email: str) -> tuple[Invitation, str]:
    _revoke(Invitation.objects.filter(partner=partner), by=viewer)
    return _invite(viewer, partner, email=email, role=Role.ADMIN)


def pending(viewer: Viewer) -> QuerySet[Invitation]:
    """The open invitations into the viewer's own partner, the newest first."""
    viewer.require(Scope.ADMIN)
    return _usable().filter(partner=viewer.partner_id).select_related("invited_by").order_by("-created_at", "pk")


def revoke(viewer: Viewer, invitation_id: UUID) -> None:
    """Withdraw an open invitation into the viewer's own partner. Raises NotFound, Forbidden as `invite`."""
    viewer.require(Scope.ADMIN)
    found = Invitation.objects.filter(pk=invitation_id, partner=viewer.partner_id)
    for role in found.values_list("role", flat=True):
        require_reach(viewer, Role(role))
    if not _revoke(found, by=viewer):
        raise NotFound


def revoke_those_of(user: User, *, by: Viewer) -> None:
    """Withdraw what somebody has invited who no longer may."""
    _revoke(Invitation.objects.filter(invited_by=user), by=by)


def find(token: str) -> Invitation:
    """The invitation behind a link. Raises NoInvitation."""
    found = _usable().filter(digest=_digest(token)).select_related("partner").first()
    if found is None:
        raise NoInvitation
    return found


def sign_in_name(partner: Partner, typed: str) -> str:
    """What somebody of `partner` signs in as: `name@slug`, where they typed the name alone, too.

    Names are the partner's own, so that whoever chooses one learns nothing of other partners' people.
    Raises Refused for what cannot be a name, Conflict for one that somebody of this partner has.
    """
    name, _, slug = typed.partition("@")
    if not _USERNAME.fullmatch(name) or slug not in {"", partner.slug}:
        message = f"3 to 60 small letters, digits, dots, hyphens, underscores; then @{partner.slug}, or nothing."
        raise Refused(message, code="bad-username", at="/username")
    username = f"{name}@{partner.slug}"
    if User.objects.filter(username__iexact=username).exists():
        raise _taken()
    return username


def suggested_name(invitation: Invitation) -> str:
    """A name for the invited person, after their e-mail address; "" where that gives none."""
    name = re.sub(r"[^a-z0-9._-]", "", invitation.email.lower().partition("@")[0]).lstrip("._-")[:60]
    return f"{name}@{invitation.partner.slug}" if _USERNAME.fullmatch(name) else ""


def _taken() -> Conflict:
    return Conflict("Somebody of your partner has this name: choose another.", code="username-taken", at="/username")


def accept(token: str, *, username: str, password: str) -> User:
    """Let the invited person in, with a user name and a password. Raises NoInvitation, Refused, Conflict."""
    invitation = find(token)
    username = sign_in_name(invitation.partner, username)
    try:
        validate_password(password, User(username=username.partition("@")[0], email=invitation.email))
    except ValidationError as refused:
        raise Refused(" ".join(refused.messages), code="weak-password", at="/password") from None
    return _let_in(invitation.pk, username=username, password=password)


def accept_by_sign_on(invitation_id: UUID, *, partner_id: UUID, username: str) -> User:
    """Let the invited person in, who has just signed in at the partner's issuer. Raises NoInvitation, Conflict."""
    invitation = _usable().filter(pk=invitation_id, partner=partner_id).select_related("partner").first()
    if invitation is None:
        raise NoInvitation
    username = sign_in_name(invitation.partner, username)
    return _let_in(invitation_id, username=username, password=None)


def _let_in(invitation_id: UUID, *, username: str, password: str | None) -> User:
    """One transaction: the invitation is used up, or nothing has happened."""
    try:
        with transaction.atomic():
            sent = Invitation.objects.filter(pk=invitation_id)
            partner = Partner.objects.select_for_update(no_key=True).filter(pk__in=sent.values("partner")).first()
            # Held before the invitation, as `keys.revoke` does: once a revocation is answered, nobody comes in.
            ApiKey.objects.select_for_update(no_key=True).filter(pk__in=sent.values("invited_by_key")).first()
            invitation = _usable().select_for_update(of=("self",)).filter(pk=invitation_id).first()
            if partner is None or invitation is None:
                raise NoInvitation
            user = register_user(
                partner, username=username, email=invitation.email, password=password, role=invitation.role
            )
            Invitation.objects.filter(pk=invitation.pk).update(accepted_at=clock.now(), accepted_by=user)
            if partner.state == Partner.State.INVITED:
                life.activate(partner)
            audit.record(
                audit.Verb.INVITATION_ACCEPTED,
                by=auth.viewer_of_user(user),
                target=f"invitation:{invitation.pk}",
                role=invitation.role,
            )
            return user
    except IntegrityError:  # somebody took the name in this very moment
        raise _taken() from None


def _invite(viewer: Viewer, partner: Partner, *, email: str, role: Role) -> tuple[Invitation, str]:
    email = email.strip()
    try:
        MaxLengthValidator(254)(email)
        validate_email(email)
    except ValidationError:
        raise Refused("This is no e-mail address.", code="bad-email", at="/email") from None
    _require_few(partner, email)
    open_ones = _usable().filter(partner=partner)
    _revoke(Invitation.objects.filter(partner=partner, email__iexact=email), by=viewer)
    if open_ones.count() >= _MAX_PENDING:
        raise Refused(f"At most {_MAX_PENDING} open invitations.", code="too-many-invitations")
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        partner=partner,
        email=email,
        role=role,
        digest=_digest(token),
        invited_by_id=_person(viewer),
        invited_by_key_id=_key(viewer),
        expires_at=clock.now() + LIFE,
    )
    target = f"invitation:{invitation.pk}"
    audit.record(audit.Verb.INVITATION_SENT, by=viewer, target=target, partner=partner.slug, role=role.value)
    link = f"{settings.BASE_URL}{reverse('invitation')}?{urlencode({'token': token})}"
    mailing.tell(
        email,
        subject=gettext("You are invited to the exchange by {inviter}").format(inviter=viewer.partner_name),
        text=gettext(
            "{inviter} invites you to take part in the exchange for {partner}, as {role}.\n\nOpen this link before"
            " {until} UTC. It is good once, and for you only:\n\n{link}\n\nIf you do not expect this, do nothing.\n"
        ).format(
            inviter=viewer.partner_name,
            partner=partner.name,
            role=role.label.lower(),
            until=date_format(invitation.expires_at, "d F Y H:i"),
            link=link,
        ),
        partner_id=viewer.partner_id,
    )
    return invitation, link


def _require_few(partner: Partner, email: str) -> None:
    """Raise TooMany where as many were sent within an hour, those that were replaced or withdrawn included."""
    sent = Invitation.objects.filter(partner=partner, created_at__gt=clock.now() - _HOUR)
    to_it = sent.filter(email__iexact=email)
    if sent.count() >= _MOST_IN_AN_HOUR or to_it.count() >= _MOST_TO_ONE_ADDRESS:
        raise TooMany(
            f"At most {_MOST_IN_AN_HOUR} invitations an hour, and {_MOST_TO_ONE_ADDRESS} to one address.",
            code="too-many-sent",
            retry_after_s=600,
        )


def _revoke(rows: QuerySet[Invitation], *, by: Viewer) -> int:
    with transaction.atomic():
        open_ones = rows.filter(accepted_at=None, revoked_at=None).order_by("pk")
        ids = list(open_ones.select_for_update().values_list("pk", flat=True))
        Invitation.objects.filter(pk__in=ids).update(revoked_at=clock.now())
        for pk in ids:
            audit.record(audit.Verb.INVITATION_REVOKED, by=by, target=f"invitation:{pk}")
    return len(ids)


def _usable() -> QuerySet[Invitation]:
    """What is neither used, withdrawn nor too old, into a partner that takes part or is about to."""
    key_is_active = Q(invited_by_key__revoked_at=None, invited_by_key__expires_at__gt=clock.now())
    return Invitation.objects.filter(
        Q(invited_by=None) | Q(invited_by__is_active=True),
        Q(invited_by_key=None) | key_is_active,
        accepted_at=None,
        revoked_at=None,
        expires_at__gt=clock.now(),
        partner__state__in=(Partner.State.ACTIVE, Partner.State.INVITED),
    )


def _person(viewer: Viewer) -> int | None:
    kind, _, pk = viewer.actor.partition(":")
    return int(pk) if kind == "user" else None


def _key(viewer: Viewer) -> int | None:
    kind, _, public_id = viewer.actor.partition(":")
    return ApiKey.objects.values_list("pk", flat=True).get(public_id=public_id) if kind == "key" else None


def _digest(token: str) -> bytes:
    """SHA-256: the token holds 256 random bits, so a slow hash would only slow the exchange."""
    return hashlib.sha256(token.encode()).digest()
