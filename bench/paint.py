"""`python -m bench.paint`: how soon a page of the portal shows something, and a campaign its picture.

Of a demo that runs (`--demo DATA_DIR`), in headless Chromium, each page many times on a warm cache: milliseconds from
the request to the first contentful paint, and of the campaign with the most marks to the first paint of its picture.
The portal aims at 300, and at 500 for a picture of 300 marks (`PAINT=FILE pytest tests/journeys/test_paint.py` draws
one of as many). Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.pictures import signed_in

TARGET_MS, PICTURE_MS = 300, 500
PATHS = ("/", "/indicators", "/campaigns", "/publish", "/paste", "/matches", "/subscriptions", "/judgement/")
# The first frame after the answer that has content; the picture is in the HTML, so it is in that frame or the next.
_PAINTED = """
async () => {
  const first = () => performance.getEntriesByName("first-contentful-paint")[0];
  while (!first()) await new Promise((done) => requestAnimationFrame(done));
  return [first().startTime, performance.getEntriesByType("navigation")[0].responseEnd];
}
"""
_DRAWN = """
async () => {
  const drawn = () => document.querySelector(".drawing .mark")?.getClientRects().length;
  while (!drawn()) await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return [performance.now(), document.querySelectorAll(".drawing.wide .mark, .drawing.wide .dot").length];
}
"""


def main() -> None:
    """Measure them."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--demo", type=Path, default=Path(".data"))
    asked.add_argument("--rounds", type=int, default=20)
    asked.add_argument("--who", default="aster")
    said = asked.parse_args()
    info = json.loads((said.demo / "demo.json").read_text())
    url = (said.demo / "url").read_text().strip()
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(storage_state=signed_in(browser, url, info, said.who)).new_page()
        _write(f"{'milliseconds to the first paint':<34} median    p95   answer  target")
        for path in PATHS:
            took = [_asked(page, f"{url}{path}", _PAINTED) for _ in range(said.rounds + 1)][1:]
            _told(path, [one[0] for one in took], median(one[1] for one in took), TARGET_MS)
        _picture(page, url, rounds=said.rounds)
        browser.close()


def _picture(page: Page, url: str, *, rounds: int) -> None:
    """Of the campaigns on the first page of the list the one with the most marks."""
    page.goto(f"{url}/campaigns")
    links = page.locator("tbody td.main a").evaluate_all("all => all.slice(0, 8).map((one) => one.href)")
    marks = {link: _asked(page, link, _DRAWN)[1] for link in links}
    if not marks:
        _write("No campaign yet.")
        return
    most = max(marks, key=lambda link: marks[link])
    took = [_asked(page, most, _DRAWN)[0] for _ in range(rounds)]
    _told(f"a campaign's picture, {marks[most]:.0f} marks", took, 0, PICTURE_MS)


def _asked(page: Page, address: str, what: str) -> list[float]:
    page.goto(address)
    found: Any = page.evaluate(what)
    return [float(one) for one in found]


def _told(name: str, took: list[float], answer: float, target: int) -> None:
    late = quantiles(took, n=20)[-1]
    _write(
        f"{name:<34} {median(took):>6.0f} {late:>6.0f} {answer:>8.0f} {target:>7}{'  late' if late > target else ''}"
    )


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
