"""The portal in a real Chromium: an analyst's first walk, live arrivals, no script or style from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import uuid

import pytest
from playwright.sync_api import expect

from indicators.models import Quarantined
from indicators.reading import listing
from indicators.stix import making
from partners import keys
from partners.scopes import Scope
from tests import build
from tests.drilling import runs
from tests.journeys import axe
from tests.waiting import DEADLINE_S

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
PASSWORD = "correct horse battery"
#: What a signed-in person sees first.
HOME = "body.framed h1:has-text('Inbox')"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]


class Patient:
    """A browser whose pages wait as long as a slow machine needs."""

    def __init__(self, browser):
        self._browser = browser

    def new_context(self, **how):
        context = self._browser.new_context(**how)
        context.set_default_timeout(DEADLINE_S * 1_000)
        return context


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread; Django would refuse the builders' queries beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    expect.set_options(timeout=DEADLINE_S * 1_000)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--disable-sync"])
        yield Patient(browser)
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


#: Each journey is made at a desk, and on a phone, with motion: which when, `conftest.py` says.
LOOKS = {"wide-light": (1440, "light", "reduce"), "narrow-dark": (390, "dark", "no-preference")}
BOTH = pytest.mark.parametrize("page", LOOKS, indirect=True)


@pytest.fixture(params=["wide-light", pytest.param("narrow-dark", marks=pytest.mark.drill)])
def page(request, chromium):
    """A page that fails the test for anything on the console: a blocked script or style says so there."""
    width, scheme, motion = LOOKS[request.param]
    size = {"width": width, "height": 900}
    context = chromium.new_context(viewport=size, color_scheme=scheme, reduced_motion=motion)
    opened = context.new_page()
    said = []
    opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


@pytest.fixture
def cast():
    return build.the_cast()


def sign_in(page, live_server, user):
    page.goto(f"{live_server.url}/")
    page.fill("#id_login", user.username)
    page.fill("#id_password", PASSWORD)
    page.click("text=Sign in >> nth=-1")
    page.wait_for_selector(HOME)


def go_to(page, place):
    """By the side bar; on a phone it is behind "More"."""
    if page.viewport_size["width"] <= 700:
        page.click(".bottom button")
    page.click(f"#side a[title='{place}']")


def sign_out(page):
    page.click("header.top summary.avatar")
    page.click("text=Sign out")


#: After so long a page looks whether there is something new.
LOOKS_AGAIN_MS = 10_000


def no_sideways_scrolling(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@BOTH
def test_an_analyst_signs_in_finds_an_indicator_and_follows_its_match(page, live_server, cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    build.publish(cast.viewer("borealis"), making.account_pattern(carrier=token, name="Seen by Borealis"))
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=token, name="Seen by Aster"))
    build.publish(cast.viewer("aster"), making.payment_fingerprint(name="A card of many"))
    sign_in(page, live_server, build.a_user(cast.aster))
    assert no_sideways_scrolling(page)
    go_to(page, "Indicators")
    page.wait_for_selector("h1:has-text('Indicators')")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.fill("#filter", "borealis")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "borealis" not in page.url, "what is searched stands in no address"
    page.click("tbody a")
    page.wait_for_selector("text=Exactly as published")
    assert no_sideways_scrolling(page)
    page.click("text=Seen by Aster")
    page.wait_for_selector("h1:has-text('Seen by Aster')")
    page.wait_for_selector("text=You share it with")
    for path, heading in (
        ("matches", "What partners have in common"),
        ("subscriptions", "Addresses"),
        ("account/", "Roles and rights"),
    ):
        page.goto(f"{live_server.url}/{path}")
        page.wait_for_selector(f"main >> text={heading}")
        assert no_sideways_scrolling(page), path


def test_what_is_new_is_said_and_put_under_nobodys_pointer(page, live_server, cast):
    build.publish(cast.viewer("aster"), making.account_pattern(name="The first"))
    page.clock.install()
    sign_in(page, live_server, build.a_user(cast.borealis))
    go_to(page, "Indicators")
    expect(page.locator("tbody tr")).to_have_count(1)
    build.publish(cast.viewer("aster"), making.prompt_signature(name="Just arrived"))
    build.publish(cast.viewer("cygnus"), making.prompt_signature(name="Of others"))
    page.clock.fast_forward(LOOKS_AGAIN_MS)
    page.wait_for_selector("text=1 new")
    assert page.locator("tbody tr").count() == 1
    page.click("text=1 new")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_moments_grow_old_in_the_form_in_which_they_were_said(page, live_server, cast):
    build.publish(cast.viewer("borealis"), making.account_pattern(name="The first"))
    page.clock.install()
    sign_in(page, live_server, build.a_user(cast.aster))
    go_to(page, "Indicators")
    added = page.locator("time[data-ago]").first
    expect(added).to_have_text(re.compile(r"^\d+ (s|min)$"))
    page.clock.fast_forward(10 * 60_000)
    expect(added).to_have_text(re.compile(r"^1\d min$"))
    page.clock.fast_forward(3 * 3_600_000)
    expect(added).to_have_text("3 h")


@pytest.mark.core
def test_content_is_shown_as_text_whatever_it_is(page, live_server, cast):
    """Of an indicator of ours, whose labels the vocabulary names, and of one that may say anything in any of them."""
    probe = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"
    shown = probe.replace("document.title", "document[.]title")  # a title is defanged
    ours = making.account_pattern(name=probe, description=probe)
    theirs = making.account_pattern(name=probe, description=probe, labels=[probe], indicator_types=[probe])
    del theirs["extensions"]
    pushed = build.results(build.publish(cast.viewer("aster"), ours, theirs))
    assert [one["status"] for one in pushed] == ["accepted", "accepted"]
    sign_in(page, live_server, build.a_user(cast.aster))
    for evil in (ours, theirs):
        page.goto(f"{live_server.url}/indicators/{evil['id']}")
        page.wait_for_selector("text=Exactly as published")
        assert "broken in" not in page.title().replace(shown, "")
        assert page.locator("img").count() == 0
        assert page.locator("h1").inner_text() == shown


def test_the_keyboard_reaches_everything_in_order(page, live_server, cast):
    sign_in(page, live_server, build.a_user(cast.aster))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    seen = []
    for _ in range(7):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim()"))
    if page.viewport_size["width"] > 700:
        named = ("Home", "Indicators", "Campaigns")
        assert seen[0] == "Exchange"
        assert all(label.startswith(name) for label, name in zip(seen[1:], named, strict=False))


def test_a_wrong_password_says_nothing_of_the_account(page, live_server, cast):
    user = build.a_user(cast.aster)
    said = set()
    for name in (user.username, "nobody-of-this-name"):
        page.goto(f"{live_server.url}/account/login/")
        page.fill("#id_login", name)
        page.fill("#id_password", "wrong")
        page.keyboard.press("Enter")
        said.add(page.locator(".errorlist:visible").inner_text())
    assert len(said) == 1


def test_text_and_chips_are_one_filter_and_leave_a_short_address(page, live_server, cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    build.publish(cast.viewer("borealis"), making.account_pattern(carrier=token, name="Theirs"))
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=token, name="Ours"))
    build.publish(cast.viewer("aster"), making.payment_fingerprint(name="A card of many", tlp_word="green"))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators")
    rows = page.locator("tbody tr")
    page.fill("#filter", "publishers:>=2 from:mine")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/indicators\?filter=from%3Amine\+publishers%3A%3E%3D2$"))
    expect(page.locator("#said")).to_have_text("1 match")  # from a place that stays: one that came anew is not read out
    expect(page.locator("[data-tally]").first).to_have_text("3")
    page.get_by_label("Leave out: From mine").click()
    expect(rows).to_have_count(2)
    expect(page.locator("#said")).to_have_text("2 match")
    expect(page.locator("[data-tally]").first).to_have_text("3")
    page.fill("#filter", "kindd:payment-fingerprint")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Did you mean")
    assert rows.count() == 2, "the list stays"
    expect(page.locator("[data-tally]").first).to_have_text("3")
    page.click(".askwrong button")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    page.fill("#filter", "sev")
    expect(page.locator("#completions li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#filter")).to_have_value("severity:")


def test_the_keys_move_choose_and_open(page, live_server, cast):
    build.publish(cast.viewer("aster"), *(making.account_pattern(name=f"No {place}") for place in range(3)))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.wait_for_load_state()  # rows are there before the scripts that listen for keys
    for key in ("j", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("tbody tr.cursor input")).to_be_checked()
    expect(page.locator("[data-chosen]")).to_have_text("1 chosen")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#keys >> text=next and previous line")


def test_how_many_match_is_counted_on_once_the_list_is_there(page, live_server, cast, monkeypatch):
    monkeypatch.setattr(listing, "LOOKED_AT_FIRST", 51)
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(56)))
    build.publish(cast.viewer("borealis"), *(making.payment_fingerprint() for _ in range(2)))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators")
    matching = page.locator(".how-many b")
    expect(matching).to_have_text("58")
    expect(page.locator("#kinds > a").first).to_contain_text("56")
    page.locator("input[name='chosen']").first.click()
    expect(page.locator("[data-all]")).to_have_text("Choose all 58 that match")
    page.fill("#filter", "kind:account-pattern")
    page.press("#filter", "Enter")
    expect(matching).to_have_text("56")
    page.fill("#filter", "kind:nothing")
    page.press("#filter", "Enter")
    page.wait_for_selector("#wrong")
    page.locator("input[name='chosen']").first.click()
    expect(page.locator("[data-all]")).to_have_text("Choose all 56 that match")  # the list stays as it was


def test_the_lines_of_a_page_and_all_that_match_are_chosen_apart(page, live_server, cast):
    """Ranges with Shift, every line of the page, all that match: and revoked in two presses from there."""
    build.publish(cast.viewer("aster"), *(making.account_pattern(name=f"No {place}") for place in range(51)))
    build.publish(cast.viewer("borealis"), *(making.account_pattern(name=f"Theirs {place}") for place in range(3)))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators?filter=from:mine")
    boxes, chosen = page.locator("input[name='chosen']"), page.locator("[data-chosen]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(chosen).to_have_text("4 chosen")
    boxes.nth(2).click(modifiers=["Shift"])
    expect(chosen).to_have_text("1 chosen")
    if page.viewport_size["width"] > 700:  # a phone has no keys, and no head above its lines
        page.keyboard.press("Shift+X")
        expect(chosen).to_have_text("50 chosen")
    page.click("[data-none]")
    expect(boxes.first).not_to_be_checked()
    page.click("[data-these]")
    expect(chosen).to_have_text("50 chosen")
    page.click("[data-all]")
    expect(chosen).to_have_text("All 51 that match are chosen")
    boxes.first.click()
    expect(chosen).to_have_text("49 chosen")
    page.click("#acts button[value=revoke]")
    page.click("main button[value=revoke]")
    page.wait_for_selector("text=49 of 49 revoked")
    page.evaluate("document.getElementById('undo').focus(); document.getElementById('undo').dataset.old = 'yes'")
    page.wait_for_selector("#undo:not([data-old])")
    expect(page.locator("#undo")).to_be_focused()  # where the page looked again by itself


def test_the_api_is_tried_with_ones_own_key_which_is_kept_nowhere(page, live_server, cast):
    _, key = keys.issue(cast.aster, name="to try", scopes=[Scope.READ])
    build.publish(cast.viewer("aster"), *(making.account_pattern() for _ in range(2)))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/docs/try#objects")
    page.fill("#key", key)
    page.fill("[data-name=limit]", "1")
    page.click("#send")
    expect(page.locator("#status")).to_contain_text("200")
    expect(page.locator("#answer-body")).to_contain_text('"publisher"')
    assert page.locator("#answer-body").inner_text().count('"publisher"') == 1
    expect(page.locator("#curl")).to_contain_text("/api/v1/objects?limit=1")
    page.select_option("#operation", label="POST /objects/{stix_id}/opinions")
    page.wait_for_selector("text=It is done for real")
    expect(page.locator("#body")).to_have_value(re.compile('"opinion"'))
    assert no_sideways_scrolling(page)
    assert axe.faults(page) == []
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert key not in kept
    page.goto(f"{live_server.url}/docs")
    page.go_back()
    expect(page.locator("#key")).to_have_value("")


def test_who_is_signed_out_elsewhere_is_asked_to_sign_in(page, live_server, cast):
    page.clock.install()
    sign_in(page, live_server, build.a_user(cast.aster))
    page.context.clear_cookies(name="exchange_session")
    page.clock.fast_forward(LOOKS_AGAIN_MS)
    page.wait_for_url("**/account/login/?next=/")
    assert page.locator("#news").count() == 0


@pytest.mark.core
def test_it_works_without_javascript(chromium, live_server, cast):
    build.publish(cast.viewer("aster"), making.account_pattern(name="Plain page"), making.payment_fingerprint())
    user = build.a_user(cast.aster)
    context = chromium.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{live_server.url}/indicators?q=plain")
    plain.fill("#id_login", user.username)
    plain.fill("#id_password", PASSWORD)
    plain.click("button.primary")
    expect(plain, "back to where one wanted to go").to_have_url(re.compile(r"/indicators\?q=plain$"))
    expect(plain.locator("tbody tr")).to_have_count(1)
    plain.fill("#filter", "kind:payment-fingerprint")
    plain.press("#filter", "Enter")
    expect(plain).to_have_url(re.compile("filter=kind%3Apayment-fingerprint$"))
    expect(plain.locator("tbody tr")).to_have_count(1)
    assert plain.locator("text=Plain page").count() == 0
    sign_out(plain)
    expect(plain).to_have_url(re.compile("/account/login/"))
    context.close()


# Text against what is painted behind it, as WCAG 2.2 (1.4.3) reckons; what is faded out or hidden is left out.
CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (text) => {
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (colour) => colour.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const stack = [];
    for (let one = node; one; one = one.parentElement) stack.push(rgba(getComputedStyle(one).backgroundColor));
    return stack.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.getClientRects().length || node.tagName === "TITLE") continue;
    const style = getComputedStyle(node);
    const ground = behind(node);
    const ink = over(rgba(node.closest("svg") ? style.fill : style.color), ground);
    const [low, high] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
"""


