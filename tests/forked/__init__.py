"""Commands of Python that cost little to start: `[*forked.python(), "-m", "celery", …]` in the place of `sys.executable`.

Half a second of each command goes into imports. A process that has imported them (`serving`) forks for each command, which
is a process of its own all the same, with its own arguments, directory, environment, files, umask, limits and exit
status. `passing` is the small program in between, whose end is the command's. What shows how a process starts from
nothing, or is killed in the midst, is started as always.
"""

from __future__ import annotations

import atexit
import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.waiting import DEADLINE_S

HERE = Path(__file__).parent
_running: list[subprocess.Popen[bytes]] = []


def python() -> list[str]:
    """What a command line begins with."""
    return [sys.executable, "-I", "-S", str(HERE / "passing.py"), _address()]


@functools.cache
def _address() -> str:
    """The socket of this process's own. Who serves it is started by whoever asks first, and ends when this process does."""
    address = f"{tempfile.mkdtemp(prefix='forked-')}/socket"
    line = [sys.executable, "-c", "import sys; from tests.forked import serving; serving.serve(sys.argv[1])", address]
    process = subprocess.Popen(line, cwd=HERE.parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    _running.append(process)
    atexit.register(_end, process)
    return address


def _end(process: subprocess.Popen[bytes]) -> None:
    """Who serves ends with its standard input."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait(timeout=DEADLINE_S)
