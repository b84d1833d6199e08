"""What a key may do, from where and with which certificate; and who may give that away, or end it."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from exchange.errors import Forbidden, Refused
from partners.ceilings import UNBOUND, Ceiling, strictest
from partners.models import ApiKey
from partners.scopes import KEY_SCOPES, Scope
from partners.viewer import Viewer

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SUBJECT_CHARS = 400
MOST_NETWORKS = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may do, from where, and with which certificate. Empty groups or networks limit nothing."""

    scopes: frozenset[Scope]
    groups: frozenset[UUID] = frozenset()
    networks: tuple[str, ...] = ()
    certificate_subject: str = ""
    certificate_sha256: str = ""
    ceiling: Ceiling = UNBOUND
    only: str = ""  # see `ApiKey.only`


def limits_of(key: ApiKey) -> Limits:
    """What a key is limited to."""
    return Limits(
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        groups=frozenset(key.groups or ()),
        networks=tuple(key.networks),
        certificate_subject=key.certificate_subject,
        certificate_sha256=key.certificate_sha256,
        ceiling=Ceiling.of(key.ceiling_tlp, key.ceiling_width),
        only=key.only,
    )


def checked(
    *,
    scopes: Iterable[Scope],
    groups: Iterable[UUID],
    networks: Iterable[str],
    certificate_subject: str,
    certificate_sha256: str,
) -> Limits:
    """What can be, in its canonical form. Raises Refused naming the field, also for what is named but blank."""
    wanted = frozenset(scopes)
    if not wanted or not wanted <= KEY_SCOPES:
        raise Refused(f"At least one of {', '.join(sorted(KEY_SCOPES))}.", code="bad-scopes", at="/scopes")
    subject, sha256 = certificate_subject.strip(), certificate_sha256.replace(":", "").strip().lower()
    if len(subject) > _MAX_SUBJECT_CHARS or not subject.isprintable() or (certificate_subject and not subject):
        raise Refused("A distinguished name.", code="bad-certificate", at="/certificate_subject")
    if certificate_sha256 and not _SHA256.fullmatch(sha256):
        raise Refused("64 hexadecimal digits.", code="bad-certificate", at="/certificate_sha256")
    return Limits(wanted, frozenset(groups), _networks(networks), subject, sha256)


def _networks(texts: Iterable[str]) -> tuple[str, ...]:
    try:
        found = {ipaddress.ip_network(text.strip()) for text in texts}
    except ValueError:
        raise Refused("Networks such as 203.0.113.0/24 or 2001:db8::/32.", code="bad-network", at="/networks") from None
    if len(found) > MOST_NETWORKS:
        raise Refused(f"At most {MOST_NETWORKS} networks.", code="bad-network", at="/networks")
    return tuple(str(network) for network in sorted(found, key=lambda one: (one.version, int(one.network_address))))


def within(wanted: Limits, *, by: Viewer | None, parent: ApiKey | None, expires_at: datetime) -> Limits:
    """What `by` may give away of what is wanted; the rest of the limits of a key that acts is handed down."""
    if by is None:
        return wanted
    if not wanted.scopes <= by.scopes:
        raise Refused("You cannot give a scope that you do not have.", code="beyond-own-rights", at="/scopes")
    if not wanted.groups <= by.group_ids:
        raise Refused("This names a group that you are not in.", code="unknown-group", at="/groups")
    wanted = replace(wanted, ceiling=strictest(wanted.ceiling, by.ceiling))
    if parent is None:
        return wanted
    own = limits_of(parent)
    if not wanted.scopes <= own.scopes:
        raise Refused("You cannot give a scope that you do not have.", code="beyond-own-rights", at="/scopes")
    if own.groups and not wanted.groups <= own.groups:
        raise Refused("This names a group that you are not in.", code="unknown-group", at="/groups")
    if own.networks and not _covers(own.networks, wanted.networks):
        raise Refused("Networks within your own only.", code="beyond-own-rights", at="/networks")
    for field in ("certificate_subject", "certificate_sha256"):
        mine, asked = getattr(own, field), getattr(wanted, field)
        if mine and asked and asked != mine:
            raise Refused("Your own certificate only.", code="beyond-own-rights", at=f"/{field}")
    if expires_at > parent.expires_at:
        raise Refused("No later than your own key.", code="beyond-own-rights", at="/expires_in_minutes")
    return replace(
        wanted,
        groups=wanted.groups or own.groups,
        networks=wanted.networks or own.networks,
        certificate_subject=wanted.certificate_subject or own.certificate_subject,
        certificate_sha256=wanted.certificate_sha256 or own.certificate_sha256,
    )


def require_within(wanted: Limits, *, by: Viewer | None, parent: ApiKey | None) -> None:
    """Raise Forbidden unless `by` may end a key with these limits; `parent` is the key that acts.

    An admin in person ends every key of their partner. Anybody else ends what may do no more than they may: a key in a
    pipeline that was stolen must not take the others away.
    """
    if by is None or (parent is None and Scope.ADMIN in by.scopes):
        return
    own = limits_of(parent) if parent is not None else Limits(by.scopes)
    publishes_more = Scope.PUBLISH in wanted.scopes and wanted.ceiling.loosens(own.ceiling)
    if not wanted.scopes <= own.scopes or publishes_more:
        raise Forbidden("This key may do more than you may: an admin in person ends it.", code="beyond-own-rights")
    if own.groups and not (wanted.groups and wanted.groups <= own.groups):
        by.require_all_groups()


def _covers(own: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether each wanted network lies within one of its own; none wanted are all of its own."""
    wide = [ipaddress.ip_network(text) for text in own]
    return all(
        any(one.version == narrow.version and narrow.subnet_of(one) for one in wide)  # type: ignore[arg-type]
        for narrow in map(ipaddress.ip_network, wanted)
    )
