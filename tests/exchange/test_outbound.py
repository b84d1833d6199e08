"""The only door out: no inward address, no redirect, one deadline, a bounded answer."""

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchange import outbound, outward
from exchange.stepping import Late, finish
from tests.waiting import DEADLINE_S


@pytest.fixture
def public_only(settings):
    settings.OUTBOUND_ALLOW_NETWORKS = []
    settings.OUTBOUND_ALLOW_HTTP = False


def resolves_to(monkeypatch, *addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(outbound.socket, "getaddrinfo", lambda *_, **__: found)


def post(url, *, timeout_s=DEADLINE_S, max_bytes=1_000):
    return outbound.post(
        url, b"{}", headers={"Content-Type": "application/json"}, timeout_s=timeout_s, max_bytes=max_bytes
    )


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.2.7", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::",
        "2001:db8::1",
        # IPv4 in other clothes: compatible, translated, NAT64 of both kinds, ISATAP, 6to4 and Teredo of public ones
        "::127.0.0.1", "::93.184.215.14", "::ffff:0:10.0.0.1", "64:ff9b::5db8:d70e", "64:ff9b:1::a00:1",
        "2600::5efe:10.0.0.1", "2600::200:5efe:10.0.0.1", "2002:5db8:d70e::1", "2001:0:5db8:d70e::1",
        # site-local, documentation, segment routing, discard, protocol assignments, not given out, 6to4 relays, AS112
        "fec0::1", "feff::1", "3fff::1", "5f00::1", "100::1", "2001:20::1", "2001:1::1", "4000::1", "fe00::1",
        "192.88.99.1", "192.0.0.9", "192.175.48.1", "2620:4f:8000::1",
        # what clouds serve to the machine that asks
        "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "192.0.0.192", "169.254.0.23",
        "161.26.0.7", "166.9.0.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_never_asked(public_only, monkeypatch, address):
    resolves_to(monkeypatch, address)
    with pytest.raises(outbound.Blocked):
        post("https://hook.example/")
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(outbound.Blocked):
        outbound.check(f"https://{literal}/")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450::1"])
def test_a_public_address_is_asked(public_only, monkeypatch, address):
    outbound.check(f"https://[{address}]/" if ":" in address else f"https://{address}/")
    resolves_to(monkeypatch, address)
    asked = []

    def opened(to, port, *, deadline):
        asked.append(str(to))
        raise outward.Broken

    monkeypatch.setattr(outward, "opened", opened)
    with pytest.raises(outbound.Failed):
        post("https://hook.example/")
    assert asked == [address]


def test_no_refusal_says_where_a_host_leads(public_only, monkeypatch):
    said = set()
    for url in ("http://hook.example/", "https://10.0.0.1/", "https://u@hook.example/", "https://" + "a" * 2_000, "x"):
        with pytest.raises(outbound.Blocked) as refused:
            outbound.check(url)
        said.add(str(refused.value))
    assert len(said) == 1
    resolves_to(monkeypatch, "10.0.0.1")
    with pytest.raises(outbound.Blocked) as refused:
        post("https://inside.example/")
    inside = str(refused.value)
    assert "not in the DNS, or leads to an address that is not public" in inside

    def unknown(*_, **__):
        raise socket.gaierror

    monkeypatch.setattr(outbound.socket, "getaddrinfo", unknown)
    with pytest.raises(outbound.Blocked) as refused:
        post("https://nowhere.example/")
    assert str(refused.value) == inside


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_deadline(public_only, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(outbound.socket, "getaddrinfo", lambda *_, **__: answers.wait() and [])
    with pytest.raises(outbound.Failed, match="No answer within"):
        post("https://hook.example/", timeout_s=0.1)
    answers.set()


def test_one_inward_address_among_public_ones_is_enough_to_refuse(public_only, monkeypatch):
    resolves_to(monkeypatch, "93.184.215.14", "10.0.0.1")
    with pytest.raises(outbound.Blocked):
        post("https://hook.example/")


@pytest.mark.parametrize(
    "url",
    [
        "http://hook.example/",
        "ftp://hook.example/",
        "file:///etc/passwd",
        "https:///path",
        "https://user@hook.example/",
        "https://user:word@hook.example/",
        "https://hook.example/#part",
        "https://hook.example:99999/",
        "https://hook.example/a b",
        "https://hook.example/\r\nX-Evil: 1",
        "https://" + "a" * 1_000 + ".example/",
        "gopher",
        "",
    ],
)
def test_a_url_that_is_no_plain_https_url_is_refused(public_only, url):
    with pytest.raises(outbound.Blocked):
        outbound.check(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost"])
def test_other_spellings_of_loopback_lead_nowhere(public_only, monkeypatch, host):
    resolves_to(monkeypatch, "127.0.0.1")
    with pytest.raises(outbound.Blocked):
        post(f"https://{host}/")


def test_a_public_address_passes_the_check(public_only):
    outbound.check("https://93.184.215.14:8443/hook?x=1")


def take(connection):
    """Read one request whole: closing over unread bytes would reset the connection."""
    asked = b""
    while not asked.endswith(b"{}"):
        asked += connection.recv(65_536) or b"{}"


@pytest.fixture
def server():
    """Answers one connection after another by calling what the test gave it with the socket."""
    answers = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    take(connection)
                    answers[0](connection)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook", answers.append
    listening.close()


def test_an_answer_is_read_up_to_its_bound(server):
    url, answer = server
    answer(lambda to: to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000))
    reply = post(url, max_bytes=100)
    assert (reply.status, reply.body) == (200, b"x" * 100)


def test_a_redirect_is_not_followed(server):
    url, answer = server
    answer(lambda to: to.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
    assert post(url).status == 302


@pytest.mark.parametrize(("said", "meant"), [(b"120", 120), (b"-1", None), (b"soon", None), (b"99999999", None)])
def test_a_wish_to_wait_is_understood_if_it_is_seconds(server, said, meant):
    url, answer = server
    answer(lambda to: to.sendall(b"HTTP/1.1 503 No\r\nRetry-After: " + said + b"\r\nContent-Length: 0\r\n\r\n"))
    assert post(url).retry_after_s == meant


@pytest.mark.parametrize("spoken", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_what_is_no_answer_is_a_failure(server, spoken):
    url, answer = server
    answer(lambda to: to.sendall(spoken))
    with pytest.raises(outbound.Failed):
        post(url)


def test_nobody_listening_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(outbound.Failed):
        post(f"http://127.0.0.1:{port}/")


@pytest.fixture
def pem(tmp_path):
    """A key and its certificate for hook.example."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hook.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(encoding))
    return pem


@pytest.fixture
def tls_server(pem, monkeypatch):
    """Speaks TLS with a certificate for hook.example that our side trusts, on an address that both names lead to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                with plain, context.wrap_socket(plain, server_side=True) as connection:
                    take(connection)
                    connection.sendall(b"HTTP/1.1 204 OK\r\n\r\n")
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setattr(outbound, "_tls", lambda: ssl.create_default_context(cafile=str(pem)))
    real = socket.getaddrinfo
    monkeypatch.setattr(outbound.socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    yield listening.getsockname()[1]
    listening.close()


def test_the_certificate_must_be_for_the_host_of_the_url(tls_server):
    assert post(f"https://hook.example:{tls_server}/").status == 204
    with pytest.raises(outbound.Failed):
        post(f"https://other.example:{tls_server}/")


def test_a_receiver_that_reads_slowly_over_tls_costs_no_more_than_the_deadline(pem):
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    over = threading.Event()

    def read():
        with contextlib.suppress(OSError), context.wrap_socket(theirs, server_side=True) as connection:
            for _ in range(40):  # a record at a time, each within the time that all of it has
                time.sleep(0.25)
                if not connection.recv(16_384):
                    return
            over.set()

    threading.Thread(target=read, daemon=True).start()
    with ssl.create_default_context(cafile=str(pem)).wrap_socket(ours, server_hostname="hook.example") as plain:
        plain.setblocking(False)
        wire = outward.Wire(plain, ipaddress.ip_address("127.0.0.1"))
        asked = {"headers": {}, "body": b"x" * 1_000_000 + b"{}", "max_bytes": 10}
        deadline = time.monotonic() + 1.0
        with pytest.raises(Late):
            finish(outward.ask(wire, "POST", b"/", deadline=deadline, **asked))
        assert not over.is_set()


def drip(to, *, lead, drop):
    to.sendall(lead)
    for _ in range(4 * int(DEADLINE_S)):
        time.sleep(0.25)
        to.sendall(drop)


@pytest.mark.parametrize(
    "lead",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"],
    ids=["silent", "in the headers", "in the body"],
)
def test_an_answer_that_drips_costs_no_more_than_the_deadline(server, lead):
    url, answer = server
    answer(lambda to: drip(to, lead=lead, drop=b"x" if lead else b""))
    began = time.monotonic()
    with pytest.raises(outbound.Failed):
        post(url, timeout_s=1.0)
    assert time.monotonic() - began < DEADLINE_S / 2


@pytest.fixture
def keeping(monkeypatch):
    """A server that speaks with each connection as the test says: one answer for each request, and then it leaves."""
    monkeypatch.setattr(outbound, "_KEPT", outbound.outward.Kept())
    scripts, connections = [], []
    listening = socket.create_server(("127.0.0.1", 0))

    def speak(connection, script):
        with connection:
            for answer in script:
                take(connection)
                connection.sendall(answer)

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=speak, args=(connection, scripts.pop(0)), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook", scripts, connections
    listening.close()


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def kept_post(url, **more):
    headers = {"Content-Type": "application/json"}
    return finish(outbound.posting(url, b"{}", headers=headers, timeout_s=DEADLINE_S, max_bytes=1_000, **more))


def test_a_connection_serves_the_next_request_to_its_host_where_the_caller_says_so(keeping):
    url, scripts, connections = keeping
    scripts += [[FINE, FINE, FINE], [FINE]]
    assert [kept_post(url).body for _ in range(3)] == [b"ok"] * 3
    assert len(connections) == 1
    post(url)
    assert len(connections) == 2, "another caller has one of its own"


@pytest.mark.parametrize(
    "said",
    [
        FINE + b"HTTP/1.1 200 OK\r\n\r\n",
        FINE + b"more than was said",
        FINE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000,
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
    ids=["two answers", "more", "closes", "longer than is read", "until its end"],
)
def test_a_connection_is_not_used_again_after(keeping, said):
    url, scripts, connections = keeping
    scripts += [[said], [FINE]]
    assert kept_post(url).status == 200
    assert kept_post(url).body == b"ok"
    assert len(connections) == 2


def test_a_kept_connection_that_ended_meanwhile_costs_nothing(keeping, monkeypatch):
    url, scripts, connections = keeping
    scripts += [[FINE], [FINE]]
    kept_post(url)
    monkeypatch.setattr(outbound.outward, "_is_good", lambda wire: True)  # it leaves just after one has looked
    assert kept_post(url).body == b"ok"
    assert len(connections) == 2


def test_who_ends_every_kept_connection_without_a_word_gets_a_body_twice_and_no_oftener(keeping, monkeypatch):
    url, scripts, connections = keeping
    scripts += [[], [], [FINE]]
    target = outbound._target(url)
    for _ in range(2):
        outbound._KEPT.give(
            (os.getpid(), target.origin), finish(outbound._opened(target, time.monotonic() + DEADLINE_S))
        )
    monkeypatch.setattr(outbound.outward, "_is_good", lambda wire: True)
    assert kept_post(url).body == b"ok"
    assert len(connections) == 3
    left = list(outbound._KEPT.take((os.getpid(), target.origin)))
    assert len(left) == 2, "one that was not tried, and the new one"
    for line in left:
        line.close()


def test_a_kept_connection_leads_nowhere_that_may_not_be_asked_any_more(keeping, settings):
    url, scripts, _ = keeping
    scripts += [[FINE, FINE]]
    kept_post(url)
    settings.OUTBOUND_ALLOW_NETWORKS = []
    with pytest.raises(outbound.Blocked):
        kept_post(url)


def test_what_is_said_before_the_answer_is_passed_over(server):
    url, answer = server
    answer(lambda to: to.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + FINE))
    reply = post(url)
    assert (reply.status, reply.body, "link" in reply.headers) == (200, b"ok", False)


def test_headers_without_end_are_a_failure(server):
    url, answer = server
    answer(lambda to: to.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-More: of it\r\n" * 10_000))
    with pytest.raises(outbound.Failed):
        post(url)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_what_follows_the_body_is_no_header(server):
    url, answer = server
    ends = b"0\r\nRetry-After: 120\r\nX-Sum: 1\r\n\r\n"
    answer(lambda to: to.sendall(CHUNKED + b'2;sum="a";more\r\nok\r\n' + ends))
    reply = post(url)
    assert (reply.status, reply.body, reply.retry_after_s, "x-sum" in reply.headers) == (200, b"ok", None, False)


@pytest.mark.parametrize(
    ("lead", "drop"),
    [
        (CHUNKED + b"0\r\n", b"X-More: of it\r\n" * 100),
        (CHUNKED + b"0\r\nX-More: ", b"of it" * 100),
        (CHUNKED + b"1;", b"more" * 100),
        (b"HTTP/1.1 200 OK\r\nX-More: ", b"of it" * 100),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 10),
    ],
    ids=["trailers", "a trailer", "a chunk's extension", "a header", "answers before the answer"],
)
def test_what_is_no_body_and_has_no_end_is_a_failure_soon(server, lead, drop):
    url, answer = server
    sent, over = [], threading.Event()

    def speak(to):
        try:
            to.sendall(lead)
            sent.extend(to.send(drop) for _ in range(40_000))
        finally:
            over.set()

    answer(speak)
    with pytest.raises(outbound.Failed):
        post(url, timeout_s=60)
    assert over.wait(60)
    assert sum(sent) < 16_000_000  # what the sockets between them hold; of what it went on with, nothing was read


def test_many_tiny_chunks_are_a_body(server):
    url, answer = server
    answer(lambda to: to.sendall(CHUNKED + b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"))
    assert post(url, max_bytes=40_000).body == b"x" * 30_000
    assert post(url, max_bytes=20_000).body == b"x" * 20_000


def test_the_chunks_of_a_body_have_no_more_about_them_than_they_need(server):
    url, answer = server
    answer(lambda to: to.sendall(CHUNKED + (b"1;" + b"y" * 100 + b"\r\nx\r\n") * 30_000 + b"0\r\n\r\n"))
    with pytest.raises(outbound.Failed):
        post(url, max_bytes=40_000)


def test_a_header_is_one_line(server):
    url, answer = server
    answer(lambda to: None)
    with pytest.raises(ValueError, match="webhook-id"):
        outbound.post(url, b"", headers={"webhook-id": "a\r\nX-Evil: 1"}, timeout_s=DEADLINE_S, max_bytes=10)
