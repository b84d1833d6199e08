"""Other people's tools whose libraries are not ours, each in an interpreter of its own.

`python -m tests.others` makes them under `.tools/others`, from the registry that pip uses; a test whose tool is not
there is skipped and says so. `MISP_STIX_PYTHON` and `PYCTI_PYTHON` name interpreters that are there already.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

_PLACE = Path(__file__).resolve().parent.parent / ".tools" / "others"
#: By name: the variable that names an interpreter, and what is installed into ours.
_TOOLS = {
    "misp": ("MISP_STIX_PYTHON", ("misp-stix==2026.10.12", "pymisp==2.5.34.4")),
    "opencti": ("PYCTI_PYTHON", ("pycti==7.261026.0",)),
}


def run(name: str, script: str, text: bytes) -> bytes:
    """What a script says in the interpreter of a tool, given a text. Skips where there is none."""
    done = subprocess.run([_python(name), "-c", script], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def _python(name: str) -> str:
    variable, _ = _TOOLS[name]
    own = _PLACE / name / "bin" / "python"
    python = os.environ.get(variable) or (str(own) if own.exists() else "")
    if not python:
        pytest.skip(f"no interpreter with {name}: python -m tests.others makes one, or {variable} names one")
    return python


def make() -> None:
    """An environment for each tool."""
    for name, (_, packages) in _TOOLS.items():
        venv.create(_PLACE / name, with_pip=True, clear=True)
        subprocess.run([_PLACE / name / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
        print(f"{name}: {_PLACE / name}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    make()
