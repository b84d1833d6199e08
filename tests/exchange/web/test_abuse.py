"""The web server under whoever means it harm: whatever they do, nothing is kept of it, and no thread is lost or busy."""

from __future__ import annotations

import contextlib
import errno
import random
import select
import socket
import struct
import threading

import pytest

from exchange.web import limits
from exchange.web.connection import Connection, State
from exchange.web.hooks import Pause
from exchange.web.threads import READ
from tests.drilling import runs
from tests.exchange.web.served import ByHeader, Client, serving
from tests.exchange.web.test_server import PUSH
from tests.waiting import DEADLINE_S, until


class Answer:
    """What an application returns: `parts` of it, an error after them if `fails`, and how often it was closed."""

    streaming = True

    def __init__(self, parts=(), *, fails=None, close_fails=None, later=None):
        self._parts, self._fails, self._close_fails = parts, fails, close_fails
        self.closed = 0
        if later is not None:
            self.later = later

    def __iter__(self):
        yield from self._parts
        if self._fails:
            raise self._fails

    def close(self):
        self.closed += 1
        if self._close_fails:
            raise self._close_fails


class Long:
    """A wait that ends when the test says so."""

    timeout_s = 30.0

    def __init__(self):
        self.woken = []

    def listen(self, woken):
        self.woken.append(woken)
        return True

    def forget(self, woken):
        with contextlib.suppress(ValueError):
            self.woken.remove(woken)

    def more_s(self):
        return 0.0


class Longer(Long):
    """A wait whose time is up again and again, until the test says that there is something to do."""

    timeout_s = 0.0

    def __init__(self):
        super().__init__()
        self.asked, self.over = 0, threading.Event()

    def more_s(self):
        self.asked += 1
        return 0.0 if self.over.is_set() else 0.01


def one(answer, headers=()):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/other":
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        start_response("200 OK", list(headers))
        return answer(environ) if callable(answer) else answer

    return application


def nothing_is_left(server):
    shares = (server._dues.in_hand, server._dues.waits, server._dues.body_bytes, server._dues.unread)
    return (
        not server._connections
        and not server._held
        and not server._dues.beyond
        and server._turns.idle()
        and [share.held() for share in shares] == [0, 0, 0, 0]
        and not any(share._held for share in shares)
    )


