"""Machines' requests go to their views past all that is done for people, and whatever happens there is answered."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from exchange import errors, faces
from tests import build


def fails(request):
    raise ZeroDivisionError("1234")


def refuses(request):
    raise errors.Refused("Not so.", code="not-so", at="/x")


def says_what_was_done(request):
    done = [name for name in ("session", "user", "_messages", "htmx", "allauth", "csp_nonce") if hasattr(request, name)]
    return HttpResponse(",".join(done))


urlpatterns = [
    path(f"{place}/{view.__name__}", view) for place in ("api", "taxii2", "portal") for view in (fails, refuses)
] + [path("api/done", says_what_was_done), path("portal/done", says_what_was_done)]


@pytest.fixture
def here(settings):
    settings.ROOT_URLCONF = __name__
    return Client()


@pytest.mark.django_db
def test_nothing_that_is_for_people_is_done_for_machines(here):
    assert here.get("/api/done").content == b""
    assert set(here.get("/portal/done").content.decode().split(",")) >= {"session", "user", "htmx", "allauth"}


@pytest.mark.parametrize(("place", "media"), [("api", "application/problem+json"), ("taxii2", "application/taxii")])
def test_what_a_view_raises_is_answered_and_a_fault_of_ours_says_nothing_of_itself(here, place, media):
    refused = here.get(f"/{place}/refuses")
    assert (refused.status_code, refused["Content-Type"][: len(media)]) == (422, media)
    assert b"not-so" in refused.content
    failed = here.get(f"/{place}/fails")
    assert (failed.status_code, failed["Content-Type"][: len(media)]) == (500, media)
    assert b"1234" not in failed.content
    assert failed["X-Request-ID"].encode() in failed.content


@pytest.mark.parametrize("where", ["/api/v1/nowhere", "/taxii2/exchange/nowhere/", "/taxii2", "/api/", "/schemas/x"])
@pytest.mark.django_db
def test_a_path_that_does_not_exist_is_a_machines_answer_too(client, where):
    answer = client.get(where)
    assert answer.status_code in {401, 404}
    assert "json" in answer["Content-Type"]
    assert not answer.cookies


@pytest.mark.django_db
def test_a_cookie_opens_no_machines_face(client):
    build.sign_in(client, build.a_user(build.a_partner("Aster")))
    assert client.get("/account/").status_code in {200, 302, 404}
    for where in ("/api/v1/me", "/taxii2/exchange/collections/"):
        answer = client.get(where)
        assert answer.status_code == 401
        assert not answer.cookies


@pytest.mark.django_db
def test_methods_that_a_resource_does_not_know_are_refused_with_those_that_it_does(client):
    cast = build.the_cast()
    for where, allowed in (("/api/v1/changes", "GET"), ("/api/v1/batches", "POST"), ("/api/v1/schema", "GET")):
        answer = client.delete(where, headers=build.bearer(cast.keys["aster"]))
        assert answer.status_code == 405, where
        assert allowed in answer["Allow"]
        assert answer["Content-Type"] == "application/problem+json"
    assert "GET" in client.options("/api/v1/changes", headers=build.bearer(cast.keys["aster"]))["Allow"]
    assert client.options("/api/v1/changes").status_code == 401


@pytest.mark.parametrize(("path", "member"), [("/api/v1/me", "code"), ("/taxii2/", "error_code")])
def test_machines_are_answered_under_the_exchanges_names_alone(settings, path, member):
    settings.ALLOWED_HOSTS = ["exchange.example"]
    for host in ("evil.example", "exchange.example.evil.example", "127.0.0.1:8000", "a b", "exchange.example:x"):
        refused = Client(headers={"Host": host}).get(path)
        assert (refused.status_code, refused.json()[member]) == (400, "unknown-host"), host
    assert Client(headers={"Host": "exchange.example:8443"}).get(path).status_code == 401
    assert Client(headers={"Host": "10.0.0.7:8000"}).get("/livez").status_code == 200


def test_a_path_that_holds_a_secret_is_not_remembered():
    faces._kept.cache_clear()
    assert faces._found("/api/v1/changes") is faces._found("/api/v1/changes")
    held = faces._kept.cache_info().currsize
    faces._found("/api/v1/lists/exl_abcdefgh_secret")
    faces._found(f"/api/v1/objects/{'a' * 300}")
    assert faces._kept.cache_info().currsize == held == 1
