"""What goes in comes out, byte for byte: real feeds and frameworks through POST and back through GET."""

from __future__ import annotations

import gzip
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import orjson
import pytest

from tests.indicators.taxii.cast import EVERYTHING, Caller

if TYPE_CHECKING:
    from django.http import HttpResponse

pytestmark = pytest.mark.django_db

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "stix"


class Envelope(msgspec.Struct):
    objects: list[msgspec.Raw] = []


def slices(document: bytes) -> list[bytes]:
    """The exact bytes of each object of a bundle or envelope."""
    return [bytes(raw) for raw in msgspec.json.decode(document, type=Envelope).objects]


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def key_of(raw: bytes) -> tuple[str, str | None]:
    found = orjson.loads(raw)
    return found["id"].lower(), found.get("modified", found.get("created"))  # one UUID in two cases is one id


def pushed(caller: Caller, objects: list[bytes]) -> dict[tuple[str, str | None], bytes]:
    """Push in slices; what was taken, by id and version. What was not has a reason.

    Real feeds say the same version twice in different words (ATLAS does): the first is taken, the other is a failure.
    """
    taken: dict[tuple[str, str | None], bytes] = {}
    for part in batched(objects, 400, strict=False):
        answer = caller.post(f"{caller.own}objects/", b'{"objects":[' + b",".join(part) + b"]}")
        assert answer.status_code == 202, answer.content
        status = orjson.loads(answer.content)
        assert status["total_count"] == len(part)
        assert all(failure["message"] for failure in status.get("failures", []))
        successes = {detail["id"] for detail in status.get("successes", [])}
        for raw in part:
            if key_of(raw)[0] in successes:
                taken.setdefault(key_of(raw), raw)
    return taken


def served(pages: list[HttpResponse]) -> list[bytes]:
    return [raw for page in pages for raw in slices(page.content)]


FEEDS = [
    "frameworks/stix-atlas.json.gz",
    "feeds/candiru.stix2.gz",
    "feeds/wyrmspy_dragonegg.stix2",
    "oasis-examples/indicator-for-c2-ip-address.json",
    "oasis-examples/indicator-to-campaign-relationship.json",
    "oasis-examples/indicators-for-C2-with-COA.json",
    "oasis-examples/infrastructure.json",
    "oasis-examples/malicious-email-indicator-with-attachment.json",
]


@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_comes_back_byte_for_byte(aster: Caller, name: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip("the shared data are not here")
    objects = slices(content(path))
    taken = pushed(aster, objects)
    assert taken
    if "atlas" in name or "feeds/" in name:
        assert len(taken) == len({key_of(raw) for raw in objects})
    for base in (aster.own, EVERYTHING):
        walked = served(list(aster.pages(f"{base}objects/", {"match[version]": "all", "limit": 333})))
        assert {key_of(raw): raw for raw in walked} == taken
        assert len(walked) == len(taken)
