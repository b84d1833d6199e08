"""What a restored store is asked: what does not open, or is missing, is told in a sentence."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection

from exchange import proving
from exchange.models import Heartbeat
from indicators.models import HeldBatch
from indicators.telling import subscribing
from partners.ceilings import Ceiling, Width
from partners.groups import steering
from partners.keys import auth
from partners.log import transparency
from partners.tlp import Tlp
from partners.tokens import groupkeys
from tests import build

ROOT = Path(__file__).resolve().parents[2]
#: Modules that seal what leaves in a client's hands, or rows that live for minutes.
NOT_KEPT = {"exchange/paging.py", "partners/identity/asking.py", "partners/log/reads.py"}

pytestmark = pytest.mark.django_db


def test_what_is_sealed_opens_and_under_another_secret_key_does_not(settings):
    aster, borealis = build.a_partner("Aster"), build.a_partner("Borealis")
    build.a_ring(aster, borealis)
    groupkeys.hand_out(build.viewer_of(aster, *build.KEY_SCOPES), "ring")
    subscribing.subscribe(build.viewer_of(aster), url="https://hooks.example/in", feed_id=None)
    assert {one.what: (one.opened, one.closed) for one in proving.tried() if one.opened}["webhook secrets"] == (1, 0)
    assert list(proving.findings({})) == []
    settings.SECRET_KEY = "another " * 10
    found = list(proving.findings({}))
    assert "1 of 1 webhook secrets do not open: SECRET_KEY is not the one of then" in found
    assert any("group keys do not open" in finding for finding in found)


def test_what_was_acknowledged_and_is_missing_is_found():
    aster = build.a_partner("Aster")
    build.publish(build.viewer_of(aster), build.an_indicator(), everyone=True)
    seen = proving.witness()
    assert seen["changes"] > 0
    assert seen["records of the log"] == transparency.last_record() > 0
    assert list(proving.findings(seen)) == []
    (finding,) = proving.findings(seen | {"changes": seen["changes"] + 1})
    assert finding.startswith("changes: ")


def held_back(aster):
    steering.change(
        auth.viewer_of_user(build.a_user(aster)),
        replace(steering.settings_of(aster), alone=Ceiling(Tlp.AMBER, Width.PARTNERS)),
    )
    build.publish(build.viewer_of(aster), build.an_indicator(), everyone=True)
    assert HeldBatch.unrestricted.count() == 1


def test_a_push_that_waits_for_a_second_person_and_is_missing_is_found():
    aster = build.a_partner("Aster")
    build.a_partner("Borealis")
    held_back(aster)
    seen = proving.witness()
    assert list(proving.findings(seen)) == []
    HeldBatch.unrestricted.all().delete()
    (finding,) = proving.findings(seen)
    assert finding == "pushes for a second person: 0 are there, 1 were acknowledged before the point"


def test_what_was_acknowledged_in_rows_that_no_number_tells_of_is_missing_where_the_mark_is():
    seen = proving.witness() | proving.mark()
    assert list(proving.findings(seen)) == []
    later = proving.mark()
    assert list(proving.findings(seen)) == [], "a later mark is of a later drill"
    assert later[proving.MARK] > seen[proving.MARK]
    Heartbeat.objects.all().delete()
    (finding,) = proving.findings(seen)
    assert finding.startswith("The mark that was written before the point is missing")


def test_a_table_that_a_restore_would_empty_is_found():
    assert list(proving.findings({})) == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE indicators_receipt SET UNLOGGED")
    assert list(proving.findings({})) == ["indicators_receipt: an unlogged table, which every restore empties"]


@pytest.mark.slow
def test_whatever_seals_rows_says_how_they_open():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seals = {path for path in tracked.split() if re.search(r"\bsealing\.seal\(", (ROOT / path).read_text())}
    rooms = ("exchange/", "partners/", "indicators/")
    ours = {path for path in seals if path.startswith(rooms) and "/migrations/" not in path} - NOT_KEPT
    assert {path for path in ours if "def openers(" not in (ROOT / path).read_text()} == set()
    assert len(proving.SEALED) == len(ours)
