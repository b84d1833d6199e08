"""A webhook as a customer has it, over HTTP on the loopback address."""

from __future__ import annotations

import http.server
import json
import threading

from exchange.agent import outputs


class Receiver:
    """A webhook of one's own that holds what it is told; it fails at the messages of these numbers, and answers none while `gate` is shut."""

    def __init__(self):
        self.holds, self.heard, self.fails, self.gate = {}, 0, set(), threading.Event()
        self.gate.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["data"]
                receiver.heard += 1
                receiver.gate.wait()
                if not (failed := receiver.heard in receiver.fails):
                    receiver.take(said)
                self.send_response(502 if failed else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.sink = outputs.Webhook(f"http://127.0.0.1:{self._server.server_port}/")

    def take(self, said):
        for one in said["removed"]:
            self.holds.pop(one["value"], None)
        self.holds |= {one["value"]: one.get("n") for one in said["put"]}

    def close(self):
        self._server.shutdown()
        self._server.server_close()
