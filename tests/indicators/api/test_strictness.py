"""What every route of the REST face does alike with what it does not know."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from indicators.stix import vocabulary
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import API, at, code, read
from tests.indicators.api.caller import another as key_of

pytestmark = pytest.mark.django_db

LISTS = ["me", "partners", "groups", "objects", "changes", "matches", "quarantine", "feeds", "subscriptions"]
ABSENT = "00000000-0000-4000-8000-000000000000"
READS = [*LISTS, "blocklists/all", f"objects/indicator--{ABSENT}", f"batches/{ABSENT}", f"feeds/{ABSENT}"]


@pytest.mark.parametrize("path", READS)
def test_a_parameter_that_is_not_known_is_refused(aster, path):
    answer = aster.get(f"{path}?kinds=account-pattern")
    assert (code(answer, 422), at(answer)) == ("unknown-parameter", "/kinds")
    assert re.search(r"There are: [\w:-]+(, [\w:-]+)*\.$|It takes none\.$", answer.json()["detail"]), (
        "it says which there are"
    )


@pytest.mark.parametrize("path", READS)
def test_odd_characters_in_the_query_are_never_a_fault(aster, path):
    for query in (
        "%00=1",
        "kind=%00",
        "kind=%ff%fe",
        "limit=%00",
        "cursor=%00",
        "q=%00",
        "feed=%00",
        "type=" + "x" * 3_000,
    ):
        assert aster.get(f"{path}?{query}").status_code in (200, 400, 404, 422), query


@pytest.mark.parametrize("path", READS)
def test_a_thousand_parameters_are_refused(aster, path):
    assert 400 <= aster.get(f"{path}?" + "kind=a&" * 1_001).status_code < 500


@pytest.mark.parametrize(
    "path",
    ["objects/%00", "objects/a%00b", "objects/%ff", "objects/..", "objects/" + "x" * 5_000, "blocklists/%00", "%00"],
)
def test_odd_characters_in_the_path_are_never_a_fault(aster, path):
    assert aster.get(path).status_code in (404, 422)


@pytest.mark.parametrize("path", [*LISTS, "batches", "blocklists/all", "nosuch"])
def test_a_path_with_a_slash_at_its_end_is_another_path(aster, path):
    assert code(aster.get(f"{path}/"), 404) == "not-found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("me", {"GET"}),
        ("objects", {"GET"}),
        ("batches", {"POST"}),
        ("feeds", {"GET", "POST"}),
        (f"subscriptions/{ABSENT}", {"GET", "PATCH", "DELETE"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(aster, path, allowed):
    answer = aster.ask("PUT", path)
    assert code(answer, 405) == "method-not-allowed"
    assert allowed <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", [*LISTS, "blocklists/all"])
def test_head_is_get_without_a_body(aster, path):
    answer = aster.ask("HEAD", path)
    assert answer.status_code == 200
    assert not answer.streaming or not b"".join(answer.streaming_content)
    assert answer.content == b"" if not answer.streaming else True


@pytest.mark.parametrize("path", LISTS)
def test_options_says_what_may_be_asked(aster, path):
    answer = aster.ask("OPTIONS", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", [*READS, "nosuch"])
def test_every_answer_has_its_request_id_and_is_not_kept(aster, path):
    answer = aster.get(path, X_Request_ID="0123-caller-chosen")
    assert answer.headers["X-Request-ID"] == "0123-caller-chosen"
    assert "no-store" in answer.headers["Cache-Control"] or "private, no-cache" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", READS)
def test_without_a_key_nothing_is_said(path):
    answer = Client().get(API + path)
    assert code(answer, 401) == "unauthenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_without_the_word_before_it_is_told_how_it_is_sent(cast):
    answer = Client().get(f"{API}me", headers={"Authorization": cast.keys["aster"]})
    assert code(answer, 401) == "unauthenticated"
    assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("path", READS)
def test_a_key_without_the_scope_to_read_reads_nothing(cast, path):
    assert code(key_of(cast.aster, Scope.REACT).get(path), 403) == "missing-scope"


def test_a_session_opens_no_api(cast):
    client = Client()
    client.force_login(build.a_user(cast.aster), backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get(f"{API}me").status_code == 401


def test_the_schema_of_the_extension_is_public():
    answer = Client().get(f"/schemas/{vocabulary.EXTENSION_ID}.json")
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert "public" in answer.headers["Cache-Control"]
    assert read(answer)["$schema"]
    for other in ("nosuch", "..%2f..%2fetc", "%00", vocabulary.EXTENSION_ID[:-1]):
        assert Client().get(f"/schemas/{other}.json").status_code == 404
    assert code(Client().post(f"/schemas/{vocabulary.EXTENSION_ID}.json"), 405) == "method-not-allowed"
