"""The lines of exchange/docs/api.md do what the page says: each is read as curl would, and asked."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import time_machine
from django.test import Client

from partners.scopes import Scope
from tests import build

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).resolve().parents[3] / "exchange" / "docs" / "api.md"
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
FILES = dict(re.findall(r"cat > (\S+) <<'JSON'\n(.*?)\nJSON\n", SHELL, re.DOTALL))
LINES = [line for line in SHELL.splitlines() if line.startswith("curl ")]


def ask(line: str, key: str):
    """One curl line, as a request."""
    words = shlex.split(line.replace("$EXCHANGE_API_KEY", key).replace("$EXCHANGE_URL", ""))[1:]
    headers, body, path, method = {}, None, "", ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            body = words.pop(0)
            body = FILES[body[1:]] if body.startswith("@") else body
        elif word == "-X":
            method = words.pop(0)
        elif not word.startswith("-"):
            path = word
    media = headers.pop("Content-Type", "")
    return Client().generic(
        method or ("GET" if body is None else "POST"), path, (body or "").encode(), content_type=media, headers=headers
    )


def test_every_line_of_the_page_works_in_its_order():
    with time_machine.travel("2026-11-21T00:00:00Z", tick=True):
        key = build.a_key(build.the_cast().aster, *Scope)
        answers = [(line, ask(line, key)) for line in LINES]
    assert len(answers) > 10
    for line, answer in answers:
        assert answer.status_code in (200, 201, 204), (line, b"" if answer.streaming else answer.content)
    pushed = next(answer for line, answer in answers if "/batches" in line)
    assert pushed.json()["counts"]["accepted"] == 1, pushed.content
    found = next(answer for line, answer in answers if "/objects?" in line)
    assert len(found.json()["objects"]) == 1


def test_every_path_that_the_page_names_is_one_of_the_api():
    from indicators.api import description

    described = description.text().decode()
    for path in (
        "/me",
        "/batches",
        "/quarantine",
        "/objects",
        "/matches",
        "/changes",
        "/feeds",
        "/subscriptions",
        "/deliveries",
        "/events",
        "/keys",
    ):
        assert f'"/api/v1{path}' in described
        assert path in PAGE.read_text()
