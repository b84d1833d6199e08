"""How a WSGI application is served here: the one command line of the demo and of the benchmark."""

from __future__ import annotations


def command(target: str, *, python: str, port: int, workers: int = 2) -> list[str]:
    """The exchange's own server (`exchange.web`) on 127.0.0.1."""
    return [python, "-m", "exchange.web", "--port", str(port), "--workers", str(workers), target]
