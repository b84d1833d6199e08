"""The whole product as a newcomer starts it: `python -m exchange.demo` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import DEADLINE_S

ROOT = Path(__file__).resolve().parent.parent.parent
#: Settings of the test run, which a demo must not inherit.
NOT_INHERITED = ("DATABASE_URL", "EXCHANGE_MODE", "SECRET_KEY", "BASE_URL", "DJANGO_SETTINGS_MODULE", "LOG_LEVEL")


class Demo:
    """A running demo; `info` is the JSON line that it printed."""

    def __init__(self, data_dir: Path, *, labs: bool = False, **more: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        environment = inherited | {"PORT": "0", "DATA_DIR": str(data_dir), "DEMO_JSON": "1"}
        environment |= {"DEMO_LABS": "1" if labs else "0"} | more
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
