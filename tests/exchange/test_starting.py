"""A wrong setting stops the start with a sentence; a store that is not there is waited for, one too old is refused."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from structlog.testing import capture_logs

from exchange import starting
from exchange.demo import serving
from tests import forked
from tests.waiting import DEADLINE_S

ROOT = Path(__file__).resolve().parents[2]
RIGHT = {
    "EXCHANGE_MODE": "production",
    "SECRET_KEY": "k3-" + "abcdefghijklmnopqrstuvwxyz0123456789" * 2,
    "AUDIT_SIGNING_KEY": "0123456789abcdef" * 4,
    "ALLOWED_HOSTS": "exchange.example,.lab.example",
    "BASE_URL": "https://exchange.example",
    "DATABASE_URL": "postgresql:///nowhere?host=/nowhere",
}
LOAD = ["-c", "import exchange.settings"]
CELERY = ["-m", "celery", "--app", "exchange.celery"]


def start(command, *, python=None, **settings):
    kept = {name: value for name, value in os.environ.items() if name not in {*RIGHT, "CELERY_BROKER_URL"}}
    return subprocess.run(
        [*(python or forked.python()), *command],
        env=kept | RIGHT | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_right_settings_load():
    assert start(LOAD).returncode == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY: must be set"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY: must be at least 50 random characters"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY: must be at least 50 random characters; these have too few different"),
        (
            {"KEY_SERVICE_URL": "http://127.0.0.1:8100", "KEY_SERVICE_TOKEN": "a" * 38},
            "KEY_SERVICE_TOKEN: must be at least 32 random characters; these have too few different",
        ),
        ({"AUDIT_SIGNING_KEY": ""}, "AUDIT_SIGNING_KEY: must be set"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS: must be set"),
        ({"BASE_URL": ""}, "BASE_URL: must be scheme and host alone"),
        ({"BASE_URL": "exchange.example"}, "BASE_URL: must be scheme and host alone"),
        ({"BASE_URL": "https://exchange.example/app"}, "BASE_URL: must be scheme and host alone"),
        ({"BASE_URL": "http://exchange.example"}, "BASE_URL: must begin with https://"),
        ({"BASE_URL": "https://other.example"}, "BASE_URL: names a host that is not in ALLOWED_HOSTS"),
        ({"CELERY_BROKER_URL": "kafka://host"}, "CELERY_BROKER_URL: must begin with one of pgmq://, amqp://"),
        ({"DATABASE_URL": "mysql://host/name"}, "DATABASE_URL: must be a postgresql:// URL"),
        ({"DATABASE_POOLER": "transaction", "DATABASE_DIRECT_URL": ""}, "DATABASE_DIRECT_URL: must be set"),
    ],
)
def test_a_wrong_setting_is_one_sentence(wrong, says):
    ended = start(LOAD, **wrong)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(says)


def test_the_broker_in_the_store_is_reached_as_the_store_is():
    """With any password, and with what is asked of TLS; another one's words, or an error that quotes it, else."""
    asks = (
        "from exchange import settings; from psycopg.conninfo import conninfo_to_dict as read;"
        "told = read(settings.CELERY_BROKER_TRANSPORT_OPTIONS['conn_string']);"
        "print(told['password'], told['sslmode'])"
    )
    url = "postgresql://exchange:it%27s%20a%5C@db.internal/exchange?sslmode=verify-full"
    said = start(["-c", asks], DATABASE_URL=url)
    assert (said.stdout, said.stderr) == ("it's a\\ verify-full\n", "")


