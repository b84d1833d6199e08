"""deploy/nginx.conf in a real nginx: TLS, client certificates, and web processes that are restarted under load."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from exchange.demo import ports
from tests.waiting import DEADLINE_S, until

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
pytestmark = [
    pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]
RESTARTS = 2
#: How a client learns that a connection was closed as it sent.
CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Web:
    """`python -m exchange.web` on one port, as `exchange-web@PORT` runs it."""

    def __init__(self, port, **settings):
        self.port, self.settings = port, settings
        self.start()

    def start(self):
        line = ["exchange.web", "tests.drills.echo:application", "--port", str(self.port), "--workers", "2"]
        self.process = subprocess.Popen([sys.executable, "-m", *line], cwd=ROOT, env=os.environ | self.settings)
        until(lambda: listens(self.port))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=DEADLINE_S) == 0


def a_certificate(home, name, *, by=None):
    key, pem = home / f"{name}.key", home / f"{name}.pem"
    alike = ["-x509"] if by is None else ["-x509", "-CA", str(home / f"{by}.pem"), "-CAkey", str(home / f"{by}.key")]
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    made = ["openssl", "req", *alike, "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(pem), *subject]
    subprocess.run(made, check=True, capture_output=True)
    return pem, key


@pytest.fixture
def proxy(tmp_path):
    """An nginx's port, and the two of web behind it."""
    web = [Web(ports.free()), Web(ports.free())]
    with proxying(tmp_path, *(one.port for one in web)) as port:
        yield port, web
    for one in web:
        one.end()


@contextmanager
def proxying(tmp_path, *web, changed=None):
    """The file as it is written, with ports and places of the test's, before two ports of web (and one of streams).

    Gives its own port. `changed`: what else is written otherwise here.
    """
    port, streams = ports.free(), web[-1]
    for name in ("exchange.example", "partners-ca"):
        a_certificate(tmp_path, name)
    conf = "".join((ROOT / "deploy" / name).read_text() for name in ("nginx-upstreams.conf", "nginx.conf"))
    for written, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        ("/etc/nginx/tls", str(tmp_path)),
        ("127.0.0.1:8000", f"127.0.0.1:{web[0]}"),
        ("127.0.0.1:8001", f"127.0.0.1:{web[1]}"),
        ("127.0.0.1:8010", f"127.0.0.1:{streams}"),
        *(changed or {}).items(),
    ):
        assert written in conf
        conf = conf.replace(written, here)
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    head = f"{user}daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1;\n"
    (tmp_path / "nginx.conf").write_text(
        f"{head}events {{ worker_connections 512; }}\nhttp {{ access_log {tmp_path}/access.log;\n{places}{conf}\n}}\n"
    )
    command = [NGINX, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    running = subprocess.Popen(command)
    try:
        until(lambda: listens(port))
        yield port
    finally:
        running.terminate()
        running.wait()


def trusting(tmp_path, *certificate):
    context = ssl.create_default_context(cafile=str(tmp_path / "exchange.example.pem"))
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def test_it_ends_tls_and_passes_on_a_client_certificate_that_it_checked(proxy, tmp_path):
    url, borealis = f"https://localhost:{proxy[0]}/", a_certificate(tmp_path, "borealis", by="partners-ca")
    with httpx.Client(verify=trusting(tmp_path, *borealis), timeout=DEADLINE_S) as client:
        said = client.get(url, headers={"X-Client-Subject": "CN=somebody else", "X-Forwarded-Proto": "http"}).json()
        assert (said["subject"], said["proto"]) == ("CN=borealis", "https")
        assert said["host"] == f"localhost:{proxy[0]}", "the address of TAXII's root would lead nowhere"
    with httpx.Client(verify=trusting(tmp_path), timeout=DEADLINE_S) as client:
        assert client.get(url, headers={"X-Client-Subject": "CN=borealis"}).json()["subject"] == ""
        assert client.get(f"{url}metrics").status_code == 404
        assert client.get(f"{url}readyz").status_code == 404


def test_web_processes_that_are_restarted_one_after_the_other_under_load_lose_no_request(proxy, tmp_path):
    port, web = proxy
    over, pids, answered = threading.Event(), set(), []

    def load(number):
        with httpx.Client(
            verify=trusting(tmp_path), base_url=f"https://localhost:{port}", timeout=DEADLINE_S
        ) as client:
            while not over.is_set():
                body = b"x" * (number * 5_000)
                answer = client.post("/batches", content=body) if number % 2 else client.get("/changes")
                answered.append(answer.status_code)
                assert answer.status_code == 200, (number, answer.text, (tmp_path / "error.log").read_text()[-2000:])
                pids.add(answer.json()["pid"])

    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(load, number) for number in range(8)]
        try:
            for _ in range(RESTARTS):
                for one in web:
                    before = len(answered)
                    one.end()
                    until(lambda before=before: len(answered) > before + 50 or any(each.done() for each in loads))
                    before = set(pids)
                    one.start()
                    until(lambda before=before: pids - before or any(each.done() for each in loads))
        finally:
            over.set()
        for each in loads:
            each.result()
    assert set(answered) == {200}
    assert len(pids) > 2 * RESTARTS


