"""Real data of others, beside the repository where it is developed; tests on it are skipped where it is absent."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.drilling import LONG

_BESIDE = [parent / "shared" / "data" for parent in Path(__file__).parents[4:]]
ROOT = next((path for path in _BESIDE if path.is_dir()), _BESIDE[0])
_LARGE = 200_000
needed = pytest.mark.skipif(not ROOT.is_dir(), reason="the shared data is not beside the repository")


def read(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def lines(*parts: str) -> list[dict]:
    """The rows of a JSON Lines file; none where the data is absent."""
    path = ROOT.joinpath(*parts)
    return [json.loads(line) for line in read(path).splitlines()] if path.is_file() else []


def by_size(files: list[Path]) -> list[Any]:
    """For `parametrize`: large ones are read by `make long` alone."""
    return [pytest.param(one, marks=LONG if one.stat().st_size > _LARGE else pytest.mark.slow) for one in files]


def bundles() -> list[Path]:
    """The files of STIX objects; two of `tlp2` are lists, and one is a schema."""
    found = sorted(path for path in (ROOT / "stix").rglob("*") if path.is_file())
    return [path for path in found if "definitions" not in path.name and "schema" not in path.name]
