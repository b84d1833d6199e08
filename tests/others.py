"""Other people's tools whose libraries are not ours, each in an interpreter of its own.

`deploy/bootstrap dev`, with which each target of make begins, sets them up under `.tools/others` from locks of their own
(`deploy/others`); a test whose tool is not there is skipped and says so. `MISP_STIX_PYTHON` and `PYCTI_PYTHON` name
interpreters that are there already.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_PLACE = Path(__file__).resolve().parent.parent / ".tools" / "others"
#: By name: the variable that names an interpreter instead of ours.
_TOOLS = {"misp": "MISP_STIX_PYTHON", "opencti": "PYCTI_PYTHON"}


def run(name: str, script: str, text: bytes) -> bytes:
    """What a script says in the interpreter of a tool, given a text. Skips where there is none."""
    done = subprocess.run([_python(name), "-c", script], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def _python(name: str) -> str:
    own = _PLACE / name / "bin" / "python"
    python = os.environ.get(_TOOLS[name]) or (str(own) if own.exists() else "")
    if not python:
        pytest.skip(f"no interpreter with {name}: deploy/bootstrap dev makes one, or {_TOOLS[name]} names one")
    return python
