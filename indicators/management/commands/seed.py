"""Fill an empty exchange with the cast of the demo, and write their credentials to a file of the owner's."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from exchange.management import line
from exchange.management.at_store import StoreCommand
from indicators.telling import subscribing
from partners import keys
from partners.defaults import DefaultAudience
from partners.groups import steering
from partners.groups.registering import register_group, register_partner, register_user
from partners.keys import auth
from partners.models import Group, Partner
from partners.scopes import KEY_SCOPES, RECIPIENT_SCOPES, Role, Scope

_CAST = (
    ("Aster", "aster", Partner.Kind.LAB),
    ("Borealis", "borealis", Partner.Kind.LAB),
    ("Cygnus", "cygnus", Partner.Kind.LAB),
    ("Dorado", "dorado", Partner.Kind.LAB),
    ("Eridanus", "eridanus", Partner.Kind.LAB),
    ("Fornax Agency", "fornax", Partner.Kind.RECIPIENT),
    ("Exchange Operator", "operator", Partner.Kind.OPERATOR),
)
#: What a SIEM can compare with its logs: addresses and names in clear.
_SIEM = {"kinds": ["account-pattern"], "subkinds": ["net", "email_domain", "gateway_host"]}
_LAB_SCOPES = frozenset({
    *(Scope.READ, Scope.PUBLISH, Scope.REACT, Scope.SUBSCRIBE, Scope.TOKENISE, Scope.GROUP_KEYS, Scope.EVIDENCE),
})  # fmt: skip


class Command(StoreCommand):
    """Does nothing where partners are already there and the file is."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the credentials go."""
        parser.add_argument("--credentials", type=Path, required=True, help="A JSON file, readable by its owner only.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed once; keys are shown nowhere else, so the file is written before they are committed."""
        path: Path = options["credentials"]
        if settings.PRODUCTION:
            raise CommandError(
                f"The demo's cast has no place in production; `{line.named('create_operator')}` begins one."
            )
        if Partner.objects.exists():
            if not path.exists():
                self.stderr.write("Partners are there, but not the file with their credentials; nothing was changed.")
            return
        with transaction.atomic():
            cast = [_register(*entry) for entry in _CAST]
            labs = list(Partner.objects.filter(kind=Partner.Kind.LAB).order_by("name"))
            ring = register_group(
                name="Distillation Ring",
                slug="ring",
                purpose="Facts about accounts, instruments and prompts of distillation campaigns.",
                legal_basis="Mutual sharing agreement of the five labs, reviewed by counsel of each.",
                basis_from=date(2026, 1, 1),
                basis_until=date(2027, 12, 31),
                policy=Group.Policy.CLOSED_FACTS,
                partners=labs,
                evidence=True,
            )
            cti = register_group(
                name="Classical CTI",
                slug="cti",
                purpose="Threat intelligence as the field shares it: classical STIX, beside the facts of the ring.",
                legal_basis="Mutual sharing agreement of Aster and Borealis.",
                basis_from=date(2026, 1, 1),
                basis_until=date(2027, 12, 31),
                policy=Group.Policy.OPEN_CTI,
                partners=labs[:2],
            )
            for lab in labs:
                steering.set_default_audience(lab, DefaultAudience(groups=(ring.pk,)), by=None)
            groups = [_group(ring, labs), _group(cti, labs[:2])]
            _write(path, {"partners": cast[:-1], "operator": cast[-1], "groups": groups})


def _register(name: str, slug: str, kind: Partner.Kind) -> dict[str, str]:
    partner = register_partner(name=name, slug=slug, kind=kind)
    password = secrets.token_urlsafe(15)
    role = Role.COUNSEL if kind is Partner.Kind.RECIPIENT else Role.ADMIN
    user = register_user(partner, username=slug, email=f"{slug}@{slug}.example", password=password, role=role)
    scopes = _LAB_SCOPES if kind is Partner.Kind.LAB else RECIPIENT_SCOPES & KEY_SCOPES - {Scope.ADMIN}
    _, key = keys.issue(partner, name="demo", scopes=scopes, expires_in=timedelta(days=365))
    feeds = {}
    if kind is Partner.Kind.LAB:
        feed = subscribing.save_feed(auth.viewer_of_user(user), name="siem", filter_json=_SIEM)
        feeds["siem_collection_id"] = str(feed.pk)
    return {
        "name": name,
        "slug": slug,
        "kind": kind.value,
        "id": str(partner.pk),
        "identity_id": partner.identity_id,
        "api_key": key,
        "collection_id": str(partner.collection_id),
        **feeds,
        "username": slug,
        "password": password,
    }


def _group(group: Group, members: Sequence[Partner]) -> dict[str, Any]:
    return {
        "slug": group.slug,
        "name": group.name,
        "policy": group.policy,
        "collection_id": str(group.collection_id),
        "members": [partner.slug for partner in members],
    }


def _write(path: Path, document: Any) -> None:
    """Whole or not at all, and never readable by others."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
