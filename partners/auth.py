"""From a credential to a Viewer, the same way on every surface."""

import base64
import binascii
import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from structlog.contextvars import bind_contextvars

from exchange import clock, prepared, rows
from exchange.errors import Unauthenticated
from exchange.memory import Memory
from exchange.origins import Origin, origin_of
from partners import keys, lockout
from partners.ceilings import UNBOUND, Ceiling, strictest
from partners.models import ApiKey, Membership, Partner, RoleCeiling, User
from partners.scopes import RECIPIENT_SCOPES, ROLE_SCOPES, Role, Scope
from partners.sharing import Viewer
from partners.tlp import Tlp

#: How often at most the use of a key from one network is written down.
_USE_GRAIN = timedelta(minutes=1)
_NO_DIGEST = bytes(32)


def viewer_of_key(presented: str, *, origin: Origin = Origin()) -> Viewer:  # noqa: B008 - frozen
    """The viewer that a presented API key stands for: one query.

    Raises Unauthenticated, always in the same words, for a key that is malformed, unknown, expired or revoked, that
    comes from a network or with a certificate that is not its own, and for one whose partner is not active. Raises
    TooMany where that happened too often (`lockout`).
    """
    return _viewer_and(presented, origin=origin, also="")[0]


def _viewer_and(presented: str, *, origin: Origin, also: str) -> tuple[Viewer, tuple[Any, ...]]:
    public_id = keys.public_id_of(presented)
    if public_id is None:
        raise lockout.refuse(origin, public_id=None)
    moment, prefix = clock.now(), origin.network(bits4=24, bits6=48)
    key, viewer, seen_at, locked_until, beside = _found_key(
        public_id, prefix=prefix, origin=origin, at=moment, also=also
    )
    is_the_key = hmac.compare_digest(bytes(key.digest) if key else _NO_DIGEST, keys.digest(presented))
    if key is None or viewer is None or not is_the_key or not keys.is_usable(key, origin=origin, at=moment):
        raise lockout.refuse(origin, public_id=public_id)
    if locked_until is not None and seen_at is None:
        raise lockout.locked(locked_until, at=moment)
    if seen_at is None or seen_at < moment - _USE_GRAIN:
        keys.note_use(key, prefix=prefix, at=moment)
    return viewer, beside


def _found_key(
    public_id: str, *, prefix: str, origin: Origin, at: datetime, also: str
) -> tuple[ApiKey | None, Viewer | None, datetime | None, datetime | None, tuple[Any, ...]]:
    """The key, whom it stands for, what `lockout` wants to know, and what was asked also. By hand: all requests ask."""
    found = prepared.rows(_key_and(also), [prefix, lockout.network_name(origin), at, public_id], called="key")
    if not found:
        return None, None, None, None, ()
    written, seen_at, locked_until, *beside = found[0]
    known = _KNOWN.get(written) or _in_full(public_id)
    return *(known or (None, None)), seen_at, locked_until, tuple(beside)


@cache
def _key_and(also: str) -> str:
    return _KEY.replace(_ALSO, also and f", {also}")


def _in_full(public_id: str) -> tuple[ApiKey, Viewer] | None:
    """The key and whom it stands for, as they are now; None for one that is gone."""
    found = prepared.rows(_KEY_IN_FULL, [public_id], called="key_in_full")
    if not found:
        return None
    known = _read(found[0])
    _KNOWN.put(found[0][-1], known)
    return known


def _read(row: tuple[Any, ...]) -> tuple[ApiKey, Viewer]:
    """A row of `_KEY_IN_FULL` as the key, with its partner, and the viewer that they make."""
    key = rows.instance(ApiKey, row)
    key.partner = rows.instance(Partner, row[len(ApiKey._meta.concrete_fields) :])  # noqa: SLF001
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    if Scope.ADMIN in scopes:
        scopes |= {Scope.AUDIT}
    held_groups = row[-2]
    group_ids = held_groups if key.groups is None else set(held_groups) & set(key.groups)
    ceiling = Ceiling.of(key.ceiling_tlp, key.ceiling_width)
    viewer = _viewer(key.partner, group_ids=group_ids, scopes=scopes, actor=f"key:{key.public_id}", ceiling=ceiling)
    return key, replace(viewer, limited=key.groups is not None)


