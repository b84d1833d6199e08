"""Have a command run by the process behind a socket, and end as it ends; run without the house: it imports little."""

import contextlib
import json
import os
import resource
import signal
import socket
import sys


def pass_on(path: str, arguments: list[str]) -> None:
    """Have it run as the process behind `path` runs it, and end as it ended."""
    said = {
        "arguments": arguments,
        "directory": os.getcwd(),  # noqa: PTH109 - pathlib takes longer than all the rest
        "environment": dict(os.environ),
        "umask": os.umask(0),
        "file_bytes": resource.getrlimit(resource.RLIMIT_FSIZE),
    }
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        socket.send_fds(line, [b"."], [0, 1, 2])
        line.sendall(json.dumps(said).encode() + b"\n")
        with line.makefile("r") as answers:
            child = int(answers.readline())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda number, _: os.kill(child, number))
            status = int(answers.readline())
    if status < 0:
        with contextlib.suppress(OSError):  # of SIGKILL nothing can be said
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    pass_on(sys.argv[1], sys.argv[2:])
