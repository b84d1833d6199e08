"""The conformance kit of the delta (exchange/docs/delta.md): plays scenarios to a client that anybody wrote.

python -m exchange.agent.conformance -- ./my-client --once
"""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from exchange.lists import pages, sets

_ASTER, _BOREALIS = "0b6f3a1e-0000-4000-8000-000000000001", "0b6f3a1e-0000-4000-8000-000000000002"
_KEY, _OTHER_KEY = b"k" * 32, b"o" * 32
_TIMEOUT_S = 120
PATH = "/api/v1/feeds/all/delta"
API_KEY = "exk_conformance"


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of one publisher."""

    number: int
    body: str
    publisher: str = _ASTER
    until: str | None = None

    @property
    def stix_id(self) -> str:
        """Its STIX id."""
        return f"indicator--00000000-0000-4000-8000-{self.number:012d}"

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def held(self) -> str:
        """The line that a client writes who holds it."""
        return "\t".join((self.publisher, self.stix_id, self.sha256, sets.moment(self.until)))

    def element(self, key: bytes) -> int:
        """Its element of the set hash."""
        end = sets.moment(self.until)
        return sets.element(key, source=self.publisher, stix_id=self.stix_id, sha256=self.sha256, end=end)

    def row(self, op: str, reason: str, **more: Any) -> bytes:
        """Its row."""
        publisher = {"id": self.publisher, "name": "Aster, „A“", "named": True}
        said: dict[str, Any] = {"op": op, "reason": reason, "publisher": publisher}
        said |= {"id": self.stix_id, "type": "indicator", "kind": None, "entries": [], "confidence": None, **more}
        if op != "upsert":
            return _json(said)
        said |= {"sha256": self.sha256, "valid_from": None, "valid_until": self.until}
        return _json(said)[:-1] + b',"object":' + self.body.encode() + b"}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to who asks with the cursor `at`. `cut` ends the body so many bytes early, under 200."""

    at: str
    body: bytes
    status: int = 200
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the client: what it is answered, what it then holds, and whether it is up to date."""

    answers: tuple[Answer, ...]
    holds: tuple[Thing, ...]
    up_to_date: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps in order, with what they show."""

    name: str
    shows: str
    steps: tuple[Step, ...]


