"""Small bodies: what describes one validates it, and says what is wrong as the API always said it."""

import uuid
from datetime import UTC, date, datetime

import orjson
import pytest
from django.test import RequestFactory

from exchange import shapes
from exchange.errors import ExchangeError


class Inner(shapes.Body):
    whole = ("wrong-type", "An object with a word.")

    word = shapes.Choice(["one", "two"], code="bad-word")
    number = shapes.Number(required=False, code="bad-number", min_value=1)


class Wish(shapes.Body):
    max_bytes = 2_000

    name = shapes.Text(code="bad-name", max_length=5)
    email = shapes.Email(required=False, code="bad-email")
    flag = shapes.Flag(required=False)
    number = shapes.Number(required=False, code="bad-number", min_value=1, max_value=9)
    measure = shapes.Measure(required=False)
    id = shapes.Id(required=False)
    feed = shapes.Id(required=False, allow_null=True)
    day = shapes.Day(required=False)
    moment = shapes.Moment(required=False)
    words = shapes.Words(
        required=False, code="bad-words", chars=3, max_length=2, of_each=("bad-each", "Short."), choices=["a", "bcd"]
    )
    names = shapes.Words(required=False, code="bad-names", chars=3, of_each=("bad-name", "Short."), at_list=True)
    about = shapes.Json(required=False)
    inner = Inner(required=False)


def read(sent, media="application/json"):
    body = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    return Wish.read(RequestFactory().post("/", body, content_type=media))


def test_each_field_is_read_in_its_type_and_what_was_left_out_is_absent():
    one = uuid.uuid4()
    sent = {
        "name": " a ",
        "email": " a@b.example ",
        "flag": False,
        "number": 1,
        "measure": 2,
        "id": str(one),
        "day": "2026-01-31",
        "moment": "2026-11-24T12:00:00+01:00",
        "words": ["a", "bcd"],
        "about": {"any": [1]},
        "inner": {"word": "two"},
    }
    assert read(sent) == sent | {
        "email": "a@b.example",
        "id": one,
        "day": date(2026, 1, 31),
        "moment": datetime(2026, 11, 24, 11, tzinfo=UTC),
    }


def test_what_may_be_left_out_may_be_null_and_is_left_out_by_that():
    left = dict.fromkeys(set(Wish().fields) - {"name"})
    assert read({"name": "a", **left}) == {"name": "a", "feed": None}, "null is a value of this one"
    inner = read({"name": "a", "inner": {"word": "one", "number": None}})["inner"]
    assert inner == {"word": "one"}


@pytest.mark.parametrize(
    ("sent", "code", "at"),
    [
        ({}, "bad-name", "/name"),
        ({"name": None}, "bad-name", "/name"),
        ({"name": ""}, "bad-name", "/name"),
        ({"name": "abcdef"}, "bad-name", "/name"),
        ({"name": 7}, "wrong-type", "/name"),
        ({"name": "a\0"}, "nul-character", "/name"),
        ({"other": 1}, "unknown-property", "/other"),
        ({"x" * 70: 1}, "unknown-property", "/" + "x" * 60),
        ({"email": "a"}, "bad-email", "/email"),
        ({"email": ["a@b.example"]}, "wrong-type", "/email"),
        ({"flag": 1}, "wrong-type", "/flag"),
        ({"flag": "true"}, "wrong-type", "/flag"),
        ({"number": True}, "wrong-type", "/number"),
        ({"number": 1.0}, "wrong-type", "/number"),
        ({"number": "1"}, "wrong-type", "/number"),
        ({"number": 0}, "bad-number", "/number"),
        ({"number": 2**62}, "bad-number", "/number"),
        ({"measure": "1"}, "wrong-type", "/measure"),
        ({"id": "x"}, "wrong-type", "/id"),
        ({"id": 1}, "wrong-type", "/id"),
        ({"day": "soon"}, "bad-date", "/day"),
        ({"moment": "2026-11-24T12:00:00"}, "bad-time", "/moment"),
        ({"moment": "0001-01-01T00:00:00+23:59"}, "bad-time", "/moment"),
        ({"moment": "9999-12-31T23:59:59-05:00"}, "bad-time", "/moment"),
        ({"words": "a"}, "wrong-type", "/words"),
        ({"words": {"0": "a"}}, "wrong-type", "/words"),
        ({"words": ["a", "a", 7]}, "bad-words", "/words"),
        ({"words": ["a", 7]}, "bad-each", "/words/1"),
        ({"words": ["a\0"]}, "bad-each", "/words/0"),
        ({"words": ["b"]}, "bad-words", "/words"),
        ({"names": ["a", "abcd"]}, "bad-name", "/names"),
        ({"about": []}, "wrong-type", "/about"),
        ({"inner": []}, "wrong-type", "/inner"),
        ({"inner": {}}, "wrong-type", "/inner"),
        ({"inner": {"word": "one", "more": 1}}, "wrong-type", "/inner"),
        ({"inner": {"word": "three"}}, "bad-word", "/inner/word"),
        ({"inner": {"word": 1}}, "wrong-type", "/inner/word"),
        ({"inner": {"word": "one", "number": 0}}, "bad-number", "/inner/number"),
    ],
)
def test_what_is_wrong_is_refused_by_its_code_at_its_place_without_its_value(sent, code, at):
    base = {} if not sent or "name" in sent else {"name": "a"}
    with pytest.raises(ExchangeError) as refused:
        read(base | sent)
    assert (refused.value.status, refused.value.code, refused.value.at) == (422, code, at)
    assert "abcdef" not in refused.value.detail


@pytest.mark.parametrize(
    ("raw", "media", "status", "code"),
    [
        (b"{}", "text/plain", 415, "unsupported-media-type"),
        (b"{", "application/json", 400, "malformed-json"),
        (b"[]", "application/json", 400, "malformed-json"),
        (b'{"name":"a","name":"b"}', "application/json", 400, "malformed-json"),
        (b'{"about":' + b'{"a":' * 300 + b"1" + b"}" * 301, "application/json", 400, "malformed-json"),
        (b'{"name":"' + b"a" * 2_000 + b'"}', "application/json", 413, "body-too-large"),
    ],
)
def test_what_is_no_small_object_is_refused_before_any_field_is_looked_at(raw, media, status, code):
    with pytest.raises(ExchangeError) as refused:
        read(raw, media)
    assert (refused.value.status, refused.value.code) == (status, code)
