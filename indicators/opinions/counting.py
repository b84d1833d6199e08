"""Whose opinions and sightings count, written once: those of every partner that is not suspended now.

Asked wherever something is counted, so what a suspended partner said counts again once it is reinstated; what it says
of its own stays kept and readable. `silencing` tells those who hear its opinions of both.
"""

from __future__ import annotations

from django.db.models import Q

from partners.models import Partner

#: Of a partner `giver`, in SQL.
COUNTS = "giver.state <> 'suspended'"


def counts(giver: str = "partner") -> Q:
    """The same of rows whose field `giver` is the partner."""
    return ~Q(**{f"{giver}__state": Partner.State.SUSPENDED})
