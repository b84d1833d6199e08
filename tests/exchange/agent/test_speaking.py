"""Look-ups a line: answers in the order of the questions, however they are cut; what is wrong harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from exchange.agent.blocklist import Blocklist
from exchange.agent.sidecar import Sidecar
from exchange.agent.speaking import _MOST_BYTES
from tests.exchange.agent.test_lookup import Lab


@pytest.fixture
def blocklist(tmp_path):
    lab = Lab(tmp_path / "all.sqlite")
    lab.say("net", "198.51.100.0/24", publishers=("aster", "borealis"))
    return Blocklist([lab.path])


def asked(blocklist, path, *pieces: bytes, answers: int) -> list[bytes]:
    """What is answered to these pieces, sent one after another; fewer where the connection ends before."""

    async def ask():
        sidecar = Sidecar(blocklist)
        (server,) = await sidecar.serve(lines=path)
        reader, writer = await asyncio.open_unix_connection(path)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        found = []
        while len(found) < answers and (line := await reader.readline()):
            found.append(line)
        writer.close()
        server.close()
        return found, sidecar

    found, sidecar = asyncio.run(ask())
    assert f"exchange_agent_lookup_seconds_count {len(found)}".encode() in sidecar.metrics()
    return found


def test_a_line_is_answered_as_check_does(blocklist, tmp_path):
    (found,) = asked(blocklist, tmp_path / "s", b"net 198.51.100.7\n", answers=1)
    verdict = blocklist.check("net", "198.51.100.7")
    assert found.split()[0].decode() == verdict.word == "block"


def test_many_lines_at_once_and_cut_anywhere_are_answered_in_their_order(blocklist, tmp_path):
    pieces = (b"net 198.51.100.7\nnet 192.0", b".2.1\r\nemail_domain pool.example\nno", b"thing x\nnet\n")
    found = [line.split()[0] for line in asked(blocklist, tmp_path / "s", *pieces, answers=5)]
    assert found[:4] == [b"block", b"none", b"none", b"error"]
    assert found[4] in (b"none", b"error")


def test_what_is_no_text_is_an_error_and_the_next_line_is_answered(blocklist, tmp_path):
    found = asked(blocklist, tmp_path / "s", b"net \xff\xfe\nnet 198.51.100.7\n", answers=2)
    assert [line.split()[0] for line in found] == [b"error", b"block"]


def test_a_line_without_an_end_ends_the_connection(blocklist, tmp_path):
    assert asked(blocklist, tmp_path / "s", b"x" * (_MOST_BYTES + 2), answers=1) == []


@pytest.mark.parametrize("said", ["nan", "-nan", "soon", "1e999x"])
def test_a_time_that_never_comes_keeps_no_look_up_busy(blocklist, said):
    answer = Sidecar(blocklist)._answer
    assert asyncio.run(answer("GET", f"/check?kind=email&value=a@b.example&timeout_ms={said}", b""))[0] == 400
    body = f'{{"checks": [["email", "a@b.example"]], "timeout_ms": "{said}"}}'.encode()
    assert asyncio.run(answer("POST", "/check", body))[0] == 400
