"""The threads of a web process, the connections that they share, and the clock.

All threads are alike. Each asks the kernel for a connection on which something happened (epoll, one shot: one thread
gets it), does what is possible without waiting, and hands the connection back. What the kernel says is a number, which
may be another connection's by then: it means no more than "look". Work is put in line and done by
whichever thread finds it, mostly the same one: nothing is handed over between threads. Less is worked on at once than
there are threads, so there is always one to read, to send and to say that the process lives.

All of them share the interpreter's lock: of several who do short work at once, each waits for the others at every call
of the kernel. So what is put in line from elsewhere wakes one thread, which works through it, and another joins it only
where nobody has begun anything for a moment.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from structlog import get_logger

from exchange.web import doors
from exchange.web.connection import Connection, State
from exchange.web.hooks import Pause
from exchange.web.limits import Limits
from exchange.web.shares import Job, Turns

log = get_logger()

READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
WRITE = select.EPOLLOUT | select.EPOLLONESHOT
LEFT = select.EPOLLRDHUP | select.EPOLLONESHOT
NOTHING = 0
_ACCEPT = select.EPOLLIN | select.EPOLLONESHOT
_TICK_S = 0.1
#: Where somebody waits in line and nobody has begun anything for so long, one more thread works.
_PATIENCE_S = 0.005
_TIMELESS = frozenset({State.QUEUED, State.RUNNING, State.HELD})


class Threads(ABC):
    """Deals out connections; what is done with one, its heir says."""

    def __init__(self, listener: socket.socket, limits: Limits) -> None:
        self._listener, self._limits = listener, limits
        self._epoll = select.epoll()
        self._kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
        self._connections: dict[int, Connection] = {}
        self._held: dict[Connection, None] = {}
        self._due: deque[Connection] = deque()  # their time is up
        self._turns = Turns(slots=limits.slots, heaviest=limits.heavy_bytes)
        self._aside: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping, self._ended, self._accept_later = threading.Event(), False, False
        self._kicked = False
        self._help_wanted = threading.Event()
        self._promised = 0.0  # when an answer was last sent that does not say that it is the last
        self._accepting = threading.Lock()  # until whom it took is among the connections

    @abstractmethod
    def _next(self, connection: Connection) -> int:
        """Do what is to be done with a connection on which something happened, or whose time is up.

        Returns for which events it waits next, like every step.
        """

    @abstractmethod
    def _leave(self, connection: Connection) -> int:
        """Part with a client at once."""

    @abstractmethod
    def _go_on(self, connection: Connection) -> int:
        """Read on where it was held and may be read again."""

    def stop(self) -> None:
        """Take no more connections, and end."""
        self._stopping.set()

    def serve(self) -> None:
        """In the caller's thread: the clock, and the threads' beginning and end."""
        self._listener.setblocking(False)
        self._epoll.register(self._listener, _ACCEPT)
        # By its edges: each kick wakes one thread. By its level it wakes them all, until one of them has taken it.
        self._epoll.register(self._kick, select.EPOLLIN | select.EPOLLET)
        count = self._limits.slots + self._limits.spare
        threads = [threading.Thread(target=self._work, name=f"web-{number}", daemon=True) for number in range(count)]
        threads.append(threading.Thread(target=self._work_aside, name="web-aside", daemon=True))
        threads.append(threading.Thread(target=self._send_for_help, name="web-help", daemon=True))
        for thread in threads:
            thread.start()
        while not self._stopping.wait(_TICK_S):
            self._tick()
        doors.shut(self._listener)
        time.sleep(self._limits.closing_s)
        with suppress(OSError):
            self._epoll.unregister(self._listener)
        self._accept_the_last()
        for connection in list(self._connections.values()):
            if connection.state is State.WAITING and (woken := connection.woken) is not None:
                woken()
        began = self._promised = time.monotonic()
        while (now := time.monotonic()) - began < self._limits.stopping_s:
            if not (self._is_busy() or (self._connections and now - self._promised < self._limits.parting_s)):
                break
            self._tick()  # what is held, and what waits for time alone, goes on by the clock
            time.sleep(_TICK_S / 4)
        self._ended = True
        os.eventfd_write(self._kick, 1)
        self._help_wanted.set()
        self._aside.put(lambda: None)
        for thread in threads:
            thread.join(timeout=1.0)
        for connection in list(self._connections.values()):
            self._deal(connection, self._leave, wait=False)

    def _is_busy(self) -> bool:
        return not self._turns.idle() or any(map(_is_under_way, list(self._connections.values())))

    def _tick(self) -> None:
        try:
            self._look_at_the_clock()
        except Exception:
            log.exception("web.failed")

    def _accept_the_last(self) -> None:
        """Whoever connected before the end: the kernel would cut them off with the listener."""
        with self._accepting:
            with suppress(OSError):  # nobody waits any more
                while True:
                    self._take_on(*self._listener.accept())
            self._listener.close()

    def _work(self) -> None:
        while not self._ended:
            for number, _ in self._epoll.poll(None, 1):
                try:
                    self._happened(number)
                except BaseException:  # an application may even raise SystemExit; the thread is everybody's
                    log.exception("web.failed")
            self._work_in_turn()
        os.eventfd_write(self._kick, 1)  # the next one ends, too

    def _work_in_turn(self) -> None:
        while (job := self._turns.take()) is not None:
            if self._turns.is_waiting():
                self._want_help()
            try:
                job.work()
            except BaseException:
                log.exception("web.failed")
            finally:
                self._turns.done(job)

    def _work_aside(self) -> None:
        while not self._ended:
            try:
                self._aside.get()()
            except BaseException:
                log.exception("web.failed")
            self._kick_one()

    def _put_in_line(self, job: Job) -> None:
        """From a thread that works on nothing itself."""
        if self._turns.put(job):
            self._kick_one()
        else:
            self._want_help()

    def _want_help(self) -> None:
        """Somebody waits in line: see to it that they do not wait for those alone who work now."""
        if not self._help_wanted.is_set():
            self._help_wanted.set()

    def _send_for_help(self) -> None:
        while not self._ended:
            self._help_wanted.wait()
            self._help_wanted.clear()  # first: whoever wants help from now on is heard
            try:
                while (left_s := self._turns.stands_still_in(_PATIENCE_S)) is not None and not self._ended:
                    if not left_s:
                        self._kick_one()
                    time.sleep(left_s or _PATIENCE_S)
            except Exception:
                log.exception("web.failed")

    def _kick_one(self) -> None:
        """Have one more thread look for work. Who was kicked and did not look yet will find this work, too."""
        if not self._kicked:
            self._kicked = True
            os.eventfd_write(self._kick, 1)

    def _happened(self, number: int) -> None:
        if number == self._listener.fileno():
            self._accept()
        elif number == self._kick:
            # In this order. Said before the kick is taken, whoever kicks in between would have theirs taken as well,
            # and nobody would ever be kicked again. What is put in line from then on kicks; what was before is found.
            with suppress(BlockingIOError):
                os.eventfd_read(self._kick)
            self._kicked = False
            with suppress(IndexError):
                while True:
                    self._deal(self._due.popleft(), self._next, wait=False)
        elif connection := self._connections.get(number):
            connection.disarm()
            self._deal(connection, self._next, wait=False)

    def _deal(self, connection: Connection, step: Callable[[Connection], int], *, wait: bool = True) -> None:
        """Do a step with a connection that nobody else deals with, then hand it back to the kernel.

        It is handed back after it was let go: who is told of it at once finds nobody dealing with it. Without `wait`
        nothing is done where somebody does. They hand it back afterwards, and the kernel tells again what is still so.
        """
        if not connection.lock.acquire(blocking=wait):
            return
        try:
            connection.events = self._step(connection, step)
        finally:
            connection.lock.release()
        self._arm(connection)

    def _step(self, connection: Connection, step: Callable[[Connection], int]) -> int:
        if connection.state is State.CLOSED:
            return NOTHING
        try:
            return step(connection)
        except OSError:
            return self._leave(connection)
        except BaseException:
            self._leave(connection)
            raise

    def _arm(self, connection: Connection) -> None:
        with suppress(OSError, ValueError):  # the clock ends one for which the kernel has no room
            connection.arm(self._epoll)

    def _accept(self) -> None:
        again = True
        try:
            with self._accepting:
                for _ in range(64):
                    self._take_on(*self._listener.accept())
        except BlockingIOError:
            pass
        except OSError as error:
            if not self._stopping.is_set():
                log.warning("web.not_accepted", error=error.strerror)
                self._make_room()
            again, self._accept_later = False, True  # else whoever waits there would keep us busy with failing
        finally:
            if again:
                self._listen()

    def _listen(self) -> None:
        if not self._stopping.is_set():
            with suppress(OSError, ValueError):  # it is being closed
                self._epoll.modify(self._listener, _ACCEPT)

    def _take_on(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        if len(self._connections) >= self._limits.connections and not self._make_room():
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, address[:2], until=time.monotonic() + self._limits.head_s)
        connection.events = READ
        self._connections[connection.number] = connection
        self._arm(connection)

    def _make_room(self) -> int:
        """Close those that have waited longest without a request that was let in; how many."""
        idle = sorted(filter(_is_idle, list(self._connections.values())), key=lambda each: each.until)
        chosen = idle[: max(1, len(idle) // 16)]
        for connection in chosen:
            self._deal(connection, self._leave_if_idle, wait=False)
        return len(chosen)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.until < now and connection.state not in _TIMELESS:
                # By now somebody else may have woken it.
                if connection.state is State.WAITING and (woken := connection.woken) is not None:
                    self._deal(connection, self._wait_on, wait=False)
                    if connection.until < now:
                        woken()
                else:
                    self._due.append(connection)
                    self._kick_one()
        for connection in list(self._held):
            self._deal(connection, self._go_on, wait=False)
        if self._accept_later:
            self._accept_later = False
            self._listen()

    def _wait_on(self, connection: Connection) -> int:
        """Let it wait longer, where nothing is to be done yet although its time is up."""
        if connection.state is State.WAITING and (more_s := connection.wait.more_s()) > 0:
            connection.until = time.monotonic() + more_s
        return connection.events

    def _leave_if_idle(self, connection: Connection) -> int:
        return self._leave(connection) if _is_idle(connection) else connection.events


def _is_idle(connection: Connection) -> bool:
    return connection.state in {State.READING, State.LEAVING} and not connection.is_let_in()


def _is_under_way(connection: Connection) -> bool:
    """Whether a request arrives, or its answer leaves, or waits for nothing but room."""
    if connection.state is State.WAITING:
        return isinstance(connection.wait, Pause)
    return connection.state in {State.HELD, State.SENDING} or (
        connection.state is State.READING and connection.request is not None
    )
