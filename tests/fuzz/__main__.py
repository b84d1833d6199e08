"""Look for inputs that break a promise of `targets`, by coverage (atheris): python -m tests.fuzz TARGET [SECONDS].

New inputs that reach new code are kept under .data/fuzz/TARGET; one that breaks a promise is written beside them, said, and belongs
into tests/fuzz/corpus/TARGET with what mends it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(".data/fuzz").absolute()


def main() -> None:
    name = sys.argv[1]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    with atheris.instrument_imports(include=["exchange", "indicators", "stix2patterns", "lark"]):
        import django

        django.setup()
        from exchange import incarnation
        from tests.fuzz.targets import TARGETS
    incarnation._known = ""  # nobody asks a store
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", f"-artifact_prefix={found}/broken-"]
    places = [str(place) for place in (found, CORPUS / name) if place.exists()]
    atheris.Setup([sys.argv[0], *options, *places], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
