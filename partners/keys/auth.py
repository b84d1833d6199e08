"""From a credential to a Viewer, the same way on every surface."""

import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import DatabaseError, transaction
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from structlog.contextvars import bind_contextvars, unbind_contextvars

from exchange import clock, credentials
from exchange.errors import Unauthenticated, Unavailable
from exchange.memory import Memory
from exchange.origins import Origin, origin_of
from exchange.sql import Message, ask, columns, instance
from partners import caps, keys, locks, proof
from partners.caps import Caps
from partners.ceilings import UNBOUND, Ceiling, strictest
from partners.defaults import DefaultAudience
from partners.keys import lockout
from partners.models import ApiKey, Membership, Partner, RoleCeiling, User
from partners.proof import GROUPS, WRITTEN, Changed, asked_again
from partners.scopes import ROLE_SCOPES, Role, Scope, of_kind
from partners.tlp import Tlp
from partners.viewer import Viewer

#: How often at most the use of a key from one network is written down.
_USE_GRAIN = timedelta(minutes=1)
_NO_DIGEST = bytes(32)
_TRIES = 3


def viewer_of_key(presented: str, *, origin: Origin = Origin()) -> Viewer:  # noqa: B008 - frozen
    """The viewer that a presented API key stands for: one query.

    Raises Unauthenticated, always in the same words, for a key that is malformed, unknown, expired or revoked, that
    comes from a network or with a certificate that is not its own, and for one whose partner is not active. Raises
    TooMany where that happened too often (`lockout`).
    """
    return _opened(presented, origin=origin, only=False)[1]


def opened(presented: str, *, origin: Origin) -> tuple[str, Viewer]:
    """What a presented key opens alone (`ApiKey.only`), and as whom. Raises as `viewer_of_key`, also for other keys."""
    key, viewer = _opened(presented, origin=origin, only=True)
    bind_contextvars(partner=viewer.partner_slug, actor=viewer.actor)
    return key.only, viewer


def _opened(presented: str, *, origin: Origin, only: bool) -> tuple[ApiKey, Viewer]:
    public_id = keys.public_id_of(presented)
    if public_id is None:
        raise lockout.refuse(origin, public_id=None)
    moment, prefix = clock.now(), _prefix(origin)
    found = ask(_KEY, [prefix, lockout.network_name(origin), moment, public_id])
    written, seen_at, locked_until = found[0] if found else (None, None, None)
    key, viewer = (_KNOWN.get(written) or _in_full(public_id) if written else None) or (None, None)
    is_the_key = hmac.compare_digest(bytes(key.digest) if key else _NO_DIGEST, keys.digest(presented))
    is_the_key = is_the_key and key is not None and bool(key.only) == only
    if key is None or viewer is None or not is_the_key or not keys.is_usable(key, origin=origin, at=moment):
        raise lockout.refuse(origin, public_id=public_id)
    if locked_until is not None and seen_at is None:
        raise lockout.locked(locked_until, at=moment)
    if seen_at is None or seen_at < moment - _USE_GRAIN:
        keys.note_use(key, prefix=prefix, at=moment)
    return key, viewer


def _prefix(origin: Origin) -> str:
    """The network under which the use of a key is written down."""
    return origin.network(bits4=24, bits6=48)


def _in_full(public_id: str) -> tuple[ApiKey, Viewer] | None:
    """The key and whom it stands for, as they are now; None for one that is gone."""
    found = ask(_KEY_IN_FULL, [public_id])
    if not found:
        return None
    known = _read(found[0])
    _KNOWN.put(found[0][-1], known)
    return known


def _read(row: tuple[Any, ...]) -> tuple[ApiKey, Viewer]:
    """A row of `_KEY_IN_FULL` as the key, with its partner, and the viewer that they make."""
    key = instance(ApiKey, row)
    key.partner = instance(Partner, row[len(ApiKey._meta.concrete_fields) :])  # noqa: SLF001
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    if Scope.ADMIN in scopes:
        scopes |= {Scope.AUDIT}
    held_groups = row[-2]
    group_ids = held_groups if key.groups is None else set(held_groups) & set(key.groups)
    ceiling = Ceiling.of(key.ceiling_tlp, key.ceiling_width)
    viewer = _viewer(key.partner, group_ids=group_ids, scopes=scopes, actor=f"key:{key.public_id}", ceiling=ceiling)
    named = None if key.groups is None else frozenset(key.groups)
    proven = key.public_id, proof.of(row[-1])
    return key, replace(viewer, limited=named is not None, key_groups=named, proof=proven)


#: By what was `WRITTEN` of them.
_KNOWN: Memory[str, tuple[ApiKey, Viewer]] = Memory(most=4_096)
_KEY = f"""
SELECT {WRITTEN},
       (SELECT n.last_at FROM partners_keynetwork n WHERE n.key_id = k.id AND n.prefix = %s),
       (SELECT r.until FROM partners_refusedcredentials r WHERE r.name = %s AND r.until > %s)
FROM partners_apikey k WHERE k.public_id = %s
"""
_KEY_IN_FULL = f"""
SELECT {columns(ApiKey, "k")}, {columns(Partner, "p")}, {GROUPS}, {WRITTEN}
FROM partners_apikey k JOIN partners_partner p ON p.id = k.partner_id WHERE k.public_id = %s
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
    return next(iter(viewers_among([partner_id]).values()), None)


def viewers_among(partner_ids: Collection[Any]) -> dict[Any, Viewer]:
    """The same of several partners, by their ids; none of those that are not active. One query."""
    active = Partner.objects.filter(pk__in=partner_ids, state=Partner.State.ACTIVE)
    scopes = frozenset({Scope.READ})
    return {
        partner.pk: _viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor="system")
        for partner in active.annotate(group_ids=_open_groups("pk"))
    }


def viewers_of_partners() -> list[Viewer]:
    """Every active partner as a viewer, by name: to ask the rule for each of them. One query."""
    active = Partner.objects.filter(state=Partner.State.ACTIVE).annotate(group_ids=_open_groups("pk")).order_by("name")
    scopes = frozenset({Scope.READ})
    return [_viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor="system") for partner in active]


def viewer_of_command(operator: Partner) -> Viewer:
    """The viewer that a command on the operator's machine acts as; the log names it `command`."""
    return _viewer(operator, group_ids=(), scopes=frozenset({Scope.ADMIN}), actor="command")


