"""Every page of the portal as axe reads it: the pages are those of the matrix of routes, so that a new one is among them."""

from __future__ import annotations

import pytest

from tests.drilling import runs
from tests.journeys import axe
from tests.journeys.test_portal import CHROMIUM, chromium, no_sideways_scrolling, page  # noqa: F401 - fixtures
from tests.surfaces.matrix.pages import ROWS
from tests.surfaces.matrix.scene import the_scene

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]

#: How many pages there are at least in a third, of each who looks.
_LEAST = {"aster": 12, "operator": 0, "anonymous": 1}


def _pages(who: str, third: int) -> dict[str, str]:
    """Address by name: a third of what `who` looks at, of the routes that are asked without a form."""
    kinds = {"operator": {"operator"}, "anonymous": {"all"}}.get(who, {"person", "publish", "owner", "sees"})
    found = [(name, row.path) for name, row in sorted(ROWS.items()) if row.method == "get" and row.who in kinds]
    return dict(found[third::3])


def _is_page(answer) -> bool:
    return answer is not None and answer.status < 400 and "text/html" in answer.headers["content-type"]


@pytest.mark.drill
@pytest.mark.parametrize("third", runs(3, quick=1))
def test_axe_finds_nothing_on_any_page(page, live_server, third):  # noqa: F811
    scene = the_scene()
    found, wide, seen = {}, [], {}
    for who, least in _LEAST.items():
        page.context.clear_cookies()
        held = scene.sessions.get(who, {})
        page.context.add_cookies(
            [{"name": name, "value": value, "url": live_server.url} for name, value in held.items()]
        )
        seen[who] = 0
        for name, path in _pages(who, third).items():
            address = f"{live_server.url}{scene.path(path)}"
            first = page.request.get(address)
            if not (_is_page(first) and "<html" in first.text()):
                continue
            page.goto(address, wait_until="load")
            seen[who] += 1
            faults = axe.faults(page)
            if faults:
                found[name] = faults
            if not no_sideways_scrolling(page):
                wide.append(name)
        assert seen[who] >= least, (who, seen)
    assert found == {}
    assert wide == []
