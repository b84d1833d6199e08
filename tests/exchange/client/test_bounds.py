"""What a client takes of an answer is bounded, in bytes and in time, whatever a server sends."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time

import pytest

from exchange.client import ApiError, Client, Unreachable
from exchange.client.calls import bounded
from exchange.lists import pages
from tests.waiting import DEADLINE_S

CALLS = {
    "page": lambda client: client.delta(limit=5_000),
    "snapshot": lambda client: client.snapshot("all", on_row=lambda row: None),
    "document": lambda client: client.me(),
    "list": lambda client: client.blocklist(),
}
#: Where the bound of each stands.
BOUNDS = {
    "page": (pages, "MAX_BYTES"),
    "snapshot": (pages, "MAX_SNAPSHOT_BYTES"),
    "document": (bounded, "DOCUMENT_BYTES"),
    "list": (bounded, "FILE_BYTES"),
}


@pytest.fixture
def served():
    """Answers each connection by handing it to a function, once its request came."""
    listening = socket.create_server(("127.0.0.1", 0))
    wires: list[socket.socket] = []

    class Served:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        answer = staticmethod(lambda wire: None)

    def serve() -> None:
        while True:
            try:
                wire, _ = listening.accept()
            except OSError:
                return
            wires.append(wire)
            wire.settimeout(DEADLINE_S)
            try:
                wire.recv(65_536)
                Served.answer(wire)
            except OSError:  # the client broke off
                pass
            wire.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Served
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(DEADLINE_S)


def told(url: str, call: str, *, retries: int = 0):
    with Client(url, "exk_test", retries=retries, timeout_s=DEADLINE_S) as client:
        return CALLS[call](client)


def a_page(rows: int = 2_000) -> bytes:
    writer = pages.Writer()
    return b"".join([*(writer.row(b'{"op":"none of ours"}') for _ in range(rows)), writer.trailer("c")])


def an_answer(body: bytes, *more: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *more, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("call", CALLS)
def test_what_is_longer_than_any_answer_is_not_read(served, call, coding, monkeypatch):
    body = a_page() if call in {"page", "snapshot"} else json.dumps({"said": "." * 40_000}).encode()
    packed = gzip.compress(body) if coding == "gzip" else body
    served.answer = lambda wire: wire.sendall(an_answer(packed, f"Content-Encoding: {coding}"))
    told(served.url, call)
    if call == "list":
        monkeypatch.setattr(bounded, "FILE_BYTES", 20_000)
    asked = []
    served.answer = lambda wire: (asked.append(1), wire.sendall(an_answer(packed, f"Content-Encoding: {coding}")))
    if call == "document":
        monkeypatch.setattr(Client._call, "__kwdefaults__", {**Client._call.__kwdefaults__, "max_bytes": 20_000})
    else:
        monkeypatch.setattr(*BOUNDS[call], 20_000)
    with pytest.raises(Unreachable, match="more than 20000 bytes"):
        told(served.url, call, retries=3)
    assert len(asked) == 1, "to ask again would not help"


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_is_read_no_further_than_it_may_be(served, call, monkeypatch):
    monkeypatch.setattr(bounded, "REFUSAL_BYTES", 20_000)
    body = json.dumps({"code": "conflict", "detail": "." * 40_000}).encode()
    served.answer = lambda wire: wire.sendall(an_answer(body, status="409 Conflict"))
    with pytest.raises(Unreachable, match="more than 20000 bytes"):
        told(served.url, call)


@pytest.mark.parametrize("coding", ["gzip, gzip", "zstd", "deflate"])
def test_nothing_is_unpacked_twice_or_by_a_coding_that_was_not_asked_for(served, coding):
    body = gzip.compress(gzip.compress(a_page()))
    served.answer = lambda wire: wire.sendall(an_answer(body, f"Content-Encoding: {coding}"))
    with pytest.raises(Unreachable, match="coding that was not asked for"):
        told(served.url, "page")


@pytest.mark.parametrize("call", CALLS)
def test_who_drips_is_left(served, call, monkeypatch):
    monkeypatch.setattr(bounded, "GRACE_S", 0.2)
    body = a_page(1) if call in {"page", "snapshot"} else b'{"said": "a few words, one letter at a time"}'

    def answer(wire: socket.socket) -> None:
        whole = an_answer(body)
        head, rest = whole[: -len(body)], whole[-len(body) :]
        wire.sendall(head)
        for place in range(len(rest)):
            wire.sendall(rest[place : place + 1])
            time.sleep(0.02)

    served.answer = answer
    with pytest.raises(Unreachable, match="too slowly"):
        told(served.url, call)


@pytest.mark.parametrize("line", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b""], ids=["another one follows", "a letter"])
def test_who_sends_no_end_of_a_head_is_left(served, line, monkeypatch):
    monkeypatch.setattr(bounded, "HEAD_S", 0.1)
    monkeypatch.setattr(bounded, "_LOOK_S", 0.05)
    monkeypatch.setattr(bounded, "_LOOKOUT", bounded._Lookout())  # that of other tests looks once in five seconds

    def answer(wire: socket.socket) -> None:
        if not line:
            wire.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(150):
            wire.sendall(line or b"x")
            time.sleep(0.02)
        wire.sendall(b"\r\n" if not line else b"")
        wire.sendall(an_answer(b"{}") if line else b"Content-Length: 2\r\n\r\n{}")

    served.answer = answer
    with pytest.raises(Unreachable, match="does not answer"):
        told(served.url, "document")


def test_a_page_has_no_more_rows_than_were_asked_for(served):
    served.answer = lambda wire: wire.sendall(an_answer(a_page(3)))
    with Client(served.url, "exk_test", retries=0) as client:
        assert client.delta(limit=3).skipped == 3
        with pytest.raises(Unreachable, match="more rows than were asked for"):
            client.delta(limit=2)


@pytest.mark.parametrize("said", [{"next_cursor": "c" * 3_000}, {"set_key": "ab" * 3_000}, {"next_cursor": ["c"]}])
def test_a_trailer_says_no_more_than_a_trailer_does(said):
    whole = pages.Writer().trailer(**({"next_cursor": "c"} | said))
    with pytest.raises(pages.Incomplete, match="none of an exchange"):
        pages.read([whole])


def test_a_line_may_come_letter_by_letter():
    body = a_page(50)
    assert pages.read(body[place : place + 1] for place in range(len(body))) == pages.read([body])


@pytest.mark.parametrize("errors", [5, ["a"], {"a": 1}, [{"field": "\x1b[2J" * 9_000}]])
def test_a_refusal_of_another_form_is_told_and_steers_no_terminal(served, errors):
    body = json.dumps({"code": ["x"], "detail": "\x1b[2J" * 9_000, "errors": errors}).encode()
    served.answer = lambda wire: wire.sendall(an_answer(body, status="409 Conflict"))
    with pytest.raises(ApiError) as refused:
        told(served.url, "document")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 5_000


def test_a_refusal_that_no_reader_gets_to_the_end_of_is_told(served):
    served.answer = lambda wire: wire.sendall(an_answer(b"[" * 200_000, status="409 Conflict"))
    with pytest.raises(ApiError, match="answered 409"):
        told(served.url, "document")


def test_no_redirect_is_followed(served):
    served.answer = lambda wire: wire.sendall(an_answer(b"", f"Location: {served.url}/", status="302 Found"))
    for call in CALLS:
        with pytest.raises(ApiError, match="answered 302"):
            told(served.url, call)
