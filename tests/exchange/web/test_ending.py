"""A web process that begins and ends while others ask: whoever reached it is answered, and nobody else is let come near."""

from __future__ import annotations

import errno
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from exchange.demo import ports
from exchange.web import doors
from tests.exchange.web.served import Client, serving
from tests.exchange.web.test_server import PUSH, App
from tests.waiting import DEADLINE_S, until

LARGE = 16 * 1024 * 1024
#: To read all that takes seconds on a machine with much else to do.
PATIENT = {"stopping_s": DEADLINE_S, "moved_s": DEADLINE_S}
ASK = "GET / HTTP/1.1\nHost: a\n\n"


def large(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(LARGE))])
    return [bytes(LARGE)]


def test_who_was_not_told_that_an_answer_is_the_last_may_ask_once_more():
    """A proxy sends the next request at once over a connection that was not said to be closed, and cannot send it twice."""
    with (
        serving(large, parting_s=DEADLINE_S, **PATIENT) as server,
        Client(server, receive_bytes=4_096) as client,
    ):
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


def test_what_is_held_for_want_of_room_is_answered_before_the_end():
    size = 800_000
    with serving(App(), body_bytes=1024 * 1024, **PATIENT) as server, Client(server) as one, Client(server) as other:
        one.send(PUSH.format(peer="one", length=size)).send(bytes(size - 1))
        until(lambda: server._dues.body_bytes.held() == size - 1)
        other.send(PUSH.format(peer="one", length=size)).send(bytes(size))
        until(lambda: server._held)
        server.stop()
        until(lambda: server._listener.fileno() == -1)
        assert one.send(b"x").answer()[0] == 200
        assert other.answer()[0] == 200, "nobody looks at the clock any more"


def test_a_last_request_has_its_time_from_when_the_answer_before_it_was_sent():
    with serving(large, parting_s=2.5, **PATIENT) as server, Client(server, receive_bytes=4_096) as client:
        client.send(ASK).file.readline()
        server.stop()
        until(lambda: server._listener.fileno() == -1)
        time.sleep(2.7)
        while client.file.readline().strip():
            pass
        assert len(client.file.read(LARGE)) == LARGE
        time.sleep(0.2)
        assert client.send(ASK).answer()[0] == 200


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


def test_nobody_is_connected_to_a_process_that_is_still_loading_and_no_second_one_takes_its_port(tmp_path):
    """Else half of all requests would wait for it, or be lost where it ends before it is ready."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'loading').touch()\n"
        "while not (here / 'go').exists(): time.sleep(0.02)\n"
        "from wsgiref.simple_server import demo_app as application\n"
    )
    with running(tmp_path, "slow:application") as (process, port):
        until((tmp_path / "loading").exists, of=process)
        assert not listens(port)
        second = subprocess.run(process.args, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert (second.returncode, second.stderr) == (1, f"127.0.0.1:{port}: Address already in use\n")
        (tmp_path / "go").touch()
        until(lambda: listens(port), of=process)


def test_who_follows_a_process_that_was_asked_to_end_alone_is_reached(tmp_path):
    """Their listener is their parent's, who hands it on: what was shut at the end of the one is open to the other."""
    (tmp_path / "who.py").write_text(
        "import os\n"
        "def application(environ, start_response):\n"
        "    said = str(os.getpid()).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(said)))])\n"
        "    return [said]\n"
    )
    with running(tmp_path, "who:application") as (process, port):
        first = until(lambda: who(port), of=process)
        os.kill(first, signal.SIGTERM)
        until(lambda: who(port) not in (0, first), of=process)


@contextmanager
def running(place, target):
    """One web process of an application in that place; gives the parent and the port."""
    port = ports.free()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *sys.path])}
    line = [sys.executable, "-m", "exchange.web", target, "--port", str(port), "--workers", "1"]
    with subprocess.Popen(line, env=environment) as process:
        try:
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)


def who(port):
    """The process that answers; 0 where none does."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        asking.request("GET", "/")
        return int(asking.getresponse().read())
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        asking.close()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
