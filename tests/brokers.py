"""Brokers from the system's packages, each a process of a test's own that can be killed, stopped, filled and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from exchange.demo import ports
from tests.waiting import DEADLINE_S, until

_RABBITMQ = Path("/usr/lib/rabbitmq/bin")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """`home` keeps what outlives a kill."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, ports.free()
        home.mkdir()
        self.start()

    def start(self) -> None:
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.home,
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        until(self.is_up)

    def environment(self) -> dict[str, str]:
        return {}

    def is_up(self) -> bool:
        assert self.process.poll() is None, (self.home / "said").read_text()
        return _answers(self.port)

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """And wait until nobody listens: its port may outlive by a moment the process that is waited for."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        until(lambda: not _answers(self.port))

    def end(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()


class Redis(Broker):
    @staticmethod
    def is_here() -> bool:
        return shutil.which("redis-server") is not None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.home))
        return ["redis-server", *where, "--appendonly", "yes", "--maxmemory-policy", "noeviction"]

    def fill(self) -> None:
        self._set("maxmemory", "1")

    def empty(self) -> None:
        self._set("maxmemory", "0")

    def _set(self, name: str, value: str) -> None:
        import redis

        with redis.Redis(port=self.port) as client:
            client.config_set(name, value)


class RabbitMQ(Broker):
    @staticmethod
    def is_here() -> bool:
        return (_RABBITMQ / "rabbitmq-server").exists()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """With a port mapper of its own that ends with it: the one that RabbitMQ starts would outlive all of them."""
        if not hasattr(self, "_mapper"):
            environment = os.environ | self.environment()
            mapper = max(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
            with (self.home / "mapper").open("ab") as said:  # it calls the look below a partial packet
                self._mapper = subprocess.Popen(
                    [str(mapper)], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
                )
            until(lambda: _answers(self._ports["epmd"]), of=self._mapper)
        super().start()

    def command(self) -> list[str]:
        return [str(_RABBITMQ / "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        """A node, a cookie and a port mapper of its own; nothing under /var or /etc.

        Its settings are Erlang's own terms: to translate a `rabbitmq.conf` is half of what a start computes.
        """
        if not hasattr(self, "_ports"):
            self._ports = {"epmd": ports.free(), "dist": ports.free()}
            listeners = f'{{tcp_listeners, [{{"127.0.0.1", {self.port}}}]}}'
            (self.home / "advanced.config").write_text(f"[{{rabbit, [{listeners}]}}].\n")
            (self.home / "plugins").write_text("[].\n")
        return {
            "HOME": str(self.home),
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"exchange-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._ports["dist"]),
            "RABBITMQ_CONFIG_FILE": str(self.home / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
        }

    def fill(self) -> None:
        self._control("set_vm_memory_high_watermark", "absolute", "1")

    def empty(self) -> None:
        self._control("set_vm_memory_high_watermark", "0.6")

    def end(self) -> None:
        super().end()
        self._mapper.kill()
        self._mapper.wait()

    def _control(self, *words: str) -> None:
        subprocess.run(
            [str(_RABBITMQ / "rabbitmqctl"), "--quiet", *words],
            env=os.environ | self.environment(),
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )


def started(make: type[Broker], home: Path) -> Broker:
    """One that runs, or the test is skipped: its machine has none (`apt-get install rabbitmq-server redis-server`)."""
    if not make.is_here():
        pytest.skip(f"{make.__name__} is not installed")
    return make(home)
