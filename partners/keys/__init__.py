"""Issue, rotate, read and revoke API keys. The only writer of ApiKey and KeyNetwork; ends invitations of revoked keys.

A key reads `exk_<id>_<secret><checksum>`: a prefix that secret scanners can find, a public id of 8 base-32
characters, 160 random bits in base 32, and the CRC-32 of all before it in 7 base-32 characters, so that a
mistyped or truncated key is told from an unknown one without asking the database.

A key with `only` opens one thing and nothing else, and begins with `exl_`. Who may subscribe makes such keys; they are
refused wherever other keys are asked for, and others where they are.

Nobody issues beyond their own rights, and a key makes weaker keys only: each is its maker's child, and revoking a key
revokes all that descend from it. Nor does anybody but an admin in person end a key that may do more than they may.
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from exchange import clock, credentials, origins
from exchange.errors import Conflict, NotFound, Refused, Unauthenticated
from exchange.origins import Origin
from partners import locks, waking
from partners.ceilings import UNBOUND, Ceiling
from partners.keys.limiting import Limits, checked, limits_of, require_within, within
from partners.log import audit
from partners.models import ApiKey, AuditRecord, Invitation, KeyNetwork, Partner
from partners.scopes import Scope
from partners.viewer import Viewer

_SHAPE = re.compile(credentials.WHOLE)
_PUBLIC_ID = re.compile(r"[a-z2-7]{8}")
_MIN_LIFE = timedelta(minutes=1)
_MAX_LIFE = timedelta(days=366)
_MAX_ANCESTORS = 32
DEFAULT_LIFE = timedelta(days=90)
#: How long a rotated key may live on beside its successor.
MAX_OVERLAP = timedelta(days=30)
_MAX_NAME_CHARS = 80
_ACTIVE_OF_ONE_NAME = 2
#: Keys of a partner that are active, addresses of lists included; and how many of those that are over are listed.
_MOST_ACTIVE, _MOST_OVER_LISTED = 500, 500
_NETWORKS_SEEN = 32
#: Of the advisory lock under which a partner's keys are issued and revoked: "keys".


def issue(
    partner: Partner,
    *,
    name: str,
    scopes: Iterable[Scope],
    expires_in: timedelta | None = None,
    by: Viewer | None = None,
    groups: Iterable[UUID] = (),
    networks: Iterable[str] = (),
    certificate_subject: str = "",
    certificate_sha256: str = "",
    ceiling: Ceiling = UNBOUND,
    only: str = "",
) -> tuple[ApiKey, str]:
    """Make a key; with `only`, one that opens that alone.

    The second value is the key itself: shown once, stored nowhere.

    Without `expires_in` it lives for DEFAULT_LIFE, or as long as the key that makes it. What a key does not say of
    its child, the child has from it, and nobody makes a key with a higher ceiling than their own. Raises Refused naming
    the field for what cannot be or would go beyond the rights of `by`, Conflict where two of this name are active that
    open the same, or too many of the partner.
    """
    limits = checked(
        scopes=scopes,
        groups=groups,
        networks=networks,
        certificate_subject=certificate_subject,
        certificate_sha256=certificate_sha256,
    )
    _require_own(partner.pk, by, only=only)
    moment = clock.now()
    name, expires_at = _named(name), moment + _lifetime(DEFAULT_LIFE if expires_in is None else expires_in)
    with transaction.atomic():
        locks.acts_alone(partner.pk)
        parent = _parent(partner.pk, by, at=moment)
        if expires_in is None and parent is not None:
            expires_at = min(expires_at, parent.expires_at)
        limits = within(replace(limits, ceiling=ceiling, only=only), by=by, parent=parent, expires_at=expires_at)
        key, presented = _make(partner.pk, name, limits, expires_at=expires_at, parent=parent, by=by)
        audit.record(
            audit.Verb.KEY_ISSUED,
            by=by,
            target=f"key:{key.public_id}",
            about=partner.pk,
            scopes=key.scopes,
            **_facts(key),
        )
    return key, presented


def rotate(key: ApiKey, *, overlap: timedelta, by: Viewer | None = None) -> tuple[ApiKey, str]:
    """Make a successor with the same name and limits, and end `key` after `overlap`. Returns as `issue` does.

    The successor lives as long as `key` was given, but no longer than the key that asks for it. Raises as `issue`
    does; Conflict also for a key that is over or is being rotated already, Forbidden as `revoke`.
    """
    _require_own(key.partner_id, by, only=key.only)
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise Refused(f"An overlap of 0 to {MAX_OVERLAP.days} days.", code="bad-overlap", at="/overlap_minutes")
    moment = clock.now()
    with transaction.atomic():
        locks.acts_alone(key.partner_id)
        key = ApiKey.objects.get(pk=key.pk)
        if not is_active(key, at=moment):
            raise Conflict("This key is over; issue a new one.", code="key-is-over")
        parent = _parent(key.partner_id, by, at=moment)
        require_within(limits_of(key), by=by, parent=parent)
        expires_at = moment + (key.expires_at - key.created_at)
        if parent is not None:
            expires_at = min(expires_at, parent.expires_at)
        limits = within(limits_of(key), by=by, parent=parent, expires_at=expires_at)
        made, presented = _make(
            key.partner_id, key.name, limits, expires_at=expires_at, parent=parent or key.parent, by=by
        )
        ends_at = min(key.expires_at, moment + overlap)
        ApiKey.objects.filter(pk=key.pk).update(expires_at=ends_at)
        audit.record(
            audit.Verb.KEY_ROTATED,
            by=by,
            target=f"key:{key.public_id}",
            successor=made.public_id,
            about=key.partner_id,
            ends_at=clock.rfc3339(ends_at),
            **_facts(made),
        )
    return made, presented


def successor(public_id: str, *, partner_id: UUID) -> str:
    """The public id of the key that took the place of a partner's key (`rotate`); empty where none did. One query."""
    rotated = AuditRecord.objects.filter(
        partner=partner_id, verb=audit.Verb.KEY_ROTATED, target=f"key:{public_id}"
    ).order_by("-at", "-pk")
    found = rotated.values_list("details__successor", flat=True).first()
    return str(found or "")


