"""The sidecar: look-ups for programs in other languages, as HTTP/1.1 on a Unix socket or on a port of 127.0.0.1.

    GET  /check?kind=net&value=198.51.100.7          {"action":"block","rule":"default",…}
    POST /check    {"checks":[["email","…"],…]}      {"verdicts":[…]}
    POST /prompt   {"text":"…","also":[["net","…"]]} {"action":"log","signatures":[…]}
    GET  /status, /metrics, /healthz

One event loop answers what is known at once. What has to wait for the key service waits in a thread, and no longer than
the caller's `timeout_ms`. No value is logged.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

from exchange.agent.blocklist import Blocklist
from exchange.agent.policy import Verdict
from exchange.agent.speaking import Lines

_MOST_BODY = 4 * 1024 * 1024
_MOST_CHECKS = 10_000
_MOST_TIMEOUT_MS = 2_000
#: Upper bounds of the buckets of the time that a request took, in seconds.
_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 1.0)


class _Wrong(Exception):
    """A request that says what cannot be answered."""


@dataclass(slots=True)
class Sidecar:
    """Answers look-ups. `told` gives what /status says, `more_metrics` what /metrics says besides."""

    blocklist: Blocklist
    timeout_ms: int = 20
    told: Callable[[], Mapping[str, Any]] = dict
    more_metrics: Callable[[], bytes] = bytes
    _slow: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, "lookups"))
    _times: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    _sum_s: float = 0.0

    async def serve(
        self, *, unix: Path | None = None, port: int | None = None, lines: Path | None = None
    ) -> list[asyncio.Server]:
        """Begin to answer. A socket that a former process left is replaced; only this user and group may use it.

        HTTP on `unix` and `port`, a look-up a line (`speaking`) on `lines`.
        """
        servers: list[asyncio.Server] = []
        if unix is not None:
            servers.append(await asyncio.start_unix_server(self._connected, sock=_bound(unix)))
        if port is not None:
            servers.append(await asyncio.start_server(self._connected, "127.0.0.1", port))
        if lines is not None:
            loop = asyncio.get_running_loop()
            speaking = await loop.create_unix_server(lambda: Lines(self.blocklist, self._note), sock=_bound(lines))
            servers.append(speaking)
        return servers

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)
        try:
            while await self._answered(connection, reader, writer):
                connection.start_next_cycle()
        except (h11.RemoteProtocolError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answered(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; whether another may follow."""
        request, body, began = None, b"", 0.0
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                request, began = event, time.perf_counter()
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BODY:
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        status, kind, content = await self._answer(request.method.decode(), request.target.decode(), body)
        headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
        head = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        writer.write(head + (connection.send(h11.Data(content)) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        self._note(time.perf_counter() - began)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        address = urlsplit(target)
        try:
            match method, address.path:
                case "GET", "/check":
                    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                    verdict = await self._check(asked.get("kind", ""), asked.get("value", ""), asked.get("timeout_ms"))
                    return _json(document(verdict))
                case "POST", "/check":
                    said = _document(body)
                    checks = said.get("checks", [])
                    if not isinstance(checks, list) or len(checks) > _MOST_CHECKS:
                        raise _Wrong(f"checks is a list of at most {_MOST_CHECKS} pairs of kind and value")
                    verdicts = [await self._check(*_pair(one), said.get("timeout_ms")) for one in checks]
                    return _json({"verdicts": [document(one) for one in verdicts]})
                case "POST", "/prompt":
                    return _json(await self._prompt(_document(body)))
                case "GET", "/status":
                    unusable = [{"subkind": subkind, "id": name} for subkind, name in self.blocklist.unusable]
                    return _json({"entries": len(self.blocklist), "unusable_signatures": unusable, **self.told()})
                case "GET", "/metrics":
                    return 200, "text/plain; version=0.0.4", self.metrics() + self.more_metrics()
                case "GET", "/healthz":
                    return _json({"status": "ok"})
            return _json({"error": "There is nothing here."}, 404)
        except _Wrong as wrong:
            return _json({"error": str(wrong)}, 400)

    async def _check(self, kind: str, value: str, timeout_ms: Any) -> Verdict:
        try:
            found = self.blocklist.check(kind, value)
        except KeyError:
            raise _Wrong("kind is the subkind of a value, such as email, net or par; account with [suspects]") from None
        wait_s = self._timeout_s(timeout_ms)
        if found.known or wait_s <= 0:
            return found
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._slow, lambda: self.blocklist.check(kind, value, timeout_s=wait_s))

    async def _prompt(self, said: Mapping[str, Any]) -> dict[str, Any]:
        text, pairs = said.get("text"), said.get("also", [])
        if not isinstance(text, str) or not isinstance(pairs, list):
            raise _Wrong("text is the prompt, also a list of pairs of kind and value")
        also = [await self._check(*_pair(one), said.get("timeout_ms")) for one in pairs]
        wait_s = self._timeout_s(said.get("timeout_ms"))
        loop = asyncio.get_running_loop()
        met = await loop.run_in_executor(
            self._slow, lambda: self.blocklist.check_prompt(text, also=also, timeout_s=wait_s)
        )
        signatures = [{"subkind": subkind, "signature": name} for subkind, name in met.signatures]
        return {**document(met.verdict), "signatures": signatures, "also": [document(one) for one in also]}

    def _timeout_s(self, asked: Any) -> float:
        try:
            wait_ms = float(self.timeout_ms if asked is None else asked)
        except (TypeError, ValueError, OverflowError):
            wait_ms = math.nan
        if math.isnan(wait_ms):  # which is no time that ever comes
            raise _Wrong("timeout_ms is a number of milliseconds")
        return min(wait_ms, _MOST_TIMEOUT_MS) / 1_000

    def _note(self, took_s: float) -> None:
        self._sum_s += took_s
        self._times[next((place for place, most in enumerate(_BUCKETS) if took_s <= most), len(_BUCKETS))] += 1

    def metrics(self) -> bytes:
        """In Prometheus' text format: entries, hits by verdict, and how long requests took."""
        lines = [
            "# TYPE exchange_agent_lookup_entries gauge",
            f"exchange_agent_lookup_entries {len(self.blocklist)}",
            "# TYPE exchange_agent_unusable_signatures gauge",
            f"exchange_agent_unusable_signatures {len(self.blocklist.unusable)}",
            "# TYPE exchange_agent_lookup_hits_total counter",
        ]
        hits: dict[tuple[str, str, str], int] = {}
        for verdict, count in self.blocklist.hits().items():
            done = "shadow" if verdict.would else "suppressed" if verdict.suppressed_by else verdict.word
            hits[verdict.kind, verdict.subkind, done] = hits.get((verdict.kind, verdict.subkind, done), 0) + count
        for (kind, subkind, done), count in sorted(hits.items()):
            labels = f'kind="{kind}",subkind="{subkind}",action="{done}"'
            lines.append(f"exchange_agent_lookup_hits_total{{{labels}}} {count}")
        lines.append("# TYPE exchange_agent_lookup_seconds histogram")
        total = 0
        for most, count in zip((*_BUCKETS, "+Inf"), self._times, strict=True):
            total += count
            lines.append(f'exchange_agent_lookup_seconds_bucket{{le="{most}"}} {total}')
        lines += [
            f"exchange_agent_lookup_seconds_sum {self._sum_s:.6f}",
            f"exchange_agent_lookup_seconds_count {total}",
        ]
        return ("\n".join(lines) + "\n").encode()


def _bound(path: Path) -> socket.socket:
    """A Unix socket in the place of what a former process left there, for this user and group alone."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(0o660)
    return made


def document(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON: `action` is block, challenge, log, none or unknown."""
    said = {"action": verdict.word, "would": verdict.would, "rule": verdict.rule, "floor": verdict.floor}
    said |= {"suppressed_by": verdict.suppressed_by, "kind": verdict.kind, "subkind": verdict.subkind}
    return {name: value for name, value in said.items() if value}


def _json(said: object, status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(said).encode()


def _document(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise _Wrong("the body is not JSON") from None
    if not isinstance(said, dict):
        raise _Wrong("the body is not a JSON object")
    return said


def _pair(one: Any) -> tuple[str, str]:
    if not isinstance(one, list) or len(one) != 2 or not all(isinstance(each, str) for each in one):
        raise _Wrong("a check is a pair of kind and value")
    return one[0], one[1]
