"""How long and how much, with the reasons; what is a setting has its variable beside it (`deploy/env.example`)."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field

from exchange import env


def _files() -> int:
    """Connections that fit beside the files that a process needs; as many as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(64, min(8_192, most - 256))


def _in_hand() -> int:
    """Half of the connections at most: the others may be closed to make room for whoever comes.

    A stream is in hand for as long as it is open, and of what is in hand one caller alone gets half.
    """
    streams = env.number("STREAMS_PER_PROCESS", 64, least=0, most=6_000)
    return min(max(1_024, 512 + 2 * streams), _files() // 2)


def _slots() -> int:
    return max(2, env.number("DATABASE_POOL_SIZE", 16, least=1, most=500) - 2)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process."""

    connections: int = field(default_factory=_files)
    #: Requests that work at once: one connection of the database each, and two of the pool remain.
    slots: int = field(default_factory=_slots)
    #: Threads beside those, which always read, send, and answer `/livez`.
    spare: int = 2
    #: Requests from their head until their answer is sent, whether they work or not.
    in_hand: int = field(default_factory=_in_hand)
    #: Bytes of bodies that are being received or worked on.
    body_bytes: int = 64 * 1024 * 1024
    #: Bytes of answers that wait to be read, beyond what the kernel holds.
    unread_bytes: int = 64 * 1024 * 1024
    #: Requests that wait for something new (`/changes?wait=`). Who finds no room asks again after a second, which costs
    #: more than to wait: so there is room for some hundreds of agents, and as much again for requests that do not wait.
    waits: int = 512
    #: Bytes of large bodies that are read and judged at once, which takes several times their size.
    heavy_bytes: int = 16 * 1024 * 1024
    head_bytes: int = 65_536
    #: Seconds from the first byte of a head to its end, and from connecting to that byte.
    head_s: float = 10.0
    #: Seconds between requests; longer than the 60 for which proxies keep a connection to use it again.
    idle_s: float = 75.0
    #: A body or an answer is through in so many seconds, or so many bytes of it were moved in them, or it ends there.
    moved_s: float = field(default_factory=lambda: float(env.number("STALLED_SECONDS", 20, least=1, most=600)))
    moved_bytes: int = 320 * 1024
    #: Seconds after which the application's 429 is sent: who asks too often waits, and takes no thread meanwhile.
    late_s: float = 1.0
    #: Seconds in which what is not wanted any more is thrown away, so that the client reads the answer.
    leaving_s: float = 5.0
    #: Seconds for what is under way when the process is to end.
    stopping_s: float = 10.0
    #: Of these, for a client's last request on a connection that it keeps: closed at once, the request would be lost.
    #: Longer than the second after which our proxies close one that they do not use (deploy/nginx-upstreams.conf),
    #: so that it is never we who close what they may be about to use.
    parting_s: float = 3.0
    #: Of these, for whoever is about to connect while nobody else is let begin to.
    closing_s: float = 0.1
