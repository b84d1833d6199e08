"""What a process loads: not what most never need, with a collector that works afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.journeys.demo import ROOT


def loaded(code: str) -> set[str]:
    """The modules of a new process after this, and that it collects."""
    code += "\nimport gc, json, sys; assert gc.isenabled(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


SERVER = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
from exchange import loading
loading.set_up()
"""


@pytest.mark.parametrize(
    ("code", "others"),
    [
        (SERVER, {"redis", "stix2", "requests", "opentelemetry.sdk", "reportlab"}),
        ("import exchange.agent.cli", {"phonenumbers", "stix2", "numpy", "django"}),
        ("import exchange.client.cli", {"stix2", "numpy", "django"}),
    ],
    ids=["server", "agent", "client"],
)
def test_what_takes_long_to_load_is_loaded_by_who_needs_it(code, others):
    assert not loaded(code) & others
