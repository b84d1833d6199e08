"""Ports that a demo chooses for its servers before they listen."""

from __future__ import annotations

import socket

from exchange.demo import ports


def test_whoever_calls_out_is_never_given_one_that_was_chosen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = set()
        for _ in range(50):
            with socket.create_connection(server.getsockname()) as calling:
                given.add(calling.getsockname()[1])
    assert max(ports.free() for _ in range(50)) < min(given)


def test_one_that_somebody_has_is_not_chosen(monkeypatch):
    another = ports.free()
    with socket.create_server(("127.0.0.1", ports.free())) as taken:
        has = taken.getsockname()[1]
        choices = iter(port - ports._LEAST for port in (has, has, another))
        monkeypatch.setattr(ports.secrets, "randbelow", lambda below: next(choices))
        assert has != another == ports.free()
