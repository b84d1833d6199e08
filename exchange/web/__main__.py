"""`python -m exchange.web`: web processes that share one port; one that dies is started again.

    --host 127.0.0.1  --port 8000  --workers 2  [module:application, by default exchange.wsgi:application]

SIGTERM and SIGINT end it once what is under way is answered, within ten seconds.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

from exchange.web import doors

_PR_SET_PDEATHSIG = 1
_AGAIN_S = 1.0
#: How long a thread that only computes keeps the others from the interpreter; Python's own 5 ms, several times in each
#: request, is what one large push would cost everybody else.
_SWITCH_S = 0.0005
_STOP_S = 15.0
_BACKLOG = 1_024
#: What goes into a pipe at once, and never waits for a reader.
_SENTENCE_BYTES = 4_096


def main() -> int:
    """Keep the processes running until asked to stop."""
    parser = argparse.ArgumentParser(prog="python -m exchange.web", description=__doc__)
    parser.add_argument("target", nargs="?", default="exchange.wsgi:application")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    try:
        alone, listeners = _listeners(options.host, options.port, options.workers)
    except OSError as error:
        print(f"{options.host}:{options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    words = os.pipe()
    held = (*listeners, alone)
    children = {_start(number, held, options.target, words[1]): number for number in range(options.workers)}
    ended: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: ended.append(number))
    status = 0
    while not ended and not status:
        gone = _reaped(children)
        if gone is None:
            time.sleep(0.1)
            continue
        number, status = gone
        if not status:
            doors.reopen(listeners[number])  # it may have been asked to end alone; its successor is to be reached
            time.sleep(_AGAIN_S)
            children[_start(number, held, options.target, words[1])] = number
    for listener in held:
        listener.close()  # else the kernel goes on connecting callers to it, whom nobody accepts
    _stop(children)
    os.close(words[1])
    for sentence in dict.fromkeys(_sentences(words[0])):
        print(sentence, file=sys.stderr)  # noqa: T201
    return status


def _listeners(host: str, port: int, count: int) -> tuple[socket.socket, list[socket.socket]]:
    """What says that the port is taken, and one socket a process on it: the kernel spreads callers over them."""
    (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    taken = _taken(address)
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)  # else we would share the port with whoever listens there
    return taken, [_bound(family, address) for _ in range(count)]


def _taken(address: tuple[Any, ...]) -> socket.socket:
    """A name in the kernel's own space, for as long as we would listen: nobody listens yet while processes load.

    Two services that begin at one moment would share the port, else, and each take half of the other's callers.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    host, port = address[:2]
    if port:  # else each has one of its own
        name.bind(f"\0exchange-web {host} {port}")
    return name


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    """It listens once there is somebody to answer: until then a proxy is refused, and asks another service.

    Without SO_REUSEADDR until then, which would let another service take an address that overlaps this one.
    """
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    return listener


def _listen(listener: socket.socket) -> None:
    """Take callers in. What is left of their connections once they ended keeps nobody from the port (SO_REUSEADDR)."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.listen(_BACKLOG)


def _start(number: int, listeners: tuple[socket.socket, ...], target: str, words: int) -> int:
    """Start a process on the socket of its number; what it ends with, if that is a sentence, goes to `words`.

    Each would say the same.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_DFL)
    for index, listener in enumerate(listeners):
        if index != number:
            listener.close()
    try:
        _serve(listeners[number], target)
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        os.write(words, f"{ended.code}\n".encode()[:_SENTENCE_BYTES])
        sys.exit(1)
    sys.exit(0)


def _sentences(words: int) -> list[str]:
    """What processes that ended had to say."""
    with os.fdopen(words, "rb") as file:
        return file.read().decode(errors="replace").splitlines()


def _serve(listener: socket.socket, target: str) -> None:
    """In a process of its own: nothing of the application was loaded before."""
    atexit.register(gc.freeze)  # at the end nobody looks for rubbish in all that was loaded
    from exchange.web.hooks import Hooks  # noqa: PLC0415 - see above
    from exchange.web.limits import Limits  # noqa: PLC0415
    from exchange.web.server import Server  # noqa: PLC0415

    module_name, _, name = target.partition(":")
    module = importlib.import_module(module_name)
    server = Server(getattr(module, name), getattr(module, "hooks", None) or Hooks(), listener, Limits())

    def stop(number: int, frame: FrameType | None) -> None:
        # Not here: what interrupts the main thread must not wait for a lock that this thread may hold.
        threading.Thread(target=server.stop, daemon=True).start()

    sys.setswitchinterval(_SWITCH_S)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it reaches all; the parent tells us
    _listen(listener)  # from here on nobody who connects is lost to a signal
    server.serve()


def _reaped(children: dict[int, int]) -> tuple[int, int] | None:
    """The number of a process that has ended, and its status: not 0 where it said why and would do so again."""
    with contextlib.suppress(ChildProcessError):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            return children.pop(pid), os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
    return None


def _stop(children: dict[int, int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while children and time.monotonic() < deadline:
        if _reaped(children) is None:
            time.sleep(0.02)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
