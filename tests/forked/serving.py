"""A process that has imported what takes long, and forks for each command that comes to its socket."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
from pathlib import Path

#: They read no setting while they are imported, and start no thread (as `exchange.lab` does, by polars). The last are
#: what a command of ours imports when it is called, and what its first request does.
READY = (
    "celery.app.base",
    "django.core.management",
    "django.db.models",
    "exchange.agent.cli",
    "exchange.client.cli",
    "psycopg_pool",
    "typer._adapters",
    "httpcore",
    "certifi",
    "encodings.idna",
)
_MOST_BYTES = 1_000_000


def serve(path: str) -> None:
    """Fork for each that comes; returns in a fork alone, when its command has ended."""
    for name in READY:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        os.write(1, b"ready\n")
        while True:
            if 0 in _either(0, listener):  # who started this has ended
                Path(path).unlink()
                Path(path).parent.rmdir()
                os._exit(0)
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                break
            line.close()
    _run(line)


def _either(*readable: int | socket.socket) -> list[int | socket.socket]:
    """Those that there is something to read of, or an end; waits for one."""
    return select.select(readable, [], [])[0]


def _run(line: socket.socket) -> None:
    """In a fork: fork once more, and tell how that ended; in that one, run the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(line, 1, 3)
    said = b""
    while not said.endswith(b"\n"):
        said += line.recv(_MOST_BYTES)
    child = os.fork()
    if child:
        _watch(line, child)
    command = json.loads(said)
    line.close()
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(command["directory"])
    os.umask(command["umask"])
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(command["file_bytes"]))
    os.environ.clear()
    os.environ.update(command["environment"])
    _as_python_does(command["arguments"])


def _watch(line: socket.socket, child: int) -> None:
    """Tell the number of the process, and its end; who asks and is killed takes it along."""
    line.sendall(f"{child}\n".encode())
    ended = os.pidfd_open(child)
    if ended not in _either(ended, line):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _as_python_does(arguments: list[str]) -> None:
    kind, *rest = arguments
    if kind == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv, sys.path[0] = rest, str(Path.cwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(kind).resolve().parent)
        runpy.run_path(kind, run_name="__main__")