def page(
    rows: Sequence[bytes],
    to: str,
    *,
    holds: Sequence[Thing] = (),
    more: bool = False,
    key: bytes = _KEY,
    **said: Any,
) -> bytes:
    """A page that leads `to` a cursor, after which a client holds these."""
    writer, total = pages.Writer(), sets.SetHash()
    for thing in holds:
        total.add(thing.element(key))
    proof: dict[str, Any] = {"set_key": None, "set_count": None, "set_hash": None}
    if not more:
        proof = {"set_key": key.hex(), "set_count": total.count, "set_hash": total.hex}
    body = b"".join(writer.row(row) for row in rows)
    return body + writer.trailer(to, more=more, **proof, min_wait_s=0, stale_after_s=3600, **said)


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _problem(status: int, code: str) -> bytes:
    return _json({"type": "about:blank", "status": status, "code": code, "detail": "Begin again.", "request_id": "r"})


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    one, two, three = (Thing(number, f'{{"n":{number},"confidence":85.0}}') for number in (1, 2, 3))
    revised = Thing(1, '{"n":1,"confidence":40}')
    ends = Thing(4, '{"n":4,"name":"Zürich 東京"}', until="2126-12-01T01:00:00.5+01:00")
    same_id = Thing(1, '{"n":1,"confidence":85.0}', publisher=_BOREALIS)
    put = [thing.row("upsert", "published") for thing in (one, two, three)]
    filled = Step((Answer("", page(put[:2], "c1", holds=[one, two])),), (one, two))
    good = page([put[2]], "c2", holds=[one, two, three])
    after = Step((Answer("c1", good),), (one, two, three))
    anew = page(put, "n1", holds=[one, two, three])
    gone = Answer("c1", _problem(410, "start-over"), 410)
    down = _problem(503, "unavailable")
    yield Scenario("fill", "rows of the first page are held", (filled,))
    yield Scenario("go on", "the cursor of the last page is sent, in the next run as well", (filled, after))
    paged = (
        Answer("", page(put[:1], "p1", more=True)),
        Answer("p1", page(put[1:2], "p2", more=True)),
        Answer("p2", page(put[2:], "p3", holds=[one, two, three])),
    )
    yield Scenario("pages", "where there is more, it is asked for at once", (Step(paged, (one, two, three)),))
    change = [one.row("remove", "revoked"), three.row("upsert", "published")]
    changed = Answer("c1", page(change, "c2", holds=[two, three]))
    yield Scenario("remove", "a remove takes out; of what is not held it means nothing", (
        filled,
        Step((changed,), (two, three)),
        Step((Answer("c2", page([one.row("remove", "withdrawn")], "c3", holds=[two, three])),), (two, three)),
    ))  # fmt: skip
    again = Answer("c1", page([revised.row("upsert", "revised")], "c2", holds=[revised, two]))
    yield Scenario("revise", "an upsert takes the place of what was held", (filled, Step((again,), (revised, two))))
    both = Answer(
        "", page([one.row("upsert", "published"), same_id.row("upsert", "published")], "c1", holds=[one, same_id])
    )
    left = Answer("c1", page([same_id.row("remove", "revoked")], "c2", holds=[one]))
    yield Scenario("two publishers", "an id is held per publisher", (
        Step((both,), (one, same_id)), Step((left,), (one,)),
    ))  # fmt: skip
    ended = Answer("", page([ends.row("upsert", "published")], "c1", holds=[ends]))
    yield Scenario("bytes and ends", "bytes count as sent, ends in one spelling", (Step((ended,), (ends,)),))
    trailer = good.rindex(b'{"trailer"')
    for name, cut in {"trailer": len(good) - trailer, "row": len(good) - trailer + 9, "end of the line": 1}.items():
        broken = Step((Answer("c1", good, cut=cut),), (one, two), up_to_date=False)
        yield Scenario(f"cut before {name}", "without its trailer a page is discarded", (filled, broken, after))
    for name, wrong in {
        "rows": good.replace(b'"rows":1', b'"rows":2'),
        "page_sha256": good.replace(b'"page_sha256":"', b'"page_sha256":"0')[:-1].replace(b'0"', b'"') + b"\n",
        "complete": good.replace(b'"complete":true', b'"complete":false'),
        "object": good.replace(b'"n":3', b'"n":4'),
    }.items():
        broken = Step((Answer("c1", wrong),), (one, two), up_to_date=False)
        yield Scenario(f"wrong {name}", "a page that is not what it says is discarded", (filled, broken, after))
    mismatch = Answer("c1", page([put[2]], "c2", holds=[two, three]))
    yield Scenario("another hash", "where the set hash differs, the set is filled anew", (
        filled, Step((mismatch, Answer("", page(put[1:], "n1", holds=[two, three]))), (two, three)),
    ))  # fmt: skip
    halves = Answer("", page(put[1:2], "h1", more=True))
    yield Scenario("old set stays", "until the new one is complete, what was held is held", (
        filled,
        Step((gone, halves, Answer("h1", down, 503)), (one, two), up_to_date=False),
    ))  # fmt: skip
    yield Scenario("start over", "410 start-over: filled from the beginning, and what is gone is gone", (
        filled, Step((gone, Answer("", page(put[1:], "n1", holds=[two, three]))), (two, three)),
    ))  # fmt: skip
    bad = Answer("c1", _problem(400, "bad-cursor"), 400)
    yield Scenario("bad cursor", "the same for a cursor that is not taken", (
        filled, Step((bad, Answer("", anew)), (one, two, three)),
    ))  # fmt: skip
    yield Scenario("no answer", "5xx: everything is kept", (
        filled, Step((Answer("c1", down, 503),), (one, two), up_to_date=False), after,
    ))  # fmt: skip
    later = [_json({"op": "annotate", "id": one.stix_id, "new": [1]}), three.row("upsert", "enriched", colour="red")]
    future = Answer("c1", page(later, "c2", holds=[one, two, three], also={"x": 1}))
    yield Scenario("from the future", "unknown ops are skipped, unknown words ignored", (
        filled, Step((future,), (one, two, three)),
    ))  # fmt: skip
    replay = Answer("c1", page([*put, put[0]], "c2", holds=[one, two, three]))
    yield Scenario("told twice", "what is told again changes nothing", (filled, Step((replay,), (one, two, three))))
    rekeyed = Answer("c1", page([put[2]], "c2", holds=[one, two, three], key=_OTHER_KEY))
    yield Scenario("another key", "the set is summed again under another key", (
        filled, Step((rekeyed,), (one, two, three)),
    ))  # fmt: skip
    unknown = page([put[2]], "c2", holds=[]).replace(b'"set_count":0', b'"set_count":null')
    unknown = unknown.replace(b'"set_hash":"' + b"0" * 64 + b'"', b'"set_hash":null')
    yield Scenario("hash not known", "null is no mismatch", (filled, Step((Answer("c1", unknown),), (one, two, three))))
    yield Scenario("not yet", "a page without rows and with the same cursor may say that there is more: ask at once", (
        filled, Step((Answer("c1", page([], "c1", more=True)),
                      Answer("c1", page([put[2]], "c2", holds=[one, two, three]))), (one, two, three)),
    ))  # fmt: skip