def test_a_host_below_a_suffix_is_one_of_ours():
    assert start(LOAD, BASE_URL="https://exchange.lab.example").returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(serving.command("exchange.wsgi:application", python=sys.executable, port=0)[1:], id="web"),
        pytest.param([*CELERY, "worker", "--pool", "threads"], id="worker"),
        pytest.param([*CELERY, "beat"], id="beat"),
        pytest.param(["manage.py", "prepare"], id="prepare"),
    ],
)
def test_each_process_says_the_sentence_and_ends(command):
    ended = start(command, python=[sys.executable], SECRET_KEY="short")
    assert ended.returncode != 0
    assert "SECRET_KEY: must be at least 50 random characters" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_store_that_is_too_old_is_refused_with_a_sentence():
    starting.require_version(160_000)
    with pytest.raises(starting.TooOld, match="PostgreSQL 16 or newer is needed; this server is 15"):
        starting.require_version(150_011)


def test_a_store_that_is_too_old_to_know_our_settings_is_asked_its_version(settings, monkeypatch):
    store = settings.DATABASES["default"]
    unknown = {"options": "-c setting_of_a_later_version=off"}
    monkeypatch.setitem(settings.DATABASES, "default", store | {"OPTIONS": store["OPTIONS"] | unknown})
    assert starting.why_away() == "", "it would be waited for, and never told that it is too old"


@pytest.mark.parametrize("command", ["doctor", "reread", "audit_verify"])
def test_a_command_says_that_the_store_is_too_old_in_the_same_sentence(command, monkeypatch):
    monkeypatch.setattr(starting, "_version", lambda: 150_011)
    with pytest.raises(starting.TooOld, match="PostgreSQL 16 or newer is needed; this server is 15"):
        call_command(command)


