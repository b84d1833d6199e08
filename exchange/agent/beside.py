"""How a `run` stands, asked beside it: its feeds by their stores, its parts by the sidecar, where one answers."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exchange.agent import jobs, status, sync
from exchange.agent.acknowledging import LATE_S

if TYPE_CHECKING:
    from exchange.agent.configuration import Settings

_TIMEOUT_S = 5.0
_MOST_BYTES = 4 * 1024 * 1024

type Parts = Mapping[str, Mapping[str, Any]]


def feeds(known: Sequence[jobs.Job]) -> dict[str, status.Status]:
    """Each feed; `entries` is what its policy lists of it by itself."""
    found = {}
    for job in known:
        with closing(jobs.open_store(job)) as store:
            entries = sum(1 for _ in sync.wanted(job, store))
            found[job.path.name] = replace(
                status.after_writing(job, store), entries=entries, went=store.went_by_reason()
            )
    return found


def parts(settings: Settings) -> Parts | None:
    """For how long the look-ups and each output lack something; None where no sidecar answers."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=_TIMEOUT_S)
    try:
        if settings.unix is not None:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(_TIMEOUT_S)
            connection.sock.connect(str(settings.unix))
        elif settings.port is None:
            return None
        connection.request("GET", "/status")
        found: Parts = json.loads(connection.getresponse().read(_MOST_BYTES))["parts"]
        return found
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def are_good(found: Mapping[str, status.Status], there: Parts | None) -> bool:
    """Whether nothing waits for a person or for another try."""
    late = [one for one in (there or {}).values() if one["problem"] or one["behind_s"] > LATE_S]
    return all(one.good for one in found.values()) and not late


def words(found: Mapping[str, status.Status], there: Parts | None) -> Iterator[str]:
    """For a person."""
    for name, one in found.items():
        yield from (f"{name}: {line}" for line in status.words(one))
    for name, part in sorted((there or {}).items()):
        late = f"lacks something for {part['behind_s']:.0f} s" if part["behind_s"] else "holds all that came"
        yield f"{name}: {late}{': ' if part['problem'] else ''}{part['problem']}"
    if there is None:
        yield "what look-ups and outputs hold is told by the sidecar of [lookup], and none answers"
