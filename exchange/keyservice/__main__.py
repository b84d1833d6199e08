"""`python -m exchange.keyservice`: the key service, on 127.0.0.1:8100 (--host, --port, --workers)."""

import argparse
import os
import sys


def main() -> None:
    """Become the web server, with the service as its application."""
    parser = argparse.ArgumentParser(prog="python -m exchange.keyservice", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8_100)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    served = [sys.executable, "-m", "exchange.web", "exchange.keyservice.wsgi:application"]
    options = ["--host", given.host, "--port", str(given.port), "--workers", str(given.workers)]
    os.execv(sys.executable, [*served, *options])  # noqa: S606 - our own command, no shell


if __name__ == "__main__":
    main()