@pytest.mark.parametrize(
    "command",
    [
        ["create_operator", "--email", "a@b.example"],
        ["suspend", "aster", "--why", "night"],
        ["reinstate", "aster"],
        ["invite", "aster", "--email", "a@b.example"],
        ["revoke_key", "exk_x"],
        ["audit_verify"],
        ["reseal"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_says_in_a_sentence_alone_that_its_store_is_away(command):
    ended = start(["manage.py", *command])
    assert ended.returncode == 1
    assert "DATABASE_URL: the store does not answer: connection is bad" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1, "and nothing of a pool that tries again"


def test_the_store_of_the_tests_is_there_and_new_enough():
    starting.wait_for_store()


def test_a_store_that_is_not_there_is_waited_for_with_one_line(monkeypatch):
    answers = iter([psycopg.OperationalError("connection refused\nIs the server running?")] * 3 + [160_001])

    def version():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(starting, "_version", version)
    with capture_logs() as lines:
        starting.wait_for_store(pause_s=0)
    assert [(line["event"], line.get("why")) for line in lines] == [
        ("store.waiting", "connection refused"),
        ("store.there", None),
    ]


@pytest.mark.parametrize("wrong", [{"dbname": "nowhere-at-all"}, {"user": "nobody-at-all"}], ids=["database", "role"])
def test_a_server_that_refuses_us_ends_the_process_with_a_sentence_after_a_while(wrong, settings, monkeypatch):
    store = settings.DATABASES["default"]
    theirs = {"NAME": wrong.get("dbname", store["NAME"]), "USER": wrong.get("user", store["USER"])}
    monkeypatch.setitem(settings.DATABASES, "default", store | theirs)
    moments = iter(range(0, 1_000, 10))
    monkeypatch.setattr(starting.time, "monotonic", lambda: next(moments))
    with (
        capture_logs() as lines,
        pytest.raises(starting.Refused, match=r"DATABASE_URL: the store refuses this exchange: .* does not exist"),
    ):
        starting.wait_for_store(pause_s=0)
    assert [line["until"] for line in lines] == ["it lets us in; ends after 30 s"]


class Server:
    """A server of PostgreSQL's protocol that answers each connection with the error of this SQLSTATE, in its language."""

    def __init__(self, code: str | None, words: str) -> None:
        self._answer = _error(code, words) if code else b"R" + struct.pack("!ii", 8, 3)  # else: a password, in clear
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                asked, _ = self._listening.accept()
            except OSError:
                return
            with asked:
                while (length := struct.unpack("!i", asked.recv(4))[0]) == 8:  # it asks for encryption
                    asked.recv(length - 4)
                    asked.sendall(b"N")
                asked.recv(length - 4)
                asked.sendall(self._answer)
                asked.recv(1)

    def close(self) -> None:
        self._listening.close()


def _error(code: str, words: str) -> bytes:
    fields = b"".join(f"{name}{said}\0".encode() for name, said in (("S", "FATAL"), ("C", code), ("M", words)))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


@pytest.fixture
def server_that_says(settings, monkeypatch):
    servers = []

    def make(code, words=""):
        servers.append(Server(code, words))
        store = settings.DATABASES["default"]
        theirs = {"HOST": "127.0.0.1", "PORT": servers[-1].port, "PASSWORD": "" if code is None else "x"}
        monkeypatch.setitem(settings.DATABASES, "default", store | theirs)

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("28P01", "Passwort-Authentifizierung für Benutzer »exchange« fehlgeschlagen"),
        ("28000", "pg_hba.conf の設定がありません"),
        ("3D000", 'база данных "x" не существует'),
        ("42501", "permission denied"),
        (None, "it wants a password, and there is none"),
    ],
)
def test_a_refusal_is_known_by_its_sqlstate_in_every_language(code, words, server_that_says):
    server_that_says(code, words)
    with pytest.raises(starting.Refused, match="refuses this exchange"):
        starting.wait_for_store(pause_s=0, refused_s=0)


@pytest.mark.parametrize("code", ["57P03", "53300", "XX000"])
def test_what_starts_or_is_full_is_not_a_refusal_whatever_its_words_are(code, server_that_says):
    server_that_says(code, 'password authentication failed for user "exchange"')
    assert starting.why_away()
    assert not starting._is_refused()


def test_silence_is_not_a_refusal(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        store = settings.DATABASES["default"] | {"HOST": "127.0.0.1", "PORT": listening.getsockname()[1]}
    monkeypatch.setitem(settings.DATABASES, "default", store)
    assert not starting._is_refused()


def test_a_database_that_is_made_meanwhile_is_waited_for_and_silence_is_not_a_refusal(monkeypatch):
    """Starting up, or full, is not wrong settings; and the half minute begins anew with each refusal after another answer."""
    absent, starts = "it is not there", "it starts"
    answers = iter([absent, absent, starts, starts, starts, starts, absent, absent, ""])

    said = []

    def version():
        if answer := next(answers):
            said.append(answer)
            raise psycopg.OperationalError(answer)
        return 160_001

    monkeypatch.setattr(starting, "_is_refused", lambda: said[-1] == absent)
    moments = iter(range(0, 1_000, 20))
    monkeypatch.setattr(starting, "_version", version)
    monkeypatch.setattr(starting.time, "monotonic", lambda: next(moments))
    with capture_logs() as lines:
        starting.wait_for_store(pause_s=0)
    waiting = [line for line in lines if line["event"] == "store.waiting"]
    assert len(waiting) == 4, "again each half minute"
    assert {line["see"] for line in waiting} == {"exchange-manage doctor"}
    assert lines[-1]["event"] == "store.there"


def test_a_web_process_answers_meanwhile_and_ends_where_the_store_is_too_old(monkeypatch):
    ended = threading.Event()
    there = iter([psycopg.OperationalError("not yet"), 150_000])

    def version():
        answer = next(there)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(starting, "_version", version)
    monkeypatch.setattr(starting.os, "kill", lambda *_: ended.set())
    starting.look_at_store()
    assert ended.wait(DEADLINE_S)


def test_a_worker_waits_for_its_store():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    environment = os.environ | RIGHT | {"DATABASE_URL": f"postgresql://x@127.0.0.1:{port}/x", "LOG_LEVEL": "INFO"}
    with subprocess.Popen(
        [sys.executable, *CELERY, "worker", "--pool", "threads"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            assert any("store.waiting" in line for line in worker.stderr)
            assert worker.poll() is None
        finally:
            worker.kill()
