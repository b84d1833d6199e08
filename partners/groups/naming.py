"""The form of names, and which are taken: those of partners, and the names of the exchange, as the eye reads them."""

from __future__ import annotations

import re

from django.db.models import QuerySet

from exchange.lookalikes import fold
from partners.groups.directory import known
from partners.models import Partner

#: The form of a partner's name and short name, with the words for one that has another.
NAME_CHARS = (2, 120)
NAME_WORDS = "A name of 2 to 120 characters."
SLUG_CHARS = (2, 60)
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,58}[a-z0-9]")
SLUG_WORDS = "2 to 60 small letters, digits and hyphens; a letter or digit at each end."
#: What the exchange itself is called; nobody else is.
OWN_NAMES = ("Exchange", "The exchange")


def taken() -> frozenset[str]:
    """The folded names and short names that another may not have: those of all partners, and the exchange's. One query.

    For the operator's eyes, who knows whom it has invited.
    """
    return _folded(Partner.objects.all(), besides="")


def taken_by_others(identity_id: str) -> frozenset[str]:
    """The same for a partner with this identity: of the others, those whom every partner may know. One query."""
    return _folded(known(), besides=identity_id)


def _folded(partners: QuerySet[Partner], *, besides: str) -> frozenset[str]:
    own: set[str] = set()
    others = {fold(name) for name in OWN_NAMES}
    for identity_id, name, slug in partners.values_list("identity_id", "name", "slug"):
        (own if identity_id == besides else others).update((fold(name), fold(slug)))
    return frozenset(others - own - {""})
