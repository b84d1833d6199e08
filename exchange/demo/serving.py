"""How a WSGI application is served here: the one command line of the demo and of the benchmark."""

from __future__ import annotations

from pathlib import Path

_LOGS = Path(__file__).resolve().parent.parent / "granian.json"


def command(target: str, *, python: str, port: int, workers: int = 2) -> list[str]:
    """Granian on 127.0.0.1. Threads above what the cores can do: requests wait on PostgreSQL, and on each other."""
    return [
        *(python, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-ws"),
        *("--workers", str(workers), "--blocking-threads", "24", "--backlog", "1024", "--no-access-log"),
        *("--log-config", str(_LOGS)),
        target,
    ]
