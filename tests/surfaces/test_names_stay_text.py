"""What a partner, its people and its systems call their own is text on every page, and what other servers answer, too.

The scene is that of the visibility matrix, with a probe in each column of free text. What is published is probed from
the schemas of STIX (`test_text_stays_text`), pictures and charts in a browser (`tests/journeys/test_hostile_names.py`).
"""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import models

from exchange import clock
from partners import terms
from partners.keys import auth
from partners.models import Partner
from partners.tlp import Tlp
from tests.surfaces.matrix import pages
from tests.surfaces.matrix.scene import the_scene
from tests.surfaces.test_text_stays_text import PROBE, read

pytestmark = pytest.mark.django_db

#: What people write and other servers answer, by model. Everything else of these is a word of ours, an id, or a value
#: with a form of its own.
FREE = {
    "partners.Partner": ("name", "suspended_why"),
    "partners.Group": ("name", "purpose", "legal_basis", "basis_reference", "suspended_why"),
    "partners.Proposal": ("legal_basis", "basis_reference"),
    "partners.RecipientTerms": ("reference", "ended_why"),
    "partners.User": ("username", "email", "first_name", "last_name"),
    "partners.Invitation": ("email",),
    "partners.SignOn": ("issuer", "client_id", "authorization_endpoint", "trouble"),
    "partners.Session": ("browser", "network"),
    "partners.ApiKey": ("name", "certificate_subject"),
    "indicators.Feed": ("name",),
    "indicators.Connection": ("name", "url", "outcome"),
    "indicators.Subscription": ("url",),
    "indicators.Delivery": ("outcome",),
    "indicators.Receipt": ("instance", "version"),
    "indicators.Detector": ("name", "version", "sha256"),
    "indicators.Excerpt": ("text",),
    "indicators.Quarantined": ("field", "message"),
    "indicators.HeldBatch": ("why",),
    "indicators.ReportSchedule": ("name", "outcome"),
    "indicators.ReportPackage": ("title", "prepared_name", "released_name"),
    "indicators.ServiceHost": ("proven_by",),
}
_SHORT = "'><xprobe onload=alert(1)>"


def probe(column: models.Field, number: int) -> str:
    """The longest probe that a column holds, another one in each row where none may be there twice."""
    most = column.max_length or 1_000
    whole = next((each for each in (PROBE, _SHORT) if len(each) + 4 <= most), "<xprobe>")
    return f"{whole}{number}"[:most]


def probed(named: str, columns: tuple[str, ...]) -> int:
    """Write probes into all rows of a model that are there; how many rows."""
    model = apps.get_model(named)
    every = [row for row in model._base_manager.all() if not (named == "partners.Partner" and row.slug == "aster")]
    for number, row in enumerate(every):
        said = {name: probe(model._meta.get_field(name), number) for name in columns}
        model._base_manager.filter(pk=row.pk).update(**said)
    return len(every)


def asked(scene):
    """Each page that is read, by somebody of the partner whose things are in it."""
    for name, row in pages.ROWS.items():
        if row.method == "get" and row.who not in ("nobody", "admin"):
            yield name, "operator" if row.who == "operator" else "aster", scene.path(row.path)


def test_every_name_of_a_partner_s_own_stays_text_on_every_page():
    """Every page there is, once: some seconds of a processor."""
    scene = the_scene()
    recipient = scene.cast.dorado
    Partner.objects.filter(pk=recipient.pk).update(kind=Partner.Kind.RECIPIENT)
    operator = auth.viewer_of_user(scene.people["operator"])
    law = {"jurisdiction": "DE", "reference": "a law", "basis_from": clock.now().date(), "basis_until": None}
    terms.record(operator, recipient, **law, strictest=Tlp.AMBER)
    rows = {named: probed(named, columns) for named, columns in FREE.items()}
    assert {named for named, count in rows.items() if not count} == {"indicators.Receipt"}
    faults, shown, read_pages = {}, 0, 0
    for name, who, path in asked(scene):
        answer = scene.ask(who, path)
        if answer.status_code == 302 or not answer["Content-Type"].startswith("text/html"):
            continue  # pages of signing in lead on who is signed in already
        reader = read(answer.content.decode())
        if answer.status_code >= 500 or reader.acts:
            faults[name] = answer.status_code, path, reader.acts
        read_pages += 1
        shown += "<xprobe" in reader.text
    assert faults == {}
    assert read_pages > 40
    assert shown > 20, "probes are shown, as text"
