"""Builders through the real verbs, so that no test holds a row that production could not.

The cast is the same everywhere: Aster owns, Borealis shares a group with Aster, Cygnus is outside, Dorado only
reads, and the operator runs the place.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta

from exchange import clock
from indicators import publishing
from indicators.publishing.reach import Reach
from indicators.stix import making, parsing, tlp
from partners import keys
from partners.defaults import DefaultAudience
from partners.groups import steering
from partners.groups.registering import register_group, register_partner, register_user
from partners.identity import signing_on
from partners.keys import auth
from partners.models import Group, Partner, SignOn
from partners.scopes import KEY_SCOPES, Role, Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer
from tests import casting

_numbers = itertools.count()
LAB_SCOPES = frozenset({Scope.READ, Scope.PUBLISH, Scope.REACT, Scope.SUBSCRIBE})


def a_partner(name: str, kind: str = "lab") -> Partner:
    """A partner whose default audience is everyone for what is CLEAR or GREEN, and the rings that it is put in."""
    partner = register_partner(name=name, slug=name.lower(), kind=kind)
    if kind != "recipient":
        steering.set_default_audience(partner, DefaultAudience(open_to_everyone=True), by=None)
        partner.refresh_from_db()
    return partner


def a_ring(*partners: Partner, slug: str = "ring", policy: str = Group.Policy.OPEN_CTI) -> Group:
    ring = register_group(
        name=slug.title(),
        slug=slug,
        purpose="To share.",
        legal_basis="An agreement.",
        basis_from=date(2026, 1, 1),
        policy=policy,
        partners=partners,
    )
    for partner in partners:
        add_to_default(partner, ring)
    return ring


def add_to_default(partner: Partner, group: Group) -> None:
    """What the partner pushes without an audience goes to this group, too."""
    default = steering.settings_of(Partner.objects.get(pk=partner.pk)).default_audience
    if default is not None:
        groups = tuple(sorted({*default.groups, group.pk}))
        steering.set_default_audience(partner, replace(default, groups=groups), by=None)
        partner.refresh_from_db()


def a_key(partner: Partner, *scopes: Scope) -> str:
    """An API key, as it is presented."""
    given = frozenset(scopes) & KEY_SCOPES or LAB_SCOPES
    return keys.issue(partner, name=f"test-{next(_numbers)}", scopes=given, expires_in=timedelta(days=1))[1]


def a_user(partner: Partner, role: str = Role.ADMIN, password: str = "correct horse battery"):
    name = f"{partner.slug}-{next(_numbers)}"
    return register_user(partner, username=name, email=f"{name}@example.org", password=password, role=role)


def sign_in(client, user, *, confirmed: bool = True, good_for: timedelta = timedelta(0)) -> None:
    """A browser in which somebody is signed in and, where `confirmed`, has just said who they are (`good_for` longer)."""
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    if confirmed:
        session = client.session
        at = time.time() + good_for.total_seconds()
        session["account_authentication_methods"] = [{"method": "password", "at": at, "reauthenticated": True}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()


def a_sign_on(admin: Viewer, issuer: str = "https://id.example") -> SignOn:
    """A sign-on whose issuer is not asked whether it is one."""
    made = signing_on.configure(admin, issuer=issuer, client_id="exchange", client_secret="s3cret")
    made.authorization_endpoint = f"{issuer}/authorize"
    made.save(update_fields=["authorization_endpoint"])
    return made


def viewer_of(partner: Partner, *scopes: Scope) -> Viewer:
    return auth.viewer_of_key(a_key(partner, *scopes))


def publish(
    viewer: Viewer,
    *objects: dict | bytes,
    groups: tuple[str, ...] = (),
    partners: tuple[str, ...] = (),
    everyone: bool = False,
    tlp: Tlp | None = None,
    key: str | None = None,
    wake: bool = False,
) -> publishing.Answer:
    """Publish through the one way in; bytes go as they are."""
    reach = Reach(
        named=bool(groups or partners or everyone),
        tlp=tlp,
        everyone=everyone,
        groups=tuple(groups_named(viewer, groups)) if groups else (),
        partners=tuple(partners_named(partners)) if partners else (),
    )
    return publish_as(viewer, *objects, reach=reach, key=key, wake=wake)


def publish_as(
    viewer: Viewer, *objects: dict | bytes, reach: Reach, key: str | None = None, wake: bool = False
) -> publishing.Answer:
    """The same, to an audience that is made already."""
    raw = [obj if isinstance(obj, bytes) else json.dumps(obj).encode() for obj in objects]
    body = b'{"objects":[' + b",".join(raw) + b"]}"
    request = publishing.Request(hashlib.sha256(body + repr(reach).encode()).digest(), key)
    return publishing.publish(parsing.read_batch(body), by=viewer, reach=reach, request=request, wake=wake)


def results(answer: publishing.Answer) -> list[dict]:
    return json.loads(answer.results)


def an_indicator(**more) -> dict:
    """An account pattern with a token of its own."""
    return making.account_pattern(**more)


def later() -> str:
    """A `modified` after that of all that is made, and not too far ahead."""
    return (clock.now() + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def red() -> str:
    """The id of TLP:RED."""
    return tlp.ID_OF["red"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass(frozen=True)
class Cast:
    """Everybody, with a key each."""

    aster: Partner
    borealis: Partner
    cygnus: Partner
    dorado: Partner
    operator: Partner
    ring: Group
    keys: dict[str, str]

    def viewer(self, name: str) -> Viewer:
        return auth.viewer_of_key(self.keys[name])


_recorded: casting.Recording | None = None


def record_the_cast() -> None:
    """Have `the_cast` write rows from now on. To be called once per process, on a fresh store."""
    global _recorded
    _recorded = casting.record(_make_the_cast)


def the_cast() -> Cast:
    """Aster and Borealis share the ring; the others are outside it."""
    if _recorded is not None and _recorded.fits:
        made: Cast = casting.replay(_recorded)
        return made
    return _make_the_cast()


def _make_the_cast() -> Cast:
    aster, borealis, cygnus = a_partner("Aster"), a_partner("Borealis"), a_partner("Cygnus")
    dorado, operator = a_partner("Dorado", kind="recipient"), a_partner("Operator", kind="operator")
    everybody = {"aster": aster, "borealis": borealis, "cygnus": cygnus, "dorado": dorado, "operator": operator}
    return Cast(
        aster,
        borealis,
        cygnus,
        dorado,
        operator,
        a_ring(aster, borealis),
        {name: a_key(partner) for name, partner in everybody.items()},
    )
