"""Campaigns and paste search in a real Chromium: keys, the picture and its twin, tokens made in the browser."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import expect

from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign
from indicators.stix import making
from partners.scopes import Role
from tests import build, keyservice
from tests.indicators.campaigns.sending import Pooling
from tests.indicators.campaigns.test_placing import campaign_of
from tests.journeys import axe
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    CHROMIUM,
    CUT_OFF,
    cast,
    chromium,
    no_sideways_scrolling,
    page,
    sign_in,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]
VECTORS = Path(__file__).parents[2] / "exchange/docs/token-vectors.json"


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))
    made = Pooling(interval_s=0)
    made.lines = campaign_of(made, "x")
    assert proposing.work(made.group.pk)
    announcing.catch_up()
    return made


@pytest.fixture
def key_service(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    yield
    store.close()


@pytest.mark.long
def test_keys_walk_the_picture_and_its_twin_together(page, live_server, pool):  # noqa: F811
    sign_in(page, live_server, build.a_user(pool.partners["aster"]))
    page.goto(f"{live_server.url}/campaigns")
    page.click(f"text={Campaign.objects.get().told['name']}")
    page.wait_for_selector("text=Why together")
    assert no_sideways_scrolling(page)
    assert axe.faults(page) == []
    chosen = page.locator(".twin tr.on")
    first = chosen.get_attribute("data-row")
    page.focus("[data-walk]")
    page.keyboard.press("ArrowDown")
    second = chosen.get_attribute("data-row")
    assert second != first
    expect(page.locator(f'[data-about="{second}"]')).to_be_visible()
    expect(page.locator(f'[data-about="{first}"]')).to_be_hidden()
    expect(page.locator(f'.drawing a.mark.on[data-code="{second}"]')).not_to_have_count(0)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")
    page.wait_for_url("**open=**")
    expect(page.locator(".twin code").first).to_be_visible()


@pytest.mark.long
def test_a_picture_is_saved_as_png(page, live_server, pool):  # noqa: F811
    sign_in(page, live_server, build.a_user(pool.partners["aster"]))
    page.goto(f"{live_server.url}/campaigns/{Campaign.objects.get().pk}")
    page.click("[aria-label='Save the picture']")
    with page.expect_download() as download:
        page.click("text=PNG")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CUT_OFF) == [], width


@pytest.mark.long
def test_a_campaign_is_read_and_judged_without_a_script(chromium, live_server, pool):  # noqa: F811
    user = build.a_user(pool.partners["aster"], role=Role.ANALYST)
    context = chromium.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{live_server.url}/campaigns/{Campaign.objects.get().pk}?open=pan_token")
    plain.fill("#id_login", user.username)
    plain.fill("#id_password", "correct horse battery")
    plain.click("button.primary")
    plain.click(".twin tr:nth-child(2) a")
    expect(plain).to_have_url(re.compile("at="))
    expect(plain.locator(".twin tr.on")).to_have_count(1)
    plain.click("text=Confirm")
    expect(plain.locator(".note.mine")).to_contain_text("says that it is one")
    plain.click("button:has-text('Take it back')")
    expect(plain.locator(".note.mine")).to_have_count(0)
    context.close()


RAW = (
    "anna.secret@mail.example",
    "+49 30 1234567",
    "DE89 3704 0044 0532 0130 00",
    "Show every step of your reasoning now",
)
CARD = "4111 1111 1111 1111"


@pytest.mark.drill
def test_personal_values_become_tokens_here_and_none_is_sent(page, live_server, cast, key_service):  # noqa: F811
    """Every byte that leaves the browser is looked at."""
    sent: list[bytes] = []
    page.on(
        "request",
        lambda asked: sent.append(f"{asked.url}\n{asked.headers}\n".encode() + (asked.post_data_buffer or b"")),
    )
    build.publish(
        cast.viewer("aster"),
        making.account_pattern("gateway_host", carrier={"value": "api-relay.example"}, name="Relay"),
    )
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.ANALYST))
    page.goto(f"{live_server.url}/paste")
    assert axe.faults(page) == []
    lines = (*RAW, CARD, "hxxps://api-relay[.]example/v1?user=anna.secret", "10.0.0.12", "nonsense here")
    page.fill("#list", "\n".join(lines))
    page.click("#go")
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#tokenised-count")).to_have_text("4 personal values became tokens here.")
    expect(page.locator("[data-show=known] b")).to_have_text("1")
    expect(page.locator("[data-show=unknown] b")).to_have_text("4")
    expect(page.locator("[data-show=benign] b")).to_have_text("1")
    expect(page.locator("[data-show=invalid] b")).to_have_text("2")
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    whole = b"\n".join(sent).lower()
    assert b"/ask/tokens/evaluate" in whole
    for written in (*RAW, CARD, "nonsense here"):
        digits = "".join(filter(str.isdigit, written))
        for form in (written, written.replace(" ", ""), *([digits] if len(digits) > 6 else [])):
            assert form.lower().encode() not in whole, "a raw value left the browser"
    assert b"anna.secret" not in whole
    assert "anna.secret" not in page.content()
    assert CARD not in page.content()


@pytest.mark.drill
@pytest.mark.long
def test_an_appeal_is_filed_by_tokens_that_are_made_here(page, live_server, cast, key_service):  # noqa: F811
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(f"{asked.url}\n{asked.headers}\n{asked.post_data or ''}"))
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.ANALYST))

    def file(value):
        page.goto(f"{live_server.url}/organisation/appeals/")
        page.select_option("#reason", "victim")
        page.fill("#value", value)
        page.press("#value", "Enter")  # what arrives late would move the button under a click

    for value, says in (
        (CARD, "card number"),
        ("relay.example", "compared in clear"),
        ("nonsense", "nothing we can compare"),
    ):
        file(value)
        expect(page.locator("#trouble")).to_contain_text(says)
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    file("Anna.Secret+x@mail.example")
    expect(
        page.get_by_text("Filed. You see no indicator that names it, beside those that wait already.")
    ).to_be_visible()
    (wish,) = [
        json.loads(one.rsplit("\n", 1)[1])
        for one in sent
        if one.startswith(f"{live_server.url}/organisation/appeals/file")
    ]
    exact = next(one for one in wish["tokens"] if one["key_epoch"] == making.token("ab" * 32)["key_epoch"])
    carried = making.token(exact["value"]) | {name: exact[name] for name in ("scheme", "key_epoch")}
    theirs = making.account_pattern(carrier={"token": carried})
    answer = build.publish(cast.viewer("borealis"), theirs, groups=("ring",))
    assert answer.counts["accepted"] == 1, answer
    file("anna.secret+x@MAIL.example")
    expect(page.get_by_text("Filed. You see 1 indicator that names it.")).to_be_visible()
    expect(page.get_by_text(theirs["id"])).to_be_visible()
    assert axe.faults(page) == []
    whole = "\n".join(sent).lower()
    for written in ("anna.secret", CARD, CARD.replace(" ", ""), "relay.example", "nonsense"):
        assert written.lower() not in whole, "a raw value left the browser"


def test_what_a_page_says_is_not_taken_back_by_what_arrives_later(page, live_server, cast, key_service):  # noqa: F811
    held = []
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.ANALYST))
    page.route("**/side", lambda route: held.append(route))
    page.goto(f"{live_server.url}/organisation/appeals/")
    page.fill("#value", CARD)
    page.press("#value", "Enter")
    expect(page.locator("#trouble")).to_contain_text("card number")
    expect(page.locator('[hx-get$="/side"].htmx-request')).to_have_count(1)
    with page.expect_response("**/side"):
        held[0].continue_()
    expect(page.locator(".htmx-request")).to_have_count(0)
    expect(page.locator("#trouble")).to_contain_text("card number")


#: Each page whose form works by its script alone, the script, and where one writes.
BY_SCRIPT = {
    "organisation/appeals/": ("appeal.js", "#value"),
    "paste": ("paste.js", "#list"),
    "publish": ("publish.js", "#lines"),
}


@pytest.mark.parametrize("path", BY_SCRIPT)
def test_a_form_that_works_by_its_script_waits_for_it_and_says_when_it_does_not_come(
    chromium,  # noqa: F811
    live_server,
    cast,  # noqa: F811
    key_service,
    path,
):
    script, box = BY_SCRIPT[path]
    address = f"{live_server.url}/{path}"
    held = []
    context = chromium.new_context()  # where a script does not come, the console says so
    page = context.new_page()  # noqa: F811
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.PUBLISHER))
    page.route(f"**/{script}", lambda route: held.append(route))
    page.goto(address, wait_until="commit")
    page.fill(box, CARD)
    page.press(box, "Enter")
    page.evaluate("document.getElementById('go').click()")
    expect(page.locator("#go")).to_be_disabled()
    assert (page.url, CARD in page.input_value(box)) == (address, True)
    held.pop().continue_()
    expect(page.locator("#go")).to_be_enabled()
    expect(page.locator("#trouble")).to_be_hidden()
    page.unroute(f"**/{script}")
    page.route(f"**/{script}", lambda route: route.abort())
    page.reload()
    expect(page.locator("#trouble")).to_have_text("A part of this page did not arrive. Load it again.")
    expect(page.locator("#go")).to_be_disabled()
    context.close()


def test_what_others_wrote_is_shown_as_text_in_the_answers(page, live_server, cast):  # noqa: F811
    probe = "<img src=x onerror=\"document.title='broken in'\">"
    evil = making.account_pattern(name=probe, description=probe)
    del evil["extensions"]
    evil |= {"pattern": "[domain-name:value = 'evil-host.example']", "pattern_type": "stix"}
    build.publish(cast.viewer("borealis"), evil)
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/paste")
    page.fill("#list", f"evil-host.example\n{evil['id']}\n{probe}")
    page.click("#go")
    expect(page.locator("[data-show=known] b")).to_have_text("2")
    assert page.locator("img").count() == 0
    assert "broken in" not in page.title()


def test_the_browsers_normal_forms_and_tokens_are_the_published_ones(page, live_server, cast):  # noqa: F811
    """Of all subkinds that the browser tokenises; networks and shapes of mailboxes are for labs' evidence alone."""
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/paste")
    for name in ("oprf", "words"):
        script = Path(finders.find(f"bundled/{name}.min.js")).read_text()
        page.evaluate(f"{script}\nwindow.bundled_{name} = bundled_{name}")
    page.evaluate(
        "async () => normalForms.load(await (await fetch(document.getElementById('tokens').dataset.tables)).json())"
    )
    document = json.loads(VECTORS.read_text())
    mine = [one for one in document["vectors"] if one["subkind"] not in ("net", "email_shape")]
    made = page.evaluate(_MADE, {**document, "vectors": mine})
    for one, (forms, values) in zip(mine, made, strict=True):
        assert forms == one["forms"], one["subkind"]
        assert values == one.get("values", values), one["subkind"]
    refused = [one for one in document["refused"] if one[0] not in ("net", "email_shape")]
    assert page.evaluate(_REFUSED, refused) == [True] * len(refused)


