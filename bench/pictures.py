"""`python -m bench.pictures [PATH …]`: pictures of the portal's pages, to be looked at; nothing here is a test.

Of a demo that runs (`--demo DATA_DIR`, by default `.data`), each page in three widths and two themes, as PNG files in
`--out`. With `--check` it also says what axe finds, and which pages are wider than their window.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.journeys import axe

#: The pages that a person of a lab sees every day, then what they see now and then.
MAIN = (
    *("/", "/indicators", "indicator", "/campaigns", "campaign", "/publish", "/paste", "/subscriptions"),
    *("/subscriptions/feeds/all", "/judgement/"),
)
OTHERS = (
    *("/subscriptions/new", "/matches", "/judgement/usefulness/", "/organisation/appeals/", "/organisation/recalls/"),
    *("/organisation/", "/organisation/groups/", "/organisation/groups/ring", "/organisation/sharing/"),
    *("/organisation/hosts/", "/organisation/detectors/", "/organisation/people/", "/organisation/keys/"),
    *(
        "/organisation/waiting/",
        "/organisation/quarantine/",
        "/organisation/reports/",
        "/organisation/log/",
        "/account/",
    ),
)
#: The pictures of the documentation: name, page. They are in the repository; `--docs` takes them anew.
DOCS = {"home": "/", "indicators": "/indicators?filter=publishers:>=2", "indicator": "indicator",
        "campaign": "campaign", "publish": "/publish", "feed": "/subscriptions/feeds/all"}  # fmt: skip
DOCS_PLACE = Path(__file__).parents[1] / "exchange" / "static" / "exchange" / "docs"
#: Bytes of one of them, at most.
MOST_OF_DOCS = 100_000
OPERATORS = ("/operator/partners", "/operator/groups", "/operator/invite/")
_FIRST = {"indicator": ("/indicators", "tbody td.what a"), "campaign": ("/campaigns", "tbody td.main a")}


def main() -> None:
    """Take them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("pages", nargs="*", help="paths; none: all")
    asked.add_argument("--demo", type=Path, default=Path(".data"))
    asked.add_argument("--out", type=Path, default=Path("pictures"))
    asked.add_argument("--who", default="aster")
    asked.add_argument("--widths", default="1440,768,390")
    asked.add_argument("--themes", default="light,dark")
    asked.add_argument("--check", action="store_true")
    asked.add_argument("--docs", action="store_true", help="those of the documentation, into the repository")
    said = asked.parse_args()
    info = json.loads((said.demo / "demo.json").read_text())
    url = (said.demo / "url").read_text().strip()
    said.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        state = signed_in(browser, url, info, said.who)
        if said.docs:
            _of_docs(browser, url, state)
        elif said.pages or said.who != "aster":
            _take(browser, url, state, said.pages or list(OPERATORS), said)
        else:
            _take(browser, url, state, [*MAIN, *OTHERS], said)
            _take(browser, url, signed_in(browser, url, info, "operator"), list(OPERATORS), said)
        browser.close()


def signed_in(browser: Browser, url: str, info: dict[str, Any], who: str) -> Any:
    user = next(one for one in [*info["partners"], info.get("operator", {})] if one.get("username") == who)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/account/login/")
    page.fill("#id_login", user["username"])
    page.fill("#id_password", user["password"])
    page.press("#id_password", "Enter")
    page.wait_for_selector("body.framed")
    state = context.storage_state()
    context.close()
    return state


def _take(browser: Browser, url: str, state: Any, paths: list[str], said: argparse.Namespace) -> None:
    for width in map(int, said.widths.split(",")):
        for theme in said.themes.split(","):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=theme, storage_state=state
            )
            page = context.new_page()
            console: list[str] = []
            page.on("console", lambda line, to=console: to.append(line.text) if line.type == "error" else None)
            for path in paths:
                _one(page, url, path, said.out / f"{_name(path)}-{width}-{theme}.png")
                for fault in _faults(page) if said.check else ():
                    sys.stdout.write(f"{path} {width} {theme}: {fault}\n")
            for line in console:
                sys.stdout.write(f"{width} {theme}: {line}\n")
            context.close()


def _one(page: Page, url: str, path: str, to: Path, *, full_page: bool = True) -> None:
    where, first = _FIRST.get(path, (path, ""))
    page.goto(f"{url}{where}", wait_until="networkidle")
    if first:
        there = page.locator(first).first
        if not there.count():
            return
        page.goto(f"{url}{there.get_attribute('href')}", wait_until="networkidle")
    page.screenshot(path=to, full_page=full_page)


_WEBP = """
async ([picture, quality]) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width; canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", quality).split(",")[1];
}
"""


def _of_docs(browser: Browser, url: str, state: Any) -> None:
    """Each as WebP, as good as fits; the browser itself compresses them."""
    DOCS_PLACE.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light", storage_state=state)
    page, reader = context.new_page(), browser.new_page()
    for name, path in DOCS.items():
        _one(page, url, path, DOCS_PLACE / f"{name}.png", full_page=False)
        picture = (DOCS_PLACE / f"{name}.png").read_bytes()
        (DOCS_PLACE / f"{name}.png").unlink()
        for quality in (0.9, 0.8, 0.7, 0.6, 0.5):
            packed = base64.b64decode(reader.evaluate(_WEBP, [base64.b64encode(picture).decode(), quality]))
            if len(packed) <= MOST_OF_DOCS:
                break
        (DOCS_PLACE / f"{name}.webp").write_bytes(packed)
        sys.stdout.write(f"{name}: {len(packed):,} bytes\n")
    context.close()


def _faults(page: Page) -> Iterator[str]:
    yield from axe.faults(page)
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        yield "wider than its window"


def _name(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:60] or "home"


if __name__ == "__main__":
    main()
