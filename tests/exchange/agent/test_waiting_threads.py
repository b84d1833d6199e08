"""A look-up does not wait for what else the process does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.waiting import DEADLINE_S, until


def test_a_busy_thread_lets_look_ups_through(tmp_path: Path) -> None:
    """As the agent serves them, in a process of its own: how long a thread keeps the interpreter is the process's."""
    code = textwrap.dedent(
        """
        import sys
        from types import SimpleNamespace
        from pathlib import Path
        from exchange.agent import running
        from exchange.agent.blocklist import Blocklist

        agent = object.__new__(running.Agent)
        agent.settings = SimpleNamespace(timeout_ms=0, unix=Path(sys.argv[1]), port=None, lines=None)
        agent._serve(Blocklist([]))
        print(sys.getswitchinterval(), flush=True)
        sys.stdin.read()
        """
    )
    path = tmp_path / "socket"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert float(process.stdout.readline()) <= 0.0005
    try:
        until(path.exists, of=process)
        with socket.socket(socket.AF_UNIX) as wire:
            wire.connect(str(path))
            wire.sendall(b"GET /check?kind=net&value=198.51.100.7 HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = wire.recv(65_536)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["action"] == "none"
    finally:
        process.communicate("", timeout=DEADLINE_S)
