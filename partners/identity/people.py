"""The people of a partner: their roles, whether they are active, their second factors. Changes User.

Whatever is changed here is looked up among the viewer's own people first: a person of another partner, the
operator's among them, is as if they were not there. Nobody touches a role above their own.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext

from exchange.errors import Conflict, Forbidden, NotFound
from partners import mailing
from partners.identity import inviting, sessions
from partners.log import audit
from partners.models import Partner, User
from partners.scopes import Role, Scope
from partners.viewer import Viewer


def of(viewer: Viewer) -> QuerySet[User]:
    """The viewer's own people, the active first, then by name, with the kinds of second factor that they have."""
    viewer.require(Scope.ADMIN)

    def has(kind: str) -> Exists:
        return Exists(Authenticator.objects.filter(user=OuterRef("pk"), type=kind))

    return (
        User.objects.filter(partner=viewer.partner_id)
        .annotate(has_passkey=has(Authenticator.Type.WEBAUTHN), has_app=has(Authenticator.Type.TOTP))
        .order_by("-is_active", "username")
    )


def find(viewer: Viewer, user_id: int) -> User:
    """One of the viewer's own people. Raises NotFound."""
    user = of(viewer).filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def change(viewer: Viewer, user_id: int, *, role: Role | None = None, active: bool | None = None) -> User:
    """Give one of the viewer's people another role, or end or renew their access.

    Raises NotFound for anybody else, Forbidden for whoever or whatever is above the viewer, Conflict where a
    partner would be left without an active admin. Whoever is deactivated is out at once.
    """
    viewer.require(Scope.ADMIN)
    with transaction.atomic():
        # The partner's row is the lock: two admins who demote each other must not both succeed.
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        user = _own(viewer, user_id)
        role, active = role or Role(user.role), user.is_active if active is None else active
        if (role, active) == (user.role, user.is_active):
            return user
        inviting.require_reach(viewer, role)
        stays_admin = role is Role.ADMIN and active
        if _is_admin(user) and not stays_admin and not _other_admins(user).exists():
            raise Conflict("Your partner needs an active admin: make somebody else one first.", code="last-admin")
        before = {"role": user.role, "active": user.is_active}
        user.role, user.is_active = role, active
        user.save(update_fields=["role", "is_active"])
        audit.record(
            audit.Verb.USER_CHANGED, by=viewer, target=f"user:{user.pk}", role=role.value, active=active, before=before
        )
        if not active:
            sessions.end(user, by=viewer)
        if not stays_admin:
            inviting.revoke_those_of(user, by=viewer)
    return user


def reset_factors(viewer: Viewer, user_id: int) -> None:
    """Take the second factors away from one of the viewer's people who lost them; they are told, and sign in again.

    Raises NotFound, Forbidden (also for oneself: one's own are changed on one's own page).
    """
    viewer.require(Scope.ADMIN)
    with transaction.atomic():
        user = _own(viewer, user_id)
        if viewer.actor == f"user:{user.pk}":
            raise Forbidden("Another admin can do this for you.", code="not-for-oneself")
        removed, _ = Authenticator.objects.filter(user=user).delete()
        audit.record(audit.Verb.FACTORS_RESET, by=viewer, target=f"user:{user.pk}", factors=removed)
        sessions.end(user, by=viewer)
        mailing.tell(
            user.email,
            subject=gettext("Your second factors were removed"),
            text=gettext(
                "An admin of {partner} removed the passkeys, authenticator app and recovery codes of your account"
                " {username} at the exchange, and ended its sessions.\n\n"
                "If you did not ask for it, tell your partner's security team now.\n"
            ).format(partner=viewer.partner_name, username=user.username),
            partner_id=user.partner_id,
        )


def end_sessions(viewer: Viewer, user_id: int) -> int:
    """End all sessions of one of the viewer's people."""
    viewer.require(Scope.ADMIN)
    return sessions.end(_own(viewer, user_id), by=viewer)


def demand(viewer: Viewer, factor: Partner.SecondFactor) -> None:
    """Say what the viewer's people need besides a password, from their next request on."""
    viewer.require(Scope.ADMIN)
    with transaction.atomic():
        changed = Partner.objects.filter(pk=viewer.partner_id).exclude(second_factor=factor)
        if changed.update(second_factor=factor):
            target = f"partner:{viewer.partner_slug}"
            audit.record(audit.Verb.SECOND_FACTOR_DEMANDED, by=viewer, target=target, factor=factor.value)


def _own(viewer: Viewer, user_id: int) -> User:
    """One of the viewer's people, who is not above the viewer. Raises NotFound, Forbidden."""
    user = User.objects.select_for_update(no_key=True).filter(partner=viewer.partner_id, pk=user_id).first()
    if user is None:
        raise NotFound
    inviting.require_reach(viewer, Role(user.role))
    return user


def _is_admin(user: User) -> bool:
    return user.is_active and user.role == Role.ADMIN


def _other_admins(user: User) -> QuerySet[User]:
    return User.objects.filter(partner=user.partner_id, role=Role.ADMIN, is_active=True).exclude(pk=user.pk)


def choose_single_keys(user: User, *, on: bool) -> None:
    """Whether single keys act on this person's own pages: how pages work for them, so no record of the log."""
    User.objects.filter(pk=user.pk).update(single_keys=on)
