"""Trusted Types in a real browser: markup is what htmx was answered; any other string is refused by the browser itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from indicators.stix import making
from tests import build
from tests.journeys.test_portal import CHROMIUM, cast, chromium, page, sign_in  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]

#: Each is a way by which a string could become markup or a script.
SINKS = {
    "innerHTML": "document.createElement('div').innerHTML = text",
    "outerHTML": "document.body.appendChild(document.createElement('div')).outerHTML = text",
    "insertAdjacentHTML": "document.body.insertAdjacentHTML('beforeend', text)",
    "fragment": "document.createRange().createContextualFragment(text)",
    "parser": "new DOMParser().parseFromString(text, 'text/html')",
    "parser without a check": "Document.parseHTMLUnsafe(text)",
    "srcdoc": "document.createElement('iframe').srcdoc = text",
    "eval": "eval(text)",
    "script": "document.createElement('script').text = text",
    "script's address": "document.createElement('script').src = '/static/exchange/site.js'",
    "worker": "new Worker('/static/exchange/site.js')",
    "a second policy": "trustedTypes.createPolicy('default', {createHTML: (one) => one})",
    "the same policy": "trustedTypes.createPolicy('htmx', {createHTML: (one) => one})",
}


def _what_becomes_of(page, act):  # noqa: F811
    """ "passed", or the name of the error; the act is written into the test's own function, for a page may make none of text."""
    return page.evaluate(
        f"() => {{ const text = '<b>of others</b>'; try {{ {act}; return 'passed'; }} catch (error) {{ return error.name; }} }}"
    )


def test_a_string_of_any_other_code_is_refused_everywhere(chromium, live_server, cast):  # noqa: F811
    """Without the console of `page`: the browser says there what it refused, as it should."""
    build.publish(cast.viewer("aster"), making.account_pattern(name="The first"))
    context = chromium.new_context()
    opened = context.new_page()
    sign_in(opened, live_server, build.a_user(cast.aster))
    opened.goto(f"{live_server.url}/indicators", wait_until="networkidle")
    refused = {name: _what_becomes_of(opened, act) for name, act in SINKS.items()}
    context.close()
    assert {name for name, one in refused.items() if one == "passed"} == set(), refused


def test_what_htmx_is_answered_passes_once(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), making.account_pattern(), making.payment_fingerprint())
    page.add_init_script(
        "addEventListener('htmx:beforeSwap', ({detail}) => { window.answered = detail.serverResponse; });"
    )
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators", wait_until="networkidle")
    page.fill("#filter", "kind:payment-fingerprint")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert _what_becomes_of(page, "Document.parseHTMLUnsafe(window.answered)") == "TypeError"


def test_back_from_a_filter_leads_to_a_whole_page(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), making.account_pattern(), making.payment_fingerprint())
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators", wait_until="networkidle")
    for text, count in (("kind:payment-fingerprint", 1), ("", 2)):
        page.fill("#filter", text)
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(count)
        page.wait_for_load_state()  # the next "back" is heard once the scripts are there
    for count in (1, 2):
        page.go_back()
        expect(page.locator("#said")).to_have_count(1)
        expect(page.locator("tbody tr")).to_have_count(count)
        page.wait_for_load_state()  # the next "back" is heard once the scripts are there
