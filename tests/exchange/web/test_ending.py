"""A web process that begins and ends while others ask: whoever reached it is answered, and nobody else is let come near."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys

from exchange.demo import ports
from exchange.web import doors
from tests.exchange.web.served import Client, serving
from tests.waiting import DEADLINE_S, until

LARGE = 16 * 1024 * 1024
ASK = "GET / HTTP/1.1\nHost: a\n\n"


def large(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(LARGE))])
    return [bytes(LARGE)]


def test_who_was_not_told_that_an_answer_is_the_last_may_ask_once_more():
    """A proxy sends the next request at once over a connection that was not said to be closed, and cannot send it twice."""
    with serving(large, parting_s=DEADLINE_S) as server, Client(server, receive_bytes=4_096) as client:
        line = client.send(ASK).file.readline()
        assert line.startswith(b"HTTP/1.1 200")
        server.stop()
        until(lambda: server._listener.fileno() == -1)
        while said := client.file.readline().strip():
            assert said.lower() != b"connection: close", "the answer began before the end"
        assert len(client.file.read(LARGE)) == LARGE
        status, headers, _ = client.send(ASK).answer()
        assert (status, headers["connection"]) == (200, "close")
        assert client.is_closed()


def test_who_has_connected_is_accepted_and_who_comes_later_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as early:
        doors.shut(listener)
        early.sendall(b"asked")
        with socket.socket() as late:
            late.setblocking(False)
            late.connect_ex(listener.getsockname())
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(5) == b"asked"
            listener.close()
            assert select.select([], [late], [], DEADLINE_S)[1], "the kernel asks again, and hears that nobody is there"
            assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "connected, to be cut off"


def test_nobody_is_connected_to_a_process_that_is_still_loading(tmp_path):
    """Else half of all requests would wait for it, or be lost where it ends before it is ready."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'loading').touch()\n"
        "while not (here / 'go').exists(): time.sleep(0.02)\n"
        "from wsgiref.simple_server import demo_app as application\n"
    )
    port = ports.free()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    line = [sys.executable, "-m", "exchange.web", "slow:application", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(line, env=environment) as process:
        try:
            until((tmp_path / "loading").exists, of=process)
            assert not listens(port)
            (tmp_path / "go").touch()
            until(lambda: listens(port), of=process)
        finally:
            process.send_signal(signal.SIGTERM)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
