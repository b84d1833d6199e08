"""Every request has an id: the caller's if sane, else a new one, and the answer carries it."""

import uuid

import pytest


@pytest.mark.parametrize("given", ["abcdefgh", "0af7651916cd43dd-8448eb211c80319c", "a" * 64])
def test_a_sane_id_of_the_callers_is_kept(client, given):
    assert client.get("/livez", headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "with space 1", "new\nline-1234", "ümlaut-1234", "<script>alert"]
)
def test_any_other_id_is_replaced(client, given):
    answered = client.get("/livez", headers={"X-Request-ID": given})["X-Request-ID"]
    assert answered != given
    assert uuid.UUID(answered)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/api/v1/me", "/taxii2/", "/account/login/"])
def test_every_answer_has_an_id_and_the_browsers_rules(client, path):
    answer = client.get(path)
    assert uuid.UUID(answer["X-Request-ID"])
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_what_a_partner_reads_is_not_kept_by_caches(client):
    for path in ("/api/v1/me", "/readyz"):
        assert "no-store" in client.get(path)["Cache-Control"]


def test_an_answer_says_how_long_it_is(client):
    answer = client.get("/livez")
    assert answer["Content-Length"] == str(len(answer.content))
    assert client.head("/livez")["Content-Length"] == answer["Content-Length"]
