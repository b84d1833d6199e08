"""Who would see what is shared in some way: words into an audience, and the rule asked for every partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from exchange.errors import Refused
from partners import viewing
from partners.attribution import Attribution
from partners.scopes import Scope
from partners.sharing import default_reach, groups_named, may_share, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Wish:
    """An audience in words, as a push names it; where it is not `named`, the default audience."""

    named: bool
    everyone: bool = False
    groups: Sequence[str] = ()
    partners: Sequence[str] = ()
    tlp: str = ""
    attribution: str = ""


def who_would_see(viewer: Viewer, wish: Wish) -> list[viewing.Reader]:
    """The partners that would see it, and whom each would be told that it comes from.

    Raises Forbidden without the rights to publish and to read who is there; Refused as a push would, naming the field.
    """
    viewer.require(Scope.PUBLISH)
    viewer.require(Scope.READ)  # it names partners
    if wish.everyone and (wish.groups or wish.partners):
        raise Refused("Everyone, or names: not both.", code="bad-audience", at="/everyone")
    tlp = _tlp(wish.tlp) if wish.tlp else viewer.default_tlp
    if wish.named:
        spec = may_share(
            viewer,
            tlp=tlp,
            everyone=wish.everyone,
            groups=groups_named(viewer, wish.groups) if wish.groups else (),
            partners=partners_named(wish.partners) if wish.partners else (),
        )
    else:
        spec = default_reach(viewer, tlp)
    return viewing.would_see(viewer, replace(spec, attribution=_attribution(wish.attribution)))


def _tlp(word: str) -> Tlp:
    try:
        return Tlp.from_word(word)
    except ValueError:
        raise Refused("clear, green, amber, amber+strict or red.", code="unknown-marking", at="/tlp") from None


def _attribution(word: str) -> Attribution:
    try:
        return Attribution.from_word(word) if word else Attribution.NAMED
    except ValueError:
        raise Refused("named, pseudonym or exchange.", code="unknown-attribution", at="/attribution") from None
