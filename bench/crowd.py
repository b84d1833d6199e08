"""Fifty partners in two hundred groups, made in a running exchange: who reads in the scenes of groups, and who hides.

Run as a process of its own, with the settings of the exchange (`python -m bench.crowd`): one line of JSON on standard
output says the keys of readers of 5, 20 and 40 groups, and the ids of templates to fill from. With `--sets N` one
member publishes as many objects, each to a set of partners of its own, among them the reader of 5 groups. With
`--person PASSWORD` templates are of all kinds, and `crowd-analyst` may sign in, of the reader of 40 groups.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from datetime import date, timedelta

import django

_PARTNERS, _GROUPS = 50, 200
#: How many groups the readers of the scenes are in.
READERS = (5, 20, 40)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int)
    parser.add_argument("--person")
    options = parser.parse_args()
    django.setup()
    json.dump(_hide(options.sets) if options.sets else _gather(options.person), sys.stdout)


def _gather(person: str | None) -> dict[str, object]:
    from django.db import transaction

    from partners import keys
    from partners.groups.registering import register_group, register_partner, register_user
    from partners.scopes import Role, Scope

    chance = random.Random(11)
    with transaction.atomic():
        partners = [
            register_partner(name=f"Crowd {number}", slug=f"crowd-{number}", kind="lab") for number in range(_PARTNERS)
        ]
        members: list[list[int]] = [[] for _ in range(_GROUPS)]
        for partner in range(_PARTNERS):
            count = READERS[partner] if partner < len(READERS) else chance.randint(5, 40)
            for group in chance.sample(range(_GROUPS), count):
                members[group].append(partner)
        groups = [
            register_group(
                name=f"Crowd {number}",
                slug=f"crowd-{number}",
                purpose="To measure.",
                legal_basis="None.",
                basis_from=date(2026, 1, 1),
                policy="open-cti",
                partners=[partners[one] for one in inside],
            )
            for number, inside in enumerate(members)
        ]
        scopes = frozenset({Scope.READ, Scope.PUBLISH})
        issued = [
            keys.issue(partner, name="crowd", scopes=scopes, expires_in=timedelta(days=1))[1]
            for partner in partners[: len(READERS)]
        ]
        if person:
            name = "crowd-analyst"
            register_user(
                partners[len(READERS) - 1],
                username=name,
                email=f"{name}@bench.example",
                password=person,
                role=Role.ANALYST,
            )
    made = [
        _published(partners[members[number][0]], group, number if person else 0)
        for number, group in enumerate(groups)
        if members[number]
    ]
    return {"keys": issued, "templates": made}


def _published(partner, group, number: int) -> str:  # type: ignore[no-untyped-def]
    made = _indicator(number)
    _publish(partner, made, groups=(group.pk,))
    return str(made["id"])


def _indicator(number: int = 0) -> dict[str, object]:
    from indicators.stix import making

    kinds = (
        making.account_pattern,
        lambda: making.payment_fingerprint(extension={"severity": "low"}, confidence=90),
        lambda: making.account_pattern("device", extension={"severity": "critical"}, valid_for=timedelta(days=5)),
        lambda: making.payment_fingerprint("par", extension={"severity": "high"}, confidence=50),
        lambda: making.prompt_signature(valid_for=timedelta(days=30)),
    )
    return kinds[number % len(kinds)]()


def _publish(partner, made, **reach) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from indicators import publishing
    from indicators.publishing.reach import Reach
    from indicators.stix import parsing
    from partners.keys import auth
    from partners.scopes import Scope

    viewer = replace(auth.viewer_whatever_state(partner.pk), scopes=frozenset({Scope.READ, Scope.PUBLISH}))
    body = json.dumps({"objects": [made]}).encode()
    request = publishing.Request(hashlib.sha256(body).digest())
    whom = Reach(named=True, tlp=None, everyone=False, **{"groups": (), "partners": (), **reach})
    publishing.publish(parsing.read_batch(body), by=viewer, reach=whom, request=request)


def _hide(sets: int) -> dict[str, object]:
    from partners.models import Partner

    chance = random.Random(13)
    partners = list(Partner.objects.filter(slug__startswith="crowd-").order_by("pk"))
    reader = next(partner for partner in partners if partner.slug == "crowd-0")
    hider = next(partner for partner in partners if partner.slug == f"crowd-{_PARTNERS - 1}")
    others = [partner for partner in partners if partner not in (reader, hider)]
    for _ in range(sets):
        named = [reader, *chance.sample(others, 3)]
        _publish(hider, _indicator(), partners=tuple(sorted(partner.pk for partner in named)))
    return {"sets": sets}


if __name__ == "__main__":
    main()
