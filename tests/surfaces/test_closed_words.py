"""A kind or subkind that there is not is an error that lists those that there are, wherever one filters."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import orjson
import pytest
from django.test import Client

from indicators.models import Feed
from indicators.stix import vocabulary
from indicators.telling import subscribing
from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


def detail(answer) -> str:
    return orjson.loads(answer.content)["detail"]


def test_the_words_are_those_of_the_schema():
    schema = json.loads(vocabulary.schema_text(vocabulary.EXTENSION_ID))["properties"]
    assert sorted(vocabulary.SUBKINDS) == sorted(schema["kind"]["enum"])
    assert sorted(name for names in vocabulary.SUBKINDS.values() for name in names) == sorted(schema["subkind"]["enum"])


@pytest.mark.parametrize("path", ["changes", "events", "blocklists/all", "objects", "bundle"])
def test_a_kind_that_there_is_not_is_refused_by_name(aster, path):
    answer = aster.get(f"{path}?kind=account-pattern,account-patern")
    assert (code(answer, 422), at(answer)) == ("unknown-kind", "/kind")
    assert all(kind in detail(answer) for kind in vocabulary.SUBKINDS)


@pytest.mark.parametrize("path", ["objects", "bundle"])
@pytest.mark.parametrize("query", ["subkind=emial", "kind=prompt-signature&subkind=email"])
def test_a_subkind_that_there_is_not_is_refused_by_name(aster, path, query):
    answer = aster.get(f"{path}?{query}")
    assert (code(answer, 422), at(answer)) == ("unknown-subkind", "/subkind")
    assert "skeleton" in detail(answer)


@pytest.mark.parametrize(
    ("filter_json", "where"),
    [
        ({"kinds": ["account-patern"]}, "/filter/kinds"),
        ({"subkinds": ["emial"]}, "/filter/subkinds"),
        ({"kinds": ["prompt-signature"], "subkinds": ["email"]}, "/filter/subkinds"),
    ],
)
def test_no_feed_is_saved_with_one(aster, filter_json, where):
    answer = aster.send("POST", "feeds", {"name": "x", "filter": filter_json})
    assert code(answer, 422) in ("unknown-kind", "unknown-subkind")
    assert at(answer) == where
    assert read(aster.get("feeds"))["feeds"] == []


def test_a_feed_that_was_saved_with_one_says_so_when_it_is_read(cast, aster):
    feed = subscribing.save_feed(cast.viewer("aster"), name="x", filter_json={})
    Feed.unrestricted.filter(pk=feed.pk).update(filter={"kinds": ["account-patern"]})
    for path in (f"blocklists/{feed.pk}", f"changes?feed={feed.pk}", f"bundle?feed={feed.pk}"):
        assert code(aster.get(path), 422) == "unknown-kind"


def test_the_portal_says_so_too(cast):
    client = Client()
    build.sign_in(client, build.a_user(cast.aster))
    assert client.get("/indicators?subkind=emial").status_code == 422
    assert client.get("/indicators/bundle?subkind=emial").status_code == 422
    assert client.get("/indicators?show=prompt-signature&subkind=email").status_code == 200


@pytest.mark.parametrize(
    "words",
    [
        ["exchange.client.cli", "blocklist", "--kind", "account-patern"],
        ["exchange.agent.cli", "sync", "--once", "--output", "list.txt", "--kind", "account-patern"],
    ],
)
def test_a_command_ends_with_another_status_and_the_list_of_words(words, live_server, aster, tmp_path):
    program = f"import sys; from {words[0]} import main; sys.argv = {['x', *words[1:]]!r}; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"EXCHANGE_URL": live_server.url, "EXCHANGE_API_KEY": aster.key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "prompt-signature" in done.stderr
    assert not (tmp_path / "list.txt").exists()
