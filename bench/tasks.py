"""`python -m bench.tasks`: an analyst's ten tasks in Chromium against a demo that runs and is filled; clicks, keys and
seconds. `exchange simulate --data-dir DEMO` fills it.

Each begins at the inbox of somebody who is signed in. Clicks are presses of the mouse, keys are shortcuts; what is
typed or pasted counts as one. Seconds are the machine's: what a person thinks comes on top. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

#: A machine that does much else at the time is slow, and not wrong.
_WAIT_MS = 300_000


@dataclass(slots=True)
class Hand:
    """A person at the page: counts what they do."""

    page: Page
    clicks: int = 0
    keys: int = 0
    typed: int = 0
    notes: list[str] = field(default_factory=list)

    def click(self, where: str) -> None:
        """Press the first of these."""
        self.clicks += 1
        self.page.locator(where).first.click()

    def press(self, key: str) -> None:
        """A key, or several one after the other: `g i`. Keys work once the page is loaded."""
        self.page.wait_for_load_state("load")
        for one in key.split():
            self.keys += 1
            self.page.keyboard.press(one)

    def type(self, where: str, text: str) -> None:
        """Type or paste into a field."""
        self.typed += 1
        self.page.locator(where).first.fill(text)

    def sees(self, what: str) -> None:
        """Wait until it is there."""
        self.page.locator(what).first.wait_for(timeout=_WAIT_MS)


def known_token(hand: Hand) -> None:
    """Does anybody know this token?"""
    token = _a_token(_of_others(hand.page))
    hand.press("/")
    hand.type("[name=search]", token)
    hand.sees("#found a")


def judge(hand: Hand) -> None:
    """Call an indicator of another lab a false positive."""
    hand.press("g i")
    hand.sees("tbody tr")
    hand.type("#filter", "from:others standing:unreviewed kind:account-pattern")
    hand.press("Enter")
    hand.sees(".chip")
    hand.page.wait_for_load_state("networkidle")
    hand.click("tbody td.what a")
    hand.sees(".judge")
    hand.press("2")
    hand.sees(".note.success, .note.good, [role=status]:has-text('opinion')")


def publish(hand: Hand) -> None:
    """Publish 200 values of a CSV to two groups."""
    stem = uuid.uuid4().hex[:8]
    rows = "\n".join(f"reseller{place}@{stem}.example" for place in range(200))
    hand.press("g p")
    hand.sees("#prepare")
    hand.typed += 1
    hand.page.set_input_files(
        "#file", files=[{"name": "accounts.csv", "mimeType": "text/csv", "buffer": f"email\n{rows}\n".encode()}]
    )
    hand.click("#go")
    hand.sees("table.draft tbody tr:nth-child(200)")
    for slug in ("ring", "cti"):
        hand.clicks += 1
        with hand.page.expect_navigation():
            hand.page.locator(f"#audience input[value={slug}]").check()
    hand.click("#send")
    hand.sees(".note.success, .note.good, .note.warning, .note.error")
    hand.notes.append(hand.page.locator("main > .note[role=status]:visible").last.inner_text()[:80])


def why_campaign(hand: Hand) -> None:
    """Why is this campaign one?"""
    hand.press("g c")
    hand.sees("tbody td.main a")
    hand.click("tbody td.main a")
    hand.sees("text=Why together")


def to_enforcement(hand: Hand) -> None:
    """A list of prompts and payments of two publishers or more, to our enforcement."""
    hand.press("g f")
    hand.click("header >> text=New feed")
    hand.click("main >> text=Payments and prompts")
    hand.sees("#name")
    hand.type("#name", f"Payments and prompts {uuid.uuid4().hex[:4]}")
    hand.click("text=Save the feed")
    hand.sees("#use pre")
    hand.click("#use button[data-copy]:visible >> nth=1")


def expires(hand: Hand) -> None:
    """What expires this week?"""
    hand.press("g i")
    hand.click("text=Ends this week")
    hand.sees(".chip:has-text('7d')")


def who_sees(hand: Hand) -> None:
    """Who sees this one of ours, and why?"""
    hand.press("g i")
    hand.click(".tabs >> text=Ours")
    hand.sees(".chip")
    hand.click("tbody td.what a")
    hand.sees(".reader")


def disagreed(hand: Hand) -> None:
    """Which of ours were disagreed with?"""
    hand.press("g j")
    hand.sees("text=On ours")


def report(hand: Hand) -> None:
    """A report of a campaign to a government."""
    hand.press("g c")
    hand.sees("tbody td.main a")
    hand.click("tbody td.main a")
    hand.click("text=Report package")
    hand.clicks += 1
    hand.page.select_option("#recipient", index=1)
    hand.click("text=Prepare")
    hand.sees("text=Waits for release")
    hand.notes.append("then a second person releases it")


def revoke(hand: Hand) -> None:
    """Revoke 50 of ours."""
    hand.press("g i")
    hand.click(".tabs >> text=Ours")
    hand.sees(".chip")
    hand.page.wait_for_load_state("networkidle")
    hand.press("Shift+X")
    hand.sees("[data-chosen]:has-text('50')")
    hand.click("#acts button[value=revoke]")
    hand.click("main button[value=revoke]")
    hand.sees("text=Undo")


def _of_others(page: Page) -> str:
    """The list of what others published, from a page of the inbox."""
    return page.request.get(page.url.rstrip("/") + "/indicators?filter=from:others").text()


def _a_token(listed: str) -> str:
    """One that the list shows: its first line may as well be a range or a rule. Raises LookupError."""
    found = re.search(r'title="([0-9a-f]{64})\b', listed)
    if found is None:
        raise LookupError("the list shows no token of others")
    return found[1]


TASKS: tuple[Callable[[Hand], None], ...] = (
    *(known_token, judge, publish, why_campaign, to_enforcement, expires, who_sees, disagreed, report, revoke),
)


def main() -> None:
    """Do them, and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--demo", type=Path, default=Path(".data"))
    asked.add_argument("tasks", nargs="*", help="names; none: all")
    said = asked.parse_args()
    user = json.loads((said.demo / "demo.json").read_text())["partners"][0]
    url = (said.demo / "url").read_text().strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(_WAIT_MS)
        page.goto(f"{url}/account/login/")
        page.fill("#id_login", user["username"])
        page.fill("#id_password", user["password"])
        page.press("#id_password", "Enter")
        page.wait_for_selector("body.framed")
        page.goto(url)
        try:
            _a_token(_of_others(page))
        except LookupError:
            raise SystemExit(f"Nobody else has published: exchange simulate --data-dir {said.demo}") from None
        sys.stdout.write(f"{'task':<74} clicks keys typed seconds\n")
        for task in TASKS:
            if said.tasks and task.__name__ not in said.tasks:
                continue
            page.goto(url, wait_until="networkidle")
            hand = Hand(page)
            begun = time.monotonic()
            try:
                task(hand)
                how = " ".join(hand.notes)
            except Exception as failed:  # noqa: BLE001 - the table says which
                how = f"FAILED: {str(failed).splitlines()[0][:90]}"
            took = time.monotonic() - begun
            counts = f"{hand.clicks:>6} {hand.keys:>4} {hand.typed:>5} {took:>7.1f}"
            sys.stdout.write(f"{(task.__doc__ or '').strip():<74} {counts}  {how}\n")
            sys.stdout.flush()
        browser.close()


if __name__ == "__main__":
    main()
