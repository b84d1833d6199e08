"""A pseudonym that is the named lab's own and one that is another lab's look alike, on every surface."""

from __future__ import annotations

import re
import uuid

import pytest
import time_machine
from django.db import transaction
from django.test import Client

from exchange import clock
from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.surfaces.test_lists import agent, classical

pytestmark = pytest.mark.django_db

VALUE = uuid.uuid4().hex * 2
TAXII = "/taxii2/exchange/"
PATHS = (
    *("changes", "objects", "matches", "bundle", f"objects?q={VALUE}", "objects?publisher=aster"),
    *(f"blocklists/all?format={form}" for form in ("text", "csv", "jsonl")),
    "blocklists/all?format=csv&min_confidence=50",
    *(TAXII, f"{TAXII}collections/", f"{TAXII}collections/everything/objects/"),
    f"{TAXII}collections/everything/manifest/",
)
PAGES = ("/", "/recent", "/indicators", "/indicators?matched=true", "/indicators?publisher=aster", "/matches")
_CODE = re.compile(r"(Partner |pseudonym-)[A-Za-z2-7]{6}\b")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_STATE = re.compile(r"seen=[^<>]*?&amp;state=[0-9a-f]+")  # keyed, of the part of a page that renews itself
_SHOWN = re.compile(
    r'title="20[^"]+ UTC"|\d+ (?:s|min|minutes?)(?: ago|<)|in \d+ h \d+ min|\d\d:\d\d:\d\d UTC|just now|now<'
)
_SEALED = re.compile(r"[A-Za-z0-9_-]{27,}={0,2}")


def said(subkind: str, attribution: str, **more) -> dict:
    carrier = {"token": making.token(VALUE)} if subkind == "email" else {"value": "relay.example"}
    extension = {"attribution": attribution}
    return making.account_pattern(subkind, carrier=carrier, extension=extension, name="Seen at a reseller", **more)


#: What is said of two values, by "named", who is Aster, and by whoever hides; the same bytes in both worlds.
SCRIPTS = {
    "a pseudonym": [("named", said("email", "named")), ("pseudonym", said("email", "pseudonym"))],
    "a pseudonym that spoke first": [("pseudonym", said("email", "pseudonym")), ("named", said("email", "named"))],
    "as the exchange": [("named", said("email", "named")), ("exchange", said("email", "exchange"))],
    "in clear and in another kind": [
        ("named", said("gateway_host", "named")),
        ("pseudonym", said("email_domain", "pseudonym", confidence=95)),
        ("pseudonym", classical("[domain-name:value = 'relay.example']")),
    ],
}


def told(text: str, known: dict[str, str]) -> str:
    """An answer without what is drawn anew in each world."""
    for stix_id, label in known.items():
        text = text.replace(stix_id, label)
    text = _SHOWN.sub("T", text)
    text = _CODE.sub(r"\1X", _STATE.sub("S", text))
    text = _MOMENT.sub("T", _UUID.sub("U", text))
    return _SEALED.sub("S", text)


def world(script: list[tuple[str, dict]], hider: str, directory) -> dict[str, str]:
    """What Cygnus is told on every surface, where `hider` is who hides."""
    shown = {}
    with transaction.atomic():
        cast = build.the_cast()
        build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="circle")
        labels = {stix["id"]: f"object-{place}" for place, (_, stix) in enumerate(script)}
        for attribution, stix in script:
            who = "aster" if attribution == "named" else hider
            pushed = Caller(cast.keys[who]).push(stix, query=f"?groups=circle&attribution={attribution}")
            assert read(pushed)["counts"]["accepted"] == 1, pushed.content
        cygnus = Caller(cast.keys["cygnus"])
        for path in (*PATHS, *(f"objects/{stix_id}" for stix_id in labels)):
            answer = cygnus.get(path)
            assert answer.status_code == 200, (path, answer.content)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            shown[told(path, labels)] = told(body.decode(), labels)
        for form in ("text", "csv", "jsonl"):
            shown[f"agent {form}"] = told(agent(cygnus, form, directory / f"{hider}-{form}").decode(), labels)
        client = Client()
        build.sign_in(client, build.a_user(cast.cygnus))
        for path in (*PAGES, *(f"/indicators/{stix_id}" for stix_id in labels)):
            page = client.get(path).content.decode()
            shown[told(path, labels)] = told(
                re.sub(r"cygnus-\d+(@example.org)?|(?<=>)C\d(?=</summary)", "user", page), labels
            )
        transaction.set_rollback(True)
    return shown


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_whether_the_named_lab_or_another_hides_looks_alike(script, tmp_path):
    for hider in ("aster", "borealis"):
        for form in ("text", "csv", "jsonl"):
            (tmp_path / f"{hider}-{form}").mkdir()
    with time_machine.travel(clock.now(), tick=False):  # a picture draws the hundredth of a percent of a life
        own, others = world(script, "aster", tmp_path), world(script, "borealis", tmp_path)
    assert own.keys() == others.keys()
    for where, what in own.items():
        assert what == others[where], where
    assert any("Seen at a reseller" in what or "relay.example" in what for what in own.values())


def test_what_is_said_without_a_name_adds_to_no_number():
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="circle")
    for who, attribution in (
        ("aster", "named"), ("aster", "pseudonym"), ("aster", "exchange"), ("borealis", "pseudonym"), ("borealis", "exchange"),
    ):  # fmt: skip
        stix = said("email", attribution)
        pushed = Caller(cast.keys[who]).push(stix, query=f"?groups=circle&attribution={attribution}")
        assert read(pushed)["counts"]["accepted"] == 1
    for reader in ("aster", "borealis", "cygnus"):
        row = b"".join(Caller(cast.keys[reader]).get("blocklists/all?format=jsonl").streaming_content)
        assert b'"publishers":1,' in row, reader
    Caller(cast.keys["borealis"]).push(said("email", "named"), query="?groups=circle")
    row = b"".join(Caller(cast.keys["cygnus"]).get("blocklists/all?format=jsonl").streaming_content)
    assert b'"publishers":2,' in row
