"""What the proxy's test serves: an application that says who was asked, after a moment of work."""

from __future__ import annotations

import json
import os
import time


def application(environ, start):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    time.sleep(0.005)
    said = {
        "pid": os.getpid(),
        "bytes": len(body),
        "host": environ.get("HTTP_HOST", ""),
        "subject": environ.get("HTTP_X_CLIENT_SUBJECT", ""),
        "proto": environ.get("HTTP_X_FORWARDED_PROTO", ""),
    }
    answer = json.dumps(said).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
