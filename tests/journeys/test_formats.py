"""What analysts bring: CSV, STIX, a MISP event and NOVA rules, dropped or pasted, become lines of a draft."""

from __future__ import annotations

import json
import uuid

import pytest
from playwright.sync_api import expect

from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.drilling import LONG
from tests.journeys import axe
from tests.journeys.test_portal import CHROMIUM, chromium, sign_in  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]

_CSV = "host;severity\nfast-gate.example;high\nslow-gate.example;\n"
_MISP = {
    "Event": {
        "info": "Relays",
        "Attribute": [
            {"type": "ip-dst", "value": "203.0.113.0/24"},
            {"type": "comment", "value": "of another type"},
        ],
        "Object": [{"name": "domain-ip", "Attribute": [{"type": "hostname", "value": "relay.gate.example"}]}],
    }
}
_NOVA = """
rule Relay
{
    meta:
        description = "x"
    keywords:
        $a = "step by step"
    condition:
        keywords.$a
}
rule Other
{
    keywords:
        $b = "chain of thought"
    condition:
        keywords.$b
}
"""


def _stix() -> str:
    return json.dumps(
        {
            "type": "bundle",
            "id": f"bundle--{uuid.uuid4()}",
            "objects": [making.account_pattern("net", carrier={"value": "198.51.100.0/24"})],
        }
    )


#: Name of the file, its text, how many lines it becomes, and what one of them says.
FORMATS = {
    "hosts.csv": (lambda: _CSV, 2, "fast-gate[.]example"),
    "bundle.json": (_stix, 1, "indicator--"),
    "event.json": (lambda: json.dumps(_MISP), 3, "relay.gate[.]example"),
    "rules.nov": (lambda: _NOVA, 2, "rule Other"),
}
_DROP = """
([name, text]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([text], name));
  document.getElementById("prepare").dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""


@pytest.fixture
def page(chromium):  # noqa: F811
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    said = []
    opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


@pytest.mark.parametrize("pasted", [0, pytest.param(1, marks=LONG)], ids=["in turns", "the others"])
def test_files_become_drafts_by_drop_and_by_paste(page, live_server, pasted):
    cast = build.the_cast()
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.PUBLISHER))
    for place, (name, (made, lines, says)) in enumerate(FORMATS.items()):
        page.goto(f"{live_server.url}/publish")
        text = made()
        if place % 2 == pasted:
            page.focus("#lines")
            page.keyboard.insert_text(text)
        else:
            page.evaluate(_DROP, [name, text])
            expect(page.locator("#name")).to_have_value(name)
        expect(page.locator("#counted")).not_to_have_text("0 lines")
        page.click("#go")
        page.wait_for_url("**/publish/*-*")
        expect(page.locator("table.draft tbody tr")).to_have_count(lines)
        expect(page.locator("table.draft")).to_contain_text(says)
    assert axe.faults(page) == []


@pytest.mark.long
def test_a_file_that_is_none_of_them_is_told_and_nothing_is_sent(page, live_server):
    cast = build.the_cast()
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.PUBLISHER))
    page.goto(f"{live_server.url}/publish")
    for text, why in (
        ('{"objects": [', "It begins like JSON"),
        ("a;b\n1;2\n", "No column has a name"),
        ("  ", "no line"),
    ):
        page.fill("#lines", "")
        page.evaluate(_DROP, ["x.txt", text])
        expect(page.locator("#lines")).to_have_value(text)
        page.click("#go")
        expect(page.locator("#trouble")).to_contain_text(why)
        expect(page.locator("#trouble")).to_contain_text("Nothing was published.")