def revoke(key: ApiKey, *, by: Viewer | None = None) -> int:
    """Make a key and all that descend from it worthless from the next request on; returns how many were active.

    What they have invited is withdrawn. Raises Forbidden for a key that may do more than `by` may
    (`limiting.require_within`).
    """
    _require_own(key.partner_id, by, only=key.only)
    moment = clock.now()
    with transaction.atomic():
        locks.acts_alone(key.partner_id)
        require_within(limits_of(key), by=by, parent=_parent(key.partner_id, by, at=moment))
        with connection.cursor() as cursor:
            cursor.execute(_REVOKE, {"key": key.pk, "at": moment})
            revoked = cursor.fetchall()
        for public_id, parent in revoked:
            told = {"with_parent": parent} if public_id != key.public_id else {}
            audit.record(audit.Verb.KEY_REVOKED, by=by, target=f"key:{public_id}", about=key.partner_id, **told)
        _withdraw_invitations([public_id for public_id, _ in revoked], by=by)
        waking.wake()  # whoever waits under it is asked again at once
    return len(revoked)


def _withdraw_invitations(public_ids: list[str], *, by: Viewer | None) -> None:
    """End what these keys have invited: whoever holds such a link would become a person after the key is gone."""
    sent = Invitation.objects.filter(invited_by_key__public_id__in=public_ids, accepted_at=None, revoked_at=None)
    found = list(sent.order_by("pk").select_for_update(of=("self",)).values_list("pk", "partner"))
    Invitation.objects.filter(pk__in=[pk for pk, _ in found]).update(revoked_at=clock.now())
    for pk, partner_id in found:
        audit.record(audit.Verb.INVITATION_REVOKED, by=by, target=f"invitation:{pk}", about=partner_id)


