"""Partners with webhook subscriptions, made in a running exchange: `python -m bench.audience ADDRESSES URL`.

Run as a process of its own, with the settings of the exchange: 50 addresses a partner, as many partners as that takes.
"""

from __future__ import annotations

import sys

import django

_OF_EACH = 50


def main() -> None:
    addresses, url = int(sys.argv[1]), sys.argv[2]
    django.setup()
    _subscribe(addresses, url)


def _subscribe(addresses: int, url: str) -> None:
    from dataclasses import replace

    from django.db import transaction

    from indicators.telling import subscribing
    from partners.groups.registering import register_partner
    from partners.keys import auth
    from partners.scopes import Scope

    with transaction.atomic():
        for first in range(0, addresses, _OF_EACH):
            number = first // _OF_EACH
            partner = register_partner(name=f"Audience {number}", slug=f"audience-{number}", kind="recipient")
            viewer = replace(auth.viewer_whatever_state(partner.pk), scopes=frozenset({Scope.READ, Scope.SUBSCRIBE}))
            for _ in range(min(_OF_EACH, addresses - first)):
                subscribing.subscribe(viewer, url=url, feed_id=None)


if __name__ == "__main__":
    main()
