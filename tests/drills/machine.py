"""One machine in a directory: what an administrator types is done below it, and units are started as systemd starts them.

Users, privileges and sandboxes of units are systemd's own business (`systemd-analyze verify`, `tests/deploy`); which
commands they start, with which environment and in which order is what is played here.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import httpx

from exchange.demo import ports
from tests.waiting import DEADLINE_S, until

#: Directories that the documentation names; each lies below the machine's own.
PLACES = ("/opt/exchange", "/etc/", "/var/lib/exchange", "/var/backups/exchange", "/run/exchange")
#: What a preparation, a backup or a restore takes at most on a slow machine, in seconds.
_LONG_S = 600


class Machine:
    """A root directory, the ports that stand for those of the documentation, and the services that run."""

    def __init__(self, root: Path, *, programs: str) -> None:
        self.root, self.programs = root, programs
        self.ports = {"443": ports.free(), "8000": ports.free(), "8001": ports.free(), "8010": ports.free()}
        self.enabled: list[str] = []
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def here(self, text: str) -> str:
        """With each place of the documentation below this machine's root."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w/.-]){re.escape(place)}", f"{self.root}{place}", text)
        return text

    def environment(self) -> dict[str, str]:
        """What systemd gives to a service, and an administrator's shell has, before settings."""
        return {"PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.root)}

    def settings(self, path: str) -> dict[str, str]:
        """An EnvironmentFile; none where one that begins with a minus is not there."""
        file = Path(self.here(path.removeprefix("-")))
        if path.startswith("-") and not file.exists():
            return {}
        lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
        return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}

    def has(self, name: str) -> bool:
        """Whether there is a service of this name."""
        base, at, _ = name.partition("@")
        return Path(self.here(f"/etc/systemd/system/{base}{at}.service")).exists()

    def unit(self, name: str) -> tuple[list[list[str]], dict[str, str], bool]:
        """The commands of a service, its environment, and whether it ends by itself."""
        base, _, instance = name.partition("@")
        text = Path(self.here(f"/etc/systemd/system/{base}{'@' if instance else ''}.service")).read_text()
        text = text.replace("%i", str(self.ports.get(instance, instance))).replace("%%", "%")
        said = [line.partition("=")[::2] for line in text.splitlines() if re.match(r"[A-Z]\w+=", line)]
        environment = self.environment()
        for key, value in said:
            if key == "EnvironmentFile":
                environment |= self.settings(value)
        for key, value in said:  # systemd: a file's settings win over the unit's own
            if key == "Environment":
                own = dict(word.split("=", 1) for word in shlex.split(self.here(value)))
                environment = own | environment if "EnvironmentFile" in dict(said) else environment | own
        commands = [shlex.split(self.here(value)) for key, value in said if key == "ExecStart"]
        return commands, environment, ("Type", "oneshot") in said

    def start(self, name: str) -> None:
        """`systemctl start`: a oneshot is waited for; whatever else goes on, its output in a file of its own."""
        if name == "exchange.target":
            for one in self.enabled:
                if not one.endswith((".timer", ".target")):
                    self.start(one)
            return
        commands, environment, is_over = self.unit(name)
        with (self.root / f"{name}.log").open("ab") as log:
            for command in commands:
                if is_over:
                    self.run(command, environment, what=name)
                else:
                    self.running[name] = subprocess.Popen(
                        command, env=environment, cwd=self.root, stdout=log, stderr=subprocess.STDOUT
                    )

    def restart(self, name: str) -> None:
        """`systemctl restart`; a web process is waited for until it answers."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE_S) in {0, -signal.SIGTERM}, name
        self.start(name)
        _, _, port = name.partition("exchange-web@")
        if port:
            alive = f"http://127.0.0.1:{self.ports[port]}/livez"
            until(lambda: _answers(alive), of=self.running[name])

    def run(self, command: list[str], environment: dict[str, str], *, what: str = "", cwd: Path | None = None) -> str:
        """Until it has ended. Raises AssertionError, with what it said, where its exit status is not 0."""
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd or self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONG_S,
            check=False,
        )
        assert done.returncode == 0, f"{what or shlex.join(command)}: {done.returncode}\n{done.stdout[-4_000:]}"
        return done.stdout

    def said(self) -> str:
        """What the services have said, for a test that fails."""
        return "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in sorted(self.root.glob("*.log")))

    def stop(self) -> None:
        """All that runs, as `systemctl stop exchange.target` does."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=DEADLINE_S).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def typed(page: Path, heading: str) -> list[str]:
    """The lines of the first block of a section that are typed, without what they say of themselves."""
    section = page.read_text().partition(f"\n## {heading}\n")[2]
    block = section.partition("```sh\n")[2].partition("\n```")[0]
    return [re.sub(r"\s{2,}#.*", "", line).removeprefix("sudo ").strip() for line in block.splitlines()]


def is_root() -> bool:
    """Whether this test runs as root, as in a container."""
    return os.geteuid() == 0
