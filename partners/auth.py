"""From a credential to a Viewer, the same way on every surface."""

import base64
import binascii
import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Model, OuterRef, Q
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from structlog.contextvars import bind_contextvars

from exchange import clock
from exchange.errors import Unauthenticated
from partners import keys
from partners.attribution import Attribution
from partners.models import ApiKey, Membership, Partner, User
from partners.scopes import RECIPIENT_SCOPES, ROLE_SCOPES, Role, Scope
from partners.sharing import Viewer
from partners.tlp import Tlp

_LAST_USE_GRAIN = timedelta(minutes=1)


def viewer_of_key(presented: str) -> Viewer:
    """The viewer that a presented API key stands for: one query.

    Raises Unauthenticated, always in the same words, for a key that is malformed, unknown, expired or revoked
    and for one whose partner is not active.
    """
    public_id = keys.public_id_of(presented)
    if public_id is None:
        raise _unknown_key()
    moment = clock.now()
    key, group_ids = _valid_key(public_id, moment=moment)
    if key is None or not hmac.compare_digest(bytes(key.digest), keys.digest(presented)):
        raise _unknown_key()
    stale = moment - _LAST_USE_GRAIN
    if key.last_used_at is None or key.last_used_at < stale:
        ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=key.pk).update(last_used_at=moment)
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    if Scope.ADMIN in scopes:
        scopes |= {Scope.AUDIT}
    return _viewer(key.partner, group_ids=group_ids, scopes=scopes, actor=f"key:{key.public_id}")


def _valid_key(public_id: str, *, moment: datetime) -> tuple[ApiKey | None, list[UUID]]:
    """The key, with its partner, if both may be used now, and the partner's groups. By hand: every request asks it."""
    with connection.cursor() as cursor:
        cursor.execute(_VALID_KEY, [public_id, moment, Partner.State.ACTIVE.value])
        row = cursor.fetchone()
    if row is None:
        return None, []
    mine = len(_KEY_FIELDS)
    key = ApiKey.from_db(connection.alias, _KEY_FIELDS, row[:mine])
    key.partner = Partner.from_db(connection.alias, _PARTNER_FIELDS, row[mine:-1])
    return key, row[-1]


def _columns(model: type[Model], alias: str) -> str:
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)  # noqa: SLF001


_KEY_FIELDS = [field.attname for field in ApiKey._meta.concrete_fields]  # noqa: SLF001
_PARTNER_FIELDS = [field.attname for field in Partner._meta.concrete_fields]  # noqa: SLF001
_VALID_KEY = f"""
SELECT {_columns(ApiKey, "k")}, {_columns(Partner, "p")},
       ARRAY(SELECT m.group_id FROM partners_membership m
             WHERE m.partner_id = p.id AND m.until IS NULL ORDER BY m.group_id)
FROM partners_apikey k JOIN partners_partner p ON p.id = k.partner_id
WHERE k.public_id = %s AND k.revoked_at IS NULL AND k.expires_at > %s AND p.state = %s
"""


def viewer_of_user(user: User) -> Viewer:
    """The viewer that a signed-in person is. Raises Unauthenticated if the partner is not active."""
    partner = (
        Partner.objects.filter(users=user, state=Partner.State.ACTIVE).annotate(group_ids=_open_groups("pk")).first()
    )
    if partner is None or not user.is_active:
        raise Unauthenticated("Sign in again.")
    return _viewer(partner, group_ids=partner.group_ids, scopes=ROLE_SCOPES[Role(user.role)], actor=f"user:{user.pk}")


def viewer_of_partner(partner_id: Any) -> Viewer | None:
    """The viewer that background work reads as, on behalf of a partner; None if the partner is not active."""
    partner = (
        Partner.objects.filter(pk=partner_id, state=Partner.State.ACTIVE).annotate(group_ids=_open_groups("pk")).first()
    )
    if partner is None:
        return None
    return _viewer(partner, group_ids=partner.group_ids, scopes=frozenset({Scope.READ}), actor="system")