def reset(client):
    """Vanish with RST."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.file.close()
    client.socket.close()


# An answer that ends early is seen to.


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_answer_that_fails_on_its_way_is_never_taken_for_a_whole_one(version):
    answer = Answer([b"one"], fails=ZeroDivisionError())
    with serving(one(answer)) as server, Client(server) as client:
        client.send(f"GET / HTTP/{version}\nHost: a\n\n")
        with pytest.raises(ConnectionResetError):
            client.file.read()
        until(lambda: nothing_is_left(server))
        assert answer.closed == 1


@pytest.mark.parametrize("said", ["2", "4"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_of_another_length_than_was_said_is_cut_and_no_other_answer_follows_it(said, streamed):
    application = one(lambda environ: Answer([b"one"]) if streamed else [b"one"], [("Content-Length", said)])
    with serving(application) as server, Client(server) as client, contextlib.suppress(OSError):
        client.send("GET / HTTP/1.1\nHost: a\n\nGET /other HTTP/1.1\nHost: a\n\n")
        assert b"ok" not in client.file.read()
        until(lambda: nothing_is_left(server))


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(), SystemExit()])
@pytest.mark.parametrize("where", ["call", "iteration", "close"])
def test_an_error_anywhere_takes_its_own_connection_and_nothing_else(error, where):
    answers = []

    def failing(environ):
        if where == "call":
            raise error
        answers.append(
            Answer(
                [b"one"],
                fails=error if where == "iteration" else None,
                close_fails=error if where == "close" else None,
            )
        )
        return answers[-1]

    with serving(one(failing)) as server:
        for _ in range(12):  # more than there are threads
            with Client(server) as client, contextlib.suppress(OSError):
                client.send("GET / HTTP/1.1\nHost: a\nConnection: close\n\n").file.read()
        with Client(server) as client:
            assert client.get("/other")[0] == 200
        until(lambda: nothing_is_left(server))
    assert all(answer.closed == 1 for answer in answers)


@pytest.mark.parametrize("name", ["known", "ask", "network", "most_bytes", "refusal", "step_done"])
def test_an_error_in_a_hook_takes_its_own_connection_and_nothing_else(name):
    def failing(self, environ=None, *arguments, **named):
        if environ is None or environ.get("PATH_INFO") != "/other":
            raise ZeroDivisionError
        return getattr(ByHeader, name)(self, environ, *arguments, **named)

    hooks = type("Failing", (ByHeader,), {name: failing})()
    if name in {"ask", "network"}:
        hooks.known = lambda environ: "one" if environ["PATH_INFO"] == "/other" else None
    with serving(one(Answer([b"one"])), hooks=hooks) as server:
        for text in ("GET / HTTP/1.1\nHost: a\n\n", "nonsense\n\n") * 6:
            with Client(server) as client, contextlib.suppress(OSError):
                client.send(text)
                client.socket.shutdown(socket.SHUT_WR)
                client.file.read()
        with Client(server) as client:
            assert client.get("/other")[0] == 200
        until(lambda: nothing_is_left(server))


# Nobody is forgotten, and nothing turns in circles.


def test_who_waits_and_leaves_is_let_go_also_where_something_unread_is_left():
    wait = Long()
    with serving(one(lambda environ: Answer(later=wait))) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        until(lambda: wait.woken)
        client.send("GET /more HTTP/1.1\nHost: a\n\n")
        client.socket.shutdown(socket.SHUT_WR)
        until(lambda: nothing_is_left(server))
        assert not wait.woken


def test_what_happens_while_somebody_deals_with_a_connection_is_seen_afterwards(monkeypatch):
    with serving(one(Answer()), moved_s=20.0, head_s=20.0) as server, Client(server) as client:
        until(lambda: server._connections)
        (connection,) = server._connections.values()
        looked, really = [], server._happened
        monkeypatch.setattr(server, "_happened", lambda number: (really(number), looked.append(number)))

        def busy(same):
            server._arm(same)
            client.send("GET /other HTTP/1.1\nHost: a\n\n")
            until(lambda: same.number in looked)
            return same.events

        server._deal(connection, busy)
        assert client.answer()[0] == 200


class Asked:
    """The kernel's list of who waits for what, and what it was asked: by number, in order."""

    def __init__(self, epoll):
        self._epoll, self.asked = epoll, []

    def modify(self, number, events):
        self.asked.append(number)
        self._epoll.modify(number, events)

    def __getattr__(self, name):
        return getattr(self._epoll, name)


def test_a_large_body_asks_the_kernel_no_oftener_than_it_is_read(monkeypatch):
    """Whoever was told of a connection before it was let go had it told again, and so on in circles."""
    received, really = [], Connection.receive
    monkeypatch.setattr(Connection, "receive", lambda self: (received.append(1), really(self))[1])
    with serving(one(Answer()), moved_s=20.0, body_bytes=64 * 1024 * 1024) as server:
        server._epoll = asked = Asked(server._epoll)
        for _ in range(20):
            with Client(server) as client:
                until(lambda: len(server._connections) == 1)
                (connection,) = server._connections.values()
                asked.asked.clear()
                received.clear()
                client.send(PUSH.format(peer="one", length=4_000_000)).send(bytes(4_000_000))
                assert client.answer()[0] == 200
                assert asked.asked.count(connection.number) <= len(received) + 1
            until(lambda: not server._connections)


def test_what_was_said_of_the_one_before_keeps_nobody_from_being_asked_for():
    """The number of a closed connection goes to the next one, and a thread may still hold what was said of it."""
    mine, theirs = socket.socketpair()
    with mine, theirs, select.epoll() as epoll:
        connection = Connection(mine, ("127.0.0.1", 1), until=0.0)
        connection.events = READ
        connection.disarm()
        connection.arm(epoll)
        theirs.send(b"x")
        assert [number for number, _ in epoll.poll(DEADLINE_S)] == [mine.fileno()]
        connection.disarm()
        connection.arm(epoll)
        assert [number for number, _ in epoll.poll(DEADLINE_S)] == [mine.fileno()], "and again, what is still so"


