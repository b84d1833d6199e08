"""`python -m exchange.web`: the parent of the web processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from exchange.demo import ports
from exchange.web import __main__ as web
from tests.waiting import DEADLINE_S


def close(held):
    alone, listeners = held
    for one in (alone, *listeners):
        one.close()


@pytest.mark.parametrize(
    ("first", "second"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")]
)
def test_a_service_that_still_loads_has_its_port_also_under_an_address_that_overlaps(first, second):
    port = ports.free()
    held = web._listeners(first, port, 2)
    try:
        with pytest.raises(OSError, match="in use"):
            web._listeners(second, port, 2)
    finally:
        close(held)
    close(web._listeners(second, port, 2))


def test_two_services_share_a_port_under_addresses_of_their_own():
    port = ports.free()
    held = web._listeners("127.0.0.1", port, 1)
    close(web._listeners("127.0.0.2", port, 1))
    close(held)


def test_what_is_left_of_connections_keeps_nobody_from_the_port():
    port = ports.free()
    alone, (listener,) = web._listeners("127.0.0.1", port, 1)
    web._listen(listener)
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
        accepted, _ = listener.accept()
        accepted.close()  # who closes first waits for what may still be on its way
        assert client.recv(1) == b""
    close((alone, [listener]))
    close(web._listeners("127.0.0.1", port, 2))


def test_what_is_wrong_is_said_once_however_many_processes_find_it():
    environment = os.environ | {"EXCHANGE_MODE": "", "SECRET_KEY": "short", "DATABASE_URL": "postgresql:///unused"}
    done = subprocess.run(
        [sys.executable, "-m", "exchange.web", "--port", "0", "--workers", "3"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "SECRET_KEY: must be at least 50 random characters; these are 5\n"
