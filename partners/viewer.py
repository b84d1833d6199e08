"""Who is looking: what authentication returns, and what every read takes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from exchange.errors import Forbidden
from partners.caps import NONE, Caps
from partners.ceilings import UNBOUND, Ceiling
from partners.defaults import DefaultAudience
from partners.models import Partner
from partners.scopes import Scope
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking: what authentication returns and every read takes first."""

    partner_id: UUID
    partner_name: str
    partner_slug: str
    identity_id: str
    collection_id: UUID
    kind: str
    clearance: Tlp
    default_tlp: Tlp
    default_audience: DefaultAudience | None = None  # of what is pushed without one; None where none is set
    unnamed: bool = False  # whether it has published anything without its name
    group_ids: frozenset[UUID] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    actor: str = field(default="system")  # "user:<pk>", "key:<public id>", "command"; for the audit log
    sight: int = 0  # `Partner.sight` when it was read
    limited: bool = False  # a key for some of its partner's groups only
    key_groups: frozenset[UUID] | None = None  # of such a key: those that it names, its partner may have left some
    ceiling: Ceiling = UNBOUND  # the strictest of partner, operator, role and key
    alone: Ceiling = UNBOUND  # what goes beyond it, a second person confirms
    alone_objects: int | None = None  # and what is more than so many objects within an hour
    caps: Caps = NONE  # and what is more than this within a day; the strictest of partner and operator
    proof: tuple[str, bytes] | None = field(default=None, compare=False, repr=False)  # of a key (`partners.proof`)

    @property
    def is_person(self) -> bool:
        """Whether a person is looking, not a key."""
        return self.actor.startswith("user:")

    @property
    def is_operator(self) -> bool:
        """Whether it acts for the operator with the rights of an admin: a person, a key, or the command line."""
        return self.kind == Partner.Kind.OPERATOR and Scope.ADMIN in self.scopes

    @property
    def operates(self) -> bool:
        """Whether it is an admin of the operator, in person."""
        return self.is_operator and self.is_person

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the viewer holds `scope`."""
        if scope not in self.scopes:
            raise Forbidden(f"This needs the scope '{scope}'.", code="missing-scope")

    def require_all_groups(self) -> None:
        """Raise Forbidden for a key that is limited to some groups: what it asks for would speak of the others, too."""
        if self.limited:
            raise Forbidden("This needs a key for all groups of its partner.", code="key-limited-to-groups")