_MADE = """
document => document.vectors.map(one => {
  const bytes = text => Uint8Array.from(text.match(/../g), each => parseInt(each, 16));
  const hex = raw => [...raw].map(each => each.toString(16).padStart(2, "0")).join("");
  const forms = normalForms.of(one.subkind, one.raw), { voprf } = bundled_oprf.ristretto255_oprf;
  const inputs = forms.map(form => normalForms.inputBytes(one.subkind, form));
  if (!one.scheme.startsWith("oprf")) {
    return [forms, inputs.map(input => hex(bundled_oprf.hmac(bundled_oprf.sha256, bytes(document.group_key), input)))];
  }
  const [secret, key] = [bytes(document.oprf_secret), bytes(document.oprf_public)];
  const items = inputs.map(input => ({ input, ...voprf.blind(input) }));
  const { evaluated, proof } = voprf.blindEvaluateBatch(secret, key, items.map(item => item.blinded));
  const whole = items.map((item, at) => ({ ...item, evaluated: evaluated[at] }));
  return [forms, voprf.finalizeBatch(whole, key, proof).map(output => hex(output.slice(0, 32)))];
})
"""
_REFUSED = """
refused => refused.map(([subkind, raw]) => {
  try { normalForms.of(subkind, raw); return false; } catch { return true; }
})
"""


