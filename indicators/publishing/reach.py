"""The audience that a batch names, as it was asked for: what may become of it, `addressing` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from exchange.errors import Refused
from partners.attribution import Attribution
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Reach:
    """The audience that a batch names for all its objects; `named` is false where it leaves that to the default.

    Named without anybody in it, it is an audience of nobody but the publisher.
    """

    named: bool = False
    tlp: Tlp | None = None
    everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()
    attribution: Attribution | None = None  # as the objects themselves say, where the batch does not
    default: bool = False  # it is the default audience as it was then, where `everyone` is for CLEAR and GREEN

    @classmethod
    def in_words(
        cls,
        viewer: Viewer,
        *,
        named: bool,
        everyone: bool = False,
        groups: Iterable[str] = (),
        partners: Iterable[str] = (),
        tlp: str = "",
        attribution: str = "",
    ) -> Reach:
        """As a request says it, by slugs and words. Raises Refused naming the property."""
        groups, partners = tuple(groups), tuple(partners)
        if everyone and (groups or partners):
            raise Refused("Everyone, or names: not both.", code="bad-audience", at="/everyone")
        return cls(
            named=named,
            tlp=_tlp(tlp) if tlp else None,
            everyone=everyone,
            groups=tuple(groups_named(viewer, groups)) if groups else (),
            partners=tuple(partners_named(partners)) if partners else (),
            attribution=_attribution(attribution) if attribution else None,
        )

    def to_json(self) -> dict[str, Any]:
        """To be kept with a batch that waits."""
        return {
            "named": self.named,
            "tlp": self.tlp,
            "everyone": self.everyone,
            "groups": [str(group) for group in self.groups],
            "partners": [str(partner) for partner in self.partners],
            "attribution": self.attribution,
            "default": self.default,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Reach:
        """As it was kept."""
        return cls(
            named=kept["named"],
            tlp=None if kept["tlp"] is None else Tlp(kept["tlp"]),
            everyone=kept["everyone"],
            groups=tuple(UUID(group) for group in kept["groups"]),
            partners=tuple(UUID(partner) for partner in kept["partners"]),
            attribution=None if kept["attribution"] is None else Attribution(kept["attribution"]),
            default=kept.get("default", False),
        )


def _tlp(word: str) -> Tlp:
    try:
        return Tlp.from_word(word)
    except ValueError:
        raise Refused("clear, green, amber, amber+strict or red.", code="unknown-marking", at="/tlp") from None


def _attribution(word: str) -> Attribution:
    try:
        return Attribution.from_word(word)
    except ValueError:
        raise Refused("named, pseudonym or exchange.", code="unknown-attribution", at="/attribution") from None
