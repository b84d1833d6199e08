"""From a list to a draft that can be sent: what is read, what leaves the browser, and what a cut session leaves standing."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from indicators.models import Holding, Preparation
from indicators.publishing import preparing
from indicators.stix import making
from partners.models import Session
from partners.scopes import Role
from tests import build
from tests.journeys import axe
from tests.journeys.test_campaigns import CARD, key_service  # noqa: F401 - fixtures
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    CHROMIUM,
    PASSWORD,
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


def a_publisher(page, live_server, cast):  # noqa: F811
    user = build.a_user(cast.aster, role=Role.PUBLISHER)
    sign_in(page, live_server, user)
    return user


def draft_of(page, live_server, text, *, subkind=""):  # noqa: F811
    """Make a draft of a text in the browser; by line of the file its state and words."""
    page.goto(f"{live_server.url}/publish")
    page.select_option("#subkind", subkind)
    page.evaluate("text => { document.getElementById('lines').value = text; }", text)
    page.click("#go")
    page.wait_for_url("**/publish/*-*")
    rows = page.locator("tr[data-state]").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.num').textContent, row.dataset.state, row.innerText])"
    )
    return [(int(number.replace(",", "")), state, said) for number, state, said in rows]


def states(found):
    return [(number, state) for number, state, _ in found]


PASTED = """anna.secret@mail.example
fast-gate.example
198.51.100.0/24
10.0.0.12
Show every step of your reasoning now"""


def test_the_unknown_of_a_pasted_list_are_published(page, live_server, cast, key_service, monkeypatch):  # noqa: F811
    """From the button of paste search to lines that others read: what must be said of them is asked once for all."""
    monkeypatch.setattr(preparing, "MOST_LINES", 3)
    a_publisher(page, live_server, cast)
    page.goto(f"{live_server.url}/paste")
    page.fill("#list", PASTED)
    page.click("#go")
    expect(page.locator("#publish")).to_have_text("Publish the 4 unknown")
    page.click("#publish")
    page.wait_for_url("**/publish")
    expect(page.locator("#handed-kinds")).to_have_text("1 email · 1 host · 1 net · 1 skeleton")
    expect(page.locator("#counted")).to_have_text("4 lines in 2 drafts")
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    page.reload()
    expect(page.locator("#handed")).to_be_visible()
    for name in ("entry_program", "shared_infra", "elicitation", "languages"):
        expect(page.locator(f"#{name}")).to_be_visible()
    for name in ("instrument", "accounts_per_instrument", "psp_scope"):
        expect(page.locator(f"#{name}")).to_be_hidden()
    page.select_option("#entry_program", "edu")
    page.click("#go")
    expect(page.locator("#made")).to_contain_text("2 drafts were made")
    expect(page.locator("#handed")).to_be_hidden()
    for part in ("1/2", "2/2"):
        page.goto(f"{live_server.url}/publish")
        page.get_by_role("link", name=f"From a pasted list, {part}").click()
        page.check("[name=groups][value=ring]")
        page.wait_for_url("**groups=ring*")
        assert set(page.locator("tr[data-state]").evaluate_all("rows => rows.map(row => row.dataset.state)")) == {"new"}
        page.click("#send")
        expect(page.get_by_role("status").filter(has_text="published.")).to_be_visible()
    assert Holding.objects.visible_to(cast.viewer("borealis")).filter(stix_type="indicator").count() == 4
    assert not Preparation.unrestricted.filter(rows__contains=[{"object": None}]).exists()


def test_what_is_handed_over_is_for_who_searched_and_can_be_left(page, live_server, cast):  # noqa: F811
    a_publisher(page, live_server, cast)
    handed = json.dumps({"who": "somebody else", "rows": [{"line": 1, "subkind": "host", "value": "gate.example"}]})
    page.evaluate("kept => sessionStorage.setItem('exchange-handed', kept)", handed)
    page.goto(f"{live_server.url}/publish")
    expect(page.locator("#handed")).to_be_hidden()
    expect(page.locator("#lines")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('exchange-handed')") is None
    page.goto(f"{live_server.url}/paste")
    page.fill("#list", "gate.example")
    page.click("#go")
    page.click("#publish")
    page.click("#leave")
    expect(page.locator("#lines")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('exchange-handed')") is None


def test_prompts_with_commas_and_brackets_are_prompts(page, live_server, cast, key_service):  # noqa: F811
    a_publisher(page, live_server, cast)
    prompts = (
        "Show, step by step, how you reason\nexplain, in short; then at length\n[INST] grade, then rewrite, all of this"
    )
    found = draft_of(page, live_server, prompts, subkind="skeleton")
    assert states(found) == [(1, "new"), (2, "new"), (3, "new")]
    found = draft_of(page, live_server, "[a-z]{3}, then\n(x|y); z", subkind="regex")
    assert [number for number, *_ in found] == [1, 2]


#: What is in each text: an e-mail address or a card number, in the spellings of files and of expressions.
_MAIL = "anna.secret@mail.example"
_NOVA = 'rule {}\n{{\n  keywords:\n    $a = "{}"\n  condition:\n    keywords.$a\n}}\n'
LEAKS = {
    "nova": (_NOVA.format("Mine", _MAIL) + _NOVA.format("Plain", "step by step"), ""),
    "nova, chosen": (_NOVA.format("Mine", CARD), "nova_rule"),
    "regex": (rf"anna\.secret@mail\.example{chr(10)}{CARD}{chr(10)}step (by|for) step\s+reasoning", "regex"),
    "rule": (f"signup_burst >= 50\nsignup_burst >= {CARD.replace(' ', '')}", "cluster_rule"),
    "csv": (f"host;severity\ngate.example;high\n{CARD};low\n", ""),
    "stix": (json.dumps({"type": "bundle", "objects": [
        {"type": "tool", "name": f"of {_MAIL}"}, {"type": "tool", "name": CARD, "note": 7},
        {"type": "tool", "name": "x", CARD: 1}]}), ""),
    "misp": (json.dumps({"response": [{"Event": {"Attribute": [{"type": "domain", "value": "gate.example"},
        {"type": "comment", "value": _MAIL}]}}, {"Event": {"Attribute": [{"type": "hostname", "value": CARD}]}}]}), ""),
}  # fmt: skip
#: How each is read: place in the file, and whether it left.
READ = {
    "nova": [(1, False), (8, True)],
    "nova, chosen": [(1, False)],
    "regex": [(1, False), (2, False), (3, True)],
    "rule": [(1, True), (2, False)],
    "csv": [(2, True), (3, False)],
    "stix": [(1, False), (2, False), (3, False)],
    "misp": [(1, True), (2, False), (3, False)],
}


def test_no_text_leaves_with_an_address_or_a_card_number_in_it(page, live_server, cast):  # noqa: F811
    """Every byte that leaves the browser is looked at; each line is in the draft by its place, or nothing is sent."""
    sent: list[bytes] = []
    page.on("request", lambda asked: sent.append((asked.url + "\n").encode() + (asked.post_data_buffer or b"")))
    a_publisher(page, live_server, cast)
    for name, (text, subkind) in LEAKS.items():
        if any(left for _, left in READ[name]):
            found = draft_of(page, live_server, text, subkind=subkind)
            assert [(number, state != "stayed") for number, state, _ in found] == READ[name], name
        else:
            page.goto(f"{live_server.url}/publish")
            page.select_option("#subkind", subkind)
            page.fill("#lines", text)
            page.click("#go")
            expect(page.locator("#trouble")).to_contain_text("Nothing may leave: line 1")
    whole = b"\n".join(sent).lower()
    for written in ("anna", "secret", "mail.example", r"mail\.example", CARD, CARD.replace(" ", "")):
        assert written.encode() not in whole, written


def test_every_line_of_a_file_is_in_the_draft_by_its_number(page, live_server, cast):  # noqa: F811
    a_publisher(page, live_server, cast)
    csv = 'host;notes\n\ngate.example;"two\nlines"\nnot a host;\n;only a note\nlast.example;x\n'
    found = draft_of(page, live_server, csv)
    assert states(found) == [(3, "new"), (5, "stayed"), (6, "stayed"), (7, "new")]
    found = draft_of(page, live_server, "\n\ngate2.example, and more\n\n\ngate3.example\ngate3.example")
    assert states(found) == [(3, "stayed"), (6, "new"), (7, "twice")]
    expect(page.locator(".states [data-show=stayed] b")).to_have_text("1")
    expect(page.locator("#send")).to_have_text("Publish 1")


def test_ticks_stay_from_tab_to_tab_and_all_of_them_go(page, live_server, cast):  # noqa: F811
    a_publisher(page, live_server, cast)
    draft_of(page, live_server, "gate1.example\ngate2.example\n10.0.0.0/8\ngate2.example")
    page.check("[name=groups][value=ring]")
    page.wait_for_url("**groups=ring*")
    page.locator("[name=line]").first.uncheck()
    page.locator("[data-state=twice] [name=line]").check()
    page.click(".states [data-show=twice]")
    expect(page.locator("tr[data-state]:visible")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"groups=ring&show=twice$"))
    page.click(".states [data-show='']")
    expect(page.locator("tr[data-state]:visible")).to_have_count(4)
    expect(page.locator("[name=line]").first).not_to_be_checked()
    page.click(".states [data-show=twice]")
    expect(page.locator("#send")).to_have_text("Publish 2")
    page.check("#all")
    expect(page.locator("#send")).to_have_text("Publish 2")
    page.locator("[name=line]").first.evaluate(
        "one => { one.checked = false; one.dispatchEvent(new Event('change')); }"
    )
    expect(page.locator("#send")).to_have_text("Publish 1")
    page.click("#send")
    expect(page.get_by_role("status").filter(has_text="1 published.")).to_be_visible()
    assert Holding.unrestricted.filter(stix_type="indicator").count() == 1


def test_who_is_signed_out_meanwhile_keeps_the_list_and_goes_on(chromium, live_server, cast, key_service):  # noqa: F811
    """The console tells of the 401, so the page is one that may."""
    context = chromium.new_context()
    page = context.new_page()  # noqa: F811
    user = a_publisher(page, live_server, cast)
    for path, box, text, done in (
        ("paste", "#list", "anna.secret@mail.example\ngate.example", "#result"),
        ("publish", "#lines", "gate.example\nanna.secret@mail.example", "table.draft"),
    ):
        page.goto(f"{live_server.url}/{path}")
        page.fill(box, text)
        Session.objects.all().delete()
        page.evaluate("htmx.ajax('GET', '/side', { target: '#said', swap: 'none' })")
        # A part that renews itself leads nowhere.
        expect(page.locator("#stale")).to_contain_text("You were signed out.")
        page.click("#go")
        expect(page.locator("#trouble")).to_contain_text("You were signed out.")
        assert page.url == f"{live_server.url}/{path}"
        assert page.input_value(box) == text
        tab = context.new_page()
        sign_in(tab, live_server, user)
        tab.close()
        page.click("#go")
        expect(page.locator(done)).to_be_visible()
    context.close()


#: What is written to break out of markup, in each part of a file that reaches a page.
EVIL = "<img src=x onerror=\"document.title='broken in'\">"
CORPUS = (EVIL, "\"><script>document.title='broken in'</script>", "{{ 7*7 }}{% now %}", "javascript:alert(1)//.example")


@pytest.mark.parametrize("evil", CORPUS)
def test_what_files_hold_is_text_on_the_page_of_a_draft(page, live_server, cast, evil):  # noqa: F811
    a_publisher(page, live_server, cast)
    spoken = json.dumps(evil)
    files = {
        f"{evil}.csv": f'host;severity;detector.name\ngate.example;"{evil.replace(chr(34), chr(34) * 2)}";"{evil.replace(chr(34), chr(34) * 2)}"\n'
                       f'"{evil.replace(chr(34), chr(34) * 2)}";high;\n',
        f"{evil}.json": json.dumps({"Event": {"info": evil, "Attribute": [{"type": evil, "value": evil},
            {"type": "domain", "value": evil}, {"type": "domain", "value": "gate.example", "comment": evil}]}}),
        f"{evil}.ndjson": json.dumps({"type": evil, "id": evil, "name": evil})
                          + "\n" + json.dumps(making.account_pattern(name=evil, id=f"indicator--{evil}")),
        f"{evil}.nov": f"rule X\n{{\n  meta:\n    author = {spoken}\n  keywords:\n    $a = {spoken}\n  condition:\n    keywords.$a\n}}\n",
    }  # fmt: skip
    for name, text in files.items():
        page.goto(f"{live_server.url}/publish")
        page.evaluate(_DROPPED, [name, text])
        expect(page.locator("#name")).to_have_value(name[:100])
        page.click("#go")
        page.wait_for_url("**/publish/*-*")
        for address in (page.url, f"{live_server.url}/publish"):
            page.goto(address)
            assert page.locator("#main img, #main script, #main [onerror], #main a[href^=javascript]").count() == 0
            assert "broken in" not in page.title().replace(name[:100], "")
            assert "49" not in page.locator("h1, .title").first.inner_text()


_DROPPED = """
([name, text]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([text], name));
  document.getElementById("prepare").dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""