def sends(tmp_path, port, head, body):
    """What is answered to who sends a body, or a part of it, and waits."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain,
        trusting(tmp_path).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(f"POST /batches HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        with suppress(OSError):  # whoever was answered need not be read to the end
            connection.sendall(body)
        answer = b""
        with suppress(OSError):
            while more := connection.recv(65_536):
                answer += more
        return answer.decode()


def test_how_slow_a_sender_may_be_and_how_much_comes_is_said_by_the_exchange(tmp_path):
    """By a proxy that takes whole bodies first, a stranger could send for days, and fill its disk with 33 MB each."""
    with slow_web() as web, proxying(tmp_path, web.port, web.port) as port:
        half = sends(tmp_path, port, "Content-Length: 2000", b"x" * 1000)
        assert half.startswith("HTTP/1.1 408"), half
        assert "too-slow" in half
        whole = b"x" * 1_000_000
        chunked = b"f4240\r\n" + whole + b"\r\n0\r\n\r\n"
        for head, body in (("Content-Length: 1000000", whole), ("Transfer-Encoding: chunked", chunked)):
            said = sends(tmp_path, port, f"{head}\r\nConnection: close", body)
            assert said.startswith("HTTP/1.1 200"), said


@contextmanager
def slow_web():
    """Which waits a second for what is slow."""
    web = Web(ports.free(), STALLED_SECONDS="1")
    try:
        yield web
    finally:
        web.end()


#: What a test of the bounds can reach.
FEWER = {"limit_conn callers 256;": "limit_conn callers 2;", "limit_conn followers 1024;": "limit_conn followers 4;"}
FOLLOWS = (
    "/api/v1/events",
    "/api/v1/events?cursor=x",
    "/api/v1/changes?wait=20",
    "/api/v1/feeds/one/delta?cursor=x&wait=5",
)


def test_who_follows_from_one_address_keeps_nobody_there_from_pushing_and_is_bounded_too(tmp_path):
    """As the agents of a partner behind one address do, and as a stranger may try. Nothing is answered by the exchange here."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        silent.settimeout(DEADLINE_S)
        here = silent.getsockname()[1]
        port = stack.enter_context(proxying(tmp_path, here, here, here, changed=FEWER))
        context = trusting(tmp_path)

        def asks(method, path):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
            asking = stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            asking.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            return asking

        def is_passed_on(method, path):
            stack.callback(asks(method, path).close)
            passed, _ = silent.accept()
            stack.callback(passed.close)
            assert passed.recv(4096).startswith(f"{method} {path} ".encode())

        for path in FOLLOWS:
            is_passed_on("GET", path)
        assert asks("GET", "/api/v1/events").recv(4096).startswith(b"HTTP/1.1 429")
        for path in ("/api/v1/batches", "/api/v1/batches?wait=20"):
            is_passed_on("POST", path)
        assert asks("POST", "/api/v1/batches?wait=20").recv(4096).startswith(b"HTTP/1.1 429"), "to push is not to wait"


TOKEN = "exl_abcdefgh_secret"


@pytest.mark.parametrize(
    "path",
    [
        f"api/v1/lists/{TOKEN}",
        f"/api/v1/%6cists/{TOKEN}",
        f"account/invitation/?token={TOKEN}",
        f"account/password/link/?token={TOKEN}",
        f"account/sign-on/one/callback/?code={TOKEN}",
        f"digest/end/{TOKEN}",
    ],
)
def test_no_log_holds_a_token_of_an_address_when_the_exchange_does_not_answer(tmp_path, path):
    with proxying(tmp_path, ports.free(), ports.free()) as port:
        with httpx.Client(verify=trusting(tmp_path), timeout=DEADLINE_S) as client:
            assert client.get(f"https://localhost:{port}/{path}").status_code == 502
            assert client.get(f"https://localhost:{port}/api/v1/changes?other").status_code == 502
        logs = {name: tmp_path / f"{name}.log" for name in ("access", "error")}
        until(lambda: all("/api/v1/changes?other" in log.read_text() for log in logs.values()))
    assert not [name for name, log in logs.items() if TOKEN in log.read_text()]


def test_a_certificate_is_exchanged_under_load_and_no_request_is_lost(proxy, tmp_path):
    """The files, then a reload (`systemctl reload nginx`): what is answered goes on, who connects gets the new one.

    nginx closes what is idle at that moment, and a request may be on its way there: who sent it asks again on a new
    connection (RFC 9112, section 9.3.1), as our clients do.
    """
    port, answered, over = proxy[0], [], threading.Event()
    before = served(port)
    trusted = trusting(tmp_path)
    trusted.load_verify_locations(a_certificate(tmp_path, "next")[0])

    def ask(number):
        with httpx.Client(verify=trusted, timeout=DEADLINE_S) as client:
            while not over.is_set():
                try:
                    answer = client.get(f"https://localhost:{port}/{number}")
                except CLOSED:
                    answer = client.get(f"https://localhost:{port}/{number}")
                answered.append(answer.status_code)

    with ThreadPoolExecutor(4) as callers:
        asking = [callers.submit(ask, number) for number in range(4)]
        until(lambda: len(answered) > 50)
        for kind in ("pem", "key"):
            (tmp_path / f"next.{kind}").replace(tmp_path / f"exchange.example.{kind}")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        until(lambda: served(port) != before)
        count = len(answered)
        until(lambda: len(answered) > count + 50)
        over.set()
        for one in asking:
            one.result()
    assert set(answered) == {200}


def served(port):
    """The certificate that who connects now is shown."""
    return ssl.get_server_certificate(("127.0.0.1", port))