def test_a_number_is_asked_for_only_while_it_is_its_connections_own():
    """The kernel gives the number of a closed connection to the next one: it is not asked for late, and by nobody."""
    mine, theirs = socket.socketpair()
    with theirs:
        connection = Connection(mine, ("127.0.0.1", 1), until=0.0)
        connection.events = READ
        asking, go_on, asked = threading.Event(), threading.Event(), []

        class Slow:
            def register(self, number, events):
                asking.set()
                go_on.wait(DEADLINE_S)
                asked.append(mine.fileno() == number)

        arming = threading.Thread(target=connection.arm, args=(Slow(),))
        arming.start()
        asking.wait(DEADLINE_S)
        closing = threading.Thread(target=connection.close)
        closing.start()
        closing.join(0.05)
        go_on.set()
        arming.join(DEADLINE_S)
        closing.join(DEADLINE_S)
        connection.arm(Slow())
        assert asked == [True]
        assert connection.state is State.CLOSED


def test_one_who_was_just_woken_does_not_stop_the_clock():
    class Woken:
        """By another thread, between two looks."""

        state, until, number, events = State.WAITING, 0.0, -1, 0
        lock, wait = threading.Lock(), Pause(0.0)
        looks = 0

        def arm(self, epoll):
            pass

        @property
        def woken(self):
            self.looks += 1
            return (lambda: None) if self.looks == 1 else None

    with serving(one(Answer())) as server:
        server._connections[-1] = Woken()
        server._look_at_the_clock()
        del server._connections[-1]


def test_a_wait_goes_on_past_its_time_while_there_is_nothing_to_do_and_no_thread_is_woken_for_it():
    wait, ran = Longer(), []

    def application(environ, start_response):
        ran.append(1)
        if len(ran) == 1:
            return Answer(later=wait)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(application) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        until(lambda: wait.asked > 3)
        assert len(ran) == 1
        wait.over.set()
        assert client.answer()[2] == b"ok"


def test_of_many_who_are_woken_together_all_go_on_though_who_works_on_them_waits_for_the_others():
    """The one thread that is woken for them holds until several work: others come to help."""
    wait, together = Long(), threading.Barrier(3)
    asked = set()

    def application(environ, start_response):
        peer = environ["HTTP_X_PEER"]
        if peer not in asked:
            asked.add(peer)
            return Answer(later=wait)
        together.wait(DEADLINE_S)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(application, slots=14) as server, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Client(server)) for _ in range(6)]
        for number, client in enumerate(clients):
            client.send(f"GET / HTTP/1.1\nHost: a\nX-Peer: {number}\n\n")
        until(lambda: len(wait.woken) == len(clients))
        for woken in list(wait.woken):
            woken()
        assert [client.answer()[2] for client in clients] == [b"ok"] * len(clients)


def test_when_it_ends_every_thread_ends():
    before = set(threading.enumerate())

    def of_its_own():
        return [one for one in threading.enumerate() if one.name.startswith("web-") and one not in before]

    with serving(one(Answer()), slots=14):
        until(lambda: len(of_its_own()) == 18)
        threads = of_its_own()
    assert not any(thread.is_alive() for thread in threads)


def test_a_look_at_the_clock_that_fails_is_not_the_last(monkeypatch):
    with serving(one(Answer()), head_s=0.2) as server:
        looks, really = [], server._look_at_the_clock

        def once():
            looks.append(1)
            if len(looks) == 1:
                raise ZeroDivisionError
            really()

        monkeypatch.setattr(server, "_look_at_the_clock", once)
        with Client(server) as client:
            assert client.is_closed(), "the clock still ends who says nothing"


def test_connections_that_cannot_be_taken_are_taken_later(monkeypatch):
    with serving(one(Answer())) as server:
        failing = FailsOnce(server._listener)
        monkeypatch.setattr(server, "_listener", failing)
        with Client(server) as client:
            assert client.get("/other")[0] == 200
        assert failing.failed


class FailsOnce:
    """A listening socket of a process that is out of files for a moment."""

    def __init__(self, listener):
        self._listener, self.failed = listener, False

    def accept(self):
        if not self.failed:
            self.failed = True
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name):
        return getattr(self._listener, name)


def test_empty_lines_keep_nobody_connected():
    with serving(one(Answer()), head_s=20.0) as server, Client(server) as client:
        until(lambda: server._connections)
        (connection,) = server._connections.values()
        end = connection.until
        client.send("\n\n")
        until(lambda: connection.moved == 4)
        assert connection.until == end
        assert client.get("/other")[0] == 200