#: By what was `_WRITTEN` of them.
_KNOWN: Memory[str, tuple[ApiKey, Viewer]] = Memory(most=4_096)
_ALSO = "/*also*/"
_GROUPS = (
    "ARRAY(SELECT m.group_id FROM partners_membership m"
    " WHERE m.partner_id = p.id AND m.until IS NULL ORDER BY m.group_id)"
)
# All that is held of key and partner, as one text: whoever was read from it before need not be read again. When the key
# was last used makes no other of it.
_WRITTEN = f"ROW({rows.columns(ApiKey, 'k', but=['last_used_at'])}, p, {_GROUPS})::text"
_FROM = "FROM partners_apikey k JOIN partners_partner p ON p.id = k.partner_id WHERE k.public_id = %s"
_KEY = f"""
SELECT {_WRITTEN},
       (SELECT n.last_at FROM partners_keynetwork n WHERE n.key_id = k.id AND n.prefix = %s),
       (SELECT r.until FROM partners_refusedcredentials r WHERE r.name = %s AND r.until > %s) {_ALSO}
{_FROM}
"""
_KEY_IN_FULL = f"""
SELECT {rows.columns(ApiKey, "k")}, {rows.columns(Partner, "p")}, {_GROUPS}, {_WRITTEN} {_FROM}
"""


def viewer_of_user(user: User) -> Viewer:
    """The viewer that a signed-in person is. Raises Unauthenticated if the partner is not active."""
    of_role = RoleCeiling.objects.filter(partner=OuterRef("pk"), role=user.role)
    partner = (
        Partner.objects.filter(users=user, state=Partner.State.ACTIVE)
        .annotate(group_ids=_open_groups("pk"))
        .annotate(role_tlp=Subquery(of_role.values("tlp")), role_width=Subquery(of_role.values("width")))
        .first()
    )
    if partner is None or not user.is_active:
        raise Unauthenticated("Sign in again.")
    return _viewer(
        partner,
        group_ids=partner.group_ids,
        scopes=ROLE_SCOPES[Role(user.role)],
        actor=f"user:{user.pk}",
        ceiling=Ceiling.of(partner.role_tlp, partner.role_width),
    )


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
    groups = now.group_ids & viewer.group_ids if viewer.limited else now.group_ids
    return replace(viewer, group_ids=groups, clearance=now.clearance, sight=now.sight)


def key_in(header: str) -> str | None:
    """The key in an Authorization header: Bearer, or Basic with any user name and the key as the password.

    `Token` is no registered scheme: it is what clients built on taxii2-client call Bearer. None where there is no
    header. A scheme or encoding that is not understood is a key that is none: empty.
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
            return ""
    return ""


def viewer_of_request(request: HttpRequest) -> Viewer:
    """As `viewer_and`, with nothing besides."""
    return viewer_and(request, also="")[0]


def viewer_and(request: HttpRequest, *, also: str) -> tuple[Viewer, tuple[Any, ...]]:
    """The viewer behind the API key of a plain Django request. Raises Unauthenticated, TooMany.

    `also` are SQL expressions, constants of ours, that are answered besides by the same query; nobody is told of it
    before the viewer is known. Ask again to learn whether it still holds: an answer that takes long, because it waits,
    does so while it waits.
    """
    presented = key_in(request.META.get("HTTP_AUTHORIZATION", ""))
    if presented is None:
        raise Unauthenticated("Send an API key: 'Authorization: Bearer <key>', or Basic with the key as the password.")
    viewer, beside = _viewer_and(presented, origin=origin_of(request), also=also)
    bind_contextvars(partner=viewer.partner_slug, actor=viewer.actor)
    return viewer, beside


def _open_groups(partner_ref: str) -> ArraySubquery:
    return ArraySubquery(
        Membership.objects.filter(partner=OuterRef(partner_ref), until=None).order_by("group_id").values("group_id")
    )


def _viewer(
    partner: Partner, *, group_ids: Any, scopes: frozenset[Scope], actor: str, ceiling: Ceiling = UNBOUND
) -> Viewer:
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
        unnamed=partner.unnamed,
        group_ids=frozenset(group_ids),
        scopes=scopes,
        actor=actor,
        sight=partner.sight,
        ceiling=strictest(
            ceiling,
            Ceiling.of(partner.ceiling_tlp, partner.ceiling_width),
            Ceiling.of(partner.operator_ceiling_tlp, partner.operator_ceiling_width),
        ),
        alone=Ceiling.of(partner.alone_tlp, partner.alone_width),
        alone_objects=partner.alone_objects,
    )
