"""What the web server is told of a request before Django sees it; `tests/drills/test_neighbours.py` plays it on sockets."""

from __future__ import annotations

from http import HTTPStatus

import orjson
import pytest
from django.conf import settings

from exchange import bodies
from exchange.front import Front


@pytest.fixture
def front():
    return Front()


@pytest.mark.parametrize(
    ("path", "media", "member"),
    [
        ("/api/v1/batches", "application/problem+json", "code"),
        ("/taxii2/exchange/collections/everything/objects/", "application/taxii+json;version=2.1", "error_code"),
    ],
)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (HTTPStatus.REQUEST_TIMEOUT, "too-slow"),
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large"),
        (HTTPStatus.TOO_MANY_REQUESTS, "too-many"),
        (HTTPStatus.BAD_REQUEST, "malformed"),
    ],
)
def test_who_is_turned_away_is_told_so_as_the_readers_of_the_path_expect_it(front, path, media, member, status, code):
    answered, headers, body = front.refusal({"PATH_INFO": path}, status, code=code, detail="Why.")
    assert answered == status
    assert dict(headers)["Content-Type"] == media
    assert dict(headers)["Content-Length"] == str(len(body))
    assert orjson.loads(body)[member] == code


def test_a_large_body_is_for_partners_only(front):
    with_key = {"HTTP_AUTHORIZATION": "Bearer exk_x", "PATH_INFO": "/api/v1/batches"}
    assert front.most_bytes(with_key, stranger=False) == bodies.MAX_BATCH_BYTES
    for environ, stranger in ((with_key, True), ({"PATH_INFO": "/account/login/"}, False)):
        assert front.most_bytes(environ, stranger=stranger) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE < 2_000_000