def test_all_text_has_the_contrast_that_it_needs(page, live_server, cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    theirs = making.account_pattern(carrier=token, name="Theirs", labels=["a-label"], tlp_word="red")
    build.publish(cast.viewer("borealis"), theirs, partners=("aster",))
    shown = making.account_pattern(carrier=token, name="Ours", description="Why", tlp_word="green")
    build.publish(cast.viewer("aster"), shown, making.account_pattern(labels=["TLP:RED"]))
    page.goto(f"{live_server.url}/account/login/")
    assert page.evaluate(CONTRAST) == []
    sign_in(page, live_server, build.a_user(cast.aster))
    paths = (
        "",
        "indicators",
        "indicators?q=zzzz",
        "matches",
        f"indicators/{shown['id']}",
        "subscriptions",
        "account/",
        "organisation/keys/",
        "organisation/quarantine/",
        f"organisation/quarantine/{Quarantined.unrestricted.get().entry}/",
    )
    for path in paths:
        page.goto(f"{live_server.url}/{path}")
        assert page.evaluate(CONTRAST) == [], path
        assert no_sideways_scrolling(page), path


WIDTHS = (320, 390, 641, 700, 701, 775, 899, 900, 1199, 1200, 1440, 2560)


#: What opens below a button and is cut off at a side of the window.
CUT_OFF = """
[...document.querySelectorAll("details.pop")].filter((one) => one.checkVisibility()).map((one) => {
  one.open = true;
  const { left, right } = one.querySelector(".sheet").getBoundingClientRect();
  one.open = false;
  return [one.querySelector("summary").textContent.trim(), left, right];
}).filter(([, left, right]) => left < 0 || right > document.documentElement.clientWidth)
"""


def test_no_page_is_wider_than_its_window(page, live_server, cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    theirs = making.account_pattern(carrier=token)
    build.publish(cast.viewer("borealis"), theirs)
    ours = making.account_pattern(carrier=token, name="W" * 200)
    build.publish(cast.viewer("aster"), ours)
    sign_in(page, live_server, build.a_user(cast.aster))
    for path in (
        "",
        "indicators",
        f"indicators/{ours['id']}",
        f"indicators/{ours['id']}/end",
        f"indicators/{theirs['id']}",
        "matches",
        "organisation/log/",
    ):
        page.goto(f"{live_server.url}/{path}")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert no_sideways_scrolling(page), (path, width)
            assert page.evaluate(CUT_OFF) == [], (path, width)


def test_what_is_not_found_keeps_its_navigation(page, live_server, cast):
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/account/")
    for path in ("nowhere", f"indicators/indicator--{uuid.uuid4()}"):
        answer = page.request.get(f"{live_server.url}/{path}")
        assert answer.status == 404
        assert 'id="side"' in answer.text()


@pytest.mark.parametrize("third", runs(3, quick=1))
def test_axe_finds_nothing_on_the_pages_of_the_day(page, live_server, cast, third):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    theirs, ours = making.account_pattern(carrier=token), making.account_pattern(carrier=token)
    build.publish(cast.viewer("borealis"), theirs)
    build.publish(cast.viewer("aster"), ours)
    sign_in(page, live_server, build.a_user(cast.aster))
    pages = (
        "",
        "indicators?filter=severity:>=low+-control:unknown",
        "indicators?filter=kindd:x",
        f"indicators/{ours['id']}",
        f"indicators/{theirs['id']}",
        f"indicators/{ours['id']}/audience",
        f"indicators/{ours['id']}/end",
        "organisation/log/",
        "subscriptions/feeds/all",
        "judgement/",
        "docs/portal",
        "organisation/groups/ring/counsel",
    )
    for path in pages[third::3]:
        page.goto(f"{live_server.url}/{path}", wait_until="networkidle")
        assert axe.faults(page) == [], path


def test_the_palette_finds_values_and_places_and_leaves_no_trace(page, live_server, cast):
    build.publish(cast.viewer("aster"), making.account_pattern(name="Mailbox of resellers"))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.keyboard.press("/")
    page.fill("[name=search]:focus", "mailb")  # at once: what is found while one types takes the place of itself
    page.wait_for_selector("#found a")
    expect(page.locator("#said")).to_have_text("1 value begins so. 0 places to go to.")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Mailbox of resellers')")
    page.fill("[name=search]", "quaran")
    page.click("#found >> text=Quarantine")
    page.wait_for_selector("h1:has-text('Quarantine')")
    assert "quaran=" not in page.url
