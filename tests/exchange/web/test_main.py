"""`python -m exchange.web`: the parent of the web processes."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.waiting import DEADLINE_S


def test_what_is_wrong_is_said_once_however_many_processes_find_it():
    environment = os.environ | {"EXCHANGE_MODE": "", "SECRET_KEY": "short", "DATABASE_URL": "postgresql:///unused"}
    done = subprocess.run(
        [sys.executable, "-m", "exchange.web", "--port", "0", "--workers", "3"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "SECRET_KEY: must be at least 50 random characters; these are 5\n"
