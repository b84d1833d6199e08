"""Sign in through the sign-on of one's own partner. The only writer of SignOn and Identity.

A partner's admin names its issuer. Who somebody is there is bound to issuer and subject, within that partner: an
e-mail address that an issuer asserts is not even read. A person links their identity while signed in, or accepts their
invitation with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse

from exchange import clock, sealing
from exchange.errors import Conflict, NotFound, Refused
from partners.identity import oidc
from partners.keys.auth import viewer_of_user
from partners.log import audit
from partners.models import Identity, Partner, SignOn, User
from partners.scopes import Scope
from partners.viewer import Viewer

_SEALED_FOR = "sign-on"
NO_ANSWER = "The sign-on of your partner failed. It does not answer."


def of(viewer: Viewer) -> SignOn | None:
    """The issuer of the viewer's own partner."""
    return SignOn.objects.filter(partner=viewer.partner_id).first()


def find(sign_on_id: UUID) -> SignOn:
    """The issuer behind a sign-on page. Raises NotFound, also where the partner takes no part."""
    states = (Partner.State.ACTIVE, Partner.State.INVITED)
    found = SignOn.objects.filter(pk=sign_on_id, partner__state__in=states).select_related("partner").first()
    if found is None:
        raise NotFound
    return found


def configure(viewer: Viewer, *, issuer: str, client_id: str, client_secret: str) -> SignOn:
    """Name the issuer of the viewer's people; an empty secret keeps the old one while the issuer stays.

    Whether it is one, it is asked afterwards (`asking`). Identities that were linked at another issuer sign nobody in
    any more. Raises Refused.
    """
    viewer.require(Scope.ADMIN)
    issuer, client_id, client_secret = oidc.normal_issuer(issuer), client_id.strip(), client_secret.strip()
    if not 0 < len(client_id) <= 200 or not client_id.isprintable():
        raise Refused("The client id has 1 to 200 characters.", code="bad-client-id", at="/client_id")
    if len(client_secret) > 500 or not client_secret.isprintable():
        raise Refused("The secret has at most 500 characters.", code="bad-client-secret", at="/client_secret")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        old = of(viewer)
        row = old or SignOn(partner_id=viewer.partner_id)
        if client_secret:
            row.client_secret = sealing.seal(client_secret.encode(), purpose=_SEALED_FOR, bound=[row.pk.bytes])
        elif old is None or old.issuer != issuer:
            raise Refused("The client secret is missing.", code="bad-client-secret", at="/client_secret")
        if row.issuer != issuer:
            row.authorization_endpoint = ""
        row.issuer, row.client_id, row.changed_at, row.trouble = issuer, client_id, clock.now(), ""
        row.save()
        audit.record(audit.Verb.SIGN_ON_CHANGED, by=viewer, target=f"partner:{viewer.partner_slug}", issuer=issuer)
    return row


def remove(viewer: Viewer) -> None:
    """Nobody signs in through the sign-on of the viewer's partner any more. Raises NotFound."""
    viewer.require(Scope.ADMIN)
    with transaction.atomic():
        if not SignOn.objects.filter(partner=viewer.partner_id).delete()[0]:
            raise NotFound
        audit.record(audit.Verb.SIGN_ON_REMOVED, by=viewer, target=f"partner:{viewer.partner_slug}")


def client_of(sign_on: SignOn) -> oidc.Client:
    """How we are known at the issuer."""
    secret = sealing.unseal(bytes(sign_on.client_secret), purpose=_SEALED_FOR, bound=[sign_on.pk.bytes])
    return oidc.Client(sign_on.issuer, sign_on.client_id, secret.decode(), redirect_uri_of(sign_on.pk))


def openers() -> Iterator[Callable[[], oidc.Client]]:
    """For `exchange.proving`."""
    return (partial(client_of, sign_on) for sign_on in SignOn.objects.order_by("pk"))


def reseal() -> int:
    """Seal every client secret anew with the present SECRET_KEY; how many were under another one."""
    count = 0
    for sign_on in SignOn.objects.order_by("pk"):
        held = bytes(sign_on.client_secret)
        fresh = sealing.reseal(held, purpose=_SEALED_FOR, bound=[sign_on.pk.bytes])
        if fresh != held:
            count += SignOn.objects.filter(pk=sign_on.pk, client_secret=held).update(client_secret=fresh)
    return count


def redirect_uri_of(sign_on_id: UUID) -> str:
    """Where the issuer sends people back to; every partner's is its own."""
    return f"{settings.BASE_URL}{reverse('sign-on-callback', args=[sign_on_id])}"


def user_of(sign_on: SignOn, subject: str) -> User | None:
    """The person of this partner who has linked this identity, or None."""
    linked = Identity.objects.filter(
        partner=sign_on.partner_id, issuer=sign_on.issuer, subject=subject, user__partner=sign_on.partner_id
    )
    found = linked.select_related("user").first()
    return found.user if found else None


def link(user: User, sign_on: SignOn, subject: str) -> None:
    """Bind who somebody is at the issuer to a person of the same partner. Raises NotFound, Conflict."""
    if user.partner_id != sign_on.partner_id:
        raise NotFound
    try:
        with transaction.atomic():
            Identity.objects.create(partner_id=sign_on.partner_id, user=user, issuer=sign_on.issuer, subject=subject)
            target = f"user:{user.pk}"
            audit.record(audit.Verb.IDENTITY_LINKED, by=viewer_of_user(user), target=target, issuer=sign_on.issuer)
    except IntegrityError:
        raise Conflict("This identity, or this account, is linked already.", code="identity-linked") from None


def unlink(user: User, *, by: Viewer) -> None:
    """Undo `link`, for every issuer. Raises Conflict for whoever could not sign in any more."""
    with transaction.atomic():
        if not user.has_usable_password():
            raise Conflict("Without it you could not sign in: choose a password first.", code="only-way-in")
        if Identity.objects.filter(user=user).delete()[0]:
            audit.record(audit.Verb.IDENTITY_UNLINKED, by=by, target=f"user:{user.pk}")
