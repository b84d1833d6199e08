"""Answers to machines: 304 where the caller holds it, packed where it is large, and no database while they are sent."""

from __future__ import annotations

import gzip
import io

import pytest
import zstandard
from django.db import connection
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from exchange.answers import AnswerMiddleware, coding_for

LARGE = b'{"objects":[' + b",".join(b'{"n":%d}' % n for n in range(2_000)) + b"]}"


def ask(content=LARGE, path="/api/v1/objects", method="get", status=200, streamed="", **headers):
    request = getattr(RequestFactory(), method)(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def view(request):
        if streamed:
            said = {"Content-Length": str(len(content)), "ETag": '"all"'}  # as Django's FileResponse says
            return StreamingHttpResponse(iter([content[:9], content[9:]]), content_type=streamed, headers=said)
        return HttpResponse(content, status=status, content_type="application/json")

    return AnswerMiddleware(view)(request)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("br", "identity"),
        ("GZIP;q=0", "identity"),
        ("*", "identity"),
    ],
)
def test_the_best_coding_that_the_caller_takes(accepted, coding):
    assert coding_for(accepted) == coding


@pytest.mark.parametrize(("coding", "unpack"), [("gzip", gzip.decompress), ("zstd", zstandard.decompress)])
@pytest.mark.parametrize("path", ["/api/v1/objects", "/taxii2/exchange/collections/everything/objects/"])
def test_a_large_answer_is_packed_and_says_so(path, coding, unpack):
    packed = ask(path=path, accept_encoding=coding)
    assert packed["Content-Encoding"] == coding
    assert len(packed.content) < len(LARGE) / 2
    assert int(packed["Content-Length"]) == len(packed.content)
    assert unpack(packed.content) == LARGE
    assert "Accept-Encoding" in packed["Vary"]
    assert ask(path=path)["Vary"] == packed["Vary"]


@pytest.mark.parametrize(
    ("coding", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("zstd", lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed)),
    ],
)
def test_what_is_streamed_is_packed_on_its_way(coding, unpack):
    packed = ask(streamed="application/json", accept_encoding=coding)
    body = b"".join(packed.streaming_content)
    assert (packed["Content-Encoding"], packed["Vary"]) == (coding, "Accept-Encoding")
    assert len(body) < len(LARGE) / 2
    assert unpack(body) == LARGE
    assert "Content-Length" not in packed
    assert packed["ETag"] == 'W/"all"'
    assert b"".join(ask(streamed="application/json").streaming_content) == LARGE


def a_file(content, **headers):
    request = RequestFactory().get("/api/v1/blocklists/all", headers=headers)
    file = FileResponse(io.BytesIO(content), content_type="text/plain", headers={"ETag": '"a"'})
    return AnswerMiddleware(lambda request: file)(request)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
@pytest.mark.parametrize("content", [b"", b"one.example\n", LARGE])
def test_a_file_is_never_said_to_be_longer_or_shorter_than_what_is_sent(content, coding):
    """A blocklist whose packed body was sent under the length of the list kept every caller waiting."""
    answer = a_file(content, **{"Accept-Encoding": coding})
    body = b"".join(answer.streaming_content)
    assert int(answer.get("Content-Length", len(body))) == len(body)
    packed = content is LARGE and coding != "identity"
    assert (answer.get("Content-Encoding"), answer["ETag"]) == ((coding, 'W/"a"') if packed else (None, '"a"'))
    assert packed == ("Content-Length" not in answer)


@pytest.mark.parametrize(
    "different", [{"path": "/account/login/"}, {"content": b"{}"}, {"status": 422}, {"streamed": "text/event-stream"}]
)
def test_pages_with_form_tokens_small_answers_errors_and_events_are_not(different):
    assert "Content-Encoding" not in ask(accept_encoding="gzip, zstd", **different)


def test_who_holds_the_answer_is_told_so():
    first = ask()
    again = ask(if_none_match=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert "Content-Type" not in again
    assert ask(if_none_match=ask(accept_encoding="zstd")["ETag"]).status_code == 304
    assert ask(if_none_match='"other"').status_code == 200
    assert ask(content=b"{}", if_none_match=first["ETag"]).status_code == 200


def test_what_changes_something_has_no_tag():
    assert "ETag" not in ask(method="post")
    assert ask(method="post", if_none_match="*").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_an_answer_is_sent():
    def view(request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return HttpResponse(LARGE)

    assert AnswerMiddleware(view)(RequestFactory().get("/api/v1/objects")).status_code == 200
    assert connection.connection is None