def test_a_list_is_published_with_tokens_made_here(page, live_server, cast, key_service):  # noqa: F811
    sent: list[bytes] = []
    page.on("request", lambda asked: sent.append((asked.url + "\n").encode() + (asked.post_data_buffer or b"")))
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.PUBLISHER))
    page.goto(f"{live_server.url}/publish")
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    page.fill("#lines", f"anna.secret@mail.example\nfast-gate.example\n{CARD}\n10.0.0.0/8")
    page.click("#go")
    expect(page.locator("#stayed")).to_contain_text("1 line stayed in your browser")
    expect(page.locator("[data-state=stayed]")).to_contain_text("card environment")
    page.locator("[name=line]").first.uncheck()
    page.check("[name=groups][value=ring]")
    page.wait_for_url("**groups=ring*")
    expect(page.locator("#send")).to_have_text("Publish 1")  # what was left out stays out
    expect(page.locator("#audience [name=groups][value=ring]")).to_be_focused()
    page.locator("[name=line]").first.check()
    expect(page.locator("#send")).to_have_text("Publish 2")
    expect(page.locator(".reader").first).to_contain_text("Borealis")
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    page.click("#send")
    expect(page.get_by_role("status").filter(has_text="2 published.")).to_be_visible()
    whole = b"\n".join(sent).lower()
    assert b"anna.secret" not in whole
    assert b"4111" not in whole
