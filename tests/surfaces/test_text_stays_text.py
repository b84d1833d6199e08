"""What another partner writes is text wherever it is read: every property of every STIX type, on pages and in exports.

The objects are made from OASIS's schemas, each string of which is a probe; pages are parsed, not searched, so that a
probe in an attribute, a title or a script is found as what it would be to a browser.
"""

from __future__ import annotations

import json
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from indicators.stix import making
from partners.models import Group, Partner
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db

PROBE = "\"'`></script></title></textarea></svg>--><xprobe onload=alert(1)>{{ 7|add:1 }}"
LINK = "javascript:alert(1)//xprobe"
_SCHEMAS = Path(__file__).resolve().parents[2] / "indicators/stix/schemas/oasis"
_NEVER = frozenset({"type", "spec_version", "id", "created", "modified", "lang", "pattern_type", "pattern_version"})
_FOLLOWED = frozenset({"href", "src", "action", "formaction", "data", "xlink:href", "hx-get", "hx-post"})
_STAMP = "2026-11-24T11:00:00.000Z"
_PARTS: dict[str, Any] = {
    "external-reference": {"source_name": PROBE, "description": PROBE, "url": LINK, "external_id": PROBE},
    "kill-chain-phase": {"kill_chain_name": PROBE, "phase_name": PROBE},
    "dictionary": {PROBE: PROBE},
    "hashes-type": {"x_" + PROBE: PROBE},
    "timestamp": _STAMP,
    "url-regex": LINK,
}


def _value(schema: dict[str, Any]) -> Any:
    """A probe where a schema lets any text in; None where it asks for something else."""
    if "$ref" in schema:
        return _PARTS.get(schema["$ref"].rpartition("/")[2].removesuffix(".json"))
    if schema.get("type") == "array":
        held = _value(schema.get("items") or {})
        return None if held is None else [held]
    if schema.get("type") == "string" and not schema.keys() & {"enum", "pattern", "const", "format"}:
        return PROBE
    return None


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    own = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        own |= _properties(part)
    return own


def every_type(about: str) -> dict[str, dict[str, Any]]:
    """An object of each type of the standard, by its type, with a probe in each property that takes a text."""
    found = {}
    for path in sorted(_SCHEMAS.glob("*/*.json")):
        folder, stix_type, schema = path.parent.name, path.stem, json.loads(path.read_bytes())
        if folder == "common" or stix_type == "indicator":
            continue
        filled = {key: _value(each) for key, each in _properties(schema).items() if key not in _NEVER}
        common = {"type": stix_type, "spec_version": "2.1", "id": f"{stix_type}--{uuid.uuid4()}"}
        if folder != "observables":
            common |= {"created": _STAMP, "modified": _STAMP, "labels": [PROBE]}
            common |= {"external_references": [_PARTS["external-reference"]]}
        refs = {"object_refs": [about], "sighting_of_ref": about, "source_ref": about, "target_ref": about}
        said = {key: value for key, value in filled.items() if value is not None}
        found[stix_type] = common | said | {key: ref for key, ref in refs.items() if key in schema.get("required", ())}
        found[stix_type] |= {"x_own": {PROBE: [PROBE, {PROBE: PROBE}]}}
    return found


class _Reader(HTMLParser):
    """Gathers what a browser would act on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.acts: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "xprobe":
            self.acts.append(f"<{tag}>")
        for name, value in attrs:
            led = (value or "").strip().lower()
            if name.startswith("on") or (name in _FOLLOWED and led.startswith("javascript:")):
                self.acts.append(f"<{tag} {name}>")
            self.text += f" {value}"

    def handle_data(self, data: str) -> None:
        self.text += data


def read(content: str) -> _Reader:
    reader = _Reader()
    reader.feed(content)
    reader.close()
    return reader


@pytest.mark.parametrize(
    "content",
    [
        f"<p>{PROBE}</p>",
        f'<p title="{PROBE}">',
        f'<script type="application/json">"{PROBE}"</script>',
        f"<a href='{LINK}'>",
    ],
)
def test_a_page_that_writes_a_probe_as_it_is_is_found(content):
    assert read(content).acts


def test_every_text_of_every_type_stays_text_on_every_page_and_in_every_export():
    """Five seconds of a processor: the page of each of the types, for each has properties of its own."""
    cast = build.the_cast()
    carrier = {"token": making.token("ab" * 32)}
    ours = making.account_pattern(carrier=carrier)
    theirs = making.account_pattern(carrier=carrier, name=PROBE, description=PROBE, labels=[PROBE])
    made = every_type(theirs["id"])
    build.publish(cast.viewer("borealis"), ours)
    answers = build.results(build.publish(cast.viewer("aster"), theirs, *made.values()))
    taken = [one["id"] for one in answers if one["status"] == "accepted"]
    assert len(taken) > 30, [one for one in answers if one["status"] != "accepted"]
    Partner.objects.filter(pk=cast.aster.pk).update(name=PROBE[:120])
    Group.objects.filter(pk=cast.ring.pk).update(name=PROBE[:120], purpose=PROBE, legal_basis=PROBE)
    client = signed_in(cast.borealis, role=Role.ADMIN)
    pages = [f"/indicators/{one}" for one in taken]
    pages += ["/", "/recent", "/indicators?view=all", "/indicators?show=objects", "/matches", "/judgement/"]
    pages += [
        "/organisation/groups/ring",
        "/organisation/log/",
        "/organisation/groups/ring/counsel",
        "/organisation/sharing/",
        "/publish",
    ]
    pages += ["/organisation/waiting/", "/organisation/appeals/", "/subscriptions", "/subscriptions/new", "/campaigns"]
    shown = 0
    for path in pages:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer["Content-Type"].startswith("text/html"), path
        reader = read(answer.content.decode())
        assert reader.acts == [], path
        shown += "<xprobe onload" in reader.text
    assert shown > len(taken), "probes are shown, as text"
    files = [f"/indicators/{one}/raw" for one in taken[:3]]
    for path in (*files, "/indicators/bundle?view=all"):
        answer = client.get(path)
        assert (answer.status_code, answer["X-Content-Type-Options"]) == (200, "nosniff"), path
        assert "html" not in answer["Content-Type"], path
