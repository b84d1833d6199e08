"""How allauth behaves here: no sign-up, nothing said about which accounts exist, secrets sealed, sign-ins noted."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.account.internal.stagekit import clear_login
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AuthenticateWebAuthnForm, LoginWebAuthnForm, ReauthenticateWebAuthnForm
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from exchange import sealing
from exchange.errors import Unauthenticated
from partners.identity import browsers, sessions
from partners.keys.auth import viewer_of_user
from partners.log import audit
from partners.models import Partner, User

_SEALED_FOR = "second-factor"
#: Ways of signing in that say at the same moment that it is the person: nobody is asked again right after.
_SAYS_WHO = ("password", "mfa")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """People are invited by their partner; nobody signs up alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def pre_login(self, request: HttpRequest, user: User, **about: Any) -> HttpResponse | None:
        """Turn away who is deactivated, whose partner takes no part, and the operator's people from elsewhere.

        After the password, before anything, and in the same words.
        """
        turned_away: HttpResponse | None = super().pre_login(request, user, **about)
        if turned_away is None and not _may_enter(request, user):
            clear_login(request)
            turned_away = self.respond_user_inactive(request, user)
        return turned_away

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt before the password is looked at; a right one is taken off again. Raises ValidationError.

        For the account in this network, or for this browser if the person has signed in with it before; for the network
        whatever the account; and for the account over all networks, which does not bind a known browser.
        """
        name = str(credentials.get("username", ""))
        known = browsers.browser_of(request, name)
        self._known_browser = known
        super().pre_authenticate(request, **credentials)
        if known is not None:
            return
        counted = ratelimit.consume(
            request, app="allauth.account", action="login_failed_anywhere", key=f"anywhere:{name.lower()}"
        )
        if not counted:
            self._rollback_login_failed_rl_usage()
            raise self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage.usage += counted.usage

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Who is counted: a stranger who guesses at an account from elsewhere shuts its person out nowhere."""
        account = super()._get_login_attempts_cache_key(request, **credentials)
        known = getattr(self, "_known_browser", None)
        return f"{account}:{known or ratelimit.get_ip(request)}"

    def post_login(self, request: HttpRequest, user: User, **about: Any) -> HttpResponse:
        """Go on to where one wanted to, in a browser that is known from now on."""
        response: HttpResponse = super().post_login(request, user, **about)
        browsers.remember(response, user, secure=settings.SESSION_COOKIE_SECURE)
        return response

    def login(self, request: HttpRequest, user: User) -> None:
        """Sign in, under a session key of its own, and write down that it happened."""
        viewer = viewer_of_user(user)
        with transaction.atomic():
            super().login(request, user)
            records = get_authentication_records(request, user)
            how = [record.get("type", record["method"]) for record in records]
            if records and records[-1]["method"] in _SAYS_WHO:
                record_authentication(request, user, "sign-in", reauthenticated=True)
            sessions.begin(request)
            audit.record(audit.Verb.SIGNED_IN, by=viewer, target=f"user:{user.pk}", how=how)

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """Whoever has a second factor confirms with it: a password alone must not be enough to take it away."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        factors = [method for method in methods if method["id"] != "reauthenticate"]
        return factors[::-1] or methods


def _may_enter(request: HttpRequest, user: User) -> bool:
    try:
        return not sessions.is_elsewhere(request, viewer_of_user(user))
    except Unauthenticated:
        return False


def openers() -> Iterator[Callable[[], str]]:
    """Secrets of second factors, for `exchange.proving`; a passkey has none."""
    adapter = FactorAdapter()
    for factor in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk"):
        sealed = [factor.data[name] for name in ("secret", "seed") if name in factor.data]
        for one in (*sealed, *factor.data.get("migrated_codes", ())):
            yield partial(adapter.decrypt, one)


def reseal() -> int:
    """Seal the secrets of second factors anew with the present SECRET_KEY; how many factors were under another one.

    A factor that is used meanwhile is left as it is then, for the next call.
    """
    adapter, count = FactorAdapter(), 0
    for factor in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk"):
        held = {name: factor.data[name] for name in ("secret", "seed", "migrated_codes") if factor.data.get(name)}
        fresh = {
            name: [_again(adapter, one) for one in sealed] if isinstance(sealed, list) else _again(adapter, sealed)
            for name, sealed in held.items()
        }
        if fresh != held:
            same = Authenticator.objects.filter(pk=factor.pk, data=factor.data)
            count += same.update(data=factor.data | fresh)
    return count


def _again(adapter: FactorAdapter, sealed: str) -> str:
    return adapter.encrypt(adapter.decrypt(sealed))


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is untyped
    """Secrets lie sealed in the store; people are named by their user name."""

    def encrypt(self, text: str) -> str:
        """Seal a secret of a second factor."""
        return base64.b64encode(sealing.seal(text.encode(), purpose=_SEALED_FOR)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Undo `encrypt`. Raises sealing.Broken."""
        return sealing.unseal(base64.b64decode(encrypted_text), purpose=_SEALED_FOR).decode()

    def get_totp_label(self, user: User) -> str:
        """What the app calls the entry."""
        return user.username

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Passkeys belong to the host name under which they are made (WebAuthn §5.1.3: an address is none)."""
        return {"id": context.request.get_host().partition(":")[0], "name": "Exchange"}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        """How the browser names the person."""
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return entity | {"display_name": user.username, "name": user.username}


def _no_code_beside_a_passkey(authenticator: Authenticator, user: User) -> bool:
    """Whether a code of an app is too little: the partner wants passkeys, and the person has one."""
    return bool(
        authenticator.type == Authenticator.Type.TOTP
        and user.partner is not None
        and user.partner.second_factor == Partner.SecondFactor.PASSKEY
        and Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exists()
    )


class CodeForm(AuthenticateForm):  # type: ignore[misc]  # allauth is untyped
    """A code as second factor at sign-in."""

    def clean_code(self) -> str:
        """Refuse an app's code where the partner wants passkeys and there is one; recovery codes hold."""
        code: str = super().clean_code()
        if _no_code_beside_a_passkey(self.authenticator, self.user):
            raise FactorAdapter().validation_error("incorrect_code")
        return code


class ConfirmCodeForm(ReauthenticateForm):  # type: ignore[misc]  # allauth is untyped
    """A code to confirm who it is."""

    def clean_code(self) -> str:
        """As at sign-in."""
        code: str = super().clean_code()
        if _no_code_beside_a_passkey(self.authenticator, self.user):
            raise FactorAdapter().validation_error("incorrect_code")
        return code


def _understood(clean: Callable[[], Authenticator]) -> Authenticator:
    """What a passkey form holds; bytes that only look like a credential are a wrong one, not a fault of ours."""
    try:
        return clean()
    except (AttributeError, KeyError, TypeError, ValueError):
        raise FactorAdapter().validation_error("incorrect_code") from None


class PasskeyForm(AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    """A passkey as second factor at sign-in."""

    def clean_credential(self) -> Authenticator:
        """Raises ValidationError."""
        return _understood(super().clean_credential)


class PasskeyAloneForm(LoginWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    """A passkey that signs in alone."""

    def clean_credential(self) -> Authenticator:
        """Raises ValidationError."""
        return _understood(super().clean_credential)


class ConfirmPasskeyForm(ReauthenticateWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    """A passkey to confirm who it is."""

    def clean_credential(self) -> Authenticator:
        """Raises ValidationError."""
        return _understood(super().clean_credential)