def viewers_of_partners() -> list[Viewer]:
    """Every active partner as a viewer, by name: to ask the rule for each of them. One query."""
    active = Partner.objects.filter(state=Partner.State.ACTIVE).annotate(group_ids=_open_groups("pk")).order_by("name")
    scopes = frozenset({Scope.READ})
    return [_viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor="system") for partner in active]


def viewer_whatever_state(partner_id: Any) -> Viewer:
    """What a partner would see were it active, to compare what it saw with what it sees. Raises DoesNotExist."""
    partner = Partner.objects.annotate(group_ids=_open_groups("pk")).get(pk=partner_id)
    return _viewer(partner, group_ids=partner.group_ids, scopes=frozenset({Scope.READ}), actor="system")


def every_viewer() -> list[Viewer]:
    """Each partner, whatever its state, as background work reads on its behalf. One query."""
    partners = Partner.objects.annotate(group_ids=_open_groups("pk")).order_by("pk")
    scopes = frozenset({Scope.READ})
    return [_viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor="system") for partner in partners]


def again(viewer: Viewer) -> Viewer:
    """The same caller with the groups and the clearance that its partner has now."""
    now = viewer_whatever_state(viewer.partner_id)
    return replace(viewer, group_ids=now.group_ids, clearance=now.clearance, sight=now.sight)


def key_in(header: str) -> str | None:
    """The key in an Authorization header: Bearer, or Basic with any user name and the key as the password.

    `Token` is no registered scheme: it is what clients built on taxii2-client call Bearer. None where there is no
    header. Raises Unauthenticated for a scheme or encoding that is not understood.
    """
    if not header:
        return None
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() in {"bearer", "token"}:
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            raise _unknown_key() from None
    raise _unknown_key()


def viewer_of_request(request: HttpRequest) -> Viewer:
    """The viewer behind the API key of a plain Django request. Raises Unauthenticated."""
    presented = key_in(request.headers.get("Authorization", ""))
    if presented is None:
        raise Unauthenticated("Send an API key: 'Authorization: Bearer <key>', or Basic with the key as the password.")
    viewer = viewer_of_key(presented)
    bind_contextvars(partner=viewer.partner_slug, actor=viewer.actor)
    return viewer


class Caller:
    """What DRF calls the user: a machine of a partner."""

    is_authenticated = True
    is_active = True

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.pk = viewer.actor


class KeyAuthentication(BaseAuthentication):
    """DRF: API keys only. The portal's session cookie opens no API, so the API needs no CSRF token."""

    def authenticate(self, request: Request) -> tuple[Caller, Viewer] | None:
        """Yield the caller; None without an Authorization header."""
        if not request.headers.get("Authorization"):
            return None
        viewer = viewer_of_request(request._request)  # noqa: SLF001 - DRF offers no other way
        return Caller(viewer), viewer

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401 (RFC 9110 §11.6.1)."""
        return 'Bearer realm="exchange"'


class KeyRequired(BasePermission):
    """DRF: a valid key. A view asks for its scope itself, by `viewer.require`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether a key was presented and understood."""
        return isinstance(request.auth, Viewer)


def _open_groups(partner_ref: str) -> ArraySubquery:
    return ArraySubquery(
        Membership.objects.filter(partner=OuterRef(partner_ref), until=None).order_by("group_id").values("group_id")
    )


def _viewer(partner: Partner, *, group_ids: Any, scopes: frozenset[Scope], actor: str) -> Viewer:
    if partner.kind == Partner.Kind.RECIPIENT:
        scopes &= RECIPIENT_SCOPES
    return Viewer(
        partner_id=partner.pk,
        partner_name=partner.name,
        partner_slug=partner.slug,
        identity_id=partner.identity_id,
        collection_id=partner.collection_id,
        kind=partner.kind,
        clearance=Tlp(partner.clearance),
        default_tlp=Tlp(partner.default_tlp),
        default_attribution=Attribution(partner.default_attribution),
        unnamed=partner.unnamed,
        group_ids=frozenset(group_ids),
        scopes=scopes,
        actor=actor,
        sight=partner.sight,
    )


def _unknown_key() -> Unauthenticated:
    return Unauthenticated("This API key is not valid.", code="invalid-key")
