"""What a restored store is asked: what does not open, or is missing, is told in a sentence."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from exchange import proving
from indicators.telling import subscribing
from partners.log import transparency
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


@pytest.mark.slow
def test_whatever_seals_rows_says_how_they_open():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seals = {path for path in tracked.split() if re.search(r"\bsealing\.seal\(", (ROOT / path).read_text())}
    rooms = ("exchange/", "partners/", "indicators/")
    ours = {path for path in seals if path.startswith(rooms) and "/migrations/" not in path} - NOT_KEPT
    assert {path for path in ours if "def openers(" not in (ROOT / path).read_text()} == set()
    assert len(proving.SEALED) == len(ours)
