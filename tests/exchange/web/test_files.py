"""Files as answers, which the kernel sends: whole or a part, to readers that are quick, slow, or leave."""

from __future__ import annotations

import contextlib
import os

import pytest

from exchange.web.files import STEP_BYTES, Region
from tests.exchange.web.served import Client, serving

SIZE = 3 * STEP_BYTES + 17


class Part:
    def __init__(self, path, first, end):
        self.file, self.closed = path.open("rb"), False
        self.region = Region(self.file.fileno(), first, end - first)

    def close(self):
        self.file.close()
        self.closed = True


class App:
    """`/whole`, `/part` and `/read` (a file that says no region) with a length; `/chunks` without one."""

    def __init__(self, path):
        self.path, self.parts, self.said = path, [], SIZE

    def __call__(self, environ, start_response):
        wanted = environ["PATH_INFO"]
        if wanted == "/small":
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        first, end = (1_000_000, 2_500_000) if wanted == "/part" else (0, self.said)
        headers = [] if wanted == "/chunks" else [("Content-Length", str(end - first))]
        start_response("200 OK", headers)
        if wanted == "/read":
            return environ["wsgi.file_wrapper"](self.path.open("rb"), 4_096)
        self.parts.append(Part(self.path, first, end))
        return environ["wsgi.file_wrapper"](self.parts[-1])


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    return App(path)


def test_a_file_arrives_whole_or_a_part_of_it_and_the_connection_goes_on(app):
    whole = app.path.read_bytes()
    with serving(app) as server, Client(server) as client:
        assert client.get("/whole")[2] == whole
        assert client.get("/part")[2] == whole[1_000_000:2_500_000]
        assert client.get("/read")[2] == whole
        status, headers, body = client.get("/chunks")
        assert (status, headers["transfer-encoding"], body == whole) == (200, "chunked", True)
        assert client.send("HEAD /whole HTTP/1.1\nHost: a\n\n").answer(bodiless=True)[1]["content-length"] == str(SIZE)
        assert client.get("/small")[2] == b"ok"
    assert all(part.closed for part in app.parts)


def test_an_old_client_gets_it_too(app):
    with serving(app) as server, Client(server) as client:
        assert client.send("GET /chunks HTTP/1.0\n\n").answer()[2] == app.path.read_bytes()


def test_a_file_that_is_shorter_than_was_said_cuts_the_connection(app):
    app.said = 2 * SIZE
    with serving(app) as server, Client(server) as client:
        client.send("GET /whole HTTP/1.1\nHost: a\n\n")
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := client.socket.recv(65_536):
                received += len(piece)
        assert received < app.said
    assert app.parts[0].closed


def test_who_does_not_read_a_file_holds_no_thread(app):
    with serving(app, moved_s=30.0) as server:
        slow = [Client(server, receive_bytes=4_096) for _ in range(8)]
        try:
            for one in slow:
                one.send("GET /whole HTTP/1.1\nHost: a\n\n")
            with Client(server) as client:
                assert client.get("/small", peer="other")[2] == b"ok"
            slow[0].file.close()
            slow[0].socket.close()
            assert all(one.answer()[2] == app.path.read_bytes() for one in slow[1:3])
        finally:
            for one in slow[1:]:
                one.socket.close()
