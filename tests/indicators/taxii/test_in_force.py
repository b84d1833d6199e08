"""The collection `in-force`: what lives and nobody whom the reader hears disputes, and nothing else."""

from __future__ import annotations

import pytest

from indicators.opinions import giving
from tests import build
from tests.indicators.taxii.cast import Caller

IN_FORCE = "/taxii2/exchange/collections/in-force/"


def held(caller: Caller) -> set[str]:
    return {one["id"] for one in caller.objects(f"{IN_FORCE}objects/") if one["type"] == "indicator"}


@pytest.mark.django_db
@pytest.mark.slow
def test_it_holds_what_lives_and_is_undisputed(cast, aster, borealis, cygnus):
    lives, revoked, disputed = (build.an_indicator() for _ in range(3))
    viewer = cast.viewer("aster")
    build.publish(viewer, lives, revoked, disputed, groups=("ring",))
    assert held(borealis) == {lives["id"], revoked["id"], disputed["id"]}
    assert held(cygnus) == set()
    build.publish(viewer, revoked | {"revoked": True, "modified": build.later()}, groups=("ring",))
    build.publish(viewer, lives | {"confidence": 12, "modified": build.later()}, groups=("ring",))
    assert held(borealis) == {lives["id"], disputed["id"]}
    eve = build.viewer_of(build.a_partner("Eve"))
    open_to_all = build.an_indicator(tlp_word="green")
    build.publish(viewer, open_to_all, everyone=True)
    assert open_to_all["id"] in held(cygnus)
    giving.give(eve, open_to_all["id"], opinion="disagree", reason="false_positive")
    assert held(cygnus) == set()
    giving.give(cast.viewer("borealis"), open_to_all["id"], opinion="agree", reason="confirmed_here")
    assert held(cygnus) == {open_to_all["id"]}
    query = {"match[version]": "all"}
    versions = [one for one in borealis.objects(f"{IN_FORCE}objects/", **query) if one["type"] == "indicator"]
    assert sorted(one["id"] for one in versions) == sorted([lives["id"], disputed["id"], open_to_all["id"]])
    assert borealis.get(f"{IN_FORCE}objects/{revoked['id']}/").status_code == 404
    assert borealis.get(f"{IN_FORCE}objects/{lives['id']}/").status_code == 200