@dataclass(slots=True)
class _Play:
    """A step under way: which answers were given, and what was asked that should not have been."""

    step: Step
    given: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def answer(self, cursor: str) -> Answer:
        fitting = [place for place, each in enumerate(self.step.answers) if each.at == cursor]
        fresh = [place for place in fitting if place not in self.given]
        if fitting:
            place = (fresh or fitting[-1:])[0]
            self.given.add(place)
            return self.step.answers[place]
        last = self.step.answers[-1]
        if last.status == 200 and f'"next_cursor":"{cursor}"'.encode() in last.body:
            return Answer(cursor, page([], cursor, holds=self.step.holds))
        self.wrong.append(f"asked with the cursor {cursor!r}")
        return Answer(cursor, _problem(400, "bad-cursor"), 400)


class Server:
    """Plays steps on 127.0.0.1."""

    def __init__(self) -> None:
        self.play: _Play | None = None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                play = server.play
                if play is None or address.path != PATH or self.headers["Authorization"] != f"Bearer {API_KEY}":
                    self.send_error(404)
                    return
                found = play.answer(parse_qs(address.query).get("cursor", [""])[0])
                kind = "application/x-ndjson" if found.status == 200 else "application/problem+json"
                self.send_response(found.status)
                self.send_header("Content-Type", kind)
                self.send_header("Connection", "close")  # and no length: HTTP does not tell of a cut
                self.end_headers()
                self.wfile.write(found.body[: len(found.body) - found.cut])

            def log_message(self, *args: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Let go of the port."""
        self._http.shutdown()
        self._http.server_close()


def failures(command: Sequence[str], scenario: Scenario, server: Server) -> list[str]:
    """What a client did wrong in a scenario: nothing, if it conforms."""
    with tempfile.TemporaryDirectory(prefix="delta-") as directory:
        for number, step in enumerate(scenario.steps, 1):
            server.play = play = _Play(step)
            said = {"DELTA_URL": server.url + PATH, "DELTA_KEY": API_KEY, "DELTA_STATE": directory}
            try:
                ran = subprocess.run(  # noqa: S603 - the caller's own client
                    command, env=os.environ | said, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                return [f"step {number}: no end within {_TIMEOUT_S} s"]
            wrong = [f"step {number}: {each}" for each in (*play.wrong, *_differences(step, ran))]
            if wrong:
                return [*wrong, *ran.stderr.splitlines()[-3:]]
    return []


def _differences(step: Step, ran: subprocess.CompletedProcess[str]) -> Iterator[str]:
    held, wanted = set(ran.stdout.splitlines()), {thing.held for thing in step.holds}
    if held != wanted:
        yield f"holds {sorted(held - wanted)} too much, lacks {sorted(wanted - held)}"
    if (ran.returncode == 0) != step.up_to_date:
        yield f"exit status {ran.returncode}, but it is {'' if step.up_to_date else 'not '}up to date"


def main(
    command: Annotated[list[str] | None, typer.Argument(help="The client, after --.")] = None,
    only: Annotated[str, typer.Option(help="Play this scenario alone.")] = "",
    names: Annotated[bool, typer.Option("--list", help="Name the scenarios.")] = False,
) -> None:
    """Play the scenarios of the delta to a client. Exit status 0 if it conforms."""
    chosen = [each for each in scenarios() if only in ("", each.name)]
    if names:
        for each in chosen:
            typer.echo(f"{each.name}: {each.shows}")
        return
    if not command or not chosen:
        raise typer.BadParameter("Say the client's command after --, and a scenario that there is.")
    server, wrong = Server(), 0
    for each in chosen:
        found = failures(command, each, server)
        wrong += bool(found)
        typer.echo(f"{'FAILED' if found else 'ok':6} {each.name}: {each.shows}")
        for line in found:
            typer.echo(f"       {line}")
    server.close()
    typer.echo(f"{len(chosen) - wrong} passed, {wrong} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
