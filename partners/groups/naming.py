"""Which names are taken: those of partners, and what the exchange itself is called, as the eye reads them."""

from __future__ import annotations

from django.db.models import QuerySet

from exchange.lookalikes import fold
from partners.groups.directory import known
from partners.models import Partner

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