def of(viewer: Viewer) -> QuerySet[ApiKey]:
    """The keys of the viewer's own partner, newest first. Raises Forbidden without the scope `admin`."""
    viewer.require(Scope.ADMIN)
    return ApiKey.objects.filter(partner=viewer.partner_id).select_related("parent").order_by("-created_at", "-pk")


def listed(viewer: Viewer) -> QuerySet[ApiKey]:
    """Those of them that are active, and the newest of those that are over. Raises as `of`."""
    mine, moment = of(viewer), clock.now()
    over = mine.filter(~Q(revoked_at=None) | Q(expires_at__lte=moment)).values("pk")[:_MOST_OVER_LISTED]
    return mine.filter(Q(revoked_at=None, expires_at__gt=moment) | Q(pk__in=over))


def find(viewer: Viewer, public_id: str) -> ApiKey:
    """A key of the viewer's own partner. Raises NotFound for any other, Forbidden without the scope `admin`."""
    found = of(viewer).filter(public_id=public_id).first() if _PUBLIC_ID.fullmatch(public_id) else None
    if found is None:
        raise NotFound
    return found


def for_only(viewer: Viewer, only: Iterable[str]) -> QuerySet[ApiKey]:
    """The keys of the viewer's own partner that open one of these things alone, newest first. Raises Forbidden."""
    viewer.require(Scope.SUBSCRIBE)
    found = ApiKey.objects.filter(partner=viewer.partner_id, only__in=list(only)).exclude(only="")
    return found.select_related("partner").order_by("-created_at", "-pk")


def seen(key: ApiKey) -> list[KeyNetwork]:
    """The networks that a key was used from, the last first; prefetch `networks_seen` for many."""
    return sorted(key.networks_seen.all(), key=lambda one: (one.last_at, one.pk), reverse=True)


