"""The whole product as a newcomer starts it: `python -m exchange.demo` in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from exchange import embedded
from tests import postgres, templates
from tests.waiting import DEADLINE_S

ROOT = Path(__file__).resolve().parent.parent.parent
#: Settings of the test run, which a demo must not inherit.
NOT_INHERITED = ("DATABASE_URL", "EXCHANGE_MODE", "SECRET_KEY", "BASE_URL", "DJANGO_SETTINGS_MODULE", "LOG_LEVEL")


#: What a demo does with a new data directory before it starts its processes. Its schema is the tests' own.
_PREPARE = """
import os, sys
from pathlib import Path
from exchange import embedded
from exchange.demo import __main__ as demo
from tests import templates
place = Path(sys.argv[1])
place.mkdir(parents=True)
place.chmod(0o711 if os.geteuid() == 0 else 0o700)
os.umask(0o077)
templates.restore(sys.argv[2], embedded.start(place))
demo._prepare(place)
embedded.stop(place)
"""


def _environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return inherited | {"PORT": "0", "DATA_DIR": str(data_dir), "DEMO_JSON": "1"}


def _prepared() -> Path:
    """The data directory that demos are copies of; whoever comes first makes it, and it stays between runs."""
    room = postgres.DATA_DIR / "demos"
    room.mkdir(parents=True, exist_ok=True)
    place = room / templates.digest("*/management/commands/seed.py", "exchange/demo/*.py")
    with (room / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in room.iterdir():
                if old.is_dir():
                    embedded.stop(old)
                    shutil.rmtree(old)
            unfinished = room / "unfinished"
            named = subprocess.run(
                [sys.executable, "-m", "tests.templates"],
                cwd=ROOT,
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "exchange.settings"},
                check=True,
                capture_output=True,
                text=True,
            )
            command = [sys.executable, "-c", _PREPARE, str(unfinished), templates.address(named.stdout.strip())]
            subprocess.run(command, cwd=ROOT, env=_environment(unfinished), check=True, stderr=subprocess.DEVNULL)
            unfinished.rename(place)
    return place


class Demo:
    """A running demo; `info` is the JSON line that it printed.

    It starts on the copy of a data directory that was made ready once, unless there is one or it is to start
    `from_nothing`, as a newcomer's: half of that goes into the schema.
    """

    def __init__(self, data_dir: Path, *, labs: bool = False, from_nothing: bool = False, **more: str) -> None:
        if not from_nothing and not data_dir.exists():
            subprocess.run(["cp", "-a", str(_prepared()), str(data_dir)], check=True)  # PostgreSQL's files stay its own
        environment = _environment(data_dir) | {"DEMO_LABS": "1" if labs else "0"} | more
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exchange.demo"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(data_dir.parent / f"{data_dir.name}.err").open("ab"),
            text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            said = (data_dir.parent / f"{data_dir.name}.err").read_text()
            raise AssertionError(f"the demo did not start:\n{said}")
        self.info = json.loads(line)
        self.url = self.info["base_url"]

    def key(self, number: int) -> str:
        return self.info["partners"][number]["api_key"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=DEADLINE_S)

    def processes(self) -> list[str]:
        """What runs on this data directory, by what it says of itself or has in its environment."""
        found = []
        for directory in Path("/proc").iterdir():
            try:
                if not directory.name.isdigit() or int(directory.name) == os.getpid():
                    continue
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (directory / "environ").read_bytes().decode(errors="replace")
            except (OSError, ValueError):
                continue
            named = f"DATA_DIR={self.data_dir}\0" in environment and "exchange" in command
            if str(self.data_dir) in command or named:
                found.append(command)
        return found
