"""Who would see what is shared in some way: the rule, asked for every partner."""

from __future__ import annotations

from dataclasses import replace

from indicators.publishing.reach import Reach
from partners import viewing
from partners.attribution import Attribution
from partners.defaults import DefaultAudience
from partners.scopes import Scope
from partners.sharing import default_reach, may_share
from partners.viewer import Viewer


def who_would_see(viewer: Viewer, reach: Reach) -> list[viewing.Reader]:
    """The partners that would see it, and whom each would be told that it comes from.

    Raises Forbidden without the rights to publish and to read who is there; Refused as a push would, naming the field.
    """
    viewer.require(Scope.PUBLISH)
    viewer.require(Scope.READ)  # it names partners
    tlp = viewer.default_tlp if reach.tlp is None else reach.tlp
    if reach.named:
        spec = may_share(viewer, tlp=tlp, everyone=reach.everyone, groups=reach.groups, partners=reach.partners)
    else:
        default = DefaultAudience(reach.everyone, reach.groups, reach.partners) if reach.default else None
        spec = default_reach(viewer, tlp, default=default)
    source = Attribution.NAMED if reach.attribution is None else reach.attribution
    return viewing.would_see(viewer, replace(spec, attribution=source))