def state(key: ApiKey, *, at: datetime) -> str:
    """`active`, `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.expires_at > at else "expired"


def is_active(key: ApiKey, *, at: datetime) -> bool:
    """Whether a key is neither revoked nor expired."""
    return key.revoked_at is None and key.expires_at > at


def is_usable(key: ApiKey, *, origin: Origin, at: datetime) -> bool:
    """Whether a key may be used now, from there: every condition is looked at, whichever fails."""
    conditions = (
        is_active(key, at=at),
        key.partner.state == Partner.State.ACTIVE,
        not key.networks or (origin.address is not None and origins.inside(origin.address, key.networks)),
        key.certificate_subject in ("", origin.subject),
        key.certificate_sha256 in ("", origin.fingerprint),
        key.partner.kind != Partner.Kind.OPERATOR or origins.is_operators(origin),
    )
    return all(conditions)


def note_use(key: ApiKey, *, prefix: str, at: datetime) -> None:
    """Write down that a key was used, and from which network; the oldest networks beyond the bound are forgotten."""
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    seen = KeyNetwork(key=key, prefix=prefix, first_at=at, last_at=at)
    KeyNetwork.objects.bulk_create(
        [seen], update_conflicts=True, unique_fields=["key", "prefix"], update_fields=["last_at"]
    )
    newest = KeyNetwork.objects.filter(key=key).order_by("-last_at", "-pk").values("pk")[:_NETWORKS_SEEN]
    KeyNetwork.objects.filter(key=key).exclude(pk__in=newest).delete()


def maker_of(actor: str) -> str:
    """Which person stands behind an actor: the one who issued the key, or the key that issued it, and so on."""
    for _ in range(_MAX_ANCESTORS):
        if not actor.startswith("key:"):
            break
        issued = audit.by_whom(audit.Verb.KEY_ISSUED, target=actor)
        if issued is None:
            break
        actor = issued
    return actor


def public_id_of(presented: str) -> str | None:
    """The public id in a well-formed key, or None if it cannot be one of ours."""
    shape = _SHAPE.fullmatch(presented)
    if shape is None or not hmac.compare_digest(_checksum(presented[: -len(shape[3])]), shape[3]):
        return None
    return shape[1]


def digest(presented: str) -> bytes:
    """SHA-256: the key holds 160 random bits, so a slow hash would only slow the exchange."""
    return hashlib.sha256(presented.encode()).digest()


def _require_own(partner_id: UUID, by: Viewer | None, *, only: str) -> None:
    """Only the exchange itself touches keys of a partner that is not its own."""
    if by is None:
        return
    if by.partner_id != partner_id:
        raise NotFound
    by.require(Scope.SUBSCRIBE if only else Scope.ADMIN)


def _named(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise Refused(f"A name of 1 to {_MAX_NAME_CHARS} characters.", code="bad-name", at="/name")
    return name


def _lifetime(expires_in: timedelta) -> timedelta:
    if not _MIN_LIFE <= expires_in <= _MAX_LIFE:
        raise Refused("A key lives from a minute to a year.", code="bad-expiry", at="/expires_in_minutes")
    return expires_in


def _parent(partner_id: UUID, by: Viewer | None, *, at: datetime) -> ApiKey | None:
    """The key that acts, read again under the lock: one that was revoked meanwhile makes nothing."""
    if by is None or not by.actor.startswith("key:"):
        return None
    found = ApiKey.objects.filter(public_id=by.actor.removeprefix("key:"), partner=partner_id).first()
    if found is None or not is_active(found, at=at):
        raise Unauthenticated("This API key is not valid.", code="invalid-key")
    return found


def _make(
    partner_id: UUID, name: str, limits: Limits, *, expires_at: datetime, parent: ApiKey | None, by: Viewer | None
) -> tuple[ApiKey, str]:
    alike = ApiKey.objects.filter(partner=partner_id, name=name, only=limits.only)
    active = alike.filter(revoked_at=None, expires_at__gt=clock.now())
    if active.count() >= _ACTIVE_OF_ONE_NAME:
        raise Conflict("Two keys of this name are active; revoke one first.", code="two-keys-of-this-name", at="/name")
    all_active = ApiKey.objects.filter(partner=partner_id, revoked_at=None, expires_at__gt=clock.now())
    if all_active.count() >= _MOST_ACTIVE:
        raise Conflict(f"At most {_MOST_ACTIVE} active keys; revoke one first.", code="too-many-keys")
    public_id = _base32(secrets.token_bytes(5))
    begins = credentials.OF_LIST if limits.only else credentials.OF_KEY
    body = f"{begins}{public_id}_{_base32(secrets.token_bytes(20))}"
    presented = body + _checksum(body)
    key = ApiKey.objects.create(
        partner_id=partner_id,
        name=name,
        public_id=public_id,
        digest=digest(presented),
        scopes=sorted(limits.scopes),
        only=limits.only,
        groups=sorted(limits.groups) or None,
        networks=list(limits.networks),
        certificate_subject=limits.certificate_subject,
        certificate_sha256=limits.certificate_sha256,
        ceiling_tlp=limits.ceiling.tlp,
        ceiling_width=limits.ceiling.width,
        parent=parent,
        created_by=by.actor if by else "system",
        expires_at=expires_at,
    )
    return key, presented


def _facts(key: ApiKey) -> dict[str, Any]:
    """What the log says of a new key beside its scopes."""
    return {
        **({"only": key.only} if key.only else {}),
        "groups": [str(group) for group in key.groups or ()],
        "networks": key.networks,
        "expires_at": clock.rfc3339(key.expires_at),
        "parent": key.parent.public_id if key.parent else None,
    }


def _checksum(body: str) -> str:
    return _base32(zlib.crc32(body.encode()).to_bytes(4))


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


_REVOKE = """
WITH RECURSIVE line AS (
    SELECT id, NULL::text AS parent FROM partners_apikey WHERE id = %(key)s
    UNION ALL
    SELECT child.id, parent.public_id FROM partners_apikey child JOIN line ON child.parent_id = line.id
    JOIN partners_apikey parent ON parent.id = line.id
)
UPDATE partners_apikey key SET revoked_at = %(at)s FROM line WHERE key.id = line.id AND key.revoked_at IS NULL
RETURNING key.public_id, line.parent
"""