def viewer_of_exchange(partner: Partner, group_id: UUID) -> Viewer:
    """The exchange itself, as it publishes into one group."""
    return _viewer(partner, group_ids=[group_id], scopes=frozenset({Scope.PUBLISH, Scope.READ}), actor="system")


def viewer_of_connection(partner_id: Any, actor: str, *, scopes: frozenset[Scope]) -> Viewer | None:
    """A partner as one of its connections to other servers reads or publishes; None if the partner is not active."""
    partner = (
        Partner.objects.filter(pk=partner_id, state=Partner.State.ACTIVE).annotate(group_ids=_open_groups("pk")).first()
    )
    if partner is None:
        return None
    return _viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor=actor)


def viewer_whatever_state(partner_id: Any) -> Viewer:
    """What a partner would see were it active, to compare what it saw with what it sees. Raises DoesNotExist."""
    partner = Partner.objects.annotate(group_ids=_open_groups("pk")).get(pk=partner_id)
    return _viewer(partner, group_ids=partner.group_ids, scopes=frozenset({Scope.READ}), actor="system")


def every_viewer() -> list[Viewer]:
    """Each partner, whatever its state, as background work reads on its behalf. One query."""
    partners = Partner.objects.annotate(group_ids=_open_groups("pk")).order_by("pk")
    scopes = frozenset({Scope.READ})
    return [_viewer(partner, group_ids=partner.group_ids, scopes=scopes, actor="system") for partner in partners]


def key_in(header: str) -> str | None:
    """The key in an Authorization header: Bearer, or Basic with any user name and the key as the password.

    `Token` is no registered scheme: it is what clients built on taxii2-client call Bearer. None where there is no
    header, or a key without a scheme. A scheme or encoding that is not understood is a key that is none: empty.
    """
    if not header or header.startswith((credentials.OF_KEY, credentials.OF_LIST)):
        return None
    scheme, _, sent = header.partition(" ")
    if scheme.lower() in {"bearer", "token"}:
        return sent.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(sent.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def viewer_of_request(request: HttpRequest) -> Viewer:
    """The viewer behind the API key of a plain Django request: one query. Raises Unauthenticated, TooMany."""
    viewer = viewer_of_key(_presented(request), origin=origin_of(request))
    bind_contextvars(partner=viewer.partner_slug, actor=viewer.actor)
    return viewer


def acted[Answer](request: HttpRequest, act: Callable[[Viewer], Answer]) -> Answer:
    """What `act` returns for the viewer behind the request's API key. Raises Unauthenticated, TooMany.

    Where the key or its partner changed before `act` wrote anything (`proof.Changed`), it is called anew with who the
    caller is now.
    """
    for _ in range(_TRIES):
        try:
            return act(viewer_of_request(request))
        except Changed:
            unbind_contextvars("partner", "actor")
    raise Unavailable("The key is being changed. Try again.", code="key-changing")


@contextmanager
def acting(viewer: Viewer) -> Iterator[None]:
    """A transaction in which `viewer` changes what is its partner's, one after the other; keys and people, too.

    It is asked again who they are, so that nobody writes with what was taken from them. Each verb stands or falls by
    itself, as everywhere: what is raised afterwards takes nothing back, no count of an attempt either. Raises Changed;
    Unauthenticated for a person who may no longer sign in.
    """
    raised: Exception | None = None
    with transaction.atomic():
        locks.acts_alone(viewer.partner_id)
        message = Message()
        require = asked_again(viewer, message)
        message.send()
        require()
        if viewer.is_person:
            user = User.objects.filter(pk=viewer.actor.removeprefix("user:")).first()
            if user is None or viewer_of_user(user) != viewer:
                raise Changed
        try:
            yield
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below, once what was done is committed
            raised = error
    if raised is not None:
        raise raised


def _presented(request: HttpRequest) -> str:
    presented = key_in(request.META.get("HTTP_AUTHORIZATION", ""))
    if presented is None:
        raise Unauthenticated("Send an API key: 'Authorization: Bearer <key>', or Basic with the key as the password.")
    return presented


def _open_groups(partner_ref: str) -> ArraySubquery:
    return ArraySubquery(
        Membership.objects.filter(partner=OuterRef(partner_ref), until=None).order_by("group_id").values("group_id")
    )


def _viewer(
    partner: Partner, *, group_ids: Any, scopes: frozenset[Scope], actor: str, ceiling: Ceiling = UNBOUND
) -> Viewer:
    scopes &= of_kind(partner.kind)
    return Viewer(
        partner_id=partner.pk,
        partner_name=partner.name,
        partner_slug=partner.slug,
        identity_id=partner.identity_id,
        collection_id=partner.collection_id,
        kind=partner.kind,
        clearance=Tlp(partner.clearance),
        default_tlp=Tlp(partner.default_tlp),
        default_audience=DefaultAudience.of(partner.default_audience),
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
        caps=caps.strictest(Caps.of(partner.caps), Caps.of(partner.operator_caps)),
    )
