"""Run a command with an embedded PostgreSQL of the tests' own: `python -m tests.postgres -- COMMAND …`.

The server keeps its data between runs, so that starting costs a moment, and forgets about durability. With
DATABASE_URL set, that server is used instead.
"""

import os
import subprocess
import sys
from pathlib import Path

from exchange import embedded

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("TEST_DATA_DIR") or ROOT / ".data" / "test").resolve()


def environment() -> dict[str, str]:
    """What the settings need, with the server started where none was named."""
    url = os.environ.get("DATABASE_URL") or embedded.start(DATA_DIR, settings=embedded.UNSAFE_SETTINGS)
    return {
        "EXCHANGE_MODE": "test",
        "SECRET_KEY": "for tests only, and long enough to please the deployment check",
        "DATABASE_URL": url,
        "DATA_DIR": str(DATA_DIR),
        "LOG_LEVEL": "ERROR",
        # Most tests share classical STIX with everyone; those of the policy say otherwise.
        "OPEN_POLICY": "open-cti",
        # Each test that starts a process would have it compile Django again where the environment forbids to keep that.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def main() -> int:
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    own = not os.environ.get("DATABASE_URL")
    try:
        return subprocess.run(command, env=os.environ | environment(), check=False).returncode
    finally:
        if own:
            embedded.stop(DATA_DIR)


if __name__ == "__main__":
    sys.exit(main())
