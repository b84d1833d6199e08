"""The web server by itself: HTTP read one way only, and nobody in the way of the others."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from exchange.web.hooks import Hooks
from exchange.web.reading import Reader
from tests.exchange.web.served import Client, serving
from tests.waiting import DEADLINE_S, until

PUSH = "POST /push HTTP/1.1\nHost: a\nX-Peer: {peer}\nContent-Length: {length}\n\n"


class Streamed:
    """A streamed answer, as Django has it."""

    streaming = True

    def __init__(self, pieces, closed=None):
        self._pieces, self._closed = pieces, closed

    def __iter__(self):
        return iter(self._pieces)

    def close(self):
        if self._closed is not None:
            self._closed.append(True)


class App:
    """Says what it was asked; `/hold` waits for `release`."""

    def __init__(self):
        self.release = threading.Event()
        self.holding = threading.Semaphore(0)
        self.seen = []
        self.closed = []

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        self.seen.append(environ)
        if path == "/hold":
            self.holding.release()
            self.release.wait(DEADLINE_S)
        if path == "/raise":
            raise ZeroDivisionError
        if path == "/large":
            start_response("200 OK", [("Content-Length", str(64 * 1024 * 1024))])
            return Streamed((bytes(1024 * 1024) for _ in range(64)), self.closed)
        if path == "/often":
            start_response("429 Too Many Requests", [("Content-Length", "5"), ("Retry-After", "30")])
            return Streamed([b"often"], self.closed)
        if path == "/streamed":
            start_response("200 OK", [("X-One", "1")])
            return Streamed([b"one", b"", b"two"], self.closed)
        body = environ["wsgi.input"].read()
        said = f"{environ['REQUEST_METHOD']} {path}?{environ['QUERY_STRING']} {len(body)}".encode("latin-1")
        start_response("200 OK", [("Content-Length", str(len(said)))])
        return [said]


@pytest.fixture
def app():
    made = App()
    yield made
    made.release.set()


@pytest.fixture
def server(app):
    with serving(app) as running:
        yield running
        app.release.set()


# HTTP, read one way only.


def test_one_connection_answers_one_request_after_the_other(server):
    with Client(server) as client:
        assert client.get("/a?b=c%20d")[2] == b"GET /a?b=c%20d 0"
        assert client.get("/%C3%A4")[2] == "GET /ä? 0".encode()
        client.send("POST /p HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc")
        assert client.answer()[2] == b"POST /p? 3"


def test_requests_sent_ahead_are_answered_in_their_order(server):
    with Client(server) as client:
        client.send(
            "GET /1 HTTP/1.1\nHost: a\n\nPOST /2 HTTP/1.1\nHost: a\nContent-Length: 2\n\nxyGET /3 HTTP/1.1\nHost: a\n\n"
        )
        assert [client.answer()[2] for _ in range(3)] == [b"GET /1? 0", b"POST /2? 2", b"GET /3? 0"]


def test_more_requests_ahead_than_any_client_sends_are_refused(server):
    with Client(server) as client:
        client.send("GET /1 HTTP/1.1\nHost: a\n\n" * 40)
        assert client.answer()[0] in {200, 400}


def test_a_chunked_body_is_read_whole_and_has_a_length_then(server, app):
    with Client(server) as client:
        client.send("POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n")
        assert client.answer()[2] == b"POST /p? 5"
        assert app.seen[-1]["CONTENT_LENGTH"] == "5"
        assert "HTTP_TRANSFER_ENCODING" not in app.seen[-1]
        assert client.get("/after")[0] == 200


def test_the_body_is_asked_for_where_its_sender_waits_to_be_asked(server):
    with Client(server) as client:
        client.send("POST /p HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue\n\n")
        assert client.answer()[0] == 100
        client.send("abc")
        assert client.answer()[2] == b"POST /p? 3"


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    with Client(server) as client:
        client.send(f"POST /p HTTP/1.1\nHost: a\nContent-Length: {33 * 1024 * 1024}\nExpect: 100-continue\n\n")
        status, headers, body = client.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert b"body-too-large" in body


def test_whoever_sends_too_much_without_waiting_still_reads_why(server):
    with Client(server) as client:
        client.send(f"POST /p HTTP/1.1\nHost: a\nContent-Length: {33 * 1024 * 1024}\n\n")
        for _ in range(20):
            client.send(bytes(100_000))
        assert client.answer()[0] == 413


def test_the_head_of_an_answer_alone(server):
    with Client(server) as client:
        client.send("HEAD /a HTTP/1.1\nHost: a\n\n")
        status, headers, _ = client.answer(bodiless=True)
        assert (status, headers["content-length"]) == (200, "10")
        assert client.get("/b")[0] == 200


def test_an_old_client_is_answered_and_left(server):
    with Client(server) as client:
        client.send("GET /streamed HTTP/1.0\n\n")
        status, headers, body = client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"onetwo")


def test_a_streamed_answer_is_chunked_and_closed(server, app):
    with Client(server) as client:
        status, headers, body = client.get("/streamed")
        assert (status, headers["transfer-encoding"], body) == (200, "chunked", b"onetwo")
        assert client.get("/a")[0] == 200
        assert app.closed == [True]


@pytest.mark.parametrize(
    "text",
    [
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 4\n\nabcd",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, xchunked\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, identity\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: +3\n\nabc",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3, 3\n\nabc",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0x3\nabc\n0\n\n",
        "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
        "GET / HTTP/1.1\nHost: a\n X: folded\n\n",
        "GET / HTTP/1.1\nHost : a\n\n",
        "GET / HTTP/1.1\nHost: a\nAuthorization: a\nAuthorization: b\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n\n0\n\n",
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\nTransfer-Encoding: chunked\n\n0\n\n",
        "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n",
        "GET ftp://a/ HTTP/1.1\nHost: a\n\n",
        "GET * HTTP/1.1\nHost: a\n\n",
        "GET /a#b HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.1\nHost:\n\n",
        "GET /\n\n",
        "GET / HTTP/2.0\nHost: a\n\n",
        "GET / HTTP/9.9\nHost: a\n\n",
        "nonsense\n\n",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(server, app, text):
    with Client(server) as client:
        status, headers, _ = client.send(text).answer()
        assert (status, headers["connection"]) == (400, "close")
        assert client.is_closed()
    assert app.seen == []


def test_a_line_break_without_a_carriage_return_ends_no_header(server, app):
    with Client(server) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX-One: 1\nX-Peer: forged\r\n\r\n")
        assert client.answer()[0] == 400
    assert app.seen == []


def test_an_offer_of_another_protocol_is_not_taken_up(server):
    with Client(server) as client:
        status, _, body = client.get(
            "/a", more="Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AA\n"
        )
        assert (status, body) == (200, b"GET /a? 0")
    with Client(server) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.answer()[0] == 400


def test_headers_with_underscores_are_dropped(server, app):
    with Client(server) as client:
        client.get(
            "/a", more="X_Client_Subject: CN=forged\nX-Client_Subject: CN=forged\nX-Real: 1\nContent_Length: 9\n"
        )
    assert "HTTP_X_CLIENT_SUBJECT" not in app.seen[0]
    assert "CONTENT_LENGTH" not in app.seen[0]
    assert app.seen[0]["HTTP_X_REAL"] == "1"


@pytest.mark.parametrize("in_pieces", [False, True])
def test_what_follows_a_body_is_never_taken_for_its_head(server, app, in_pieces):
    head = "POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
    body = "3\nabc\n0\nX-Client-Subject: CN=forged\nX-Forwarded-For: 192.0.2.1\nAuthorization: Bearer other\n\n"
    with Client(server) as client:
        for piece in (head + body).splitlines(keepends=True) if in_pieces else [head + body]:
            client.send(piece)
        assert client.answer()[2] == b"POST /p? 3"
        assert client.get("/after", more="X-One: 1\n")[0] == 200
    for environ in app.seen:
        assert not environ.keys() & {"HTTP_X_CLIENT_SUBJECT", "HTTP_X_FORWARDED_FOR", "HTTP_AUTHORIZATION"}


@pytest.mark.parametrize("start", ["3\nabc\n0\nX-Trailer: ", "3\nabc\n0\n", "3;said="])
def test_what_is_neither_head_nor_body_has_an_end(server, app, start):
    piece = b"X-Trailer: a\r\n" * 500 if start.endswith("0\n") else b"a" * 8_000
    with Client(server) as client:
        client.send(f"POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{start}")
        for _ in range(40):
            client.send(piece)
        assert client.answer()[0] == 400
    assert app.seen == []


def test_a_body_is_copied_for_nobody_who_reads_all_of_it():
    reader, body = Reader(), bytes(range(256)) * 4_000
    reader.feed(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for start in range(0, len(body), 50_000):
        reader.feed(body[start : start + 50_000])
    stream = reader.requests[0].with_body()["wsgi.input"]
    whole = stream.read(len(body))
    assert whole == body
    assert stream.getvalue() is whole


def test_a_body_in_the_smallest_chunks_is_a_body(server):
    with Client(server) as client:
        client.send("POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n")
        for _ in range(60):
            client.send(b"00001\r\na\r\n" * 1_000)
        assert client.send("0\n\n").answer()[2] == b"POST /p? 60000"


def test_more_headers_than_anybody_sends_are_refused(server, app):
    with Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: a\n" + "a: b\n" * 300 + "\n")
        assert client.answer()[0] == 431
    assert app.seen == []


def test_a_head_without_end_is_refused(server):
    with Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: a\n")
        for number in range(20):
            client.send(f"X-{number}: {'a' * 8_000}\n")
        assert client.answer()[0] == 431


def test_an_application_that_fails_takes_its_own_connection_alone(server):
    with Client(server) as client, Client(server) as other:
        client.send("GET /raise HTTP/1.1\nHost: a\n\n")
        assert client.is_closed()
        assert other.get("/a")[0] == 200


# Nobody in the way of the others.


def many(server, count, text):
    return [Client(server).send(text) for _ in range(count)]


def test_senders_who_stall_hold_no_thread_and_are_told_408(server):
    stalled = many(server, 30, PUSH.format(peer="one", length=1_000) + "some")
    with Client(server) as other:
        assert other.get("/a", peer="two")[0] == 200
        assert other.get("/livez")[0] == 200
    for client in stalled:
        status, headers, body = client.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert b"too-slow" in body


def test_a_sender_who_trickles_is_ended_too(server):
    with Client(server) as client:
        client.send(PUSH.format(peer="one", length=10_000_000))
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012 - it ends somewhere in between
            while time.monotonic() - began < DEADLINE_S:
                client.send(b"x")
                time.sleep(0.05)
                client.socket.setblocking(False)
                try:
                    if client.socket.recv(1):
                        raise ConnectionError
                except BlockingIOError:
                    pass
                finally:
                    client.socket.setblocking(True)
        assert time.monotonic() - began < DEADLINE_S


def test_slow_heads_and_idle_connections_are_ended(server):
    slow, idle = Client(server).send("GET / HTTP/1.1\n"), Client(server)
    kept = Client(server)
    assert kept.get("/a")[0] == 200
    assert slow.answer()[0] == 408
    assert idle.is_closed()
    assert kept.is_closed()


@pytest.mark.slow
def test_who_is_kicked_while_a_kick_is_taken_is_not_the_last_to_be(server, monkeypatch):
    """Two threads are woken by one kick, and a third one kicks between them: streams that nobody told stood still for good."""
    taken = os.eventfd_read

    def between(number):
        monkeypatch.setattr(os, "eventfd_read", taken)
        taken(number)  # the first of the two
        server._kicked = False
        server._kick_one()
        return taken(number)

    with Client(server) as first:
        monkeypatch.setattr(os, "eventfd_read", between)
        assert first.socket.recv(1) == b"", "the clock kicks"
    assert os.eventfd_read is taken
    with Client(server) as second:
        assert second.socket.recv(1) == b"", "and again"


def test_connections_beyond_the_bound_push_out_those_that_wait_longest(server):
    idle = [Client(server) for _ in range(100)]
    with Client(server) as other:
        assert other.get("/a")[0] == 200
    assert idle[0].is_closed()


def test_readers_who_do_not_read_hold_no_thread(server, app):
    unread = [
        Client(server, receive_bytes=4_096).send("GET /large HTTP/1.1\nHost: a\nX-Peer: one\n\n") for _ in range(20)
    ]
    with Client(server) as other:
        assert other.get("/a", peer="two")[0] == 200
    until(lambda: len(app.closed) == 20)
    for client in unread:
        client.socket.close()


def test_a_reader_who_reads_gets_all_of_it(server):
    with Client(server) as client:
        assert len(client.get("/large")[2]) == 64 * 1024 * 1024


def test_what_one_does_not_read_is_bounded_and_the_others_are_answered(app):
    with serving(app, unread_bytes=4 * 1024 * 1024, moved_s=3.0) as server:
        unread = many(server, 8, "GET /large HTTP/1.1\nHost: a\nX-Peer: one\n\n")
        time.sleep(0.5)
        assert server._dues.unread.held() <= 6 * 1024 * 1024
        with Client(server) as other:
            assert len(other.get("/large", peer="two")[2]) == 64 * 1024 * 1024
        for client in unread:
            client.socket.close()


def test_one_who_keeps_many_busy_leaves_threads_for_others(server, app):
    held = many(server, 20, "GET /hold HTTP/1.1\nHost: a\nX-Peer: one\n\n")
    assert app.holding.acquire(timeout=DEADLINE_S)
    with Client(server) as other, Client(server) as third:
        assert other.get("/a", peer="two")[0] == 200
        assert third.get("/livez")[0] == 200
    app.release.set()
    assert {client.answer()[0] for client in held} == {200}


def test_livez_answers_while_every_thread_works(server, app):
    held = [Client(server).send(f"GET /hold HTTP/1.1\nHost: a\nX-Peer: {number}\n\n") for number in range(12)]
    for _ in range(4):
        assert app.holding.acquire(timeout=DEADLINE_S)
    with Client(server) as other:
        assert other.get("/livez")[0] == 200
        assert other.get("/readyz")[0] == 200
    app.release.set()
    assert {client.answer()[0] for client in held} == {200}


def test_requests_in_hand_have_shares_and_beyond_them_one_is_told_to_come_back(app):
    with serving(app, in_hand=8) as server:
        held = many(server, 4, PUSH.format(peer="one", length=10))
        until(lambda: server._dues.in_hand.held() == 4)
        with Client(server) as fifth, Client(server) as other:
            status, headers, body = fifth.get("/a", peer="one")
            assert (status, headers["retry-after"]) == (429, "1")
            assert b"busy" in body
            assert other.get("/a", peer="two")[0] == 200
        for client in held:
            client.send("0123456789")
            assert client.answer()[0] == 200
        with Client(server) as again:
            assert again.get("/a", peer="one")[0] == 200, "shares are given back"


def test_announcing_much_takes_nothing_of_the_others(server):
    announced = many(server, 6, PUSH.format(peer="one", length=32 * 1024 * 1024))
    with Client(server) as other:
        other.send(PUSH.format(peer="two", length=4_000_000)).send(bytes(4_000_000))
        assert other.answer()[2] == b"POST /push? 4000000"
    for client in announced:
        client.socket.close()


def test_large_bodies_of_one_wait_for_each_other_and_all_arrive(app):
    with serving(app, body_bytes=4 * 1024 * 1024, moved_s=5.0) as server:
        size = 3 * 1024 * 1024
        answers = []

        def push(peer):
            with Client(server) as client:
                client.send(PUSH.format(peer=peer, length=size)).send(bytes(size))
                answers.append(client.answer()[2])

        threads = [threading.Thread(target=push, args=(peer,)) for peer in ("one", "one", "one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=DEADLINE_S)
        assert answers == [f"POST /push? {size}".encode()] * 4
        until(lambda: server._dues.body_bytes.held() == 0)


def test_bodies_of_one_are_never_more_in_memory_than_their_share_and_one_more(app):
    room, size = 1024 * 1024, 800_000
    with serving(app, body_bytes=room, moved_s=20.0) as server:
        clients = many(server, 12, PUSH.format(peer="one", length=size))
        senders = [threading.Thread(target=each.send, args=(bytes(size - 1),), daemon=True) for each in clients]
        for each in senders:
            each.start()
        until(lambda: len(server._held) >= 8)
        # What a thread reads meanwhile, and what came along with a head, before it was known whose it is.
        most = room // 2 + size + (server._limits.slots + server._limits.spare + len(clients)) * 65_536
        for _ in range(20):  # many looks of the clock at those that are held
            server._look_at_the_clock()
            assert server._dues.body_bytes.held() <= most
        with Client(server) as other:
            other.send(PUSH.format(peer="two", length=100_000)).send(bytes(100_000))
            assert other.answer()[0] == 200
        ends = [
            threading.Thread(target=lambda it=it: (it[1].join(), it[0].send(b"x")), daemon=True)
            for it in zip(clients, senders, strict=True)
        ]
        for each in ends:
            each.start()
        assert [client.answer()[2] for client in clients] == [f"POST /push? {size}".encode()] * 12
        until(lambda: server._dues.body_bytes.held() == 0)
        assert not server._dues.beyond


def test_a_sender_who_is_held_and_goes_silent_is_ended_when_its_turn_comes(app):
    with serving(app, body_bytes=256 * 1024, moved_s=0.3) as server:
        clients = many(server, 6, PUSH.format(peer="one", length=800_000))
        for client in clients:
            client.socket.settimeout(0.5)
            with contextlib.suppress(OSError):
                client.send(bytes(300_000))
            client.socket.settimeout(DEADLINE_S)
        for client in clients:
            assert client.answer()[0] == 408
        until(lambda: not server._held and server._dues.body_bytes.held() == 0)


def test_a_key_that_is_not_known_is_asked_about_before_its_body_is_read(app):
    class Asking(Hooks):
        def known(self, environ):
            return None

        def ask(self, environ):
            return 7 if environ.get("HTTP_AUTHORIZATION") == "good" else None

        def most_bytes(self, environ, *, stranger):
            return 100 if stranger else 10_000

    with serving(app, hooks=Asking()) as server:
        for key, length in (("good", 5_000), ("bad", 0)):
            with Client(server) as client:
                client.send(f"POST /p HTTP/1.1\nHost: a\nAuthorization: {key}\nContent-Length: 5000\n\n").send(
                    bytes(5_000)
                )
                assert client.answer()[2] == f"POST /p? {length}".encode()


def test_what_is_under_way_is_answered_before_the_end(app):
    with serving(app) as server:
        client = Client(server).send("GET /hold HTTP/1.1\nHost: a\n\n")
        assert app.holding.acquire(timeout=DEADLINE_S)
        server.stop()
        threading.Timer(0.3, app.release.set).start()
        status, headers, _ = client.answer()
        assert (status, headers["connection"]) == (200, "close")


def test_who_asks_too_often_is_told_late_and_holds_no_thread_meanwhile(app):
    with serving(app, slots=1, late_s=3_600.0) as server, Client(server) as often, Client(server) as other:
        often.send("GET /often HTTP/1.1\nHost: a\nX-Peer: a\n\n")
        until(lambda: app.closed)
        assert other.get("/after", peer="b")[0] == 200
        often.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            often.socket.recv(1)
        often.socket.settimeout(DEADLINE_S)
        server.stop()  # an end keeps nobody waiting
        status, headers, body = often.answer()
        assert (status, headers["retry-after"], body) == (429, "30", b"often")


def test_who_was_told_late_goes_on_over_the_same_connection(app):
    with serving(app, late_s=0.05) as server, Client(server) as client:
        assert client.get("/often", peer="a")[0] == 429
        assert client.get("/after", peer="a")[0] == 200


def test_who_leaves_before_they_are_told_leaves_nothing(app):
    with serving(app, in_hand=2, late_s=3_600.0) as server:
        for _ in range(3):  # alone, one peer has one of two in hand
            with Client(server) as client:
                client.send("GET /often HTTP/1.1\nHost: a\nX-Peer: a\n\n")
                until(lambda: app.closed)
                app.closed.clear()
            until(lambda: not server._connections)
