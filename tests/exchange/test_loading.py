"""What a process loads: not what most never need, with a collector that works afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.postgres import ROOT


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
WORKER = """
from exchange.celery import app
app.loader.import_default_modules()
"""
#: Pages, routes and their documents are for those who answer requests.
_ANSWERING = {"rest_framework.views", "drf_spectacular.openapi", "indicators.portal.urls", "indicators.api.urls"}


@pytest.mark.parametrize(
    ("code", "others"),
    [
        (SERVER, {"redis", "stix2", "requests", "reportlab", "opentelemetry.sdk", *_ANSWERING}),
        (WORKER, {"redis", "stix2", *_ANSWERING}),
        ("import exchange.agent.cli", {"phonenumbers", "stix2", "numpy", "django"}),
        ("import exchange.client.cli", {"stix2", "numpy", "django", "rbcl", "phonenumbers"}),
    ],
    ids=["server", "worker", "agent", "client"],
)
def test_what_takes_long_to_load_is_loaded_by_who_needs_it(code, others):
    assert loaded(code) & others == set()


#: Prints, where the collector looks for rubbish at the end of the process.
_RUBBISH = """
import os
class Rubbish:
    def __init__(self):
        self.itself = self
    def __del__(self, write=os.write):
        write(1, b"found")
"""


def test_a_process_ends_without_a_search_for_rubbish_in_all_that_it_loaded():
    for load, said in (("", b"found"), ("settings.configure(); loading.set_up(); ", b"")):
        code = f"from django.conf import settings; from exchange import loading; {load}\n{_RUBBISH}\nRubbish()"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
        assert done.stdout == said
