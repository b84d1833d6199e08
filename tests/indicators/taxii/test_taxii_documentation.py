"""The lines of exchange/docs/taxii.md do what the page says: each is read as curl would, and asked."""

from __future__ import annotations

import base64
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
import time_machine
from django.conf import settings
from django.test import Client

from indicators.taxii import collections
from tests import build

if TYPE_CHECKING:
    from django.http import HttpResponse

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[3] / "exchange" / "docs" / "taxii.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
FILES = dict(re.findall(r"cat > (\S+) <<'JSON'\n(.*?)\nJSON\n", SHELL, re.DOTALL))
LINES = [line for line in SHELL.splitlines() if line.startswith("curl ")]


def ask(line: str, key: str, status_id: str) -> HttpResponse:
    """One curl line, as a request."""
    for name, value in {
        "$TAXII": "/taxii2/exchange",
        "https://exchange.example": "",
        "$KEY": key,
        "$TYPE": "application/taxii+json;version=2.1",
        "<id of the answer>": status_id,
    }.items():
        line = line.replace(name, value)
    words = shlex.split(line)[1:]
    headers, body, path = {}, None, ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-u":
            headers["Authorization"] = f"Basic {base64.b64encode(words.pop(0).encode()).decode()}"
        elif word == "--data-binary":
            body = FILES[words.pop(0)[1:]]
        elif not word.startswith("-"):
            path = word
    media = headers.pop("Content-Type", "")
    method = "GET" if body is None else "POST"
    return Client().generic(method, path, (body or "").encode(), content_type=media, headers=headers)


def test_every_line_of_the_page_works_in_its_order() -> None:
    with time_machine.travel("2026-11-21T00:00:00Z", tick=True):
        cast, status_id = build.the_cast(), ""
        build.a_ring(cast.aster, cast.borealis, slug="cti")
        key = cast.keys["aster"]
        answers = {}
        for line in LINES:
            answer = answers[line] = ask(line, key, status_id)
            assert answer.status_code == (202 if "--data-binary" in line else 200), (line, answer.content)
            if answer.status_code == 202:
                status_id = orjson.loads(answer.content)["id"]
                assert orjson.loads(answer.content)["success_count"] == 1, answer.content
    found = [answer for line, answer in answers.items() if re.search(r"/(objects|manifest|versions)/", line)]
    assert len(answers) >= 12
    assert len(found) >= 7
    for answer in found:
        assert orjson.loads(answer.content) != {}


def test_the_page_says_what_holds() -> None:
    assert str(collections.EVERYTHING) in PAGE
    assert f"for {settings.BATCH_DAYS} days" in PAGE