def test_fewer_requests_are_let_in_than_there_may_be_connections(monkeypatch):
    monkeypatch.setattr(limits, "_files", lambda: 144)
    assert limits.Limits().in_hand == 72


def test_who_waits_is_answered_when_the_process_is_to_end():
    wait = Long()

    def answer(environ):
        return Answer([b"nothing new"]) if "exchange.waited_enough" in environ else Answer(later=wait)

    with serving(one(answer, [("Content-Length", "11")])) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        until(lambda: wait.woken)
        server.stop()
        status, headers, body = client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"nothing new")


# Whatever they do, in whatever order: nothing is kept of it.


def harm(server, chance: random.Random) -> None:
    """One connection that does one thing wrong, or nothing."""
    peer = chance.choice(["one", "two", "three"])
    text = chance.choice(
        [
            f"GET /streamed HTTP/1.1\nHost: a\nX-Peer: {peer}\n\n" * chance.randint(1, 4),
            f"GET /later HTTP/1.1\nHost: a\nX-Peer: {peer}\n\n",
            f"GET /fails HTTP/1.1\nHost: a\nX-Peer: {peer}\n\n",
            f"GET /other HTTP/1.1\nHost: a\nX-Peer: {peer}\n\nnonsense\n\n",
            f"GET /livez HTTP/1.1\nHost: a\n\nGET /readyz HTTP/1.1\nHost: a\nX-Peer: {peer}\n\n",
            PUSH.format(peer=peer, length=300_000) + "a" * chance.choice([0, 10, 200_000, 300_000]),
            f"POST /other HTTP/1.1\nHost: a\nX-Peer: {peer}\nTransfer-Encoding: chunked\n\n5\nabcde\n0\n\n",
            f"POST /other HTTP/1.1\nHost: a\nX-Peer: {peer}\nContent-Length: 99999999\n\n",
        ]
    )
    data = text.replace("\n", "\r\n").encode()[: None if chance.random() < 0.7 else chance.randint(0, len(text))]
    client = Client(server, receive_bytes=chance.choice([0, 4_096]))
    client.socket.settimeout(5)
    with contextlib.suppress(OSError):
        client.send(data)
        if chance.random() < 0.3:
            client.socket.shutdown(socket.SHUT_WR)
        for _ in range(chance.choice([0, 1, 3])):
            client.socket.recv(10_000)
    if chance.random() < 0.5:
        reset(client)
    else:
        client.__exit__()


@pytest.mark.parametrize("seed", runs(3, quick=1))
def test_whatever_is_done_to_it_nothing_is_left_of_it(seed):
    made, closing = [], threading.Lock()

    def answer(environ):
        path = environ["PATH_INFO"]
        if path == "/later" and not environ.get("exchange.waited_enough"):
            wait = Long()
            wait.timeout_s = 0.05 if environ.setdefault("test.waits", 0) else 0.0
            environ["test.waits"] += 1
            if environ["test.waits"] < 4:
                return Answer(later=wait)
        done = Answer([bytes(50_000)] * 40, fails=ZeroDivisionError() if path == "/fails" else None)
        with closing:
            made.append(done)
        return done

    bounds = {"in_hand": 24, "waits": 4, "body_bytes": 1024 * 1024, "unread_bytes": 2 * 1024 * 1024}
    with serving(one(answer), moved_s=0.5, head_s=0.5, leaving_s=0.2, idle_s=0.5, **bounds) as server:

        def many(number):
            chance = random.Random(f"{seed} {number}")
            for _ in range(40):
                harm(server, chance)

        threads = [threading.Thread(target=many, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: nothing_is_left(server))
        with Client(server) as client:
            assert client.get("/other", peer="one")[0] == 200
        assert [each.closed for each in made] == [1] * len(made)


def test_as_many_streams_as_the_setting_says_are_in_hand_beside_other_requests(monkeypatch):
    monkeypatch.setattr(limits, "_files", lambda: 8_192)
    assert limits.Limits().in_hand == 1_024
    monkeypatch.setenv("STREAMS_PER_PROCESS", "1700")
    assert limits.Limits().in_hand >= 2 * 1_700
