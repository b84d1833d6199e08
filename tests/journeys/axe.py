"""What axe finds wrong with a page: WCAG 2.2 A and AA. The script is axe-core's own, from the npm registry."""

from __future__ import annotations

from pathlib import Path

_SCRIPT = Path(__file__).parents[1] / "data" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def faults(page) -> list[str]:
    """Rule and place of each; the page's policy lets no script in but its own, so axe is evaluated beside it."""
    page.evaluate(_SCRIPT.read_text())
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})", _RULES
    )
    return [f"{one['id']}: {node['target'][0]}" for one in found["violations"] for node in one["nodes"]]
