"""The second factors of a person: passkeys, an authenticator app, recovery codes. The only writer of Authenticator.

django-allauth checks what a browser or an app presents; here is decided what a person may hold, and whether it is
what the partner demands. Everything is written down, and the person is told by e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from exchange.errors import Conflict, NotFound
from exchange.translating import later
from partners import mailing
from partners.log import audit
from partners.models import Partner, User
from partners.viewer import Viewer

MAX_PASSKEYS = 20
_Type = Authenticator.Type


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey, and what a form calls it."""

    row: Authenticator
    handle: str


@dataclass(frozen=True, slots=True)
class Factors:
    """What a person has besides a password."""

    passkeys: list[Passkey]
    app: Authenticator | None
    codes_left: int

    @property
    def any(self) -> bool:
        """Whether there is a second factor at all."""
        return bool(self.passkeys or self.app)


def of(user: User) -> Factors:
    """A person's second factors, the passkeys in the order in which they were added."""
    rows = list(Authenticator.objects.filter(user=user).order_by("created_at", "pk"))
    codes = next((row for row in rows if row.type == _Type.RECOVERY_CODES), None)
    return Factors(
        passkeys=[Passkey(row, handle_of(row)) for row in rows if row.type == _Type.WEBAUTHN],
        app=next((row for row in rows if row.type == _Type.TOTP), None),
        codes_left=len(codes.wrap().get_unused_codes()) if codes else 0,
    )


def lacking(user: User) -> Partner.SecondFactor | None:
    """What the person's partner demands and the person has not, or None: one query, asked for every page."""

    def has(*kinds: str) -> Exists:
        return Exists(Authenticator.objects.filter(user=OuterRef("pk"), type__in=kinds))

    demanded, has_passkey, has_any = (
        User.objects.filter(pk=user.pk)
        .annotate(
            demanded=F("partner__second_factor"),
            has_passkey=has(_Type.WEBAUTHN),
            has_any=has(_Type.WEBAUTHN, _Type.TOTP),
        )
        .values_list("demanded", "has_passkey", "has_any")
        .get()
    )
    enough = {
        Partner.SecondFactor.OPTIONAL: True,
        Partner.SecondFactor.PASSKEY: has_passkey,
        Partner.SecondFactor.REQUIRED: has_any,
    }
    demanded = Partner.SecondFactor(demanded)
    return None if enough[demanded] else demanded


def add_passkey(user: User, *, name: str, credential: dict[str, Any], by: Viewer) -> list[str]:
    """Keep a passkey that has been verified; returns recovery codes where these are the person's first factor."""
    with transaction.atomic():
        _lock(user)
        if Authenticator.objects.filter(user=user, type=_Type.WEBAUTHN).count() >= MAX_PASSKEYS:
            raise Conflict(f"At most {MAX_PASSKEYS} passkeys.", code="too-many-passkeys")
        WebAuthn.add(user, name, credential)
        return _added(user, kind=_Type.WEBAUTHN, by=by)


def add_app(user: User, *, secret: str, by: Viewer) -> list[str]:
    """Keep an authenticator app that has shown a right code; as `add_passkey`."""
    with transaction.atomic():
        _lock(user)
        if Authenticator.objects.filter(user=user, type=_Type.TOTP).exists():
            raise Conflict("There is an authenticator app already.", code="app-exists")
        TOTP.activate(user, secret)
        return _added(user, kind=_Type.TOTP, by=by)


def rename_passkey(user: User, handle: str, *, name: str, by: Viewer) -> None:
    """Call a passkey something else. Raises NotFound."""
    with transaction.atomic():
        passkey = _passkey(user, handle)
        passkey.wrap().name = name
        passkey.save(update_fields=["data"])
        audit.record(audit.Verb.FACTOR_RENAMED, by=by, target=f"user:{user.pk}")


def remove_passkey(user: User, handle: str, *, by: Viewer) -> None:
    """Take a passkey away. Raises NotFound."""
    with transaction.atomic():
        _lock(user)
        _passkey(user, handle).delete()
        _removed(user, kind=_Type.WEBAUTHN, by=by)


def remove_app(user: User, *, by: Viewer) -> None:
    """Take the authenticator app away. Raises NotFound."""
    with transaction.atomic():
        _lock(user)
        if not Authenticator.objects.filter(user=user, type=_Type.TOTP).delete()[0]:
            raise NotFound
        _removed(user, kind=_Type.TOTP, by=by)


def new_recovery_codes(user: User, *, by: Viewer) -> list[str]:
    """New recovery codes, shown once; the old ones are worthless. Raises Conflict without a second factor."""
    with transaction.atomic():
        _lock(user)
        if not Authenticator.objects.filter(user=user).exclude(type=_Type.RECOVERY_CODES).exists():
            raise Conflict("Recovery codes stand in for a second factor: add one first.", code="no-second-factor")
        _tell(user, gettext("New recovery codes were made for your account {username} at the exchange."))
        return _codes(user, by=by)


def name_of(typed: str) -> str:
    """A name for a passkey, whatever was typed."""
    return "".join(character for character in " ".join(typed.split())[:60] if character.isprintable()) or "Passkey"


def handle_of(passkey: Authenticator) -> str:
    """What a form calls a passkey: its number would tell how many factors everybody has."""
    return salted_hmac("partners.identity.factors.handle", str(passkey.pk), algorithm="sha256").hexdigest()[:16]


def _passkey(user: User, handle: str) -> Any:
    passkeys = Authenticator.objects.select_for_update().filter(user=user, type=_Type.WEBAUTHN)
    found = next((one for one in passkeys if handle_of(one) == handle), None)
    if found is None:
        raise NotFound
    return found


def _lock(user: User) -> None:
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _added(user: User, *, kind: str, by: Viewer) -> list[str]:
    audit.record(audit.Verb.FACTOR_ADDED, by=by, target=f"user:{user.pk}", kind=kind)
    _tell(user, _ADDED[kind])
    if Authenticator.objects.filter(user=user, type=_Type.RECOVERY_CODES).exists():
        return []
    return _codes(user, by=by)


def _removed(user: User, *, kind: str, by: Viewer) -> None:
    """Recovery codes go with the last factor: alone they would be a factor on paper."""
    if not Authenticator.objects.filter(user=user).exclude(type=_Type.RECOVERY_CODES).exists():
        Authenticator.objects.filter(user=user).delete()
    audit.record(audit.Verb.FACTOR_REMOVED, by=by, target=f"user:{user.pk}", kind=kind)
    _tell(user, _REMOVED[kind])


def _codes(user: User, *, by: Viewer) -> list[str]:
    Authenticator.objects.filter(user=user, type=_Type.RECOVERY_CODES).delete()
    codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
    audit.record(audit.Verb.RECOVERY_CODES_MADE, by=by, target=f"user:{user.pk}")
    return codes


def _tell(user: User, what: str) -> None:
    """Mail the person what happened to their account, which `what` names as `{username}`."""
    if_not = gettext("If this was not you, tell your partner's admin now.")
    mailing.tell(
        user.email,
        subject=gettext("Your second factors have changed"),
        text=f"{what.format(username=user.username)}\n\n{if_not}\n",
        partner_id=user.partner_id,
    )


_ADDED = {
    _Type.WEBAUTHN: later("A passkey was added to your account {username} at the exchange."),
    _Type.TOTP: later("An authenticator app was added to your account {username} at the exchange."),
}
_REMOVED = {
    _Type.WEBAUTHN: later("A passkey was removed from your account {username} at the exchange."),
    _Type.TOTP: later("The authenticator app was removed from your account {username} at the exchange."),
}
